//! Learned and fixed upsampling.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Tensor, nn};

use crate::nn::resize::{Interpolation, pixel_shuffle, scale};
use crate::nn::{Conv, ConvOptions, ConvTranspose, ConvTransposeOptions, Layer, init, pool};
use crate::{Error, OneOrMany, Result};

/// How an [`UpSample`] makes its input larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum UpsampleMode {
    /// A transposed convolution, `deconv`.
    #[default]
    Deconv,
    /// A transposed convolution with a group for each output channel, `deconvgroup`.
    DeconvGroup,
    /// Interpolation, after a 1-voxel convolution `preconv` where the channels change.
    NonTrainable,
    /// A convolution to more channels, which then become voxels (Shi et al. 2016).
    PixelShuffle,
}

/// The convolution before interpolation or pixel shuffle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PreConv {
    /// The one that MONAI makes where it is needed.
    #[default]
    Default,
    /// None.
    None,
}

/// `monai.networks.blocks.UpSample`.
#[derive(Debug)]
pub struct UpSample(Method);

#[derive(Debug)]
enum Method {
    Deconv(ConvTranspose),
    NonTrainable { preconv: Option<Conv>, factors: Vec<f64>, interpolation: Interpolation, align_corners: bool },
    PixelShuffle(SubpixelUpsample),
}

/// What an [`UpSample`] looks like.
#[derive(Debug, Clone)]
pub struct UpSampleOptions {
    /// The number of spatial dimensions.
    pub spatial_dims: usize,
    /// The number of input channels.
    pub in_channels: i64,
    /// The number of output channels.
    pub out_channels: i64,
    /// How many times larger each axis becomes.
    pub scale_factor: OneOrMany<i64>,
    /// The kernel of the transposed convolutions; by default the scale factor.
    pub kernel_size: Option<OneOrMany<i64>>,
    /// The method.
    pub mode: UpsampleMode,
    /// The convolution before interpolation or pixel shuffle.
    pub pre_conv: PreConv,
    /// How `NonTrainable` interpolates.
    pub interpolation: Interpolation,
    /// Whether the corner voxels stay in place.
    pub align_corners: bool,
    /// Whether the convolutions have a bias.
    pub bias: bool,
    /// Whether pixel shuffle is followed by an average over the factor, against checkerboard patterns.
    pub apply_pad_pool: bool,
}

impl UpSampleOptions {
    /// MONAI's defaults: twice as large by a transposed convolution.
    pub fn new(spatial_dims: usize, in_channels: i64, out_channels: i64) -> Self {
        Self {
            spatial_dims,
            in_channels,
            out_channels,
            scale_factor: OneOrMany::One(2),
            kernel_size: None,
            mode: UpsampleMode::Deconv,
            pre_conv: PreConv::Default,
            interpolation: Interpolation::Linear,
            align_corners: true,
            bias: true,
            apply_pad_pool: true,
        }
    }

    /// Another method.
    #[must_use]
    pub fn mode(mut self, mode: UpsampleMode) -> Self {
        self.mode = mode;
        self
    }
}

impl UpSample {
    /// Makes `deconv`, `deconvgroup`, `preconv` or `pixelshuffle.conv_block` under `path`.
    ///
    /// # Errors
    ///
    /// Interpolation without a convolution cannot change the channels; pixel shuffle has one factor for all axes.
    #[track_caller]
    pub fn new(path: &nn::Path<'_>, options: UpSampleOptions) -> Result<Self> {
        let UpSampleOptions { spatial_dims, in_channels, out_channels, .. } = options;
        let factors = options.scale_factor.repeat(spatial_dims, "scale_factor")?;
        let method = match options.mode {
            UpsampleMode::Deconv => {
                let deconv = transposed(&options, &factors)?;
                Method::Deconv(ConvTranspose::new(&(path / "deconv"), deconv)?)
            }
            UpsampleMode::DeconvGroup => {
                let groups = if in_channels % out_channels == 0 { out_channels } else { 1 };
                let deconv = transposed(&options, &factors)?.groups(groups);
                Method::Deconv(ConvTranspose::new(&(path / "deconvgroup"), deconv)?)
            }
            UpsampleMode::NonTrainable => {
                let preconv = match options.pre_conv {
                    _ if in_channels == out_channels => None,
                    PreConv::Default => {
                        let conv = ConvOptions::new(spatial_dims, in_channels, out_channels, 1).bias(options.bias);
                        Some(Conv::new(&(path / "preconv"), conv)?)
                    }
                    PreConv::None => {
                        return Err(Error::invalid_argument(format!(
                            "interpolation alone cannot go from {in_channels} to {out_channels} channels"
                        )));
                    }
                };
                Method::NonTrainable {
                    preconv,
                    factors: factors.iter().map(|&factor| factor as f64).collect(),
                    interpolation: options.interpolation,
                    align_corners: options.align_corners,
                }
            }
            UpsampleMode::PixelShuffle => {
                let factor = factors[0];
                if factors.iter().any(|&other| other != factor) {
                    return Err(Error::invalid_argument(format!(
                        "pixel shuffle has one factor for all axes, found {factors:?}"
                    )));
                }
                Method::PixelShuffle(SubpixelUpsample::new(
                    &(path / "pixelshuffle"),
                    spatial_dims,
                    in_channels,
                    out_channels,
                    factor,
                    options.pre_conv,
                    options.apply_pad_pool,
                    options.bias,
                )?)
            }
        };
        Ok(Self(method))
    }
}

/// The transposed convolution of the modes `deconv` and `deconvgroup`.
fn transposed(options: &UpSampleOptions, factors: &[i64]) -> Result<ConvTransposeOptions> {
    let n = options.spatial_dims;
    let (kernel, padding, output_padding) = match &options.kernel_size {
        None => (factors.to_vec(), vec![0; n], vec![0; n]),
        Some(kernel) => {
            let kernel = kernel.repeat(n, "kernel_size")?;
            let padding = kernel.iter().map(|k| (k - 1) / 2).collect();
            let output_padding = kernel.iter().zip(factors).map(|(k, s)| s - 1 - (k - 1) % 2).collect();
            (kernel, padding, output_padding)
        }
    };
    Ok(ConvTransposeOptions::new(n, options.in_channels, options.out_channels, kernel)
        .stride(factors)
        .padding(padding)
        .output_padding(output_padding)
        .bias(options.bias))
}

impl Layer for UpSample {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        match &self.0 {
            Method::Deconv(deconv) => deconv.forward(x),
            Method::NonTrainable { preconv, factors, interpolation, align_corners } => {
                scale(&preconv.forward_t(x, train)?, factors, *interpolation, *align_corners)
            }
            Method::PixelShuffle(shuffle) => shuffle.forward_t(x, train),
        }
    }
}

/// `monai.networks.blocks.SubpixelUpsample`: a convolution `conv_block` to factorⁿ times the channels, whose voxels
/// are then laid side by side; initialised so that the result starts as nearest-neighbour upsampling (Aitken et al.
/// 2017).
#[derive(Debug)]
pub struct SubpixelUpsample {
    conv_block: Option<Conv>,
    factor: i64,
    pad_pool: bool,
}

impl SubpixelUpsample {
    /// Makes `conv_block` under `path`.
    #[expect(clippy::too_many_arguments, reason = "MONAI's own arguments, set by `UpSampleOptions`")]
    fn new(
        path: &nn::Path<'_>,
        spatial_dims: usize,
        in_channels: i64,
        out_channels: i64,
        factor: i64,
        conv_block: PreConv,
        pad_pool: bool,
        bias: bool,
    ) -> Result<Self> {
        if factor < 1 {
            return Err(Error::invalid_argument(format!("`scale_factor` must be positive, found {factor}")));
        }
        let conv_block = match conv_block {
            PreConv::None => None,
            PreConv::Default => {
                let outputs = out_channels * factor.pow(spatial_dims as u32);
                let options = ConvOptions::new(spatial_dims, in_channels, outputs, 3).padding(1).bias(bias);
                let conv = Conv::new(&(path / "conv_block"), options)?;
                initialise_as_nearest(conv.weight(), out_channels)?;
                Some(conv)
            }
        };
        Ok(Self { conv_block, factor, pad_pool })
    }
}

/// Gives the channels that become neighbouring voxels the same kernel.
fn initialise_as_nearest(weight: &Tensor, out_channels: i64) -> Result<()> {
    let shape = weight.size();
    let copies = shape[0] / out_channels;
    let mut kernel_shape = shape.clone();
    kernel_shape[0] = out_channels;
    let kernel = init::kaiming_normal(&kernel_shape, init::fan_in(&kernel_shape))?;
    let repeated = kernel.f_repeat_interleave_self_int(copies, 0, None::<i64>)?;
    tch::no_grad(|| weight.shallow_clone().f_copy_(&repeated))?;
    Ok(())
}

impl Layer for SubpixelUpsample {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let y = pixel_shuffle(&self.conv_block.forward_t(x, train)?, self.factor)?;
        if !self.pad_pool {
            return Ok(y);
        }
        let padding: Vec<i64> = [self.factor - 1, 0].repeat(y.dim() - 2);
        pool::average(&y.f_pad(padding, "constant", 0.0)?, self.factor, 1, 0)
    }
}
