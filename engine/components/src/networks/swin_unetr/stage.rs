//! A stage of the transformer: blocks of attention, then patches are merged.

use byoc::Result;
use byoc::nn::{Layer, Linear, Norm};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Tensor, nn};

use super::super::drop_path::DropPath;
use super::super::transformer::Mlp;
use super::attention::{AttentionOptions, WindowAttention};
use super::windows::Windows;

/// In which order the features of neighbouring patches are joined; 2-D networks know only one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Merging {
    /// The order of the published weights.
    #[default]
    Merging,
    /// The last axis runs fastest.
    MergingV2,
}

/// What a [`Stage`] looks like.
#[derive(Debug, Clone)]
pub(super) struct StageOptions<'a> {
    pub(super) features: i64,
    pub(super) num_heads: i64,
    pub(super) window: &'a [i64],
    /// For each block the probability of being left out.
    pub(super) drop_path: Vec<f64>,
    pub(super) mlp_ratio: f64,
    pub(super) qkv_bias: bool,
    pub(super) dropout: f64,
    pub(super) attention_dropout: f64,
    pub(super) merging: Merging,
}

/// `monai.networks.nets.swin_unetr.BasicLayer`: (B, C, spatial…) → (B, 2 · C, spatial / 2…).
#[derive(Debug)]
pub(super) struct Stage {
    blocks: Vec<Block>,
    norm: Norm,
    reduction: Linear,
    window: Vec<i64>,
    merging: Merging,
}

impl Stage {
    pub(super) fn new(path: &nn::Path<'_>, options: &StageOptions<'_>) -> Result<Self> {
        let mut blocks = Vec::with_capacity(options.drop_path.len());
        for (index, &drop_path) in options.drop_path.iter().enumerate() {
            blocks.push(Block::new(&(path / "blocks" / index), options, index % 2 == 1, drop_path)?);
        }
        let merged = options.features << options.window.len();
        let path = path / "downsample";
        let reduction = Linear::with_bias(&(&path / "reduction"), merged, 2 * options.features, false)?;
        let norm = Norm::layer(&(&path / "norm"), merged)?;
        Ok(Self { blocks, norm, reduction, window: options.window.to_vec(), merging: options.merging })
    }
}

impl Layer for Stage {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let windows = Windows::new(&x.size()[2..], &self.window);
        let masked = windows.can_shift() && self.blocks.iter().any(|block| block.shifted);
        let mask = masked.then(|| windows.mask(x.device())).transpose()?;
        let mut x = x.f_movedim_int(1, -1)?;
        for block in &self.blocks {
            x = block.forward(&x, &windows, mask.as_ref(), train)?;
        }
        let x = self.norm.forward(&join_neighbours(&x, self.merging)?, train)?;
        Ok(self.reduction.forward(&x)?.f_movedim_int(-1, 1)?.f_contiguous()?)
    }
}

/// (B, spatial…, C) → (B, spatial / 2…, C · 2ⁿ); an odd axis is padded with zeros.
fn join_neighbours(x: &Tensor, merging: Merging) -> Result<Tensor> {
    let size = x.size();
    let spatial = &size[1..size.len() - 1];
    let mut x = x.shallow_clone();
    if spatial.iter().any(|size| size % 2 == 1) {
        let mut padding = vec![0, 0];
        padding.extend(spatial.iter().rev().flat_map(|size| [0, size % 2]));
        x = x.f_pad(padding, "constant", 0.0)?;
    }
    // which neighbour of each axis, bit by bit
    let order: &[[i64; 3]] = match (spatial.len(), merging) {
        // the first axis runs fastest here: MONAI exchanges the two
        (2, _) => &[[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]],
        (_, Merging::Merging) => {
            &[[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 1, 1]]
        }
        (_, Merging::MergingV2) => {
            &[[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1], [1, 0, 0], [1, 0, 1], [1, 1, 0], [1, 1, 1]]
        }
    };
    let mut parts = Vec::with_capacity(order.len());
    for start in order {
        let mut part = x.shallow_clone();
        for axis in 0..spatial.len() {
            part = part.f_slice(1 + axis as i64, start[axis], None, 2)?;
        }
        parts.push(part);
    }
    Ok(Tensor::f_cat(&parts, -1)?)
}

/// `monai.networks.nets.swin_unetr.SwinTransformerBlock`.
#[derive(Debug)]
struct Block {
    norm1: Norm,
    attention: WindowAttention,
    norm2: Norm,
    mlp: Mlp,
    shifted: bool,
    drop_path: DropPath,
}

impl Block {
    fn new(path: &nn::Path<'_>, options: &StageOptions<'_>, shifted: bool, drop_path: f64) -> Result<Self> {
        let features = options.features;
        let attention = AttentionOptions {
            features,
            num_heads: options.num_heads,
            window: options.window,
            qkv_bias: options.qkv_bias,
            attention_dropout: options.attention_dropout,
            dropout: options.dropout,
        };
        let inner = (features as f64 * options.mlp_ratio) as i64;
        Ok(Self {
            norm1: Norm::layer(&(path / "norm1"), features)?,
            attention: WindowAttention::new(&(path / "attn"), attention)?,
            norm2: Norm::layer(&(path / "norm2"), features)?,
            mlp: Mlp::new(&(path / "mlp"), features, inner, options.dropout)?,
            shifted,
            drop_path: DropPath::new(drop_path, "dropout_path_rate")?,
        })
    }

    /// (B, spatial…, C); the shape stays.
    fn forward(&self, x: &Tensor, windows: &Windows, mask: Option<&Tensor>, train: bool) -> Result<Tensor> {
        let y = windows.split(&self.norm1.forward(x, train)?, self.shifted)?;
        let y = self.attention.forward(&y, mask.filter(|_| self.shifted), train)?;
        let y = windows.join(&y, self.shifted)?;
        let x = x.f_add(&self.drop_path.forward(&y, train)?)?;
        let y = self.mlp.forward_t(&self.norm2.forward(&x, train)?, train)?;
        Ok(x.f_add(&self.drop_path.forward(&y, train)?)?)
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn neighbours_are_joined_in_monais_orders() {
        // voxel (d, h, w) of a 2 × 2 × 2 cube holds 4 d + 2 h + w
        let cube = Tensor::arange(8, (Kind::Float, Device::Cpu)).view([1, 2, 2, 2, 1]);
        let joined = |merging| Vec::<f32>::try_from(join_neighbours(&cube, merging).unwrap().flatten(0, -1)).unwrap();
        assert_eq!(joined(Merging::Merging), [0.0, 4.0, 2.0, 1.0, 6.0, 5.0, 3.0, 7.0]);
        assert_eq!(joined(Merging::MergingV2), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        // an odd image is padded, and in two dimensions the first axis runs fastest
        let image = Tensor::arange_start(1, 4, (Kind::Float, Device::Cpu)).view([1, 3, 1, 1]);
        let joined = join_neighbours(&image, Merging::Merging).unwrap();
        assert_eq!(joined.size(), [1, 2, 1, 4]);
        assert_eq!(Vec::<f32>::try_from(joined.flatten(0, -1)).unwrap(), [1.0, 2.0, 0.0, 0.0, 3.0, 0.0, 0.0, 0.0]);
    }
}
