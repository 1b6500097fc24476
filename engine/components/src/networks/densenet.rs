//! The `DenseNet` family.

use byoc::nn::{
    Activation, Conv, ConvOptions, Dropout, Layer, LayerSpec, Linear, Norm, check_spatial_dims, init, pool,
};
use byoc::{Network, NetworkComponent, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Tensor, nn};

use super::defaults;

byoc::register! {
    networks: [
        DenseNet = "DenseNet" | "Densenet",
        DenseNet121 = "DenseNet121" | "densenet121" | "Densenet121",
        DenseNet169 = "DenseNet169" | "densenet169" | "Densenet169",
        DenseNet201 = "DenseNet201" | "densenet201" | "Densenet201",
        DenseNet264 = "DenseNet264" | "densenet264" | "Densenet264",
    ],
}

/// Densely connected classifier (MONAI `DenseNet`, `DenseNet121` …).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DenseNetArgs {
    /// Number of spatial dimensions: 1, 2 or 3.
    #[serde(alias = "dimensions")]
    #[schemars(extend("x-aliases" = ["dimensions"]))]
    pub spatial_dims: usize,
    /// Number of input channels.
    pub in_channels: i64,
    /// Number of classes.
    pub out_channels: i64,
    /// Channels of the first convolution.
    #[serde(default = "default_features")]
    pub init_features: i64,
    /// Channels that each layer adds.
    #[serde(default = "default_growth")]
    pub growth_rate: i64,
    /// Layers of each block; by default those of the variant.
    #[serde(default)]
    pub block_config: Option<Vec<usize>>,
    /// Channels within a layer, as a multiple of `growth_rate`.
    #[serde(default = "default_bottleneck")]
    pub bn_size: i64,
    /// Activation.
    #[serde(default = "defaults::relu_spec")]
    pub act: LayerSpec,
    /// Normalisation.
    #[serde(default = "defaults::batch_spec")]
    pub norm: LayerSpec,
    /// Dropout after each layer.
    #[serde(default)]
    pub dropout_prob: f64,
    /// Pretrained weights are not included; a checkpoint can be loaded instead.
    #[serde(default)]
    pub pretrained: bool,
    /// Not used.
    #[serde(default = "defaults::yes")]
    pub progress: bool,
}

fn default_features() -> i64 {
    64
}

fn default_growth() -> i64 {
    32
}

fn default_bottleneck() -> i64 {
    4
}

/// The network of [`DenseNetArgs`] (Huang et al. 2017, <https://arxiv.org/abs/1608.06993>), with the blocks of the
/// variant of this depth; 0 is MONAI's plain `DenseNet`.
///
/// (B, `in_channels`, spatial…) → (B, `out_channels`).
#[derive(Debug)]
pub struct DenseNetOfDepth<const DEPTH: usize> {
    first: Conv,
    first_norm: Norm,
    first_act: Activation,
    blocks: Vec<(Vec<DenseLayer>, Option<Transition>)>,
    last_norm: Norm,
    last_act: Activation,
    output: Linear,
}

/// `DenseNet` with blocks of your own.
pub type DenseNet = DenseNetOfDepth<0>;
/// `DenseNet121`
pub type DenseNet121 = DenseNetOfDepth<121>;
/// `DenseNet169`
pub type DenseNet169 = DenseNetOfDepth<169>;
/// `DenseNet201`
pub type DenseNet201 = DenseNetOfDepth<201>;
/// `DenseNet264`
pub type DenseNet264 = DenseNetOfDepth<264>;

impl<const DEPTH: usize> NetworkComponent for DenseNetOfDepth<DEPTH> {
    type Args = DenseNetArgs;

    fn new(args: DenseNetArgs, path: &nn::Path<'_>) -> Result<Self> {
        check_spatial_dims(args.spatial_dims)?;
        defaults::warn_of_pretrained(args.pretrained, "DenseNet");
        let config = args.block_config.clone().unwrap_or_else(|| match DEPTH {
            169 => vec![6, 12, 32, 32],
            201 => vec![6, 12, 48, 32],
            264 => vec![6, 12, 64, 48],
            _ => vec![6, 12, 24, 16],
        });
        let dims = args.spatial_dims;
        let features = path / "features";
        let first = ConvOptions::new(dims, args.in_channels, args.init_features, 7).stride(2).padding(3);
        let first = convolution(&(&features / "conv0"), first)?;
        let first_norm = Norm::new(&(&features / "norm0"), &args.norm, dims, args.init_features)?;
        let first_act = Activation::new(&(&features / "relu0"), &args.act)?;
        let mut channels = args.init_features;
        let mut blocks = Vec::new();
        for (index, &count) in config.iter().enumerate() {
            let path = &features / format!("denseblock{}", index + 1);
            let mut layers = Vec::with_capacity(count);
            for layer in 0..count {
                let path = &path / format!("denselayer{}", layer + 1) / "layers";
                layers.push(DenseLayer::new(&path, &args, channels)?);
                channels += args.growth_rate;
            }
            let transition = if index + 1 < config.len() {
                let path = &features / format!("transition{}", index + 1);
                let inputs = channels;
                channels /= 2;
                Some(Transition::new(&path, &args, inputs, channels)?)
            } else {
                None
            };
            blocks.push((layers, transition));
        }
        let last_norm = Norm::new(&(&features / "norm5"), &args.norm, dims, channels)?;
        let last_act = Activation::new(&(path / "class_layers" / "relu"), &args.act)?;
        let output = Linear::new(&(path / "class_layers" / "out"), channels, args.out_channels)?;
        if let Some(bias) = output.bias() {
            init::assign(bias, &init::zeros(&bias.size())?)?;
        }
        Ok(Self { first, first_norm, first_act, blocks, last_norm, last_act, output })
    }
}

impl<const DEPTH: usize> Network for DenseNetOfDepth<DEPTH> {
    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let x = self.first_act.forward(&self.first_norm.forward(&self.first.forward(x)?, train)?)?;
        let mut x = pool::max(&x, 3, 2, 1)?;
        for (layers, transition) in &self.blocks {
            for layer in layers {
                x = Tensor::f_cat(&[&x, &layer.forward_t(&x, train)?], 1)?;
            }
            x = transition.forward_t(&x, train)?;
        }
        let x = self.last_act.forward(&self.last_norm.forward(&x, train)?)?;
        self.output.forward(&pool::adaptive_average(&x, 1)?.f_flatten(1, -1)?)
    }
}

/// A convolution without bias, Kaiming normal by its fan-in.
fn convolution(path: &nn::Path<'_>, options: ConvOptions) -> Result<Conv> {
    let conv = Conv::new(path, options.bias(false))?;
    let shape = conv.weight().size();
    init::assign(conv.weight(), &init::kaiming_normal(&shape, init::fan_in(&shape))?)?;
    Ok(conv)
}

/// What a layer adds to the channels that it sees.
#[derive(Debug)]
struct DenseLayer {
    norm1: Norm,
    conv1: Conv,
    norm2: Norm,
    conv2: Conv,
    act1: Activation,
    act2: Activation,
    dropout: Option<Dropout>,
}

impl DenseLayer {
    fn new(path: &nn::Path<'_>, args: &DenseNetArgs, inputs: i64) -> Result<Self> {
        let dims = args.spatial_dims;
        let inner = args.bn_size * args.growth_rate;
        let norm1 = Norm::new(&(path / "norm1"), &args.norm, dims, inputs)?;
        let act1 = Activation::new(&(path / "relu1"), &args.act)?;
        let conv1 = convolution(&(path / "conv1"), ConvOptions::new(dims, inputs, inner, 1))?;
        let norm2 = Norm::new(&(path / "norm2"), &args.norm, dims, inner)?;
        let act2 = Activation::new(&(path / "relu2"), &args.act)?;
        let conv2 = convolution(&(path / "conv2"), ConvOptions::new(dims, inner, args.growth_rate, 3).padding(1))?;
        let dropout = (args.dropout_prob > 0.0).then(|| Dropout::new(&args.dropout_prob.into(), dims)).transpose()?;
        Ok(Self { norm1, conv1, norm2, conv2, act1, act2, dropout })
    }
}

impl Layer for DenseLayer {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let y = self.conv1.forward(&self.act1.forward(&self.norm1.forward(x, train)?)?)?;
        let y = self.conv2.forward(&self.act2.forward(&self.norm2.forward(&y, train)?)?)?;
        self.dropout.forward_t(&y, train)
    }
}

/// Half the channels and half the size.
#[derive(Debug)]
struct Transition {
    norm: Norm,
    act: Activation,
    conv: Conv,
}

impl Transition {
    fn new(path: &nn::Path<'_>, args: &DenseNetArgs, inputs: i64, outputs: i64) -> Result<Self> {
        let dims = args.spatial_dims;
        Ok(Self {
            norm: Norm::new(&(path / "norm"), &args.norm, dims, inputs)?,
            act: Activation::new(&(path / "relu"), &args.act)?,
            conv: convolution(&(path / "conv"), ConvOptions::new(dims, inputs, outputs, 1))?,
        })
    }
}

impl Layer for Transition {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let y = self.conv.forward(&self.act.forward(&self.norm.forward(x, train)?)?)?;
        pool::average(&y, 2, 2, 0)
    }
}
