//! Gradients of parameters: dropping them for real, setting them, looking for what is not finite, and finding out which
//! tensors a backward pass would reach.

#![expect(unsafe_code, reason = "calls the shim")]

use std::ffi::c_void;

use byoc::Result;
use tch::{Kind, Tensor};

use crate::sys;

/// Drops the gradients (PyTorch's `zero_grad(set_to_none=True)`): the memory is free, and an optimizer passes over
/// parameters that the next backward pass does not reach. tch's own `zero_grad` fills with zeros instead.
pub fn clear(parameters: &[Tensor]) -> Result<()> {
    let pointers = sys::pointers(parameters);
    // SAFETY: the pointers are borrowed from tensors that live through the call
    unsafe { sys::mmar_torch_gradient_clear(pointers.as_ptr(), pointers.len()) }.check()
}

/// Makes `gradient` the gradient of a leaf; shape, dtype and device must be the parameter's. The memory is shared.
pub fn set(parameter: &Tensor, gradient: &Tensor) -> Result<()> {
    // SAFETY: both pointers are borrowed from tensors that live through the call
    unsafe { sys::mmar_torch_gradient_set(sys::pointer(parameter), sys::pointer(gradient)) }.check()
}

/// The leaves that a backward pass from this tensor would give a gradient, each once, in no order.
pub fn leaves(root: &Tensor) -> Result<Vec<Tensor>> {
    extern "C" fn take(context: *mut c_void, leaf: *mut sys::CTensor) {
        // SAFETY: `context` is the list below, which nobody else touches during the call
        let leaves = unsafe { &mut *context.cast::<Vec<Tensor>>() };
        // SAFETY: the shim gives it away
        leaves.push(unsafe { sys::own(leaf) });
    }
    let mut leaves: Vec<Tensor> = Vec::new();
    // SAFETY: the tensor and the list live through the call
    unsafe { sys::mmar_torch_gradient_leaves(sys::pointer(root), take, (&raw mut leaves).cast()) }.check()?;
    Ok(leaves)
}

/// Whether every value is finite. One reduction and, on a GPU, one wait for it.
pub fn is_finite(tensor: &Tensor) -> Result<bool> {
    if !tensor.is_floating_point() {
        return Ok(true);
    }
    // NaN and infinities survive a multiplication with zero, and nothing else does
    let sum = tensor.detach().f_mul_scalar(0.0)?.f_sum(Kind::Float)?;
    Ok(f64::try_from(sum)? == 0.0)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::{clear, is_finite, leaves, set};

    #[test]
    fn gradients_are_set_and_dropped() {
        let parameter = Tensor::zeros([2], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        set(&parameter, &Tensor::from_slice(&[1f32, 2.0])).unwrap();
        assert_eq!(Vec::<f32>::try_from(parameter.grad()).unwrap(), [1.0, 2.0]);
        clear(std::slice::from_ref(&parameter)).unwrap();
        assert!(!parameter.grad().defined());
        let error = set(&parameter, &Tensor::from_slice(&[1f32])).unwrap_err().to_string();
        assert!(error.contains("a gradient of shape [1] for a parameter of shape [2]"), "{error}");
    }

    #[test]
    fn leaves_are_what_a_backward_pass_reaches() {
        let leaf = || Tensor::ones([2], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let (a, b, unused) = (leaf(), leaf(), leaf());
        let _ = &unused * 2.0;
        let constant = Tensor::ones([2], (Kind::Float, Device::Cpu));
        let y = ((&a * &b + &a) * &constant + (&b * 2.0).detach()).sum(Kind::Float);
        let found = leaves(&y).unwrap();
        let mut found: Vec<_> = found.iter().map(Tensor::data_ptr).collect();
        let mut expected = vec![a.data_ptr(), b.data_ptr()];
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected);
        assert!(leaves(&constant).unwrap().is_empty());
    }

    #[test]
    fn finite_or_not() {
        for (values, finite) in
            [(vec![1e38f32, -1e38, 0.0], true), (vec![1.0, f32::NAN], false), (vec![f32::INFINITY], false)]
        {
            assert_eq!(is_finite(&Tensor::from_slice(&values)).unwrap(), finite, "{values:?}");
        }
        assert!(is_finite(&Tensor::from_slice(&[1i64])).unwrap());
    }
}
