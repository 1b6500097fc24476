//! Parts of an image, and margins around it.

use byoc::{Image, Result};
use mmar_imaging::affine;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::transforms::common::spatial_shape;

/// What a margin is filled with (the modes of numpy's and PyTorch's `pad`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(in crate::transforms) enum PadMode {
    /// One value, 0 if none is given.
    Constant,
    /// The voxel at the border.
    Edge,
    /// The same as `edge`.
    Replicate,
    /// The image mirrored at the centre of its border voxel.
    Reflect,
    /// The image mirrored at the face of its border voxel.
    Symmetric,
    /// The image repeated.
    Wrap,
    /// The same as `wrap`.
    Circular,
    /// The lowest value of the line.
    Minimum,
    /// The highest value of the line.
    Maximum,
    /// The mean of the line.
    Mean,
    /// The median of the line.
    Median,
}

impl PadMode {
    /// Where the voxel at a position outside of `0..n` comes from, if it is a copy of one.
    fn source(self, position: i64, n: i64) -> Option<i64> {
        match self {
            Self::Edge | Self::Replicate => Some(position.clamp(0, n - 1)),
            Self::Wrap | Self::Circular => Some(position.rem_euclid(n)),
            Self::Symmetric => {
                let place = position.rem_euclid(2 * n);
                Some(if place < n { place } else { 2 * n - 1 - place })
            }
            Self::Reflect if n == 1 => Some(0),
            Self::Reflect => {
                let place = position.rem_euclid(2 * n - 2);
                Some(if place < n { place } else { 2 * n - 2 - place })
            }
            _ => None,
        }
    }
}

/// The part from `start` to `end` of each axis, which must lie inside.
///
/// A small part gets memory of its own, so that a cached crop does not keep the whole volume alive; a large one shares
/// the volume's.
pub(in crate::transforms) fn crop(image: Image, start: &[usize], end: &[usize]) -> Result<Image> {
    let voxels = image.tensor.numel();
    let mut part = crop_view(image, start, end)?;
    if part.tensor.numel() * 4 < voxels * 3 {
        part.tensor = part.tensor.f_contiguous()?;
    }
    Ok(part)
}

/// As [`crop`], in the image's memory: for parts of an image that stays in memory anyway, and that are copied into a
/// batch next.
pub(in crate::transforms) fn crop_view(image: Image, start: &[usize], end: &[usize]) -> Result<Image> {
    let shape = spatial_shape(&image.tensor)?;
    let mut tensor = image.tensor.shallow_clone();
    for (axis, &n) in shape.iter().enumerate() {
        let start = start[axis].min(n);
        let length = end[axis].min(n).saturating_sub(start);
        if length != n {
            tensor = tensor.f_narrow(axis as i64 + 1, start as i64, length as i64)?;
        }
    }
    let shift: Vec<f64> = start.iter().map(|&start| start as f64).collect();
    Ok(Image { tensor, affine: affine::multiply(&image.affine, &affine::translation(&shift)), ..image })
}

/// So many voxels more before and after each axis.
pub(in crate::transforms) fn pad(
    image: Image,
    before: &[usize],
    after: &[usize],
    mode: PadMode,
    value: f64,
) -> Result<Image> {
    let shape = spatial_shape(&image.tensor)?;
    let mut tensor = image.tensor.shallow_clone();
    if before.iter().chain(after).all(|&n| n == 0) {
        return Ok(image);
    }
    if mode == PadMode::Constant || tensor.numel() == 0 {
        // libtorch counts the axes from the last one
        let widths: Vec<i64> =
            (0..shape.len()).rev().flat_map(|axis| [before[axis] as i64, after[axis] as i64]).collect();
        tensor = tensor.f_pad(&widths, "constant", value)?;
    } else {
        for (axis, &n) in shape.iter().enumerate() {
            tensor = pad_axis(&tensor, axis as i64 + 1, n as i64, before[axis] as i64, after[axis] as i64, mode)?;
        }
    }
    let shift: Vec<f64> = before.iter().map(|&before| -(before as f64)).collect();
    Ok(Image { tensor, affine: affine::multiply(&image.affine, &affine::translation(&shift)), ..image })
}

/// A tensor with a margin along one axis of size `n`, by any mode but `constant`.
pub(in crate::transforms) fn pad_axis(
    tensor: &Tensor,
    dim: i64,
    n: i64,
    before: i64,
    after: i64,
    mode: PadMode,
) -> Result<Tensor> {
    if before + after == 0 {
        return Ok(tensor.shallow_clone());
    }
    let copied: Option<Vec<i64>> = (-before..n + after).map(|position| mode.source(position, n)).collect();
    if let Some(indices) = copied {
        return Ok(tensor.f_index_select(dim, &Tensor::from_slice(&indices).to_device(tensor.device()))?);
    }
    let statistic = match mode {
        PadMode::Minimum => tensor.f_amin([dim], true)?,
        PadMode::Maximum => tensor.f_amax([dim], true)?,
        PadMode::Mean => tensor.f_mean_dim([dim].as_slice(), true, Kind::Double)?.f_to_kind(tensor.kind())?,
        _ => tensor.f_to_kind(Kind::Double)?.f_quantile_scalar(0.5, dim, true, "linear")?.f_to_kind(tensor.kind())?,
    };
    let margin = |width: i64| {
        let mut size = statistic.size();
        size[dim as usize] = width;
        statistic.f_expand(&size, false)
    };
    Ok(Tensor::f_cat(&[margin(before)?, tensor.shallow_clone(), margin(after)?], dim)?)
}

/// How much to add before and after each axis to reach a size; what is odd goes to the end, with `at_end` all of it.
pub(in crate::transforms) fn symmetric_pad(shape: &[usize], size: &[usize], at_end: bool) -> (Vec<usize>, Vec<usize>) {
    shape
        .iter()
        .zip(size)
        .map(|(&n, &size)| {
            let width = size.saturating_sub(n);
            let before = if at_end { 0 } else { width / 2 };
            (before, width - before)
        })
        .unzip()
}
