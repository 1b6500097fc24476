//! How much a voxel of a window counts where windows overlap.

use byoc::Result;
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Device, Kind, Tensor};

/// How overlapping windows are blended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum Blending {
    /// All voxels of a window count the same.
    #[default]
    Constant,
    /// Voxels count the less the farther they are from the window's centre.
    Gaussian,
}

/// The weight of each voxel of a window, (1, 1, spatial…) in float32.
///
/// The Gaussian is the product of one per axis with a standard deviation of `sigma_scale · size`, nowhere less than
/// 0.001 (MONAI `compute_importance_map`).
pub(super) fn importance_map(size: &[i64], mode: Blending, sigma_scale: &[f64], device: Device) -> Result<Tensor> {
    let mut shape = vec![1, 1];
    shape.extend(size);
    if mode == Blending::Constant {
        return Ok(Tensor::f_ones(shape, (Kind::Float, device))?);
    }
    let mut map = Tensor::f_ones([1], (Kind::Float, device))?;
    for (&size, scale) in size.iter().zip(sigma_scale) {
        let sigma = size as f64 * scale;
        let centre = (size - 1) as f64 / 2.0;
        let gaussian = |i: i64| {
            // in float32 as MONAI has it
            let x = (i as f64 - centre) as f32;
            (x * x / (-2.0 * sigma * sigma) as f32).exp()
        };
        let line: Vec<f32> = (0..size).map(gaussian).collect();
        map = map.f_unsqueeze(-1)?.f_mul(&Tensor::from_slice(&line).f_to_device(device)?)?;
    }
    let smallest = map.f_min()?.f_double_value(&[])?.max(1e-3);
    Ok(map.f_clamp_min(smallest)?.f_reshape(shape)?)
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::{Blending, importance_map};

    #[test]
    fn the_gaussian_is_one_in_the_centre_and_symmetric() {
        let map = importance_map(&[5, 3], Blending::Gaussian, &[0.125, 0.25], Device::Cpu).unwrap();
        assert_eq!(map.size(), [1, 1, 5, 3]);
        assert_eq!(map.double_value(&[0, 0, 2, 1]), 1.0);
        assert_eq!(map.double_value(&[0, 0, 0, 0]), map.double_value(&[0, 0, 4, 2]));
        let expected = (-1.0f64 / (2.0 * 0.625f64.powi(2))).exp();
        assert!((map.double_value(&[0, 0, 1, 1]) - expected).abs() < 1e-6);
        assert!(map.min().double_value(&[]) >= 0.99e-3);
    }
}
