//! `UNETR`: a U-shaped decoder over the layers of a vision transformer.

use byoc::nn::blocks::Convolution;
use byoc::nn::{Layer, LayerSpec, check_spatial_dims};
use byoc::{Error, Network, NetworkComponent, OneOrMany, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Tensor, nn};

use super::defaults;
use super::transformer::{PositionEmbedding, Projection};
use super::unet_blocks::{ConvBlock, Style, UpBlock};
use super::vit::{ViT, ViTArgs};

byoc::register! {
    networks: [UNETR],
}

/// UNet whose encoder is a vision transformer (MONAI `UNETR`).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UNETRArgs {
    /// Number of input channels.
    pub in_channels: i64,
    /// Number of output channels.
    pub out_channels: i64,
    /// Size of the images, one number for all axes or one for each; multiples of 16.
    pub img_size: OneOrMany<i64>,
    /// Channels at full resolution; they double with each level.
    #[serde(default = "sixteen")]
    pub feature_size: i64,
    /// Features of each token.
    #[serde(default = "defaults::hidden_size")]
    pub hidden_size: i64,
    /// Features within the transformer's perceptrons.
    #[serde(default = "defaults::mlp_dim")]
    pub mlp_dim: i64,
    /// Number of attention heads; `hidden_size` is divisible by it.
    #[serde(default = "defaults::twelve")]
    pub num_heads: i64,
    /// How a patch becomes a token; older MONAI's `pos_embed`.
    #[serde(default, alias = "pos_embed")]
    #[schemars(extend("x-aliases" = ["pos_embed"]))]
    pub proj_type: Projection,
    /// Normalisation.
    #[serde(default = "defaults::instance_spec")]
    pub norm_name: LayerSpec,
    /// Whether convolutions follow each upsampling on the way from the transformer to the decoder.
    #[serde(default = "defaults::yes")]
    pub conv_block: bool,
    /// Whether the convolutions have a shortcut.
    #[serde(default = "defaults::yes")]
    pub res_block: bool,
    /// Dropout within the transformer.
    #[serde(default)]
    pub dropout_rate: f64,
    /// Number of spatial dimensions: 1, 2 or 3.
    #[serde(default = "defaults::three_dimensions")]
    pub spatial_dims: usize,
    /// Whether query, key and value have a bias.
    #[serde(default)]
    pub qkv_bias: bool,
    /// Without effect: the attention is not kept.
    #[serde(default)]
    pub save_attn: bool,
}

fn sixteen() -> i64 {
    16
}

/// Length of a patch along each axis.
const PATCH: i64 = 16;

/// The network of [`UNETRArgs`] (Hatamizadeh et al. 2022, <https://arxiv.org/abs/2103.10504>).
///
/// (B, `in_channels`, `img_size`…) → (B, `out_channels`, `img_size`…).
#[derive(Debug)]
pub struct UNETR {
    vit: ViT,
    encoder1: ConvBlock,
    /// From the transformer's layers 3, 6 and 9 up to the levels of the decoder.
    encoders: [Projected; 3],
    /// From the bottom up.
    decoders: [UpBlock; 4],
    output: Convolution,
    grid: Vec<i64>,
}

impl NetworkComponent for UNETR {
    type Args = UNETRArgs;

    fn new(args: UNETRArgs, path: &nn::Path<'_>) -> Result<Self> {
        check_spatial_dims(args.spatial_dims)?;
        let image = args.img_size.repeat(args.spatial_dims, "img_size")?;
        if image.iter().any(|size| size % PATCH != 0) {
            return Err(Error::invalid_argument(format!("`img_size` must be multiples of {PATCH}, found {image:?}")));
        }
        let (hidden, features) = (args.hidden_size, args.feature_size);
        let vit = ViTArgs {
            in_channels: args.in_channels,
            img_size: args.img_size.clone(),
            patch_size: OneOrMany::One(PATCH),
            hidden_size: hidden,
            mlp_dim: args.mlp_dim,
            num_layers: 12,
            num_heads: args.num_heads,
            proj_type: args.proj_type,
            pos_embed_type: PositionEmbedding::Learnable,
            classification: false,
            num_classes: 0,
            dropout_rate: args.dropout_rate,
            spatial_dims: args.spatial_dims,
            post_activation: None,
            qkv_bias: args.qkv_bias,
            save_attn: false,
        };
        let vit = ViT::new(vit, &(path / "vit"))?;
        let style = Style::new(args.spatial_dims, args.norm_name.clone());
        let residual = args.res_block;
        let encoder1 =
            ConvBlock::plain(&(path / "encoder1" / "layer"), &style, [args.in_channels, features], residual)?;
        let projected = |name: &str, factor: i64, doublings: usize| {
            Projected::new(&(path / name), &style, &args, factor * features, doublings)
        };
        let encoders = [projected("encoder2", 2, 2)?, projected("encoder3", 4, 1)?, projected("encoder4", 8, 0)?];
        let up = |name: &str, inputs: i64, factor: i64| {
            UpBlock::doubling(&(path / name), &style, [inputs, factor * features], residual)
        };
        let decoders = [
            up("decoder5", hidden, 8)?,
            up("decoder4", 8 * features, 4)?,
            up("decoder3", 4 * features, 2)?,
            up("decoder2", 2 * features, 1)?,
        ];
        let output = style.output(&(path / "out"), [features, args.out_channels])?;
        let grid = image.iter().map(|size| size / PATCH).collect();
        Ok(Self { vit, encoder1, encoders, decoders, output, grid })
    }
}

impl UNETR {
    /// (B, patches, `hidden_size`) → (B, `hidden_size`, grid…).
    fn as_image(&self, tokens: &Tensor) -> Result<Tensor> {
        Ok(tokens.f_transpose(1, 2)?.f_unflatten(2, self.grid.as_slice())?.f_contiguous()?)
    }
}

impl Network for UNETR {
    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let (tokens, hidden) = self.vit.encode(x, train)?;
        let mut skips = vec![self.encoder1.forward_t(x, train)?];
        for (encoder, layer) in self.encoders.iter().zip([3, 6, 9]) {
            skips.push(encoder.forward_t(&self.as_image(&hidden[layer])?, train)?);
        }
        let mut y = self.as_image(&tokens)?;
        for (decoder, skip) in self.decoders.iter().zip(skips.iter().rev()) {
            y = decoder.forward(&y, skip, train)?;
        }
        self.output.forward_t(&y, train)
    }
}

/// From a layer of the transformer up to a level of the decoder (`UnetrPrUpBlock`).
#[derive(Debug)]
struct Projected {
    first: Convolution,
    blocks: Vec<(Convolution, Option<ConvBlock>)>,
}

impl Projected {
    fn new(path: &nn::Path<'_>, style: &Style, args: &UNETRArgs, outputs: i64, doublings: usize) -> Result<Self> {
        let first = style.doubling(&(path / "transp_conv_init"), [args.hidden_size, outputs])?;
        let channels = [outputs, outputs];
        let mut blocks = Vec::with_capacity(doublings);
        for index in 0..doublings {
            let path = path / "blocks" / index;
            blocks.push(if args.conv_block {
                let up = style.doubling(&(&path / 0), channels)?;
                (up, Some(ConvBlock::plain(&(&path / 1), style, channels, args.res_block)?))
            } else {
                (style.doubling(&path, channels)?, None)
            });
        }
        Ok(Self { first, blocks })
    }
}

impl Layer for Projected {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let mut y = self.first.forward_t(x, train)?;
        for (up, block) in &self.blocks {
            y = block.forward_t(&up.forward_t(&y, train)?, train)?;
        }
        Ok(y)
    }
}
