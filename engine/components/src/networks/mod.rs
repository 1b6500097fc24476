//! Networks with MONAI's argument names and parameter names, so that weights go both ways.
//!
//! One file per network, or per family; what several share is in [`defaults`] and in `byoc::nn::blocks`.

mod basic_unet;
mod defaults;
mod unet;

pub use basic_unet::{BasicUNet, BasicUNetArgs};
pub use unet::{UNet, UNetArgs};
