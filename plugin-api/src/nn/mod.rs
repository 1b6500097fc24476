//! Layers for 1, 2 and 3 dimensions with PyTorch's parameter names, initialisation and buffers.
//!
//! A network built from these loads the weights of the PyTorch class that it follows, and the other way round. Each
//! layer is made under a [`tch::nn::Path`], which gives its parameters their dotted names:
//!
//! ```
//! use byoc::nn::{self, Conv, ConvOptions, Layer, LayerSpec, Norm};
//! use tch::{Device, Kind, Tensor};
//!
//! let store = tch::nn::VarStore::new(Device::Cpu);
//! let path = store.root();
//! let conv = Conv::new(&(&path / "conv"), ConvOptions::new(2, 1, 8, 3).stride(2).padding(1))?;
//! let norm = Norm::new(&(&path / "norm"), &LayerSpec::new("batch"), 2, 8)?;
//! let x = Tensor::rand([1, 1, 16, 16], (Kind::Float, Device::Cpu));
//! let y = norm.forward_t(&conv.forward(&x)?, true)?;
//! assert_eq!(y.size(), [1, 8, 8, 8]);
//! let mut names: Vec<_> = store.variables().into_keys().collect();
//! names.sort();
//! assert_eq!(names, ["conv.bias", "conv.weight", "norm.bias", "norm.num_batches_tracked", "norm.running_mean",
//!     "norm.running_var", "norm.weight"]);
//! # Ok::<(), byoc::Error>(())
//! ```
//!
//! * layers with weights: [`Conv`], [`ConvTranspose`], [`Linear`], [`Norm`], [`Activation`] (some);
//! * without: [`Dropout`], the functions in [`pool`] and [`resize`];
//! * MONAI's building blocks made of them: [`blocks`];
//! * anything of your own: [`parameter`] and [`buffer`], with the distributions in [`init`].
//!
//! Two parameters of one name are an error here; `tch` would silently rename the second. Layers check what they are
//! given when they are made and name themselves (`model.0.conv`) in every error.
//!
//! Layouts are PyTorch's: (B, C, spatial…) with one to three spatial axes. Which memory format a convolution uses is
//! decided in one place, [`memory_format`].

mod activation;
pub mod blocks;
mod conv;
mod conv_transpose;
mod dropout;
pub mod init;
mod layer;
mod linear;
pub mod memory_format;
mod norm;
pub mod pool;
pub mod resize;
mod spec;
mod variable;

pub use activation::Activation;
pub use conv::{Conv, ConvOptions};
pub use conv_transpose::{ConvTranspose, ConvTransposeOptions};
pub use dropout::{Dropout, DropoutSpec};
pub use layer::{Identity, Layer, Sequential};
pub use linear::Linear;
pub use norm::Norm;
pub use spec::LayerSpec;
pub use variable::{alias, buffer, parameter};

use crate::{Error, OneOrMany, Result};

/// A size for all axes, or one for each: how layers take kernel sizes, strides and paddings.
impl From<i64> for OneOrMany<i64> {
    fn from(value: i64) -> Self {
        Self::One(value)
    }
}

impl From<Vec<i64>> for OneOrMany<i64> {
    fn from(values: Vec<i64>) -> Self {
        Self::Many(values)
    }
}

impl From<&[i64]> for OneOrMany<i64> {
    fn from(values: &[i64]) -> Self {
        Self::Many(values.to_vec())
    }
}

impl<const N: usize> From<[i64; N]> for OneOrMany<i64> {
    fn from(values: [i64; N]) -> Self {
        Self::Many(values.to_vec())
    }
}

/// Checks that a network has 1, 2 or 3 spatial dimensions.
#[track_caller]
pub fn check_spatial_dims(spatial_dims: usize) -> Result<()> {
    if (1..=3).contains(&spatial_dims) {
        return Ok(());
    }
    Err(Error::invalid_argument(format!("`spatial_dims` must be 1, 2 or 3, found {spatial_dims}")))
}
