//! The `SENet` family: residual networks that weigh their channels.

use byoc::nn::blocks::{Convolution, ConvolutionOptions};
use byoc::nn::{
    Conv, ConvOptions, Dropout, Layer, LayerSpec, Linear, Norm, Sequential, check_spatial_dims, init, pool,
};
use byoc::{Error, Network, NetworkComponent, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Tensor, nn};

use super::defaults;

byoc::register! {
    networks: [
        SENet = "SENet" | "SEnet" | "Senet",
        SENet154 = "SENet154" | "SEnet154" | "Senet154" | "senet154",
        SEResNet50 = "SEResNet50" | "SEresnet50" | "Seresnet50" | "seresnet50",
        SEResNet101 = "SEResNet101" | "SEresnet101" | "Seresnet101" | "seresnet101",
        SEResNet152 = "SEResNet152" | "SEresnet152" | "Seresnet152" | "seresnet152",
        SEResNext50 = "SEResNext50" | "SEResNeXt50" | "SEresnext50" | "Seresnext50" | "seresnext50",
        SEResNext101 = "SEResNext101" | "SEResNeXt101" | "SEresnext101" | "Seresnext101" | "seresnext101",
    ],
}

/// Residual classifier that weighs its channels (MONAI `SENet`, `SENet154`, `SEResNet50` …).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SENetArgs {
    /// Number of spatial dimensions: 1, 2 or 3.
    pub spatial_dims: usize,
    /// Number of input channels.
    pub in_channels: i64,
    /// Kind of block; needed by `SENet`, given by `SENet154` and the like.
    #[serde(default)]
    pub block: Option<SEBlockKind>,
    /// Blocks of each of the four stages; needed by `SENet`.
    #[serde(default)]
    pub layers: Option<[usize; 4]>,
    /// Groups of each block's middle convolution; needed by `SENet`.
    #[serde(default)]
    pub groups: Option<i64>,
    /// By how much the channels are squeezed before they are weighed; needed by `SENet`, 16 in the others.
    #[serde(default)]
    pub reduction: Option<i64>,
    /// Dropout before the last layer, null for none; by default that of the variant.
    #[serde(default = "of_variant")]
    pub dropout_prob: DropoutArgument,
    /// Whether single values (1) or whole channels (2, 3) are dropped.
    #[serde(default = "one")]
    pub dropout_dim: usize,
    /// Channels before the first stage; by default those of the variant.
    #[serde(default)]
    pub inplanes: Option<i64>,
    /// Kernel of the shortcuts that halve the size; by default that of the variant.
    #[serde(default)]
    pub downsample_kernel_size: Option<i64>,
    /// Whether the network begins with three convolutions of 3 instead of one of 7; by default as in the variant.
    #[serde(default)]
    pub input_3x3: Option<bool>,
    /// Number of classes.
    #[serde(default = "thousand")]
    pub num_classes: i64,
    /// Pretrained weights are not included; a checkpoint can be loaded instead.
    #[serde(default)]
    pub pretrained: bool,
    /// Not used.
    #[serde(default = "defaults::yes")]
    pub progress: bool,
}

/// A probability, null for none, or absent.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum DropoutArgument {
    /// What the config says.
    Given(Option<f64>),
    /// The config says nothing.
    #[serde(skip)]
    OfVariant,
}

fn of_variant() -> DropoutArgument {
    DropoutArgument::OfVariant
}

fn one() -> usize {
    1
}

fn thousand() -> i64 {
    1000
}

/// The block of a `SENet`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum SEBlockKind {
    /// The stride in the middle convolution, and twice as many channels there (`SENet154`).
    #[serde(rename = "se_bottleneck")]
    Bottleneck,
    /// The stride in the first convolution (`SEResNet`).
    #[serde(rename = "se_resnet_bottleneck")]
    ResNet,
    /// Groups in the middle convolution (`SEResNeXt`); MONAI spells it `se_resnetxt_bottleneck`.
    #[serde(rename = "se_resnetxt_bottleneck", alias = "se_resnext_bottleneck")]
    ResNext,
}

/// What a variant has in place of MONAI's plain `SENet`.
struct Variant {
    kind: SEBlockKind,
    layers: [usize; 4],
    groups: i64,
    dropout: Option<f64>,
    /// Whether its stem and shortcuts are those of a `ResNet`.
    plain: bool,
}

fn variant(depth: usize, next: bool) -> Option<Variant> {
    let layers = match depth {
        50 => [3, 4, 6, 3],
        101 => [3, 4, 23, 3],
        152 | 154 => [3, 8, 36, 3],
        _ => return None,
    };
    Some(match (depth, next) {
        (154, _) => Variant { kind: SEBlockKind::Bottleneck, layers, groups: 64, dropout: Some(0.2), plain: false },
        (_, true) => Variant { kind: SEBlockKind::ResNext, layers, groups: 32, dropout: None, plain: true },
        (50, false) => Variant { kind: SEBlockKind::ResNet, layers, groups: 1, dropout: None, plain: true },
        // the deeper ones have the dropout of the plain class, as in MONAI
        _ => Variant { kind: SEBlockKind::ResNet, layers, groups: 1, dropout: Some(0.2), plain: true },
    })
}

/// The network of [`SENetArgs`] (Hu et al. 2018, <https://arxiv.org/abs/1709.01507>), with the blocks of the variant
/// of this depth; 0 is MONAI's plain `SENet`, `NEXT` the one with groups.
///
/// (B, `in_channels`, spatial…) → (B, `num_classes`).
#[derive(Debug)]
pub struct SENetOfDepth<const DEPTH: usize, const NEXT: bool> {
    stem: Vec<(Conv, Norm)>,
    stages: Sequential,
    dropout: Option<Dropout>,
    output: Linear,
}

/// `SENet` with blocks of your own.
pub type SENet = SENetOfDepth<0, false>;
/// `SENet154`
pub type SENet154 = SENetOfDepth<154, false>;
/// `SEResNet50`
pub type SEResNet50 = SENetOfDepth<50, false>;
/// `SEResNet101`
pub type SEResNet101 = SENetOfDepth<101, false>;
/// `SEResNet152`
pub type SEResNet152 = SENetOfDepth<152, false>;
/// `SEResNext50`
pub type SEResNext50 = SENetOfDepth<50, true>;
/// `SEResNext101`
pub type SEResNext101 = SENetOfDepth<101, true>;

impl<const DEPTH: usize, const NEXT: bool> NetworkComponent for SENetOfDepth<DEPTH, NEXT> {
    type Args = SENetArgs;

    fn new(args: SENetArgs, path: &nn::Path<'_>) -> Result<Self> {
        check_spatial_dims(args.spatial_dims)?;
        defaults::warn_of_pretrained(args.pretrained, "SENet");
        let variant = variant(DEPTH, NEXT);
        if variant.is_some() && args.block.is_some() {
            return Err(Error::invalid_argument("this variant has its own `block`; use `SENet` for others"));
        }
        let kind = args.block.or(variant.as_ref().map(|variant| variant.kind));
        let layers = args.layers.or(variant.as_ref().map(|variant| variant.layers));
        let groups = args.groups.or(variant.as_ref().map(|variant| variant.groups));
        let reduction = args.reduction.or(variant.as_ref().map(|_| 16));
        let (Some(kind), Some(layers), Some(groups), Some(reduction)) = (kind, layers, groups, reduction) else {
            return Err(Error::invalid_argument("`SENet` needs `block`, `layers`, `groups` and `reduction`"));
        };
        let plain = variant.as_ref().is_some_and(|variant| variant.plain);
        let dropout = match args.dropout_prob {
            DropoutArgument::Given(probability) => probability,
            DropoutArgument::OfVariant => variant.map_or(Some(0.2), |variant| variant.dropout),
        };
        let dims = args.spatial_dims;
        let inplanes = args.inplanes.unwrap_or(if plain { 64 } else { 128 });
        let shortcut_kernel = args.downsample_kernel_size.unwrap_or(if plain { 1 } else { 3 });
        let stem = stem(&(path / "layer0"), &args, inplanes, args.input_3x3.unwrap_or(!plain))?;
        let mut stages = Sequential::new();
        let mut inputs = inplanes;
        for (index, (&count, planes)) in layers.iter().zip([64, 128, 256, 512]).enumerate() {
            for block in 0..count {
                let options = BlockOptions {
                    spatial_dims: dims,
                    kind,
                    inputs,
                    planes,
                    groups,
                    reduction,
                    stride: if index > 0 && block == 0 { 2 } else { 1 },
                    shortcut_kernel: if index > 0 { shortcut_kernel } else { 1 },
                };
                stages.push(Block::new(&(path / format!("layer{}", index + 1) / block), options)?);
                inputs = planes * EXPANSION;
            }
        }
        let dropout = dropout.map(|probability| Dropout::new(&probability.into(), args.dropout_dim)).transpose()?;
        let output = Linear::new(&(path / "last_linear"), 512 * EXPANSION, args.num_classes)?;
        without_bias(&output)?;
        Ok(Self { stem, stages, dropout, output })
    }
}

impl<const DEPTH: usize, const NEXT: bool> Network for SENetOfDepth<DEPTH, NEXT> {
    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let mut x = x.shallow_clone();
        for (conv, norm) in &self.stem {
            x = norm.forward(&conv.forward(&x)?, train)?.f_relu()?;
        }
        let x = self.stages.forward_t(&pool::max_ceil(&x, 3, 2, 0)?, train)?;
        let x = self.dropout.forward_t(&pool::adaptive_average(&x, 1)?, train)?;
        self.output.forward(&x.f_flatten(1, -1)?)
    }
}

/// How many times more channels a block gives than its planes.
const EXPANSION: i64 = 4;

fn stem(path: &nn::Path<'_>, args: &SENetArgs, outputs: i64, three: bool) -> Result<Vec<(Conv, Norm)>> {
    let dims = args.spatial_dims;
    let conv =
        |inputs, outputs, kernel: i64| ConvOptions::new(dims, inputs, outputs, kernel).padding(kernel / 2).bias(false);
    let plan = if three {
        vec![conv(args.in_channels, 64, 3).stride(2), conv(64, 64, 3), conv(64, outputs, 3)]
    } else {
        vec![conv(args.in_channels, outputs, 7).stride(2)]
    };
    let mut layers = Vec::with_capacity(plan.len());
    for (index, options) in plan.into_iter().enumerate() {
        let conv = Conv::new(&(path / format!("conv{}", index + 1)), options)?;
        initialise(conv.weight())?;
        let channels = conv.weight().size()[0];
        layers.push((conv, Norm::new(&(path / format!("bn{}", index + 1)), &"batch".into(), dims, channels)?));
    }
    Ok(layers)
}

/// Kaiming normal by the fan-in.
fn initialise(weight: &Tensor) -> Result<()> {
    let shape = weight.size();
    init::assign(weight, &init::kaiming_normal(&shape, init::fan_in(&shape))?)
}

fn without_bias(linear: &Linear) -> Result<()> {
    linear.bias().map_or(Ok(()), |bias| init::assign(bias, &init::zeros(&bias.size())?))
}

/// What a [`Block`] looks like.
#[derive(Debug, Clone, Copy)]
struct BlockOptions {
    spatial_dims: usize,
    kind: SEBlockKind,
    inputs: i64,
    planes: i64,
    groups: i64,
    reduction: i64,
    stride: i64,
    shortcut_kernel: i64,
}

/// Three convolutions, whose channels are weighed, beside a shortcut (`monai.networks.blocks.SEBlock`).
#[derive(Debug)]
struct Block {
    convolutions: [Convolution; 3],
    squeeze: Linear,
    excite: Linear,
    shortcut: Option<Convolution>,
}

impl Block {
    fn new(path: &nn::Path<'_>, options: BlockOptions) -> Result<Self> {
        let BlockOptions { spatial_dims: dims, kind, inputs, planes, groups, stride, .. } = options;
        let outputs = planes * EXPANSION;
        let (first, middle, first_stride) = match kind {
            SEBlockKind::Bottleneck => (2 * planes, outputs, 1),
            SEBlockKind::ResNet => (planes, planes, stride),
            SEBlockKind::ResNext => {
                let width = planes / 16 * groups;
                (width, width, 1)
            }
        };
        let middle_stride = if kind == SEBlockKind::ResNet { 1 } else { stride };
        let conv = |inputs, outputs, kernel: i64, stride: i64, act: Option<LayerSpec>| {
            ConvolutionOptions::new(dims, inputs, outputs)
                .kernel_size(kernel)
                .strides(stride)
                .bias(false)
                .norm(Some("batch".into()))
                .act(act)
        };
        let relu = || Some(LayerSpec::new("relu"));
        let plan = [
            conv(inputs, first, 1, first_stride, relu()),
            conv(first, middle, 3, middle_stride, relu()).groups(groups),
            conv(middle, outputs, 1, 1, None),
        ];
        let make = |name: &str, options: ConvolutionOptions| -> Result<Convolution> {
            let layer = Convolution::new(&(path / name), options)?;
            initialise(layer.weight())?;
            Ok(layer)
        };
        let [first, middle, last] = plan;
        let convolutions = [make("conv1", first)?, make("conv2", middle)?, make("conv3", last)?];
        let squeezed = outputs.checked_div(options.reduction).filter(|&squeezed| squeezed > 0).ok_or_else(|| {
            Error::invalid_argument(format!(
                "`reduction` must be positive and at most {outputs}, found {}",
                options.reduction
            ))
        })?;
        let fc = path / "se_layer" / "fc";
        let squeeze = Linear::new(&(&fc / 0), outputs, squeezed)?;
        let excite = Linear::new(&(&fc / 2), squeezed, outputs)?;
        without_bias(&squeeze)?;
        without_bias(&excite)?;
        let shortcut = match stride != 1 || inputs != outputs {
            true => Some(make("project", conv(inputs, outputs, options.shortcut_kernel, stride, None))?),
            false => None,
        };
        Ok(Self { convolutions, squeeze, excite, shortcut })
    }
}

impl Layer for Block {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let mut y = x.shallow_clone();
        for conv in &self.convolutions {
            y = conv.forward_t(&y, train)?;
        }
        let squeezed = self.squeeze.forward(&pool::adaptive_average(&y, 1)?.f_flatten(1, -1)?)?.f_relu()?;
        let mut weights = self.excite.forward(&squeezed)?.f_sigmoid()?;
        for _ in 2..y.dim() {
            weights = weights.f_unsqueeze(-1)?;
        }
        Ok(y.f_mul(&weights)?.f_add(&self.shortcut.forward_t(x, train)?)?.f_relu()?)
    }
}
