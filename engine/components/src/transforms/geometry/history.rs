//! What was done to an image, so that it can be undone.

use byoc::{Affine, AppliedOperation, Error, Image, Result};
use serde::{Deserialize, Serialize};

use super::{PadMode, ResizeMode, Sampling, crop, flip, pad, reorient, resample_to, resize, rotate90, warp};
use crate::transforms::common::{GridMode, spatial_shape};

/// An operation with the numbers that its inverse needs. Shapes are spatial, without channels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "operation", content = "parameters", rename_all = "snake_case")]
pub(in crate::transforms) enum Operation {
    /// Onto another grid. Inverse: onto this one.
    Resample { affine: Affine, shape: Vec<usize>, sampling: Sampling },
    /// Axes flipped and permuted. Inverse: to the orientation of this affine.
    Reorient { affine: Affine },
    /// So many voxels removed before and after, for each axis.
    Crop { before: Vec<usize>, after: Vec<usize> },
    /// So many voxels added.
    Pad { before: Vec<usize>, after: Vec<usize> },
    /// Axes reversed.
    Flip { axes: Vec<usize> },
    /// Quarter turns in a plane.
    Rotate90 { axes: [usize; 2], k: i64 },
    /// Interpolated to another size. Inverse: to this one, without the axes that were added.
    Resize { shape: Vec<usize>, mode: ResizeMode, align_corners: Option<bool>, added_axes: usize },
    /// Sampled at a matrix times the voxel index. Inverse: at the inverse matrix, in this size.
    Warp { matrix: Affine, shape: Vec<usize>, sampling: Sampling },
}

/// Adds an operation to an image's history.
pub(in crate::transforms) fn record(image: &mut Image, transform: &str, operation: &Operation) -> Result<()> {
    let mut fields = serde_json::to_value(operation)?;
    let parameters = fields["parameters"].take();
    let operation = fields["operation"].as_str().unwrap_or_default().to_owned();
    image.history.push(AppliedOperation { transform: transform.to_owned(), operation, parameters });
    Ok(())
}

/// Undoes an operation; `nearest` replaces the interpolation that was used, for label maps.
pub(in crate::transforms) fn undo(image: Image, applied: &AppliedOperation, nearest: bool) -> Result<Image> {
    let fields = serde_json::json!({ "operation": applied.operation, "parameters": applied.parameters });
    let operation: Operation = serde_json::from_value(fields).map_err(|error| {
        Error::data(format!(
            "what `{}` did to the image (`{}`) cannot be undone: {error}",
            applied.transform, applied.operation
        ))
    })?;
    let sampling =
        |sampling: Sampling| if nearest { Sampling { mode: GridMode::Nearest, ..sampling } } else { sampling };
    match operation {
        Operation::Resample { affine, shape, sampling: used } => resample_to(image, &affine, &shape, sampling(used)),
        Operation::Reorient { affine } => {
            let rank = spatial_shape(&image.tensor)?.len();
            let target =
                mmar_imaging::orientation::of_affine(&affine, rank).map_err(|error| Error::data(error.to_string()))?;
            reorient(image, &target)
        }
        Operation::Crop { before, after } => pad(image, &before, &after, PadMode::Constant, 0.0),
        Operation::Pad { before, after } => {
            let shape = spatial_shape(&image.tensor)?;
            let end: Vec<usize> = shape.iter().zip(&after).map(|(n, after)| n.saturating_sub(*after)).collect();
            crop(image, &before, &end)
        }
        Operation::Flip { axes } => flip(image, &axes),
        Operation::Rotate90 { axes, k } => rotate90(image, axes, 4 - k.rem_euclid(4)),
        Operation::Resize { shape, mode, align_corners, added_axes } => {
            let (mode, align_corners) = if nearest { (ResizeMode::Nearest, None) } else { (mode, align_corners) };
            let mut image = resize(image, &shape, mode, align_corners)?;
            for _ in 0..added_axes {
                image.tensor = image.tensor.f_squeeze_dim(-1)?;
            }
            Ok(image)
        }
        Operation::Warp { matrix, shape, sampling: used } => {
            let inverse = mmar_imaging::affine::inverse(&matrix).map_err(|error| Error::data(error.to_string()))?;
            warp(image, &inverse, &shape, sampling(used))
        }
    }
}
