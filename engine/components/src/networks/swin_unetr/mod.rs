//! `SwinUNETR`: a U-shaped network whose encoder looks at shifted windows.

mod attention;
mod stage;
mod windows;

use byoc::nn::blocks::Convolution;
use byoc::nn::{Conv, ConvOptions, Dropout, Layer, LayerSpec, Norm};
use byoc::{Error, Network, NetworkComponent, OneOrMany, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Tensor, nn};

use super::defaults;
use super::unet_blocks::{ConvBlock, Style, UpBlock};
pub use stage::Merging;
use stage::{Stage, StageOptions};

byoc::register! {
    networks: [SwinUNETR],
}

/// UNet whose encoder is a transformer over shifted windows (MONAI `SwinUNETR`).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SwinUNETRArgs {
    /// Number of input channels.
    pub in_channels: i64,
    /// Number of output channels.
    pub out_channels: i64,
    /// Not used; older MONAI's size of the images.
    #[serde(default)]
    pub img_size: Option<OneOrMany<i64>>,
    /// Size of the patches; each axis of an image must be a multiple of its fifth power.
    #[serde(default = "defaults::two")]
    pub patch_size: i64,
    /// Number of blocks of each stage.
    #[serde(default = "two_blocks")]
    pub depths: [usize; 4],
    /// Number of attention heads of each stage.
    #[serde(default = "three_heads")]
    pub num_heads: [i64; 4],
    /// Size of the windows in patches, one number for all axes or one for each.
    #[serde(default = "seven")]
    pub window_size: OneOrMany<i64>,
    /// Whether query, key and value have a bias.
    #[serde(default = "defaults::yes")]
    pub qkv_bias: bool,
    /// Features within the perceptrons, as a multiple of those outside.
    #[serde(default = "four_times")]
    pub mlp_ratio: f64,
    /// Features of a patch; a multiple of 12. They double with each stage.
    #[serde(default = "twenty_four")]
    pub feature_size: i64,
    /// Normalisation of the convolutions.
    #[serde(default = "defaults::instance_spec")]
    pub norm_name: LayerSpec,
    /// Dropout after patch embedding, attention and perceptron layers.
    #[serde(default)]
    pub drop_rate: f64,
    /// Dropout of the attention's weights.
    #[serde(default)]
    pub attn_drop_rate: f64,
    /// Probability with which the last block is left out for an item; it grows from 0 at the first block.
    #[serde(default)]
    pub dropout_path_rate: f64,
    /// Whether each stage's output is normalised over its features.
    #[serde(default = "defaults::yes")]
    pub normalize: bool,
    /// Whether the patches' features are normalised.
    #[serde(default)]
    pub patch_norm: bool,
    /// Without effect: everything that the gradients need is kept.
    #[serde(default)]
    pub use_checkpoint: bool,
    /// Number of spatial dimensions: 2 or 3.
    #[serde(default = "defaults::three_dimensions")]
    pub spatial_dims: usize,
    /// In which order neighbouring patches are merged.
    #[serde(default)]
    pub downsample: Merging,
    /// Whether a residual block of convolutions precedes each stage (`SwinUNETR-V2`).
    #[serde(default)]
    pub use_v2: bool,
    /// Always false: the operator needs a package of its own.
    #[serde(default)]
    pub use_hyena: bool,
    /// Without effect: it changes how attention is computed, not its values.
    #[serde(default)]
    pub use_flash_attention: bool,
}

fn two_blocks() -> [usize; 4] {
    [2; 4]
}

fn three_heads() -> [i64; 4] {
    [3, 6, 12, 24]
}

fn seven() -> OneOrMany<i64> {
    OneOrMany::One(7)
}

fn four_times() -> f64 {
    4.0
}

fn twenty_four() -> i64 {
    24
}

/// The network of [`SwinUNETRArgs`] (Hatamizadeh et al. 2022, <https://arxiv.org/abs/2201.01266>).
///
/// (B, `in_channels`, spatial…) → (B, `out_channels`, spatial…); each axis a multiple of `patch_size`⁵.
#[derive(Debug)]
pub struct SwinUNETR {
    transformer: SwinTransformer,
    /// From the input and the transformer's first three outputs up to the levels of the decoder.
    encoders: [ConvBlock; 4],
    bottleneck: ConvBlock,
    /// From the bottom up.
    decoders: [UpBlock; 5],
    output: Convolution,
    /// What each axis must be a multiple of.
    divisor: i64,
}

impl NetworkComponent for SwinUNETR {
    type Args = SwinUNETRArgs;

    fn new(args: SwinUNETRArgs, path: &nn::Path<'_>) -> Result<Self> {
        if !(2..=3).contains(&args.spatial_dims) {
            return Err(Error::invalid_argument(format!("`spatial_dims` must be 2 or 3, found {}", args.spatial_dims)));
        }
        if args.feature_size < 12 || args.feature_size % 12 != 0 {
            return Err(Error::invalid_argument(format!(
                "`feature_size` must be divisible by 12, found {}",
                args.feature_size
            )));
        }
        if args.patch_size < 1 {
            return Err(Error::invalid_argument(format!("`patch_size` must be positive, found {}", args.patch_size)));
        }
        if args.use_hyena {
            return Err(Error::invalid_argument(
                "`use_hyena` is not available: leave it out, and the stages attend within windows",
            ));
        }
        let features = args.feature_size;
        let transformer = SwinTransformer::new(&(path / "swinViT"), &args)?;
        let style = Style::new(args.spatial_dims, args.norm_name.clone());
        let encoder = |name: &str, inputs: i64, outputs: i64| {
            ConvBlock::plain(&(path / name / "layer"), &style, [inputs, outputs], true)
        };
        let encoders = [
            encoder("encoder1", args.in_channels, features)?,
            encoder("encoder2", features, features)?,
            encoder("encoder3", 2 * features, 2 * features)?,
            encoder("encoder4", 4 * features, 4 * features)?,
        ];
        let bottleneck = encoder("encoder10", 16 * features, 16 * features)?;
        let up = |name: &str, inputs: i64, outputs: i64| {
            UpBlock::doubling(&(path / name), &style, [inputs * features, outputs * features], true)
        };
        let decoders = [
            up("decoder5", 16, 8)?,
            up("decoder4", 8, 4)?,
            up("decoder3", 4, 2)?,
            up("decoder2", 2, 1)?,
            up("decoder1", 1, 1)?,
        ];
        let output = style.output(&(path / "out"), [features, args.out_channels])?;
        Ok(Self { transformer, encoders, bottleneck, decoders, output, divisor: args.patch_size.pow(5) })
    }
}

impl Network for SwinUNETR {
    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let size = x.size();
        if size.iter().skip(2).any(|size| size % self.divisor != 0) {
            return Err(Error::data(format!(
                "each spatial axis must be divisible by {}, found an input of shape {size:?}: crop or pad it",
                self.divisor
            )));
        }
        let [first, second, third, fourth, last] = self.transformer.encode(x, train)?;
        let levels = [x, &first, &second, &third];
        let mut skips = Vec::with_capacity(5);
        for (encoder, level) in self.encoders.iter().zip(levels) {
            skips.push(encoder.forward_t(level, train)?);
        }
        skips.push(fourth);
        let mut y = self.bottleneck.forward_t(&last, train)?;
        for (decoder, skip) in self.decoders.iter().zip(skips.iter().rev()) {
            y = decoder.forward(&y, skip, train)?;
        }
        self.output.forward_t(&y, train)
    }
}

/// `monai.networks.nets.swin_unetr.SwinTransformer` (Liu et al. 2021, <https://arxiv.org/abs/2103.14030>).
#[derive(Debug)]
struct SwinTransformer {
    embedding: Conv,
    embedding_norm: Option<Norm>,
    dropout: Dropout,
    stages: Vec<Stage>,
    /// What precedes the stages in the second version.
    convolutions: Vec<ConvBlock>,
    normalize: bool,
}

impl SwinTransformer {
    fn new(path: &nn::Path<'_>, args: &SwinUNETRArgs) -> Result<Self> {
        let dims = args.spatial_dims;
        let features = args.feature_size;
        let embedding_path = path / "patch_embed";
        let embedding = ConvOptions::new(dims, args.in_channels, features, args.patch_size).stride(args.patch_size);
        let embedding = Conv::new(&(&embedding_path / "proj"), embedding)?;
        let embedding_norm = match args.patch_norm {
            true => Some(Norm::layer(&(&embedding_path / "norm"), features)?),
            false => None,
        };
        let window = args.window_size.repeat(dims, "window_size")?;
        let blocks: usize = args.depths.iter().sum();
        let mut block = 0;
        let mut stages = Vec::with_capacity(4);
        for (index, (&depth, &num_heads)) in args.depths.iter().zip(&args.num_heads).enumerate() {
            let drop_path =
                (block..block + depth).map(|block| args.dropout_path_rate * block as f64 / (blocks.max(2) - 1) as f64);
            let options = StageOptions {
                features: features << index,
                num_heads,
                window: &window,
                drop_path: drop_path.collect(),
                mlp_ratio: args.mlp_ratio,
                qkv_bias: args.qkv_bias,
                dropout: args.drop_rate,
                attention_dropout: args.attn_drop_rate,
                merging: args.downsample,
            };
            stages.push(Stage::new(&(path / format!("layers{}", index + 1) / 0), &options)?);
            block += depth;
        }
        let style = Style::new(dims, LayerSpec::new("instance"));
        let mut convolutions = Vec::new();
        for index in (0..4).filter(|_| args.use_v2) {
            let path = path / format!("layers{}c", index + 1) / 0 / "layer";
            convolutions.push(ConvBlock::plain(&path, &style, [features << index; 2], true)?);
        }
        let dropout = Dropout::new(&args.drop_rate.into(), 1)?;
        Ok(Self { embedding, embedding_norm, dropout, stages, convolutions, normalize: args.normalize })
    }

    /// The embedded patches, and what each stage makes of them: half the size and twice the features each time.
    fn encode(&self, x: &Tensor, train: bool) -> Result<[Tensor; 5]> {
        let mut x = self.embedding.forward(x)?;
        if let Some(norm) = &self.embedding_norm {
            x = x.f_movedim_int(1, -1)?;
            x = norm.forward(&x, train)?.f_movedim_int(-1, 1)?;
        }
        x = self.dropout.forward(&x, train)?;
        let first = self.output(&x)?;
        let mut stage = |index: usize| {
            let y = self.convolutions.get(index).map(|block| block.forward_t(&x, train)).transpose()?;
            x = self.stages[index].forward_t(y.as_ref().unwrap_or(&x), train)?;
            self.output(&x)
        };
        Ok([first, stage(0)?, stage(1)?, stage(2)?, stage(3)?])
    }

    /// Normalised over the features, without parameters.
    fn output(&self, x: &Tensor) -> Result<Tensor> {
        if !self.normalize {
            return Ok(x.shallow_clone());
        }
        let features = x.size()[1];
        let y = x.f_movedim_int(1, -1)?.f_layer_norm([features], None::<Tensor>, None::<Tensor>, 1e-5, true)?;
        Ok(y.f_movedim_int(-1, 1)?)
    }
}
