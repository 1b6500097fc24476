//! The convolutional autoencoder.

use byoc::nn::blocks::{AdnOptions, Convolution, ConvolutionOptions, ResidualUnit, ResidualUnitOptions};
use byoc::nn::{DropoutSpec, Layer, LayerSpec, Sequential, check_spatial_dims};
use byoc::{Error, Network, NetworkComponent, OneOrMany, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Tensor, nn};

use super::defaults;

byoc::register! {
    networks: [AutoEncoder],
}

/// Strided convolutions down, optional blocks between, transposed convolutions up (MONAI `AutoEncoder`).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AutoEncoderArgs {
    /// Number of spatial dimensions: 1, 2 or 3.
    #[serde(alias = "dimensions")]
    #[schemars(extend("x-aliases" = ["dimensions"]))]
    pub spatial_dims: usize,
    /// Number of input channels.
    pub in_channels: i64,
    /// Number of output channels.
    pub out_channels: i64,
    /// Channels of each level, the top one first.
    pub channels: Vec<i64>,
    /// Stride of each level; as many values as `channels`.
    pub strides: Vec<OneOrMany<i64>>,
    /// Size of the convolution kernels, odd.
    #[serde(default = "defaults::kernel_of_three")]
    pub kernel_size: OneOrMany<i64>,
    /// Size of the transposed convolutions' kernels, odd.
    #[serde(default = "defaults::kernel_of_three")]
    pub up_kernel_size: OneOrMany<i64>,
    /// Convolutions in each residual unit; 0 makes plain convolutions.
    #[serde(default)]
    pub num_res_units: usize,
    /// Channels of the blocks between encoder and decoder.
    #[serde(default)]
    pub inter_channels: Option<Vec<i64>>,
    /// Dilations of these blocks.
    #[serde(default)]
    pub inter_dilations: Option<Vec<i64>>,
    /// Convolutions in each of these blocks; 0 makes plain convolutions.
    #[serde(default = "two_units")]
    pub num_inter_units: usize,
    /// Activation.
    #[serde(default = "defaults::prelu")]
    pub act: Option<LayerSpec>,
    /// Normalisation.
    #[serde(default = "defaults::instance")]
    pub norm: Option<LayerSpec>,
    /// Dropout.
    #[serde(default)]
    pub dropout: Option<DropoutSpec>,
    /// Whether the convolutions have a bias.
    #[serde(default = "defaults::yes")]
    pub bias: bool,
    /// Zero padding on each side, in place of the one that keeps the size.
    #[serde(default)]
    pub padding: Option<OneOrMany<i64>>,
}

pub(super) fn two_units() -> usize {
    2
}

/// The network of [`AutoEncoderArgs`].
///
/// (B, `in_channels`, spatial…) → (B, `out_channels`, spatial…); each size divisible by the product of the strides.
#[derive(Debug)]
pub struct AutoEncoder {
    /// Down, and the blocks between.
    pub(super) encoder: Sequential,
    pub(super) decoder: Sequential,
    /// Channels between the two.
    pub(super) encoded_channels: i64,
}

impl NetworkComponent for AutoEncoder {
    type Args = AutoEncoderArgs;

    fn new(args: AutoEncoderArgs, path: &nn::Path<'_>) -> Result<Self> {
        check_spatial_dims(args.spatial_dims)?;
        if args.channels.is_empty() || args.channels.len() != args.strides.len() {
            return Err(Error::invalid_argument(format!(
                "`channels` and `strides` must have the same number of values, at least 1; found {} and {}",
                args.channels.len(),
                args.strides.len()
            )));
        }
        let mut encoder = Sequential::new();
        let mut channels = args.in_channels;
        let one = OneOrMany::One(1);
        for (index, (&outputs, strides)) in args.channels.iter().zip(&args.strides).enumerate() {
            let path = path / "encode" / format!("encode_{index}");
            encoder.push(block(&path, &args, [channels, outputs], strides, 1, args.num_res_units)?);
            channels = outputs;
        }
        let dilations = args.inter_dilations.as_deref().unwrap_or_default();
        for (index, &outputs) in args.inter_channels.iter().flatten().enumerate() {
            let dilation = match dilations {
                [] => 1,
                dilations => *dilations.get(index).ok_or_else(|| {
                    Error::invalid_argument("`inter_dilations` must have a value for each of `inter_channels`")
                })?,
            };
            let path = path / "intermediate" / format!("inter_{index}");
            encoder.push(block(&path, &args, [channels, outputs], &one, dilation, args.num_inter_units)?);
            channels = outputs;
        }
        let encoded_channels = channels;
        let mut decoder = Sequential::new();
        let decoded = args.channels.iter().rev().skip(1).copied().chain([args.out_channels]);
        for (index, (outputs, strides)) in decoded.zip(args.strides.iter().rev()).enumerate() {
            let path = path / "decode" / format!("decode_{index}");
            let last = index + 1 == args.strides.len();
            decoder.push(decode(&path, &args, [channels, outputs], strides, last)?);
            channels = outputs;
        }
        Ok(Self { encoder, decoder, encoded_channels })
    }
}

impl Network for AutoEncoder {
    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        self.decoder.forward_t(&self.encoder.forward_t(x, train)?, train)
    }
}

fn adn(args: &AutoEncoderArgs) -> AdnOptions {
    AdnOptions {
        act: args.act.clone(),
        norm: args.norm.clone(),
        dropout: args.dropout.clone(),
        ..AdnOptions::default()
    }
}

fn convolution(args: &AutoEncoderArgs, inputs: i64, outputs: i64, strides: &OneOrMany<i64>) -> ConvolutionOptions {
    let options = ConvolutionOptions::new(args.spatial_dims, inputs, outputs)
        .strides(strides.clone())
        .adn(adn(args))
        .bias(args.bias);
    match &args.padding {
        Some(padding) => options.padding(padding.clone()),
        None => options,
    }
}

fn unit(
    args: &AutoEncoderArgs,
    inputs: i64,
    outputs: i64,
    strides: &OneOrMany<i64>,
    subunits: usize,
) -> ResidualUnitOptions {
    ResidualUnitOptions {
        strides: strides.clone(),
        kernel_size: args.kernel_size.clone(),
        subunits,
        adn: adn(args),
        bias: args.bias,
        padding: args.padding.clone(),
        ..ResidualUnitOptions::new(args.spatial_dims, inputs, outputs)
    }
}

/// A residual unit of this many convolutions, or one plain convolution.
fn block(
    path: &nn::Path<'_>,
    args: &AutoEncoderArgs,
    [inputs, outputs]: [i64; 2],
    strides: &OneOrMany<i64>,
    dilation: i64,
    units: usize,
) -> Result<Box<dyn Layer>> {
    if units > 0 {
        let options =
            ResidualUnitOptions { dilation: OneOrMany::One(dilation), ..unit(args, inputs, outputs, strides, units) };
        return Ok(Box::new(ResidualUnit::new(path, options)?));
    }
    let options = convolution(args, inputs, outputs, strides).kernel_size(args.kernel_size.clone()).dilation(dilation);
    Ok(Box::new(Convolution::new(path, options)?))
}

fn decode(
    path: &nn::Path<'_>,
    args: &AutoEncoderArgs,
    [inputs, outputs]: [i64; 2],
    strides: &OneOrMany<i64>,
    last: bool,
) -> Result<Sequential> {
    let options = convolution(args, inputs, outputs, strides)
        .kernel_size(args.up_kernel_size.clone())
        .conv_only(last && args.num_res_units == 0)
        .transposed(true);
    let layers = Sequential::new().add(Convolution::new(&(path / "conv"), options)?);
    if args.num_res_units == 0 {
        return Ok(layers);
    }
    let options = ResidualUnitOptions { last_conv_only: last, ..unit(args, outputs, outputs, &OneOrMany::One(1), 1) };
    Ok(layers.add(ResidualUnit::new(&(path / "resunit"), options)?))
}
