//! Making images larger or smaller within a network: interpolation, pixel shuffle, padding.
//!
//! [`scale`] and [`pixel_shuffle`] are written so that a traced network keeps working at other sizes: none of their
//! operators gets a number that was read from the input's size.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::pool::spatial_dims;
use crate::{Error, Result};

/// How values between voxels are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Interpolation {
    /// The nearest voxel.
    Nearest,
    /// Linear along each axis; PyTorch calls it `bilinear` in two and `trilinear` in three dimensions.
    #[default]
    #[serde(alias = "bilinear", alias = "trilinear")]
    Linear,
    /// Cubic along each axis, two dimensions only.
    Bicubic,
}

/// `torch.nn.functional.interpolate(scale_factor=…)`, one factor for each spatial axis. `align_corners` says that the
/// centres of the corner voxels stay in place; the nearest mode ignores it.
pub fn scale(x: &Tensor, factors: &[f64], mode: Interpolation, align_corners: bool) -> Result<Tensor> {
    let n = spatial_dims(x)?;
    if factors.len() != n {
        return Err(Error::data(format!(
            "{} scale factors do not fit an input of shape {:?}",
            factors.len(),
            x.size()
        )));
    }
    // the variants that take factors, so that no size becomes a constant of a trace
    let (none, align) = (None::<Vec<i64>>, align_corners);
    Ok(match (mode, n) {
        (Interpolation::Nearest, 1) => x.f_upsample_nearest1d_vec(none, factors)?,
        (Interpolation::Nearest, 2) => x.f_upsample_nearest2d_vec(none, factors)?,
        (Interpolation::Nearest, _) => x.f_upsample_nearest3d_vec(none, factors)?,
        (Interpolation::Linear, 1) => x.f_upsample_linear1d_vec(none, align, factors)?,
        (Interpolation::Linear, 2) => x.f_upsample_bilinear2d_vec(none, align, factors)?,
        (Interpolation::Linear, _) => x.f_upsample_trilinear3d_vec(none, align, factors)?,
        (Interpolation::Bicubic, 2) => x.f_upsample_bicubic2d_vec(none, align, factors)?,
        (Interpolation::Bicubic, n) => return Err(no_bicubic(n)),
    })
}

/// `torch.nn.functional.interpolate(size=…)`, one size for each spatial axis.
pub fn to_size(x: &Tensor, size: &[i64], mode: Interpolation, align_corners: bool) -> Result<Tensor> {
    let n = spatial_dims(x)?;
    if size.len() != n {
        return Err(Error::data(format!("size {size:?} does not fit an input of shape {:?}", x.size())));
    }
    let (none, align) = (None::<f64>, align_corners);
    Ok(match (mode, n) {
        (Interpolation::Nearest, 1) => x.f_upsample_nearest1d(size, none)?,
        (Interpolation::Nearest, 2) => x.f_upsample_nearest2d(size, none, none)?,
        (Interpolation::Nearest, _) => x.f_upsample_nearest3d(size, none, none, none)?,
        (Interpolation::Linear, 1) => x.f_upsample_linear1d(size, align, none)?,
        (Interpolation::Linear, 2) => x.f_upsample_bilinear2d(size, align, none, none)?,
        (Interpolation::Linear, _) => x.f_upsample_trilinear3d(size, align, none, none, none)?,
        (Interpolation::Bicubic, 2) => x.f_upsample_bicubic2d(size, align, none, none)?,
        (Interpolation::Bicubic, n) => return Err(no_bicubic(n)),
    })
}

#[track_caller]
fn no_bicubic(spatial_dims: usize) -> Error {
    Error::data(format!("bicubic interpolation is for 2 spatial dimensions, found {spatial_dims}"))
}

/// MONAI's `pixelshuffle` (Shi et al. 2016): (B, C · factorⁿ, spatial…) → (B, C, factor · spatial…).
pub fn pixel_shuffle(x: &Tensor, factor: i64) -> Result<Tensor> {
    let n = spatial_dims(x)?;
    let channels = x.size()[1];
    let parts = factor.pow(n as u32);
    if channels % parts != 0 {
        return Err(Error::data(format!(
            "pixel shuffle: {channels} channels are not divisible by {factor}^{n} = {parts}"
        )));
    }
    // (B, C, factor × n, spatial × n), then each factor beside its axis
    let mut split = vec![channels / parts];
    split.extend(std::iter::repeat_n(factor, n));
    let mut order = vec![0, 1];
    for axis in 0..n {
        order.extend([(2 + n + axis) as i64, (2 + axis) as i64]);
    }
    let mut y = x.f_unflatten(1, split)?.f_permute(order)?;
    for axis in 0..n {
        let axis = 2 + axis as i64;
        y = y.f_flatten(axis, axis + 1)?;
    }
    Ok(y)
}

/// Repeats the last voxels of `x` where it is one voxel shorter than `like`: what an upsampled image needs before it
/// is joined with one whose size was odd.
pub fn pad_to_odd_size_of(x: &Tensor, like: &Tensor) -> Result<Tensor> {
    let n = spatial_dims(x)?;
    let (size, wanted) = (x.size(), like.size());
    // the last axis comes first, with one number for each of its ends
    let mut padding = Vec::with_capacity(2 * n);
    for axis in (2..2 + n).rev() {
        padding.extend([0, i64::from(size[axis] != wanted[axis])]);
    }
    if padding.iter().all(|&amount| amount == 0) {
        return Ok(x.shallow_clone());
    }
    Ok(x.f_pad(padding, "replicate", None)?)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn pixel_shuffle_is_libtorchs_in_two_dimensions() {
        let x = Tensor::rand([2, 12, 3, 4], (Kind::Float, Device::Cpu));
        assert_eq!(pixel_shuffle(&x, 2).unwrap(), x.pixel_shuffle(2));
        assert_eq!(
            pixel_shuffle(&Tensor::rand([1, 8, 2, 3, 4], (Kind::Float, Device::Cpu)), 2).unwrap().size(),
            [1, 1, 4, 6, 8]
        );
        assert!(pixel_shuffle(&x, 5).is_err());
    }

    #[test]
    fn scaling_and_padding_give_the_sizes_asked_for() {
        for n in 1..=3usize {
            let shape: Vec<i64> = [1, 2].into_iter().chain([5, 4, 3].into_iter().take(n)).collect();
            let x = Tensor::rand(&shape, (Kind::Float, Device::Cpu));
            for mode in [Interpolation::Nearest, Interpolation::Linear] {
                let y = scale(&x, &vec![2.0; n], mode, true).unwrap();
                assert_eq!(y.size()[2..], shape[2..].iter().map(|s| 2 * s).collect::<Vec<_>>());
                assert_eq!(to_size(&y, &shape[2..], mode, false).unwrap().size(), shape);
            }
            let larger: Vec<i64> = shape.iter().enumerate().map(|(axis, s)| s + i64::from(axis == 2)).collect();
            let padded = pad_to_odd_size_of(&x, &Tensor::zeros(&larger, (Kind::Float, Device::Cpu))).unwrap();
            assert_eq!(padded.size(), larger);
            assert_eq!(padded.select(2, 5), x.select(2, 4), "the last voxels are repeated");
        }
    }
}
