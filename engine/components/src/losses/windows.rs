//! Weighted sums over windows, by one axis after the other.

use byoc::Result;
use tch::Tensor;

/// The sums of (B, C, spatial…) under a window with these weights along each axis, zeros beyond the border (MONAI
/// `separable_filtering`). The weights are as many as an odd number; the shape stays.
///
/// Sums of shifted images: exact in float32 also under autocast, which would compute a convolution in 16 bits.
pub(super) fn weighted_sums(x: &Tensor, weights: &[f64]) -> Result<Tensor> {
    let reach = weights.len() as i64 / 2;
    let size = x.size();
    let mut x = x.shallow_clone();
    for axis in 2..size.len() {
        let mut padding = vec![0; 2 * (size.len() - axis)];
        let last = padding.len();
        padding[last - 2..].fill(reach);
        let padded = x.f_pad(padding, "constant", 0.0)?;
        let mut sum: Option<Tensor> = None;
        for (start, &weight) in weights.iter().enumerate() {
            let mut part = padded.f_narrow(axis as i64, start as i64, size[axis])?;
            if weight != 1.0 {
                part = part.f_mul_scalar(weight)?;
            }
            sum = Some(match sum {
                Some(sum) => sum.f_add(&part)?,
                None => part,
            });
        }
        x = sum.unwrap_or(x);
    }
    Ok(x)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::weighted_sums;

    #[test]
    fn sums_are_those_of_a_convolution() {
        let x = Tensor::rand([2, 1, 5, 4], (Kind::Float, Device::Cpu));
        let weights = [0.5f32, 1.0, -2.0];
        let kernel = Tensor::from_slice(&weights);
        let kernel = (kernel.view([3, 1]) * kernel.view([1, 3])).view([1, 1, 3, 3]);
        let expected = x.conv2d::<Tensor>(&kernel, None, [1, 1], [1, 1], [1, 1], 1);
        let found = weighted_sums(&x, &weights.map(f64::from)).unwrap();
        assert!(found.allclose(&expected, 1e-5, 1e-6, false));
    }
}
