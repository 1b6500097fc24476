//! Images as sequences of patches.

use byoc::nn::{Conv, ConvOptions, Dropout, Linear, buffer, init, parameter};
use byoc::{Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Device, Kind, Tensor, nn};

/// How a patch becomes a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Projection {
    /// A convolution whose kernel and stride are the patch.
    #[default]
    Conv,
    /// A linear layer over the patch's values.
    Perceptron,
}

/// How a token says where its patch lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum PositionEmbedding {
    /// Learned from zeros.
    None,
    /// Learned from small random numbers.
    #[default]
    Learnable,
    /// Sines and cosines of the position, not trained; 2 or 3 dimensions.
    Sincos,
    /// Sines and cosines of random frequencies, not trained; they belong to the checkpoint.
    Fourier,
}

/// What a [`PatchEmbedding`] looks like.
#[derive(Debug, Clone)]
pub(in super::super) struct PatchEmbeddingOptions<'a> {
    pub(in super::super) in_channels: i64,
    pub(in super::super) img_size: &'a [i64],
    pub(in super::super) patch_size: &'a [i64],
    pub(in super::super) hidden_size: i64,
    pub(in super::super) proj_type: Projection,
    pub(in super::super) pos_embed_type: PositionEmbedding,
    pub(in super::super) dropout_rate: f64,
}

/// `monai.networks.blocks.PatchEmbeddingBlock`: (B, C, spatial…) → (B, patches, `hidden_size`).
#[derive(Debug)]
pub(in super::super) struct PatchEmbedding {
    projection: Project,
    positions: Tensor,
    dropout: Dropout,
    image: Vec<i64>,
}

#[derive(Debug)]
enum Project {
    Conv(Conv),
    Perceptron { linear: Linear, patch_size: Vec<i64> },
}

impl PatchEmbedding {
    pub(in super::super) fn new(path: &nn::Path<'_>, options: PatchEmbeddingOptions<'_>) -> Result<Self> {
        let PatchEmbeddingOptions { in_channels, img_size, patch_size, hidden_size, proj_type, .. } = options;
        let perceptron = proj_type == Projection::Perceptron;
        for (&image, &patch) in img_size.iter().zip(patch_size) {
            if patch < 1 || image < patch || (perceptron && image % patch != 0) {
                return Err(Error::invalid_argument(format!(
                    "`img_size` {img_size:?} must be at least `patch_size` {patch_size:?}, and divisible by it with \
                     `proj_type` `perceptron`"
                )));
            }
        }
        let grid: Vec<i64> = img_size.iter().zip(patch_size).map(|(image, patch)| image / patch).collect();
        let positions = positions(path, options.pos_embed_type, &grid, hidden_size)?;
        let embeddings = path / "patch_embeddings";
        let projection = if perceptron {
            let values = in_channels * patch_size.iter().product::<i64>();
            let linear = Linear::new(&(&embeddings / 1), values, hidden_size)?;
            initialise(&linear)?;
            Project::Perceptron { linear, patch_size: patch_size.to_vec() }
        } else {
            let conv = ConvOptions::new(img_size.len(), in_channels, hidden_size, patch_size).stride(patch_size);
            Project::Conv(Conv::new(&embeddings, conv)?)
        };
        let dropout = Dropout::new(&options.dropout_rate.into(), 1)?;
        Ok(Self { projection, positions, dropout, image: img_size.to_vec() })
    }

    pub(in super::super) fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let size = x.size();
        if size.len() != self.image.len() + 2 || size[2..] != self.image {
            return Err(Error::data(format!(
                "the network is made for images of `img_size` {:?}, found an input of shape {size:?}: crop or resize \
                 to it, or change `img_size`",
                self.image
            )));
        }
        let tokens = match &self.projection {
            Project::Conv(conv) => conv.forward(x)?.f_flatten(2, -1)?.f_transpose(-1, -2)?,
            Project::Perceptron { linear, patch_size } => linear.forward(&patches(x, patch_size)?)?,
        };
        self.dropout.forward(&tokens.f_add(&self.positions)?, train)
    }
}

/// Small normal weights and no bias.
fn initialise(linear: &Linear) -> Result<()> {
    init::assign(linear.weight(), &init::truncated_normal(&linear.weight().size(), 0.02)?)?;
    linear.bias().map_or(Ok(()), |bias| init::assign(bias, &init::zeros(&bias.size())?))
}

/// (B, C, spatial…) → (B, patches, values), the channel running fastest within a patch.
fn patches(x: &Tensor, patch_size: &[i64]) -> Result<Tensor> {
    let n = patch_size.len() as i64;
    let mut y = x.shallow_clone();
    for (axis, &patch) in patch_size.iter().enumerate() {
        y = y.f_unflatten(2 + 2 * axis as i64, [-1, patch])?;
    }
    let order: Vec<i64> = std::iter::once(0)
        .chain((0..n).map(|axis| 2 + 2 * axis))
        .chain((0..n).map(|axis| 3 + 2 * axis))
        .chain(std::iter::once(1))
        .collect();
    Ok(y.f_permute(order)?.f_flatten(1 + n, -1)?.f_flatten(1, n)?)
}

/// `position_embeddings`, (1, patches, `hidden_size`).
fn positions(path: &nn::Path<'_>, kind: PositionEmbedding, grid: &[i64], hidden_size: i64) -> Result<Tensor> {
    let name = "position_embeddings";
    let shape = [1, grid.iter().product(), hidden_size];
    match kind {
        PositionEmbedding::None => parameter(path, name, init::zeros(&shape)?),
        PositionEmbedding::Learnable => parameter(path, name, init::truncated_normal(&shape, 0.02)?),
        PositionEmbedding::Sincos => buffer(path, name, sines(grid, hidden_size)?),
        PositionEmbedding::Fourier => buffer(path, name, random_waves(grid, hidden_size)?),
    }
}

/// Sines and cosines with wavelengths from 2π to 2π · 10000 patches, of the second axis first, then of the first and
/// the third, as MONAI has them.
fn sines(grid: &[i64], hidden_size: i64) -> Result<Tensor> {
    let order: &[usize] = match grid.len() {
        2 => &[1, 0],
        3 => &[1, 0, 2],
        n => {
            return Err(Error::invalid_argument(format!(
                "`pos_embed_type` `sincos` is for 2 or 3 spatial dimensions, found {n}"
            )));
        }
    };
    let parts = 2 * grid.len() as i64;
    if hidden_size % parts != 0 {
        return Err(Error::invalid_argument(format!(
            "`hidden_size` {hidden_size} must be divisible by {parts} with `pos_embed_type` `sincos`"
        )));
    }
    let frequencies = hidden_size / parts;
    let exponents = Tensor::f_arange(frequencies, (Kind::Float, Device::Cpu))?.f_div_scalar(frequencies as f64)?;
    let frequencies = exponents.f_mul_scalar(-(10_000f64.ln()))?.f_exp()?;
    let ranges: Vec<Tensor> =
        grid.iter().map(|&size| Tensor::f_arange(size, (Kind::Float, Device::Cpu))).collect::<Result<_, _>>()?;
    let coordinates = Tensor::f_meshgrid_indexing(&ranges, "ij")?;
    let mut features = Vec::with_capacity(parts as usize);
    for &axis in order {
        let angles = coordinates[axis].f_flatten(0, -1)?.f_outer(&frequencies)?;
        features.extend([angles.f_sin()?, angles.f_cos()?]);
    }
    Ok(Tensor::f_cat(&features, 1)?.f_unsqueeze(0)?)
}

/// Sines and cosines of normally distributed frequencies (<https://arxiv.org/abs/2509.02488>).
fn random_waves(grid: &[i64], hidden_size: i64) -> Result<Tensor> {
    if hidden_size % 2 != 0 {
        return Err(Error::invalid_argument(format!(
            "`hidden_size` {hidden_size} must be even with `pos_embed_type` `fourier`"
        )));
    }
    let frequencies = init::normal(&[grid.len() as i64, hidden_size / 2], 0.0, 1.0)?;
    let ranges: Vec<Tensor> = grid
        .iter()
        .map(|&size| Tensor::f_linspace(0.0, 1.0, size, (Kind::Float, Device::Cpu)))
        .collect::<Result<_, _>>()?;
    let positions = Tensor::f_stack(&Tensor::f_meshgrid_indexing(&ranges, "ij")?, -1)?.f_flatten(0, -2)?;
    let angles = positions.f_mul_scalar(2.0 * std::f64::consts::PI)?.f_matmul(&frequencies)?;
    Ok(Tensor::f_cat(&[angles.f_sin()?, angles.f_cos()?], -1)?.f_unsqueeze(0)?)
}
