//! Spatial operations on images: voxels, affine and history together.
//!
//! Each operation exists once, for the transforms that do it and for `Invertd`, which undoes it from what was recorded.

mod axes;
mod crop_pad;
mod history;
mod resample;
mod resize;

pub(in crate::transforms) use axes::{flip, reorient, rotate90, spatial_axes};
pub(in crate::transforms) use crop_pad::{PadMode, crop, crop_view, pad, pad_axis, symmetric_pad};
pub(in crate::transforms) use history::{Operation, record, undo};
pub(in crate::transforms) use resample::{Sampling, cube, resample_to, sample_at, warp};
pub(in crate::transforms) use resize::{ResizeMode, interpolate, resize};
