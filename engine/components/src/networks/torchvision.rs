//! torchvision's `ResNets` with another last layer.

use byoc::nn::{Conv, ConvOptions, Layer, LayerSpec, Linear, Norm, Sequential, pool};
use byoc::{Error, Network, NetworkComponent, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Tensor, nn};

use super::defaults;
use super::resnet::{Block, BlockKind, BlockOptions, ShortcutKind, convolution, variant};

byoc::register! {
    networks: [TorchVisionFCModel, TorchVisionFullyConvModel],
}

/// A torchvision `ResNet` whose last layers are replaced (MONAI `TorchVisionFCModel`).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TorchVisionFCModelArgs {
    /// `resnet18`, `resnet34`, `resnet50`, `resnet101`, `resnet152`, `resnext50_32x4d`, `resnext101_32x8d`,
    /// `resnext101_64x4d`, `wide_resnet50_2` or `wide_resnet101_2`.
    #[serde(default = "resnet18")]
    pub model_name: String,
    /// Number of classes.
    #[serde(default = "defaults::one", alias = "n_classes")]
    #[schemars(extend("x-aliases" = ["n_classes"]))]
    pub num_classes: i64,
    /// Number of spatial dimensions: 2.
    #[serde(default = "two_dimensions")]
    pub dim: usize,
    /// Input channels of the last layer; by default what the network gives.
    #[serde(default)]
    pub in_channels: Option<i64>,
    /// Whether the last layer is a convolution, so that larger inputs give maps.
    #[serde(default)]
    pub use_conv: bool,
    /// Pooling before the last layer: `["avg", {"kernel_size": 7, "stride": 1}]`, `""` for none, null for the network's own.
    #[serde(default = "average_of_seven")]
    pub pool: Option<LayerSpec>,
    /// Whether the last layer has a bias.
    #[serde(default = "defaults::yes")]
    pub bias: bool,
    /// Pretrained weights are not included; a checkpoint can be loaded instead.
    #[serde(default)]
    pub pretrained: bool,
    /// Name of the last layer in torchvision's network: `fc`.
    #[serde(default = "fc")]
    pub fc_name: String,
}

/// A torchvision `ResNet` that gives a map of class scores (MONAI 0.8 `TorchVisionFullyConvModel`).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TorchVisionFullyConvModelArgs {
    /// As in `TorchVisionFCModel`.
    #[serde(default = "resnet18")]
    pub model_name: String,
    /// Number of classes.
    #[serde(default = "defaults::one", alias = "num_classes")]
    #[schemars(extend("x-aliases" = ["num_classes"]))]
    pub n_classes: i64,
    /// Size of the pooling window.
    #[serde(default = "seven")]
    pub pool_size: i64,
    /// Stride of the pooling window.
    #[serde(default = "defaults::one")]
    pub pool_stride: i64,
    /// Pretrained weights are not included; a checkpoint can be loaded instead.
    #[serde(default)]
    pub pretrained: bool,
}

fn resnet18() -> String {
    "resnet18".to_owned()
}

fn two_dimensions() -> usize {
    2
}

fn seven() -> i64 {
    7
}

fn fc() -> String {
    "fc".to_owned()
}

#[expect(clippy::unnecessary_wraps, reason = "null keeps the network's own pooling")]
fn average_of_seven() -> Option<LayerSpec> {
    Some(LayerSpec::new("avg").with("kernel_size", 7).with("stride", 1))
}

/// The network of [`TorchVisionFCModelArgs`].
///
/// (B, 3, H, W) → (B, `num_classes`), or with a convolution (B, `num_classes`, H', W').
#[derive(Debug)]
pub struct TorchVisionFCModel {
    backbone: Backbone,
    pooling: Pooling,
    output: Output,
}

#[derive(Debug)]
enum Pooling {
    /// The network's own: the mean of everything.
    Own,
    None,
    Average {
        kernel: i64,
        stride: i64,
        padding: i64,
    },
    Max {
        kernel: i64,
        stride: i64,
        padding: i64,
    },
    AdaptiveAverage {
        size: i64,
    },
    AdaptiveMax {
        size: i64,
    },
}

#[derive(Debug)]
enum Output {
    Linear(Linear),
    Conv(Conv),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WindowArgs {
    kernel_size: i64,
    #[serde(default)]
    stride: Option<i64>,
    #[serde(default)]
    padding: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AdaptiveArgs {
    output_size: i64,
}

impl Pooling {
    fn new(spec: Option<&LayerSpec>) -> Result<Self> {
        let Some(spec) = spec else {
            return Ok(Self::Own);
        };
        let args = serde_json::Value::Object(spec.args.clone());
        let window = || byoc::args::parse::<WindowArgs>(&args);
        let adaptive = || byoc::args::parse::<AdaptiveArgs>(&args);
        Ok(match spec.key().as_str() {
            "" => Self::None,
            "avg" => {
                let WindowArgs { kernel_size: kernel, stride, padding } = window()?;
                Self::Average { kernel, stride: stride.unwrap_or(kernel), padding }
            }
            "max" => {
                let WindowArgs { kernel_size: kernel, stride, padding } = window()?;
                Self::Max { kernel, stride: stride.unwrap_or(kernel), padding }
            }
            "adaptiveavg" => Self::AdaptiveAverage { size: adaptive()?.output_size },
            "adaptivemax" => Self::AdaptiveMax { size: adaptive()?.output_size },
            _ => {
                return Err(Error::invalid_argument(format!(
                    "there is no pooling `{}`; known are `avg`, `max`, `adaptiveavg`, `adaptivemax`",
                    spec.name
                )));
            }
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match *self {
            Self::None => Ok(x.shallow_clone()),
            Self::Own => pool::adaptive_average(x, 1),
            Self::Average { kernel, stride, padding } => pool::average(x, kernel, stride, padding),
            Self::Max { kernel, stride, padding } => pool::max(x, kernel, stride, padding),
            Self::AdaptiveAverage { size } => pool::adaptive_average(x, size),
            Self::AdaptiveMax { size } => pool::adaptive_max(x, size),
        }
    }
}

/// Depth, groups and channels of each group at 64 planes.
fn plan(model_name: &str) -> Result<(usize, i64, i64)> {
    Ok(match model_name {
        "resnet18" => (18, 1, 64),
        "resnet34" => (34, 1, 64),
        "resnet50" => (50, 1, 64),
        "resnet101" => (101, 1, 64),
        "resnet152" => (152, 1, 64),
        "resnext50_32x4d" => (50, 32, 4),
        "resnext101_32x8d" => (101, 32, 8),
        "resnext101_64x4d" => (101, 64, 4),
        "wide_resnet50_2" => (50, 1, 128),
        "wide_resnet101_2" => (101, 1, 128),
        _ => {
            return Err(Error::invalid_argument(format!(
                "there is no `model_name` `{model_name}` here; known are `resnet18` to `resnet152`, `resnext50_32x4d`, \
                 `resnext101_32x8d`, `resnext101_64x4d`, `wide_resnet50_2` and `wide_resnet101_2`"
            )));
        }
    })
}

/// A torchvision `ResNet` without its last layers.
#[derive(Debug)]
pub(super) struct Backbone {
    first: Conv,
    norm: Norm,
    stages: [Sequential; 4],
    /// How many channels it gives.
    pub(super) channels: i64,
}

impl Backbone {
    /// How many channels the backbone of this name gives.
    pub(super) fn channels_of(model_name: &str) -> Result<i64> {
        Ok(if plan(model_name)?.0 < 50 { 512 } else { 2048 })
    }

    /// `layer` gives the path of a layer by its name and its number in torchvision's network.
    pub(super) fn new<'a>(model_name: &str, layer: &dyn Fn(&str, usize) -> nn::Path<'a>) -> Result<Self> {
        let (depth, groups, group_width) = plan(model_name)?;
        let Some((kind, layers)) = variant(depth) else {
            return Err(Error::msg(format!("there are no blocks for depth {depth}")));
        };
        let first = convolution(&layer("conv1", 0), ConvOptions::new(2, 3, 64, 7).stride(2).padding(3).bias(false))?;
        let norm = Norm::new(&layer("bn1", 1), &"batch".into(), 2, 64)?;
        let mut stages: [Sequential; 4] = Default::default();
        let mut channels = 64;
        for (index, ((&count, planes), stage)) in layers.iter().zip([64, 128, 256, 512]).zip(&mut stages).enumerate() {
            let path = layer(&format!("layer{}", index + 1), index + 4);
            for block in 0..count {
                let options = BlockOptions {
                    spatial_dims: 2,
                    kind,
                    inputs: channels,
                    planes,
                    stride: if index > 0 && block == 0 { 2 } else { 1 },
                    shortcut: ShortcutKind::B,
                    shortcut_bias: false,
                    groups,
                    width: planes * group_width / 64 * groups,
                };
                stage.push(Block::new(&(&path / block), options)?);
                channels = if kind == BlockKind::Basic { planes } else { 4 * planes };
            }
        }
        Ok(Self { first, norm, stages, channels })
    }

    /// (B, 3, H, W) → what each of the four stages gives, the finest first.
    pub(super) fn stages(&self, x: &Tensor, train: bool) -> Result<[Tensor; 4]> {
        let x = self.norm.forward(&self.first.forward(x)?, train)?.f_relu()?;
        let [first, second, third, fourth] = &self.stages;
        let first = first.forward_t(&pool::max(&x, 3, 2, 1)?, train)?;
        let second = second.forward_t(&first, train)?;
        let third = third.forward_t(&second, train)?;
        let fourth = fourth.forward_t(&third, train)?;
        Ok([first, second, third, fourth])
    }
}

impl NetworkComponent for TorchVisionFCModel {
    type Args = TorchVisionFCModelArgs;

    fn new(args: TorchVisionFCModelArgs, path: &nn::Path<'_>) -> Result<Self> {
        if args.dim != 2 || args.fc_name != "fc" {
            return Err(Error::invalid_argument("these networks are for `dim` 2, and their last layer is called `fc`"));
        }
        defaults::warn_of_pretrained(args.pretrained, "TorchVisionFCModel");
        let pooling = Pooling::new(args.pool.as_ref())?;
        let features = path / "features";
        // without its own pooling MONAI puts the layers into a list, and their names become numbers
        let named = matches!(pooling, Pooling::Own);
        let layer = |name: &str, number: usize| if named { &features / name } else { &features / number };
        let backbone = Backbone::new(&args.model_name, &layer)?;
        let inputs = args.in_channels.unwrap_or(backbone.channels);
        let path = path / "fc";
        let output = if args.use_conv {
            Output::Conv(Conv::new(&path, ConvOptions::new(2, inputs, args.num_classes, 1).bias(args.bias))?)
        } else {
            Output::Linear(Linear::with_bias(&path, inputs, args.num_classes, args.bias)?)
        };
        Ok(Self { backbone, pooling, output })
    }
}

impl Network for TorchVisionFCModel {
    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let [.., x] = self.backbone.stages(x, train)?;
        let x = self.pooling.forward(&x)?;
        match &self.output {
            Output::Linear(linear) => linear.forward(&x.f_flatten(1, -1)?),
            Output::Conv(conv) => conv.forward(&x),
        }
    }
}

/// The network of [`TorchVisionFullyConvModelArgs`]: (B, 3, H, W) → (B, `n_classes`, H', W').
#[derive(Debug)]
pub struct TorchVisionFullyConvModel(TorchVisionFCModel);

impl NetworkComponent for TorchVisionFullyConvModel {
    type Args = TorchVisionFullyConvModelArgs;

    fn new(args: TorchVisionFullyConvModelArgs, path: &nn::Path<'_>) -> Result<Self> {
        let pool = LayerSpec::new("avg").with("kernel_size", args.pool_size).with("stride", args.pool_stride);
        let args = TorchVisionFCModelArgs {
            model_name: args.model_name,
            num_classes: args.n_classes,
            dim: 2,
            in_channels: None,
            use_conv: true,
            pool: Some(pool),
            bias: true,
            pretrained: args.pretrained,
            fc_name: fc(),
        };
        Ok(Self(TorchVisionFCModel::new(args, path)?))
    }
}

impl Network for TorchVisionFullyConvModel {
    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        self.0.forward(x, train)
    }
}
