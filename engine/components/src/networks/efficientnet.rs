//! The `EfficientNet` family.

use byoc::nn::{Conv, ConvOptions, Dropout, LayerSpec, Linear, Norm, check_spatial_dims, init, pool};
use byoc::{Error, Network, NetworkComponent, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Tensor, nn};

use super::defaults;
use super::drop_path::DropPath;

byoc::register! {
    networks: [EfficientNetBN, EfficientNetBNFeatures],
}

/// Classifier of mobile bottlenecks, scaled in width, depth and resolution (MONAI `EfficientNetBN`).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EfficientNetArgs {
    /// Which of the family.
    pub model_name: EfficientNetName,
    /// Pretrained weights are not included; a checkpoint can be loaded instead.
    #[serde(default = "defaults::yes")]
    pub pretrained: bool,
    /// Not used.
    #[serde(default = "defaults::yes")]
    pub progress: bool,
    /// Number of spatial dimensions: 1, 2 or 3.
    #[serde(default = "two_dimensions")]
    pub spatial_dims: usize,
    /// Number of input channels.
    #[serde(default = "three_channels")]
    pub in_channels: i64,
    /// Number of classes.
    #[serde(default = "thousand")]
    pub num_classes: i64,
    /// Normalisation.
    #[serde(default = "slow_batch")]
    pub norm: LayerSpec,
    /// Which pretrained weights are meant; not used.
    #[serde(default)]
    pub adv_prop: bool,
}

fn two_dimensions() -> usize {
    2
}

fn three_channels() -> i64 {
    3
}

fn thousand() -> i64 {
    1000
}

fn slow_batch() -> LayerSpec {
    LayerSpec::new("batch").with("eps", 1e-3).with("momentum", 0.01)
}

/// A member of the family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(inline)]
#[expect(missing_docs, reason = "the names are the descriptions")]
pub enum EfficientNetName {
    #[serde(rename = "efficientnet-b0")]
    B0,
    #[serde(rename = "efficientnet-b1")]
    B1,
    #[serde(rename = "efficientnet-b2")]
    B2,
    #[serde(rename = "efficientnet-b3")]
    B3,
    #[serde(rename = "efficientnet-b4")]
    B4,
    #[serde(rename = "efficientnet-b5")]
    B5,
    #[serde(rename = "efficientnet-b6")]
    B6,
    #[serde(rename = "efficientnet-b7")]
    B7,
    #[serde(rename = "efficientnet-b8")]
    B8,
    #[serde(rename = "efficientnet-l2")]
    L2,
}

/// How a member differs from the first.
struct Scaling {
    width: f64,
    depth: f64,
    /// The image that the paddings are made for.
    image: i64,
    dropout: f64,
}

impl EfficientNetName {
    fn scaling(self) -> Scaling {
        let (width, depth, image, dropout) = match self {
            Self::B0 => (1.0, 1.0, 224, 0.2),
            Self::B1 => (1.0, 1.1, 240, 0.2),
            Self::B2 => (1.1, 1.2, 260, 0.3),
            Self::B3 => (1.2, 1.4, 300, 0.3),
            Self::B4 => (1.4, 1.8, 380, 0.4),
            Self::B5 => (1.6, 2.2, 456, 0.4),
            Self::B6 => (1.8, 2.6, 528, 0.5),
            Self::B7 => (2.0, 3.1, 600, 0.5),
            Self::B8 => (2.2, 3.6, 672, 0.5),
            Self::L2 => (4.3, 5.3, 800, 0.5),
        };
        Scaling { width, depth, image, dropout }
    }
}

impl Scaling {
    /// Channels, scaled and rounded to a multiple of 8 that is not more than a tenth smaller.
    fn channels(&self, channels: i64) -> i64 {
        let scaled = channels as f64 * self.width;
        let rounded = ((scaled + 4.0) as i64 / 8 * 8).max(8);
        if (rounded as f64) < 0.9 * scaled { rounded + 8 } else { rounded }
    }

    fn repeats(&self, repeats: usize) -> usize {
        (self.depth * repeats as f64).ceil() as usize
    }
}

/// Blocks of one kind, before scaling.
struct Stack {
    repeats: usize,
    kernel: i64,
    stride: i64,
    expand: i64,
    outputs: i64,
}

const STACKS: [Stack; 7] = [
    Stack { repeats: 1, kernel: 3, stride: 1, expand: 1, outputs: 16 },
    Stack { repeats: 2, kernel: 3, stride: 2, expand: 6, outputs: 24 },
    Stack { repeats: 2, kernel: 5, stride: 2, expand: 6, outputs: 40 },
    Stack { repeats: 3, kernel: 3, stride: 2, expand: 6, outputs: 80 },
    Stack { repeats: 3, kernel: 5, stride: 1, expand: 6, outputs: 112 },
    Stack { repeats: 4, kernel: 5, stride: 2, expand: 6, outputs: 192 },
    Stack { repeats: 1, kernel: 3, stride: 1, expand: 6, outputs: 320 },
];

/// Probability with which the last block would be left out for an item in training; it grows from 0.
const DROP_CONNECT: f64 = 0.2;

/// The network of [`EfficientNetArgs`] (Tan and Le 2019, <https://arxiv.org/abs/1905.11946>).
///
/// (B, `in_channels`, spatial…) → (B, `num_classes`). The padding of the convolutions is that for the member's nominal
/// image (224 for `b0`), whatever the input's size, as in MONAI; inputs below about 32 voxels fail.
#[derive(Debug)]
pub struct EfficientNetBN {
    stem: PaddedConv,
    stem_norm: Norm,
    stacks: Vec<Vec<MobileBlock>>,
    head: PaddedConv,
    head_norm: Norm,
    dropout: Dropout,
    output: Linear,
}

impl NetworkComponent for EfficientNetBN {
    type Args = EfficientNetArgs;

    fn new(args: EfficientNetArgs, path: &nn::Path<'_>) -> Result<Self> {
        let dims = args.spatial_dims;
        check_spatial_dims(dims)?;
        // MONAI has weights for two dimensions only
        defaults::warn_of_pretrained(args.pretrained && dims == 2, "EfficientNetBN");
        let scaling = args.model_name.scaling();
        let mut image = scaling.image;
        let mut channels = scaling.channels(32);
        let stem = ConvOptions::new(dims, args.in_channels, channels, 3).stride(2).bias(false);
        let stem = PaddedConv::new(&(path / "_conv_stem"), stem, image, 3, 2)?;
        let stem_norm = Norm::new(&(path / "_bn0"), &args.norm, dims, channels)?;
        image = halved(image, 2);
        let total: usize = STACKS.iter().map(|stack| scaling.repeats(stack.repeats)).sum();
        let mut index = 0;
        let mut stacks = Vec::with_capacity(STACKS.len());
        for (number, stack) in STACKS.iter().enumerate() {
            let outputs = scaling.channels(stack.outputs);
            let mut blocks = Vec::new();
            for repeat in 0..scaling.repeats(stack.repeats) {
                let stride = if repeat == 0 { stack.stride } else { 1 };
                let options = BlockOptions {
                    spatial_dims: dims,
                    inputs: channels,
                    outputs,
                    kernel: stack.kernel,
                    stride,
                    expand: stack.expand,
                    image,
                    norm: &args.norm,
                    drop_path: DROP_CONNECT * index as f64 / total as f64,
                };
                blocks.push(MobileBlock::new(&(path / "_blocks" / number / index), &options)?);
                image = halved(image, stride);
                channels = outputs;
                index += 1;
            }
            stacks.push(blocks);
        }
        let features = scaling.channels(1280);
        let head = ConvOptions::new(dims, channels, features, 1).bias(false);
        let head = PaddedConv::new(&(path / "_conv_head"), head, image, 1, 1)?;
        let head_norm = Norm::new(&(path / "_bn1"), &args.norm, dims, features)?;
        let dropout = Dropout::new(&scaling.dropout.into(), 1)?;
        let output = Linear::new(&(path / "_fc"), features, args.num_classes)?;
        let range = 1.0 / (args.num_classes as f64).sqrt();
        init::assign(output.weight(), &init::uniform(&output.weight().size(), -range, range)?)?;
        if let Some(bias) = output.bias() {
            init::assign(bias, &init::zeros(&bias.size())?)?;
        }
        Ok(Self { stem, stem_norm, stacks, head, head_norm, dropout, output })
    }
}

impl EfficientNetBN {
    /// What each stack of blocks gives.
    fn encode(&self, x: &Tensor, train: bool) -> Result<Vec<Tensor>> {
        let mut x = self.stem_norm.forward(&self.stem.forward(x)?, train)?.f_silu()?;
        let mut outputs = Vec::with_capacity(self.stacks.len());
        for block in &self.stacks {
            for block in block {
                x = block.forward(&x, train)?;
            }
            outputs.push(x.shallow_clone());
        }
        Ok(outputs)
    }
}

impl Network for EfficientNetBN {
    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let Some(x) = self.encode(x, train)?.pop() else {
            return Err(Error::msg("the network has no blocks"));
        };
        let x = self.head_norm.forward(&self.head.forward(&x)?, train)?.f_silu()?;
        let x = self.dropout.forward(&pool::adaptive_average(&x, 1)?.f_flatten(1, -1)?, train)?;
        self.output.forward(&x)
    }
}

/// The features of an `EfficientNet` at five resolutions, the finest first (MONAI `EfficientNetBNFeatures`): all its
/// outputs. The first output is the finest.
#[derive(Debug)]
pub struct EfficientNetBNFeatures(EfficientNetBN);

impl NetworkComponent for EfficientNetBNFeatures {
    type Args = EfficientNetArgs;

    fn new(args: EfficientNetArgs, path: &nn::Path<'_>) -> Result<Self> {
        EfficientNetBN::new(args, path).map(Self)
    }
}

impl Network for EfficientNetBNFeatures {
    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        Ok(self.0.encode(x, train)?.swap_remove(0))
    }

    fn forward_all(&self, inputs: &[Tensor], train: bool) -> Result<Vec<Tensor>> {
        let Some(x) = inputs.first() else {
            return Err(Error::data("a network needs at least one input"));
        };
        let outputs = self.0.encode(x, train)?;
        // the last one before each halving, and the last
        let halves = |number: usize| STACKS.get(number + 1).is_none_or(|next| next.stride > 1);
        Ok(outputs.into_iter().enumerate().filter(|(number, _)| halves(*number)).map(|(_, output)| output).collect())
    }
}

fn halved(size: i64, stride: i64) -> i64 {
    (size + stride - 1) / stride
}

/// A convolution after the padding that would keep the size of the nominal image, uneven where that is.
#[derive(Debug)]
struct PaddedConv {
    conv: Conv,
    /// For `pad`: the last axis first, both ends of each.
    padding: Option<Vec<i64>>,
}

impl PaddedConv {
    fn new(path: &nn::Path<'_>, options: ConvOptions, image: i64, kernel: i64, stride: i64) -> Result<Self> {
        let both = ((halved(image, stride) - 1) * stride + kernel - image).max(0);
        let even = both % 2 == 0;
        let conv = Conv::new(path, if even { options.padding(both / 2) } else { options })?;
        let shape = conv.weight().size();
        let outputs: i64 = shape[0] * shape[2..].iter().product::<i64>();
        init::assign(conv.weight(), &init::normal(&shape, 0.0, (2.0 / outputs as f64).sqrt())?)?;
        if let Some(bias) = conv.bias() {
            init::assign(bias, &init::zeros(&bias.size())?)?;
        }
        let padding = (!even).then(|| [both / 2, both - both / 2].repeat(shape.len() - 2));
        Ok(Self { conv, padding })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match &self.padding {
            Some(padding) => self.conv.forward(&x.f_pad(padding.as_slice(), "constant", 0.0)?),
            None => self.conv.forward(x),
        }
    }
}

/// What a [`MobileBlock`] looks like.
struct BlockOptions<'a> {
    spatial_dims: usize,
    inputs: i64,
    outputs: i64,
    kernel: i64,
    stride: i64,
    expand: i64,
    image: i64,
    norm: &'a LayerSpec,
    drop_path: f64,
}

/// More channels, a convolution of each, their weights, fewer channels (`MBConvBlock`).
#[derive(Debug)]
struct MobileBlock {
    expand: Option<(PaddedConv, Norm)>,
    depthwise: PaddedConv,
    depthwise_norm: Norm,
    squeeze: PaddedConv,
    excite: PaddedConv,
    project: PaddedConv,
    project_norm: Norm,
    shortcut: bool,
    drop_path: DropPath,
}

impl MobileBlock {
    fn new(path: &nn::Path<'_>, options: &BlockOptions<'_>) -> Result<Self> {
        let &BlockOptions { spatial_dims: dims, inputs, outputs, kernel, stride, image, norm, .. } = options;
        let inner = inputs * options.expand;
        let pointwise = |name: &str, from, to, bias| {
            PaddedConv::new(&(path / name), ConvOptions::new(dims, from, to, 1).bias(bias), image, 1, 1)
        };
        let norm = |name: &str, channels| Norm::new(&(path / name), norm, dims, channels);
        let expand = match options.expand {
            1 => None,
            _ => Some((pointwise("_expand_conv", inputs, inner, false)?, norm("_bn0", inner)?)),
        };
        let depthwise = ConvOptions::new(dims, inner, inner, kernel).stride(stride).groups(inner).bias(false);
        let depthwise = PaddedConv::new(&(path / "_depthwise_conv"), depthwise, image, kernel, stride)?;
        let depthwise_norm = norm("_bn1", inner)?;
        let squeezed = (inputs / 4).max(1);
        Ok(Self {
            expand,
            depthwise,
            depthwise_norm,
            squeeze: pointwise("_se_reduce", inner, squeezed, true)?,
            excite: pointwise("_se_expand", squeezed, inner, true)?,
            project: pointwise("_project_conv", inner, outputs, false)?,
            project_norm: norm("_bn2", outputs)?,
            shortcut: stride == 1 && inputs == outputs,
            drop_path: DropPath::new(options.drop_path, "drop_connect_rate")?,
        })
    }

    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let mut y = x.shallow_clone();
        if let Some((conv, norm)) = &self.expand {
            y = norm.forward(&conv.forward(&y)?, train)?.f_silu()?;
        }
        y = self.depthwise_norm.forward(&self.depthwise.forward(&y)?, train)?.f_silu()?;
        let squeezed = self.squeeze.forward(&pool::adaptive_average(&y, 1)?)?.f_silu()?;
        y = y.f_mul(&self.excite.forward(&squeezed)?.f_sigmoid()?)?;
        y = self.project_norm.forward(&self.project.forward(&y)?, train)?;
        match self.shortcut {
            true => Ok(self.drop_path.forward(&y, train)?.f_add(x)?),
            false => Ok(y),
        }
    }
}
