//! Attention within windows.

use byoc::nn::{Dropout, Linear, buffer, init, parameter};
use byoc::{Error, Result};
use tch::{Kind, Tensor, nn};

use super::super::transformer::{check_heads, join_heads, split_heads};

/// `monai.networks.nets.swin_unetr.WindowAttention`: attention with a bias for each pair of relative positions.
#[derive(Debug)]
pub(super) struct WindowAttention {
    /// A bias per relative position and head.
    table: Tensor,
    /// Which of them belongs to a pair of voxels.
    index: Tensor,
    qkv: Linear,
    attention_dropout: Dropout,
    projection: Linear,
    dropout: Dropout,
    num_heads: i64,
    head_size: i64,
}

/// What a [`WindowAttention`] looks like.
#[derive(Debug, Clone, Copy)]
pub(super) struct AttentionOptions<'a> {
    pub(super) features: i64,
    pub(super) num_heads: i64,
    pub(super) window: &'a [i64],
    pub(super) qkv_bias: bool,
    pub(super) attention_dropout: f64,
    pub(super) dropout: f64,
}

impl WindowAttention {
    pub(super) fn new(path: &nn::Path<'_>, options: AttentionOptions<'_>) -> Result<Self> {
        let AttentionOptions { features, num_heads, window, qkv_bias, .. } = options;
        check_heads(features, num_heads, "feature_size")?;
        if window.iter().any(|&size| size < 1) {
            return Err(Error::invalid_argument(format!("`window_size` must be positive, found {window:?}")));
        }
        let relative: i64 = window.iter().map(|size| 2 * size - 1).product();
        let table = init::truncated_normal(&[relative, num_heads], 0.02)?;
        Ok(Self {
            table: parameter(path, "relative_position_bias_table", table)?,
            index: buffer(path, "relative_position_index", relative_positions(window)?)?,
            qkv: Linear::with_bias(&(path / "qkv"), features, 3 * features, qkv_bias)?,
            attention_dropout: Dropout::new(&options.attention_dropout.into(), 1)?,
            projection: Linear::new(&(path / "proj"), features, features)?,
            dropout: Dropout::new(&options.dropout.into(), 1)?,
            num_heads,
            head_size: features / num_heads,
        })
    }

    /// (B · windows, voxels, features), with a mask (windows, voxels, voxels) for shifted windows; the shape stays.
    pub(super) fn forward(&self, x: &Tensor, mask: Option<&Tensor>, train: bool) -> Result<Tensor> {
        let [query, key, value] = split_heads(&self.qkv.forward(x)?, self.num_heads, self.head_size)?;
        let query = query.f_mul_scalar((self.head_size as f64).powf(-0.5))?;
        let mut scores = query.f_matmul(&key.f_transpose(-2, -1)?)?.f_add(&self.bias(x.size()[1])?)?;
        if let Some(mask) = mask {
            let windows = mask.size()[0];
            let masked = scores.f_unflatten(0, [-1, windows])?.f_add(&mask.f_unsqueeze(1)?)?;
            scores = masked.f_flatten(0, 1)?;
        }
        let weights = self.attention_dropout.forward(&scores.f_softmax(-1, None::<Kind>)?, train)?;
        let y = join_heads(&weights.f_to_kind(value.kind())?.f_matmul(&value)?)?;
        self.dropout.forward(&self.projection.forward(&y)?, train)
    }

    /// (heads, voxels, voxels). Of a window that is smaller than the configured one MONAI takes the first rows and
    /// columns, whatever positions they stand for.
    fn bias(&self, voxels: i64) -> Result<Tensor> {
        let index = self.index.f_narrow(0, 0, voxels)?.f_narrow(1, 0, voxels)?.f_flatten(0, -1)?;
        let bias = self.table.f_index_select(0, &index)?;
        Ok(bias.f_unflatten(0, [voxels, voxels])?.f_permute([2, 0, 1])?.f_contiguous()?)
    }
}

/// The number of the relative position of each pair of voxels of a window, (voxels, voxels), int64.
fn relative_positions(window: &[i64]) -> Result<Tensor> {
    let voxels: i64 = window.iter().product();
    let coordinates = |mut voxel: i64| {
        let mut at = vec![0; window.len()];
        for (at, size) in at.iter_mut().zip(window).rev() {
            (*at, voxel) = (voxel % size, voxel / size);
        }
        at
    };
    let all: Vec<Vec<i64>> = (0..voxels).map(coordinates).collect();
    let mut index = Vec::with_capacity((voxels * voxels) as usize);
    for from in &all {
        for to in &all {
            let steps = from.iter().zip(to).zip(window);
            index.push(steps.fold(0, |number, ((from, to), size)| number * (2 * size - 1) + from - to + size - 1));
        }
    }
    Ok(Tensor::f_from_slice(&index)?.f_view([voxels, voxels])?)
}

#[cfg(test)]
mod tests {
    use tch::Tensor;

    use super::relative_positions;

    #[test]
    fn relative_positions_are_numbered_as_in_monai() {
        // `WindowAttention(12, 3, (2, 2)).relative_position_index`, and the first row of that for (2, 1, 3)
        let expected = [4i64, 3, 1, 0, 5, 4, 2, 1, 7, 6, 4, 3, 8, 7, 5, 4];
        assert_eq!(relative_positions(&[2, 2]).unwrap(), Tensor::from_slice(&expected).view([4, 4]));
        let row = relative_positions(&[2, 1, 3]).unwrap().get(0);
        assert_eq!(row, Tensor::from_slice(&[7i64, 6, 5, 2, 1, 0]));
    }
}
