//! `SegResNet`, with and without the variational autoencoder.

use byoc::nn::blocks::{Convolution, ConvolutionOptions, UpSample, UpSampleOptions, UpsampleMode};
use byoc::nn::{Activation, Dropout, DropoutSpec, Layer, LayerSpec, Norm, Sequential};
use byoc::{Error, Network, NetworkComponent, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Tensor, nn};

use super::defaults;

byoc::register! {
    networks: [SegResNet],
}

/// Residual encoder and decoder for segmentation, 2D and 3D (MONAI `SegResNet`).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SegResNetArgs {
    /// Number of spatial dimensions: 2 or 3.
    #[serde(default = "defaults::three_dimensions", alias = "dimensions")]
    #[schemars(extend("x-aliases" = ["dimensions"]))]
    pub spatial_dims: usize,
    /// Channels of the first convolution.
    #[serde(default = "defaults::eight")]
    pub init_filters: i64,
    /// Number of input channels.
    #[serde(default = "defaults::one")]
    pub in_channels: i64,
    /// Number of output channels.
    #[serde(default = "defaults::two")]
    pub out_channels: i64,
    /// Probability that a channel is dropped after the first convolution.
    #[serde(default)]
    pub dropout_prob: Option<f64>,
    /// Activation.
    #[serde(default = "defaults::relu_spec")]
    pub act: LayerSpec,
    /// Normalisation.
    #[serde(default = "defaults::group_of_eight")]
    pub norm: LayerSpec,
    /// Former spelling of group norm: `group`.
    #[serde(default)]
    pub norm_name: String,
    /// Groups of the former spelling.
    #[serde(default = "defaults::eight")]
    pub num_groups: i64,
    /// Whether a last convolution makes the output channels.
    #[serde(default = "defaults::yes")]
    pub use_conv_final: bool,
    /// Residual blocks of each level on the way down.
    #[serde(default = "default_blocks_down")]
    pub blocks_down: Vec<usize>,
    /// Residual blocks of each level on the way up.
    #[serde(default = "default_blocks_up")]
    pub blocks_up: Vec<usize>,
    /// How the way up enlarges.
    #[serde(default = "default_upsample")]
    pub upsample_mode: UpsampleMode,
}

pub(super) fn default_blocks_down() -> Vec<usize> {
    vec![1, 2, 2, 4]
}

pub(super) fn default_blocks_up() -> Vec<usize> {
    vec![1, 1, 1]
}

pub(super) fn default_upsample() -> UpsampleMode {
    UpsampleMode::NonTrainable
}

/// The network of [`SegResNetArgs`] (Myronenko 2018, <https://arxiv.org/abs/1810.11654>).
///
/// (B, `in_channels`, spatial…) → (B, `out_channels`, spatial…); each size divisible by 2^(levels − 1).
#[derive(Debug)]
pub struct SegResNet {
    pub(super) act: Activation,
    first: Convolution,
    down: Vec<Sequential>,
    up: Vec<Sequential>,
    up_samples: Vec<Sequential>,
    last: FinalConv,
    use_last: bool,
    dropout: Option<Dropout>,
}

impl NetworkComponent for SegResNet {
    type Args = SegResNetArgs;

    fn new(mut args: SegResNetArgs, path: &nn::Path<'_>) -> Result<Self> {
        let dims = args.spatial_dims;
        if !(2..=3).contains(&dims) {
            return Err(Error::invalid_argument(format!("`spatial_dims` must be 2 or 3, found {dims}")));
        }
        match args.norm_name.to_lowercase().as_str() {
            "" => {}
            "group" => args.norm = LayerSpec::new("group").with("num_groups", args.num_groups),
            _ => {
                return Err(Error::invalid_argument(format!(
                    "`norm_name` can only be `group`, found `{}`; use `norm`",
                    args.norm_name
                )));
            }
        }
        if args.blocks_up.len() >= args.blocks_down.len() {
            return Err(Error::invalid_argument(format!(
                "`blocks_up` must be shorter than `blocks_down`, found {} and {} values",
                args.blocks_up.len(),
                args.blocks_down.len()
            )));
        }
        let act = Activation::new(&(path / "act_mod"), &args.act)?;
        let filters = args.init_filters;
        let first = conv_layer(&(path / "convInit"), dims, args.in_channels, filters, 3, 1, false)?;
        let block = |path: nn::Path<'_>, channels| ResBlock::new(&path, &args, channels);
        let mut down = Vec::new();
        for (level, &blocks) in args.blocks_down.iter().enumerate() {
            let path = path / "down_layers" / level as i64;
            let channels = filters << level;
            let mut layers = Sequential::new();
            if level > 0 {
                layers.push(conv_layer(&(&path / 0), dims, channels / 2, channels, 3, 2, false)?);
            }
            for index in 0..blocks {
                layers.push(block(&path / (index + 1), channels)?);
            }
            down.push(layers);
        }
        let levels = args.blocks_up.len();
        let (mut up, mut up_samples) = (Vec::new(), Vec::new());
        for (level, &blocks) in args.blocks_up.iter().enumerate() {
            let channels = filters << (levels - level - 1);
            let mut layers = Sequential::new();
            for index in 0..blocks {
                layers.push(block(path / "up_layers" / level as i64 / index, channels)?);
            }
            up.push(layers);
        }
        for level in 0..levels {
            let channels = filters << (levels - level - 1);
            let path = path / "up_samples" / level as i64;
            up_samples.push(
                Sequential::new()
                    .add(conv_layer(&(&path / 0), dims, 2 * channels, channels, 1, 1, false)?)
                    .add(up_sample(&(&path / 1), dims, channels, args.upsample_mode)?),
            );
        }
        let last = FinalConv::new(&(path / "conv_final"), &args, args.out_channels, &act)?;
        let dropout = args.dropout_prob.map(|p| Dropout::new(&DropoutSpec::Probability(p), dims)).transpose()?;
        Ok(Self { act, first, down, up, up_samples, last, use_last: args.use_conv_final, dropout })
    }
}

impl SegResNet {
    /// What the encoder makes of the input, the top level first; the last one goes into the decoder.
    pub(super) fn encode(&self, x: &Tensor, train: bool) -> Result<Vec<Tensor>> {
        let mut x = self.dropout.forward_t(&self.first.forward_t(x, train)?, train)?;
        let mut levels = Vec::with_capacity(self.down.len());
        for layers in &self.down {
            x = layers.forward_t(&x, train)?;
            levels.push(x.shallow_clone());
        }
        Ok(levels)
    }

    pub(super) fn decode(&self, levels: &[Tensor], train: bool) -> Result<Tensor> {
        let mut below = levels.iter().rev();
        let Some(deepest) = below.next() else {
            return Err(Error::msg("`blocks_down` is empty: the network has no levels"));
        };
        let mut x = deepest.shallow_clone();
        for ((sample, layers), skip) in self.up_samples.iter().zip(&self.up).zip(below) {
            x = layers.forward_t(&sample.forward_t(&x, train)?.f_add(skip)?, train)?;
        }
        if self.use_last { self.last.forward(&x, &self.act, train) } else { Ok(x) }
    }

    /// The decoder without the encoder's levels, for the autoencoder.
    pub(super) fn decode_alone(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let mut x = x.shallow_clone();
        for (sample, layers) in self.up_samples.iter().zip(&self.up) {
            x = layers.forward_t(&sample.forward_t(&x, train)?, train)?;
        }
        Ok(x)
    }
}

impl Network for SegResNet {
    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        self.decode(&self.encode(x, train)?, train)
    }
}

/// A convolution alone, MONAI's `get_conv_layer`.
pub(super) fn conv_layer(
    path: &nn::Path<'_>,
    spatial_dims: usize,
    in_channels: i64,
    out_channels: i64,
    kernel_size: i64,
    stride: i64,
    bias: bool,
) -> Result<Convolution> {
    let options = ConvolutionOptions::new(spatial_dims, in_channels, out_channels)
        .kernel_size(kernel_size)
        .strides(stride)
        .bias(bias)
        .conv_only(true);
    Convolution::new(path, options)
}

/// Twice as large, MONAI's `get_upsample_layer`.
pub(super) fn up_sample(
    path: &nn::Path<'_>,
    spatial_dims: usize,
    channels: i64,
    mode: UpsampleMode,
) -> Result<UpSample> {
    let options =
        UpSampleOptions { align_corners: false, ..UpSampleOptions::new(spatial_dims, channels, channels).mode(mode) };
    UpSample::new(path, options)
}

/// Normalisation, activation and a convolution of one voxel with a bias.
#[derive(Debug)]
pub(super) struct FinalConv {
    norm: Norm,
    conv: Convolution,
}

impl FinalConv {
    pub(super) fn new(path: &nn::Path<'_>, args: &SegResNetArgs, out_channels: i64, act: &Activation) -> Result<Self> {
        let dims = args.spatial_dims;
        let norm = Norm::new(&(path / 0), &args.norm, dims, args.init_filters)?;
        act.alias(&(path / 1))?;
        Ok(Self { norm, conv: conv_layer(&(path / 2), dims, args.init_filters, out_channels, 1, 1, true)? })
    }

    pub(super) fn forward(&self, x: &Tensor, act: &Activation, train: bool) -> Result<Tensor> {
        self.conv.forward_t(&act.forward(&self.norm.forward(x, train)?)?, train)
    }
}

/// Two convolutions, each after normalisation and activation, with a shortcut (MONAI `ResBlock`).
#[derive(Debug)]
struct ResBlock {
    norm1: Norm,
    norm2: Norm,
    act: Activation,
    conv1: Convolution,
    conv2: Convolution,
}

impl ResBlock {
    fn new(path: &nn::Path<'_>, args: &SegResNetArgs, channels: i64) -> Result<Self> {
        let dims = args.spatial_dims;
        Ok(Self {
            norm1: Norm::new(&(path / "norm1"), &args.norm, dims, channels)?,
            norm2: Norm::new(&(path / "norm2"), &args.norm, dims, channels)?,
            act: Activation::new(&(path / "act"), &args.act)?,
            conv1: conv_layer(&(path / "conv1"), dims, channels, channels, 3, 1, false)?,
            conv2: conv_layer(&(path / "conv2"), dims, channels, channels, 3, 1, false)?,
        })
    }
}

impl Layer for ResBlock {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let y = self.conv1.forward_t(&self.act.forward(&self.norm1.forward(x, train)?)?, train)?;
        let y = self.conv2.forward_t(&self.act.forward(&self.norm2.forward(&y, train)?)?, train)?;
        Ok(y.f_add(x)?)
    }
}
