//! The UNet with attention gates.

use byoc::nn::blocks::{Convolution, ConvolutionOptions};
use byoc::nn::{DropoutSpec, Layer, Norm, Sequential, check_spatial_dims};
use byoc::{Error, Network, NetworkComponent, OneOrMany, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Tensor, nn};

use super::defaults;

byoc::register! {
    networks: [AttentionUnet],
}

/// UNet whose skip connections are weighted by attention gates (MONAI `AttentionUnet`).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AttentionUnetArgs {
    /// Number of spatial dimensions: 1, 2 or 3.
    #[serde(alias = "dimensions")]
    #[schemars(extend("x-aliases" = ["dimensions"]))]
    pub spatial_dims: usize,
    /// Number of input channels.
    pub in_channels: i64,
    /// Number of output channels.
    pub out_channels: i64,
    /// Channels of each level, the top one first; at least two.
    pub channels: Vec<i64>,
    /// Stride from each level to the next; one value less than `channels`.
    pub strides: Vec<OneOrMany<i64>>,
    /// Size of the convolution kernels, odd.
    #[serde(default = "defaults::kernel_of_three")]
    pub kernel_size: OneOrMany<i64>,
    /// Size of the transposed convolutions' kernels, odd.
    #[serde(default = "defaults::kernel_of_three")]
    pub up_kernel_size: OneOrMany<i64>,
    /// Dropout probability.
    #[serde(default)]
    pub dropout: DropoutSpec,
}

/// The network of [`AttentionUnetArgs`] (Oktay et al. 2018, <https://arxiv.org/abs/1804.03999>).
///
/// (B, `in_channels`, spatial…) → (B, `out_channels`, spatial…); each size divisible by the product of the strides.
#[derive(Debug)]
pub struct AttentionUnet {
    model: Sequential,
}

impl NetworkComponent for AttentionUnet {
    type Args = AttentionUnetArgs;

    fn new(args: AttentionUnetArgs, path: &nn::Path<'_>) -> Result<Self> {
        check_spatial_dims(args.spatial_dims)?;
        if args.channels.len() < 2 || args.strides.len() + 1 < args.channels.len() {
            return Err(Error::invalid_argument(format!(
                "`channels` must have at least 2 values and `strides` one less, found {} and {}",
                args.channels.len(),
                args.strides.len()
            )));
        }
        let path = path / "model";
        let last = ConvolutionOptions::new(args.spatial_dims, args.channels[0], args.out_channels)
            .kernel_size(1)
            .conv_only(true);
        let model = Sequential::new()
            .add(conv_block(&(&path / 0), &args, args.in_channels, args.channels[0], &OneOrMany::One(1))?)
            .add(AttentionLayer::new(&(&path / 1), &args, 0)?)
            .add(Convolution::new(&(&path / 2), last)?);
        Ok(Self { model })
    }
}

impl Network for AttentionUnet {
    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        self.model.forward_t(x, train)
    }
}

/// Two convolutions with batch norm and `ReLU`, the first one strided.
fn conv_block(
    path: &nn::Path<'_>,
    args: &AttentionUnetArgs,
    inputs: i64,
    outputs: i64,
    strides: &OneOrMany<i64>,
) -> Result<Sequential> {
    let mut layers = Sequential::new();
    for (index, (inputs, strides)) in [(inputs, strides.clone()), (outputs, OneOrMany::One(1))].into_iter().enumerate()
    {
        let options = ConvolutionOptions::new(args.spatial_dims, inputs, outputs)
            .kernel_size(args.kernel_size.clone())
            .strides(strides)
            .act(Some("relu".into()))
            .norm(Some("BATCH".into()))
            .dropout(Some(args.dropout.clone()));
        layers.push(Convolution::new(&(path / "conv" / index), options)?);
    }
    Ok(layers)
}

/// One level: everything below it, upsampled, gates what goes past it.
#[derive(Debug)]
struct AttentionLayer {
    attention: AttentionBlock,
    upconv: Convolution,
    merge: Convolution,
    submodule: Sequential,
}

impl AttentionLayer {
    fn new(path: &nn::Path<'_>, args: &AttentionUnetArgs, level: usize) -> Result<Self> {
        let (channels, below, strides) = (args.channels[level], args.channels[level + 1], &args.strides[level]);
        let dims = args.spatial_dims;
        let attention = AttentionBlock::new(&(path / "attention"), dims, channels)?;
        let upconv = ConvolutionOptions::new(dims, below, channels)
            .strides(strides.clone())
            .kernel_size(args.up_kernel_size.clone())
            .act(Some("relu".into()))
            .norm(Some("BATCH".into()))
            .transposed(true);
        let upconv = Convolution::new(&(path / "upconv" / "up"), upconv)?;
        let merge = ConvolutionOptions::new(dims, 2 * channels, channels).dropout(Some(args.dropout.clone()));
        let merge = Convolution::new(&(path / "merge"), merge)?;
        let path = path / "submodule";
        let submodule = if level + 2 < args.channels.len() {
            Sequential::new().add(conv_block(&(&path / 0), args, channels, below, strides)?).add(Self::new(
                &(&path / 1),
                args,
                level + 1,
            )?)
        } else {
            conv_block(&path, args, channels, below, strides)?
        };
        Ok(Self { attention, upconv, merge, submodule })
    }
}

impl Layer for AttentionLayer {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let below = self.upconv.forward_t(&self.submodule.forward_t(x, train)?, train)?;
        let gated = self.attention.forward(&below, x, train)?;
        self.merge.forward_t(&Tensor::f_cat(&[gated, below], 1)?, train)
    }
}

/// The gate: where the levels below agree with this one.
#[derive(Debug)]
struct AttentionBlock {
    gate: Sequential,
    input: Sequential,
    psi: Sequential,
}

impl AttentionBlock {
    fn new(path: &nn::Path<'_>, spatial_dims: usize, channels: i64) -> Result<Self> {
        let branch = |name: &str, inputs, outputs| -> Result<Sequential> {
            let path = path / name;
            let conv = ConvolutionOptions::new(spatial_dims, inputs, outputs).kernel_size(1).padding(0).conv_only(true);
            Ok(Sequential::new().add(Convolution::new(&(&path / 0), conv)?).add(Norm::new(
                &(&path / 1),
                &"batch".into(),
                spatial_dims,
                outputs,
            )?))
        };
        let inner = channels / 2;
        Ok(Self {
            gate: branch("W_g", channels, inner)?,
            input: branch("W_x", channels, inner)?,
            psi: branch("psi", inner, 1)?,
        })
    }

    fn forward(&self, gate: &Tensor, x: &Tensor, train: bool) -> Result<Tensor> {
        let both = self.gate.forward_t(gate, train)?.f_add(&self.input.forward_t(x, train)?)?.f_relu()?;
        Ok(x.f_mul(&self.psi.forward_t(&both, train)?.f_sigmoid()?)?)
    }
}
