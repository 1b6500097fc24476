//! Comparing tensors.

use tch::{Kind, Tensor};

use crate::verdict::Verdict;

/// In which way two tensors differ, bit for bit (two NaN are equal); `None` if they do not.
pub(crate) fn difference(a: &Tensor, b: &Tensor) -> Result<Option<String>, Verdict> {
    if a.size() != b.size() {
        return Ok(Some(format!("shape {:?} and {:?}", a.size(), b.size())));
    }
    if a.kind() != b.kind() {
        return Ok(Some(format!("dtype {:?} and {:?}", a.kind(), b.kind())));
    }
    if a.numel() == 0 {
        return Ok(None);
    }
    let (a, b) = (a.detach(), b.detach());
    let both_nan = a.f_isnan()?.f_logical_and(&b.f_isnan()?)?;
    let equal = a.f_eq_tensor(&b)?.f_logical_or(&both_nan)?;
    let wrong = number(&equal.f_logical_not()?.f_sum(Kind::Double)?)?;
    if wrong == 0.0 {
        return Ok(None);
    }
    let largest = largest_deviation(&a, &b)?;
    Ok(Some(format!("{wrong} of {} values, by {largest:.3e} at most", a.numel())))
}

/// The largest |a - b|; NaN where only one is NaN.
pub(crate) fn largest_deviation(a: &Tensor, b: &Tensor) -> Result<f64, Verdict> {
    let (a, b) = (a.detach().f_to_kind(Kind::Double)?, b.detach().f_to_kind(Kind::Double)?);
    if a.numel() == 0 {
        return Ok(0.0);
    }
    number(&a.f_sub(&b)?.f_abs()?.f_max()?)
}

/// Whether every value is finite.
pub(crate) fn all_finite(tensor: &Tensor) -> Result<bool, Verdict> {
    Ok(tensor.numel() == 0 || tensor.detach().f_isfinite()?.f_all()?.f_int64_value(&[])? != 0)
}

/// Whether any value is not zero.
pub(crate) fn any_nonzero(tensor: &Tensor) -> Result<bool, Verdict> {
    Ok(tensor.numel() > 0
        && tensor.detach().f_ne_tensor(&tensor.detach().f_zeros_like()?)?.f_any()?.f_int64_value(&[])? != 0)
}

/// The number of a tensor of one element.
pub(crate) fn number(tensor: &Tensor) -> Result<f64, Verdict> {
    Ok(tensor.detach().f_to_kind(Kind::Double)?.f_sum(Kind::Double)?.f_double_value(&[])?)
}

/// `[2, 1, 8, 8] Float Cpu`
pub(crate) fn shown(tensor: &Tensor) -> String {
    format!("{:?} {:?}", tensor.size(), tensor.kind())
}

#[cfg(test)]
mod tests {
    use tch::Tensor;

    use super::{all_finite, any_nonzero, difference, largest_deviation};

    #[test]
    fn tensors_are_compared_bit_by_bit() {
        let a = Tensor::from_slice(&[1f32, f32::NAN, 3.0]);
        assert_eq!(difference(&a, &a.copy()).unwrap(), None);
        let b = Tensor::from_slice(&[1f32, f32::NAN, 3.5]);
        assert_eq!(difference(&a, &b).unwrap().unwrap(), "1 of 3 values, by NaN at most");
        assert!(difference(&a, &Tensor::from_slice(&[1f32])).unwrap().unwrap().contains("shape"));
        assert!(difference(&a, &Tensor::from_slice(&[1i64, 2, 3])).unwrap().unwrap().contains("dtype"));
        assert_eq!(largest_deviation(&Tensor::from_slice(&[1i64, 5]), &Tensor::from_slice(&[2i64, 2])).unwrap(), 3.0);
    }

    #[test]
    fn finite_and_nonzero() {
        assert!(!all_finite(&Tensor::from_slice(&[1f32, f32::INFINITY])).unwrap());
        assert!(all_finite(&Tensor::from_slice(&[1i64])).unwrap());
        assert!(any_nonzero(&Tensor::from_slice(&[0f32, 2.0])).unwrap());
        assert!(!any_nonzero(&Tensor::from_slice(&[0f32, -0.0])).unwrap());
    }
}
