//! The parts of vision transformers (Dosovitskiy et al. 2020, <https://arxiv.org/abs/2010.11929>) with MONAI's
//! parameter names.

mod patch_embedding;

use byoc::nn::{Activation, Dropout, Layer, LayerSpec, Linear, Norm};
use byoc::{Error, Result};
use tch::{Kind, Tensor, nn};

pub(super) use patch_embedding::{PatchEmbedding, PatchEmbeddingOptions};
pub use patch_embedding::{PositionEmbedding, Projection};

/// What the blocks of a transformer have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockOptions {
    pub(super) hidden_size: i64,
    pub(super) mlp_dim: i64,
    pub(super) num_heads: i64,
    pub(super) dropout_rate: f64,
    pub(super) qkv_bias: bool,
}

impl BlockOptions {
    /// # Errors
    ///
    /// The features cannot be divided among the heads.
    #[track_caller]
    pub(super) fn check(&self) -> Result<()> {
        check_heads(self.hidden_size, self.num_heads, "hidden_size")
    }
}

/// An error unless `features` can be divided among the heads.
#[track_caller]
pub(super) fn check_heads(features: i64, num_heads: i64, what: &str) -> Result<()> {
    if features > 0 && num_heads > 0 && features % num_heads == 0 {
        return Ok(());
    }
    Err(Error::invalid_argument(format!("`{what}` {features} must be divisible by `num_heads`, {num_heads}")))
}

/// `monai.networks.blocks.TransformerBlock` without cross attention: attention within the sequence and a perceptron,
/// each behind a layer norm and beside a shortcut.
#[derive(Debug)]
pub(super) struct TransformerBlock {
    mlp: Mlp,
    norm1: Norm,
    attention: SelfAttention,
    norm2: Norm,
}

impl TransformerBlock {
    pub(super) fn new(path: &nn::Path<'_>, options: BlockOptions) -> Result<Self> {
        let BlockOptions { hidden_size, mlp_dim, dropout_rate, .. } = options;
        let mlp = Mlp::new(&(path / "mlp"), hidden_size, mlp_dim, dropout_rate)?;
        let norm1 = Norm::layer(&(path / "norm1"), hidden_size)?;
        let attention = SelfAttention::new(&(path / "attn"), options)?;
        let norm2 = Norm::layer(&(path / "norm2"), hidden_size)?;
        // MONAI has the norm of the cross attention, and its parameters in checkpoints, without using it
        let _unused = Norm::layer(&(path / "norm_cross_attn"), hidden_size)?;
        Ok(Self { mlp, norm1, attention, norm2 })
    }
}

impl Layer for TransformerBlock {
    /// (B, tokens, `hidden_size`); the shape stays.
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let x = x.f_add(&self.attention.forward_t(&self.norm1.forward(x, train)?, train)?)?;
        Ok(x.f_add(&self.mlp.forward_t(&self.norm2.forward(&x, train)?, train)?)?)
    }
}

/// `monai.networks.blocks.SABlock`: every token looks at every other.
#[derive(Debug)]
struct SelfAttention {
    output: Linear,
    qkv: Linear,
    dropout: Dropout,
    num_heads: i64,
    head_size: i64,
}

impl SelfAttention {
    fn new(path: &nn::Path<'_>, options: BlockOptions) -> Result<Self> {
        let BlockOptions { hidden_size, num_heads, dropout_rate, qkv_bias, .. } = options;
        Ok(Self {
            output: Linear::new(&(path / "out_proj"), hidden_size, hidden_size)?,
            qkv: Linear::with_bias(&(path / "qkv"), hidden_size, 3 * hidden_size, qkv_bias)?,
            dropout: Dropout::new(&dropout_rate.into(), 1)?,
            num_heads,
            head_size: hidden_size / num_heads,
        })
    }
}

impl Layer for SelfAttention {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let [query, key, value] = split_heads(&self.qkv.forward(x)?, self.num_heads, self.head_size)?;
        let scores = query.f_matmul(&key.f_transpose(-2, -1)?)?.f_mul_scalar((self.head_size as f64).powf(-0.5))?;
        let weights = self.dropout.forward(&scores.f_softmax(-1, None::<Kind>)?, train)?;
        let y = join_heads(&weights.f_matmul(&value)?)?;
        self.dropout.forward(&self.output.forward(&y)?, train)
    }
}

/// (B, tokens, 3 · heads · features) → three of (B, heads, tokens, features): query, key and value.
pub(super) fn split_heads(qkv: &Tensor, num_heads: i64, head_size: i64) -> Result<[Tensor; 3]> {
    let split = qkv.f_unflatten(-1, [3, num_heads, head_size])?.f_permute([2, 0, 3, 1, 4])?;
    Ok([split.f_select(0, 0)?, split.f_select(0, 1)?, split.f_select(0, 2)?])
}

/// (B, heads, tokens, features) → (B, tokens, heads · features).
pub(super) fn join_heads(x: &Tensor) -> Result<Tensor> {
    Ok(x.f_transpose(1, 2)?.f_flatten(2, 3)?)
}

/// `monai.networks.blocks.MLPBlock`: two linear layers with a GELU between them.
#[derive(Debug)]
pub(super) struct Mlp {
    first: Linear,
    second: Linear,
    act: Activation,
    dropout: Dropout,
}

impl Mlp {
    /// Within it are `mlp_dim` features, or as many as outside if that is 0.
    pub(super) fn new(path: &nn::Path<'_>, hidden_size: i64, mlp_dim: i64, dropout_rate: f64) -> Result<Self> {
        let inner = if mlp_dim == 0 { hidden_size } else { mlp_dim };
        Ok(Self {
            first: Linear::new(&(path / "linear1"), hidden_size, inner)?,
            second: Linear::new(&(path / "linear2"), inner, hidden_size)?,
            act: Activation::without_parameters(&LayerSpec::new("GELU"))?,
            dropout: Dropout::new(&dropout_rate.into(), 1)?,
        })
    }
}

impl Layer for Mlp {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let x = self.dropout.forward(&self.act.forward(&self.first.forward(x)?)?, train)?;
        self.dropout.forward(&self.second.forward(&x)?, train)
    }
}
