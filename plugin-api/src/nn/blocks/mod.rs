//! MONAI's building blocks with MONAI's parameter names (`monai.networks.blocks`).

mod adn;
mod convolution;
mod residual_unit;
mod up_sample;

pub use adn::{Adn, AdnOptions};
pub use convolution::{Convolution, ConvolutionOptions};
pub use residual_unit::{ResidualUnit, ResidualUnitOptions};
pub use up_sample::{PreConv, SubpixelUpsample, UpSample, UpSampleOptions, UpsampleMode};

use crate::{Error, OneOrMany, Result};

/// The padding that keeps the size at stride 1: (kernel − 1) / 2 · dilation for each axis.
///
/// # Errors
///
/// An even kernel with an odd dilation has none.
#[track_caller]
pub fn same_padding(kernel_size: &[i64], dilation: &[i64]) -> Result<Vec<i64>> {
    kernel_size
        .iter()
        .zip(dilation)
        .map(|(kernel, dilation)| match (kernel - 1) * dilation {
            twice if twice % 2 == 0 => Ok(twice / 2),
            _ => Err(Error::invalid_argument(format!(
                "no padding keeps the size with kernel size {kernel} and dilation {dilation}: use an odd kernel size"
            ))),
        })
        .collect()
}

/// `same_padding` of sizes that may be one for all axes.
#[track_caller]
fn same_padding_of(
    kernel_size: &OneOrMany<i64>,
    dilation: &OneOrMany<i64>,
    spatial_dims: usize,
) -> Result<OneOrMany<i64>> {
    let kernel = kernel_size.repeat(spatial_dims, "kernel_size")?;
    let dilation = dilation.repeat(spatial_dims, "dilation")?;
    Ok(OneOrMany::Many(same_padding(&kernel, &dilation)?))
}
