//! `torch.nn.TransformerEncoder` with its default layers.

use byoc::nn::{Dropout, Layer, Linear, Norm, init, parameter};
use byoc::{Error, Result};
use tch::{Kind, Tensor, nn};

use super::super::transformer::{join_heads, split_heads};

/// What an [`Encoder`] looks like.
#[derive(Debug, Clone, Copy)]
pub(super) struct EncoderOptions {
    pub(super) features: i64,
    pub(super) layers: usize,
    pub(super) dropout: f64,
}

/// Layers of attention and perceptrons, normalised after their shortcuts (Vaswani et al. 2017,
/// <https://arxiv.org/abs/1706.03762>). PyTorch starts all layers from the same random weights, here each has its own.
#[derive(Debug)]
pub(super) struct Encoder(Vec<EncoderLayer>);

impl Encoder {
    pub(super) fn new(path: &nn::Path<'_>, options: EncoderOptions) -> Result<Self> {
        if options.layers == 0 {
            return Err(Error::invalid_argument("`trans_blocks` must be at least 1"));
        }
        let layer = |index| EncoderLayer::new(&(path / "layers" / index), options);
        Ok(Self((0..options.layers).map(layer).collect::<Result<_>>()?))
    }

    /// (B, tokens, features); the shape stays.
    pub(super) fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        self.0.iter().try_fold(x.shallow_clone(), |x, layer| layer.forward_t(&x, train))
    }
}

const HEADS: i64 = 8;
const INNER: i64 = 2048;

#[derive(Debug)]
struct EncoderLayer {
    weight: Tensor,
    bias: Tensor,
    output: Linear,
    first: Linear,
    second: Linear,
    norm1: Norm,
    norm2: Norm,
    dropout: Dropout,
    head_size: i64,
}

impl EncoderLayer {
    fn new(path: &nn::Path<'_>, EncoderOptions { features, dropout, .. }: EncoderOptions) -> Result<Self> {
        let attention = path / "self_attn";
        // Glorot and Bengio 2010
        let range = (6.0 / (4 * features) as f64).sqrt();
        let weight = init::uniform(&[3 * features, features], -range, range)?;
        let weight = parameter(&attention, "in_proj_weight", weight)?;
        let bias = parameter(&attention, "in_proj_bias", init::zeros(&[3 * features])?)?;
        let output = Linear::new(&(&attention / "out_proj"), features, features)?;
        if let Some(bias) = output.bias() {
            init::assign(bias, &init::zeros(&bias.size())?)?;
        }
        Ok(Self {
            weight,
            bias,
            output,
            first: Linear::new(&(path / "linear1"), features, INNER)?,
            second: Linear::new(&(path / "linear2"), INNER, features)?,
            norm1: Norm::layer(&(path / "norm1"), features)?,
            norm2: Norm::layer(&(path / "norm2"), features)?,
            dropout: Dropout::new(&dropout.into(), 1)?,
            head_size: features / HEADS,
        })
    }

    fn attend(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let qkv = x.f_linear(&self.weight, Some(&self.bias))?;
        let [query, key, value] = split_heads(&qkv, HEADS, self.head_size)?;
        let scores = query.f_mul_scalar((self.head_size as f64).powf(-0.5))?.f_matmul(&key.f_transpose(-2, -1)?)?;
        let weights = self.dropout.forward(&scores.f_softmax(-1, None::<Kind>)?, train)?;
        self.output.forward(&join_heads(&weights.f_matmul(&value)?)?)
    }
}

impl Layer for EncoderLayer {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let y = self.dropout.forward(&self.attend(x, train)?, train)?;
        let x = self.norm1.forward(&x.f_add(&y)?, train)?;
        let y = self.dropout.forward(&self.first.forward(&x)?.f_relu()?, train)?;
        let y = self.dropout.forward(&self.second.forward(&y)?, train)?;
        self.norm2.forward(&x.f_add(&y)?, train)
    }
}
