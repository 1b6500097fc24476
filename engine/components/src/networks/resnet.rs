//! The `ResNet` family.

use byoc::nn::{
    Activation, Conv, ConvOptions, Layer, LayerSpec, Linear, Norm, Sequential, check_spatial_dims, init, pool,
};
use byoc::{Error, Network, NetworkComponent, OneOrMany, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Tensor, nn};

use super::defaults;

byoc::register! {
    networks: [
        ResNet,
        ResNet10 = "resnet10" | "ResNet10",
        ResNet18 = "resnet18" | "ResNet18",
        ResNet34 = "resnet34" | "ResNet34",
        ResNet50 = "resnet50" | "ResNet50",
        ResNet101 = "resnet101" | "ResNet101",
        ResNet152 = "resnet152" | "ResNet152",
        ResNet200 = "resnet200" | "ResNet200",
    ],
}

/// Residual classifier (MONAI `ResNet`, `resnet18` …).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResNetArgs {
    /// Kind of block; needed by `ResNet`, given by `resnet18` and the like.
    #[serde(default)]
    pub block: Option<BlockKind>,
    /// Blocks of each of the four stages; needed by `ResNet`, given by `resnet18` and the like.
    #[serde(default)]
    pub layers: Option<[usize; 4]>,
    /// Channels of each stage; needed by `ResNet`, given by `resnet18` and the like.
    #[serde(default)]
    pub block_inplanes: Option<[i64; 4]>,
    /// Number of spatial dimensions: 1, 2 or 3.
    #[serde(default = "defaults::three_dimensions")]
    pub spatial_dims: usize,
    /// Number of input channels.
    #[serde(default = "three_channels")]
    pub n_input_channels: i64,
    /// Kernel size of the first convolution.
    #[serde(default = "seven")]
    pub conv1_t_size: OneOrMany<i64>,
    /// Stride of the first convolution.
    #[serde(default = "stride_one")]
    pub conv1_t_stride: OneOrMany<i64>,
    /// Whether there is no pooling after it.
    #[serde(default)]
    pub no_max_pool: bool,
    /// How a shortcut gets the shape of its block's output.
    #[serde(default)]
    pub shortcut_type: ShortcutKind,
    /// Factor on the channels.
    #[serde(default = "one")]
    pub widen_factor: f64,
    /// Number of classes.
    #[serde(default = "four_hundred")]
    pub num_classes: i64,
    /// Whether there is a last linear layer.
    #[serde(default = "defaults::yes")]
    pub feed_forward: bool,
    /// Whether the shortcut's convolution has a bias.
    #[serde(default = "defaults::yes")]
    pub bias_downsample: bool,
    /// Activation after the first convolution; the blocks have `ReLU`, as in MONAI.
    #[serde(default = "defaults::relu_spec")]
    pub act: LayerSpec,
    /// Normalisation after the first convolution; the blocks have batch norm, as in MONAI.
    #[serde(default = "defaults::batch_spec")]
    pub norm: LayerSpec,
    /// Pretrained weights are not included; a checkpoint can be loaded instead.
    #[serde(default)]
    pub pretrained: bool,
    /// Not used.
    #[serde(default = "defaults::yes")]
    pub progress: bool,
}

fn three_channels() -> i64 {
    3
}

fn seven() -> OneOrMany<i64> {
    OneOrMany::One(7)
}

fn stride_one() -> OneOrMany<i64> {
    OneOrMany::One(1)
}

fn one() -> f64 {
    1.0
}

fn four_hundred() -> i64 {
    400
}

/// The block of a `ResNet`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum BlockKind {
    /// Two convolutions of 3.
    Basic,
    /// Convolutions of 1, 3 and 1, the last one to four times the channels.
    Bottleneck,
}

impl BlockKind {
    fn expansion(self) -> i64 {
        match self {
            Self::Basic => 1,
            Self::Bottleneck => 4,
        }
    }
}

/// How a shortcut gets the shape of its block's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum ShortcutKind {
    /// Every second voxel and channels of zeros; no gradient flows through it, as in MONAI.
    A,
    /// A convolution of 1 with normalisation.
    #[default]
    B,
}

/// The network of [`ResNetArgs`] (He et al. 2016, <https://arxiv.org/abs/1512.03385>; Hara et al. 2018 for 3D), with
/// the blocks of the variant of this depth; 0 is MONAI's plain `ResNet`.
///
/// (B, `n_input_channels`, spatial…) → (B, `num_classes`), or the pooled features without the last layer.
#[derive(Debug)]
pub struct ResNetOfDepth<const DEPTH: usize> {
    first: Conv,
    norm: Norm,
    act: Activation,
    max_pool: bool,
    stages: Sequential,
    output: Option<Linear>,
}

/// `ResNet` with blocks of your own.
pub type ResNet = ResNetOfDepth<0>;
/// `resnet10`
pub type ResNet10 = ResNetOfDepth<10>;
/// `resnet18`
pub type ResNet18 = ResNetOfDepth<18>;
/// `resnet34`
pub type ResNet34 = ResNetOfDepth<34>;
/// `resnet50`
pub type ResNet50 = ResNetOfDepth<50>;
/// `resnet101`
pub type ResNet101 = ResNetOfDepth<101>;
/// `resnet152`
pub type ResNet152 = ResNetOfDepth<152>;
/// `resnet200`
pub type ResNet200 = ResNetOfDepth<200>;

/// The blocks of a variant by its depth.
pub(super) fn variant(depth: usize) -> Option<(BlockKind, [usize; 4])> {
    Some(match depth {
        10 => (BlockKind::Basic, [1, 1, 1, 1]),
        18 => (BlockKind::Basic, [2, 2, 2, 2]),
        34 => (BlockKind::Basic, [3, 4, 6, 3]),
        50 => (BlockKind::Bottleneck, [3, 4, 6, 3]),
        101 => (BlockKind::Bottleneck, [3, 4, 23, 3]),
        152 => (BlockKind::Bottleneck, [3, 8, 36, 3]),
        200 => (BlockKind::Bottleneck, [3, 24, 36, 3]),
        _ => return None,
    })
}

impl<const DEPTH: usize> NetworkComponent for ResNetOfDepth<DEPTH> {
    type Args = ResNetArgs;

    fn new(args: ResNetArgs, path: &nn::Path<'_>) -> Result<Self> {
        check_spatial_dims(args.spatial_dims)?;
        defaults::warn_of_pretrained(args.pretrained, "ResNet");
        let (kind, layers, planes) = match (variant(DEPTH), args.block, args.layers, args.block_inplanes) {
            (Some((kind, layers)), None, None, None) => (kind, layers, [64, 128, 256, 512]),
            (None, Some(kind), Some(layers), Some(planes)) => (kind, layers, planes),
            (Some(_), ..) => {
                return Err(Error::invalid_argument(format!(
                    "`resnet{DEPTH}` has its own `block`, `layers` and `block_inplanes`; use `ResNet` for others"
                )));
            }
            (None, ..) => return Err(Error::invalid_argument("`ResNet` needs `block`, `layers` and `block_inplanes`")),
        };
        let planes = planes.map(|channels| (channels as f64 * args.widen_factor) as i64);
        let dims = args.spatial_dims;
        let kernel = args.conv1_t_size.repeat(dims, "conv1_t_size")?;
        let padding: Vec<i64> = kernel.iter().map(|kernel| kernel / 2).collect();
        let first = ConvOptions::new(dims, args.n_input_channels, planes[0], kernel)
            .stride(args.conv1_t_stride.clone())
            .padding(padding)
            .bias(false);
        let first = convolution(&(path / "conv1"), first)?;
        let norm = Norm::new(&(path / "bn1"), &args.norm, dims, planes[0])?;
        let act = Activation::new(&(path / "act"), &args.act)?;
        let mut stages = Sequential::new();
        let mut channels = planes[0];
        for (index, (&count, &planes)) in layers.iter().zip(&planes).enumerate() {
            for block in 0..count {
                let options = BlockOptions {
                    spatial_dims: dims,
                    kind,
                    inputs: channels,
                    planes,
                    stride: if index > 0 && block == 0 { 2 } else { 1 },
                    shortcut: args.shortcut_type,
                    shortcut_bias: args.bias_downsample,
                    groups: 1,
                    width: planes,
                };
                stages.push(Block::new(&(path / format!("layer{}", index + 1) / block), options)?);
                channels = planes * kind.expansion();
            }
        }
        let output = match args.feed_forward {
            true => Some(Linear::new(&(path / "fc"), channels, args.num_classes)?),
            false => None,
        };
        if let Some(bias) = output.as_ref().and_then(Linear::bias) {
            init::assign(bias, &init::zeros(&bias.size())?)?;
        }
        Ok(Self { first, norm, act, max_pool: !args.no_max_pool, stages, output })
    }
}

impl<const DEPTH: usize> Network for ResNetOfDepth<DEPTH> {
    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let mut x = self.act.forward(&self.norm.forward(&self.first.forward(x)?, train)?)?;
        if self.max_pool {
            x = pool::max(&x, 3, 2, 1)?;
        }
        let x = pool::adaptive_average(&self.stages.forward_t(&x, train)?, 1)?;
        self.output.forward_t(&x.f_flatten(1, -1)?, train)
    }
}

/// A convolution, Kaiming normal by its fan-out.
pub(super) fn convolution(path: &nn::Path<'_>, options: ConvOptions) -> Result<Conv> {
    let conv = Conv::new(path, options)?;
    let shape = conv.weight().size();
    init::assign(conv.weight(), &init::kaiming_normal(&shape, init::fan_out(&shape))?)?;
    Ok(conv)
}

/// What a [`Block`] looks like.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockOptions {
    pub(super) spatial_dims: usize,
    pub(super) kind: BlockKind,
    pub(super) inputs: i64,
    pub(super) planes: i64,
    pub(super) stride: i64,
    pub(super) shortcut: ShortcutKind,
    pub(super) shortcut_bias: bool,
    /// Groups of a bottleneck's middle convolution (`ResNeXt`).
    pub(super) groups: i64,
    /// Channels within a bottleneck (`planes`, or more for wide `ResNets`).
    pub(super) width: i64,
}

/// A residual block with batch norm and `ReLU`.
#[derive(Debug)]
pub(super) struct Block {
    convolutions: Vec<(Conv, Norm)>,
    shortcut: Shortcut,
}

#[derive(Debug)]
enum Shortcut {
    Same,
    Pad { stride: i64, channels: i64 },
    Project(Box<(Conv, Norm)>),
}

impl Block {
    pub(super) fn new(path: &nn::Path<'_>, options: BlockOptions) -> Result<Self> {
        let BlockOptions { spatial_dims: dims, kind, inputs, planes, stride, groups, width, .. } = options;
        let outputs = planes * kind.expansion();
        let conv = |inputs, outputs, kernel: i64| {
            ConvOptions::new(dims, inputs, outputs, kernel).padding(kernel / 2).bias(false)
        };
        let plan = match kind {
            BlockKind::Basic => vec![conv(inputs, planes, 3).stride(stride), conv(planes, planes, 3)],
            BlockKind::Bottleneck => {
                vec![
                    conv(inputs, width, 1),
                    conv(width, width, 3).stride(stride).groups(groups),
                    conv(width, outputs, 1),
                ]
            }
        };
        let mut convolutions = Vec::with_capacity(plan.len());
        for (index, options) in plan.into_iter().enumerate() {
            let conv = convolution(&(path / format!("conv{}", index + 1)), options)?;
            let norm = Norm::new(&(path / format!("bn{}", index + 1)), &"batch".into(), dims, conv.weight().size()[0])?;
            convolutions.push((conv, norm));
        }
        let shortcut = match options.shortcut {
            _ if stride == 1 && inputs == outputs => Shortcut::Same,
            ShortcutKind::A => Shortcut::Pad { stride, channels: outputs - inputs },
            ShortcutKind::B => {
                let path = path / "downsample";
                let conv = ConvOptions::new(dims, inputs, outputs, 1).stride(stride).bias(options.shortcut_bias);
                Shortcut::Project(Box::new((
                    convolution(&(&path / 0), conv)?,
                    Norm::new(&(&path / 1), &"batch".into(), dims, outputs)?,
                )))
            }
        };
        Ok(Self { convolutions, shortcut })
    }
}

impl Layer for Block {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let mut y = x.shallow_clone();
        for (index, (conv, norm)) in self.convolutions.iter().enumerate() {
            if index > 0 {
                y = y.f_relu()?;
            }
            y = norm.forward(&conv.forward(&y)?, train)?;
        }
        let shortcut = match &self.shortcut {
            Shortcut::Same => x.shallow_clone(),
            Shortcut::Project(layers) => layers.1.forward(&layers.0.forward(x)?, train)?,
            Shortcut::Pad { stride, channels } => {
                let mut padding = vec![0; 2 * (x.dim() - 2)];
                padding.extend([0, *channels]);
                pool::average(&x.detach(), 1, *stride, 0)?.f_pad(padding, "constant", 0.0)?
            }
        };
        Ok(y.f_add(&shortcut)?.f_relu()?)
    }
}
