//! Transforms of the interactive segmentation Deepgrow (Sakinis et al. 2019, interactive segmentation of medical images
//! through fully convolutional neural networks).
//!
//! A user's clicks, the *guidance*, are two lists of points: those inside of the organ and those outside. In training they
//! are drawn from the label and from where the network is wrong; they reach the network as two more channels of the image.
//! Names and numbers are those of `monai.apps.deepgrow.transforms`; with `batched`, as in MONAI 0.6, a transform works on
//! each item of a batch.

mod click;
mod guidance;

pub mod crop;
pub mod discrepancy;
pub mod points;
pub mod restore;
pub mod seed_point;
pub mod signal;
pub mod slices;
