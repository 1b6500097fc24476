//! The vision transformer.

use byoc::nn::{Layer, LayerSpec, Linear, Norm, check_spatial_dims, init, parameter};
use byoc::{Error, Network, NetworkComponent, OneOrMany, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Tensor, nn};

use super::defaults;
use super::transformer::{
    BlockOptions, PatchEmbedding, PatchEmbeddingOptions, PositionEmbedding, Projection, TransformerBlock,
};

byoc::register! {
    networks: [ViT],
}

/// Vision transformer over patches of an image (MONAI `ViT`).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ViTArgs {
    /// Number of input channels.
    pub in_channels: i64,
    /// Size of the images, one number for all axes or one for each.
    pub img_size: OneOrMany<i64>,
    /// Size of the patches.
    pub patch_size: OneOrMany<i64>,
    /// Features of each token.
    #[serde(default = "defaults::hidden_size")]
    pub hidden_size: i64,
    /// Features within the perceptrons.
    #[serde(default = "defaults::mlp_dim")]
    pub mlp_dim: i64,
    /// Number of blocks.
    #[serde(default = "twelve_layers")]
    pub num_layers: usize,
    /// Number of attention heads; `hidden_size` is divisible by it.
    #[serde(default = "defaults::twelve")]
    pub num_heads: i64,
    /// How a patch becomes a token; older MONAI's `pos_embed`.
    #[serde(default, alias = "pos_embed")]
    #[schemars(extend("x-aliases" = ["pos_embed"]))]
    pub proj_type: Projection,
    /// How a token says where its patch lies.
    #[serde(default)]
    pub pos_embed_type: PositionEmbedding,
    /// Whether the output is a class score, made from a token of its own.
    #[serde(default)]
    pub classification: bool,
    /// Number of classes.
    #[serde(default = "defaults::two")]
    pub num_classes: i64,
    /// Dropout after embedding, attention and perceptron layers.
    #[serde(default)]
    pub dropout_rate: f64,
    /// Number of spatial dimensions: 1, 2 or 3.
    #[serde(default = "defaults::three_dimensions")]
    pub spatial_dims: usize,
    /// `Tanh` after the class scores; anything else leaves them as they are.
    #[serde(default = "tanh")]
    pub post_activation: Option<LayerSpec>,
    /// Whether query, key and value have a bias.
    #[serde(default)]
    pub qkv_bias: bool,
    /// Without effect: the attention is not kept.
    #[serde(default)]
    pub save_attn: bool,
}

fn twelve_layers() -> usize {
    12
}

#[expect(clippy::unnecessary_wraps, reason = "null is a value of its own here")]
fn tanh() -> Option<LayerSpec> {
    Some(LayerSpec::new("Tanh"))
}

/// The network of [`ViTArgs`] (Dosovitskiy et al. 2020, <https://arxiv.org/abs/2010.11929>).
///
/// (B, `in_channels`, `img_size`…) → (B, patches, `hidden_size`), or with `classification` (B, `num_classes`). All its
/// outputs are this one, then the tokens after each block.
#[derive(Debug)]
pub struct ViT {
    class_token: Option<Tensor>,
    embedding: PatchEmbedding,
    blocks: Vec<TransformerBlock>,
    norm: Norm,
    head: Option<Head>,
}

#[derive(Debug)]
struct Head {
    linear: Linear,
    tanh: bool,
}

impl NetworkComponent for ViT {
    type Args = ViTArgs;

    fn new(args: ViTArgs, path: &nn::Path<'_>) -> Result<Self> {
        check_spatial_dims(args.spatial_dims)?;
        let options = BlockOptions {
            hidden_size: args.hidden_size,
            mlp_dim: args.mlp_dim,
            num_heads: args.num_heads,
            dropout_rate: args.dropout_rate,
            qkv_bias: args.qkv_bias,
        };
        options.check()?;
        let class_token = match args.classification {
            true => Some(parameter(path, "cls_token", init::zeros(&[1, 1, args.hidden_size])?)?),
            false => None,
        };
        let embedding = PatchEmbeddingOptions {
            in_channels: args.in_channels,
            img_size: &args.img_size.repeat(args.spatial_dims, "img_size")?,
            patch_size: &args.patch_size.repeat(args.spatial_dims, "patch_size")?,
            hidden_size: args.hidden_size,
            proj_type: args.proj_type,
            pos_embed_type: args.pos_embed_type,
            dropout_rate: args.dropout_rate,
        };
        let embedding = PatchEmbedding::new(&(path / "patch_embedding"), embedding)?;
        let blocks = (0..args.num_layers)
            .map(|index| TransformerBlock::new(&(path / "blocks" / index), options))
            .collect::<Result<_>>()?;
        let norm = Norm::layer(&(path / "norm"), args.hidden_size)?;
        let head = match args.classification {
            true => {
                let tanh = args.post_activation.is_some_and(|act| act.name == "Tanh");
                let path = path / "classification_head";
                let path = if tanh { path / 0 } else { path };
                Some(Head { linear: Linear::new(&path, args.hidden_size, args.num_classes)?, tanh })
            }
            false => None,
        };
        Ok(Self { class_token, embedding, blocks, norm, head })
    }
}

impl ViT {
    /// The output, and the tokens after each block.
    pub(super) fn encode(&self, x: &Tensor, train: bool) -> Result<(Tensor, Vec<Tensor>)> {
        let mut x = self.embedding.forward(x, train)?;
        if let Some(token) = &self.class_token {
            // the batch size is taken from the tokens, so that a trace does not fix it
            let tokens = x.f_narrow(1, 0, 1)?.f_zeros_like()?.f_add(token)?;
            x = Tensor::f_cat(&[&tokens, &x], 1)?;
        }
        let mut hidden = Vec::with_capacity(self.blocks.len());
        for block in &self.blocks {
            x = block.forward_t(&x, train)?;
            hidden.push(x.shallow_clone());
        }
        let x = self.norm.forward(&x, train)?;
        let Some(head) = &self.head else {
            return Ok((x, hidden));
        };
        let scores = head.linear.forward(&x.f_select(1, 0)?)?;
        Ok((if head.tanh { scores.f_tanh()? } else { scores }, hidden))
    }
}

impl Network for ViT {
    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        Ok(self.encode(x, train)?.0)
    }

    fn forward_all(&self, inputs: &[Tensor], train: bool) -> Result<Vec<Tensor>> {
        let Some(x) = inputs.first() else {
            return Err(Error::data("a network needs at least one input"));
        };
        let (y, hidden) = self.encode(x, train)?;
        Ok(std::iter::once(y).chain(hidden).collect())
    }
}
