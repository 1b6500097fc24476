//! `AHNet`: a network for volumes whose slices are far apart.

mod blocks;

use byoc::nn::{Conv, Layer, Norm, Sequential, pool};
use byoc::{Error, Network, NetworkComponent, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Tensor, nn};

use super::defaults;
use blocks::{Bottleneck, BottleneckOptions, PseudoDense, Pyramid, UpTransition, flat_conv, initialise};

byoc::register! {
    networks: [AHNet = "AHNet" | "AHnet" | "Ahnet"],
}

/// Anisotropic hybrid network: convolutions within and between slices (MONAI `AHNet`).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AHNetArgs {
    /// Residual blocks of each of the four stages.
    #[serde(default = "default_layers")]
    pub layers: [usize; 4],
    /// Number of spatial dimensions: 2 or 3.
    #[serde(default = "defaults::three_dimensions")]
    pub spatial_dims: usize,
    /// Number of input channels.
    #[serde(default = "defaults::one")]
    pub in_channels: i64,
    /// Number of output channels.
    #[serde(default = "defaults::one")]
    pub out_channels: i64,
    /// Levels of the pooling pyramid before the output, 0 to 4.
    #[serde(default = "four")]
    pub psp_block_num: usize,
    /// How images are enlarged.
    #[serde(default)]
    pub upsample_mode: AHNetUpsampling,
    /// Pretrained weights are not included; a checkpoint can be loaded instead.
    #[serde(default)]
    pub pretrained: bool,
    /// Not used.
    #[serde(default = "defaults::yes")]
    pub progress: bool,
}

fn default_layers() -> [usize; 4] {
    [3, 4, 6, 3]
}

fn four() -> usize {
    4
}

/// How an `AHNet` makes images larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum AHNetUpsampling {
    /// By transposed convolutions.
    #[default]
    Transpose,
    /// By interpolation in two dimensions.
    Bilinear,
    /// By interpolation in three dimensions.
    Trilinear,
    /// By repeating values.
    Nearest,
}

/// The network of [`AHNetArgs`] (Liu et al. 2018, <https://arxiv.org/abs/1711.08580>).
///
/// (B, `in_channels`, spatial…) → (B, `out_channels`, spatial…). The last axis, across the slices, is divisible by 32;
/// the others by 2 ^ (`psp_block_num` + 3) and at least 32 with `transpose`, else by 32 and at least
/// 2 ^ (`psp_block_num` + 3). At least one axis has 64 voxels or more.
#[derive(Debug)]
pub struct AHNet {
    first: Conv,
    first_norm: Norm,
    stages: [Sequential; 4],
    /// From the bottom up, each with what follows the shortcut.
    ups: [(UpTransition, PseudoDense); 3],
    transition: UpTransition,
    transition_dense: PseudoDense,
    last_up: (UpTransition, PseudoDense),
    pyramid: Pyramid,
    output: UpTransition,
    overlapping: bool,
}

impl NetworkComponent for AHNet {
    type Args = AHNetArgs;

    fn new(args: AHNetArgs, path: &nn::Path<'_>) -> Result<Self> {
        let dims = args.spatial_dims;
        if !(2..=3).contains(&dims) {
            return Err(Error::invalid_argument(format!("`spatial_dims` must be 2 or 3, found {dims}")));
        }
        if args.psp_block_num > 4 {
            return Err(Error::invalid_argument(format!(
                "`psp_block_num` must be 0 to 4, found {}",
                args.psp_block_num
            )));
        }
        let mode = args.upsample_mode;
        if (mode, dims) == (AHNetUpsampling::Bilinear, 3) || (mode, dims) == (AHNetUpsampling::Trilinear, 2) {
            return Err(Error::invalid_argument(
                "`upsample_mode` is `bilinear` in two and `trilinear` in three dimensions",
            ));
        }
        defaults::warn_of_pretrained(args.pretrained, "AHNet");
        let first = flat_conv(dims, args.in_channels, 64, [7, 7, 3]).stride(last(dims, [2, 2, 1]));
        let first = Conv::new(&(path / "conv1"), first)?;
        initialise(first.weight(), 64)?;
        let first_norm = Norm::new(&(path / "bn0"), &"batch".into(), dims, 64)?;
        let mut inputs = 64;
        let mut stage = |index: usize, planes: i64, stride: i64| -> Result<Sequential> {
            let mut blocks = Sequential::new();
            for block in 0..args.layers[index] {
                let options = BottleneckOptions {
                    spatial_dims: dims,
                    inputs,
                    planes,
                    stride: if block == 0 { stride } else { 1 },
                    first: block == 0,
                };
                blocks.push(Bottleneck::new(&(path / format!("layer{}", index + 1) / block), options)?);
                inputs = 4 * planes;
            }
            Ok(blocks)
        };
        let stages = [stage(0, 64, 1)?, stage(1, 128, 2)?, stage(2, 256, 2)?, stage(3, 512, 2)?];
        let up = |number: usize, inputs, outputs| -> Result<_> {
            let up =
                UpTransition::new(&(path / format!("up{number}")), dims, [inputs, outputs], [1, 1, 1], Some(mode))?;
            Ok(up)
        };
        let dense = |number: usize, inputs| PseudoDense::new(&(path / format!("dense{number}")), dims, inputs);
        let added = PseudoDense::ADDED;
        let ups = [
            (up(0, 2048, 1024)?, dense(0, 1024)?),
            (up(1, 1024 + added, 512)?, dense(1, 512)?),
            (up(2, 512 + added, 256)?, dense(2, 256)?),
        ];
        let transition = UpTransition::new(&(path / "trans1"), dims, [256 + added, 64], [1, 1, 1], None)?;
        let transition_dense = dense(3, 64)?;
        let last_up = (up(3, 64 + added, 64)?, dense(4, 64)?);
        let pyramid = Pyramid::new(&(path / "psp"), dims, args.psp_block_num, 64 + added, mode)?;
        let channels = [64 + added + args.psp_block_num as i64, args.out_channels];
        let output = UpTransition::new(&(path / "final"), dims, channels, [3, 3, 1], Some(mode))?;
        let overlapping = matches!(mode, AHNetUpsampling::Bilinear | AHNetUpsampling::Trilinear);
        Ok(Self { first, first_norm, stages, ups, transition, transition_dense, last_up, pyramid, output, overlapping })
    }
}

impl Network for AHNet {
    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let dims = x.dim().saturating_sub(2).clamp(2, 3);
        let pair = last(dims, [1, 1, 2]);
        let x = pool::max(&self.first.forward(x)?, pair.clone(), pair, 0)?;
        let first = self.first_norm.forward(&x, train)?.f_relu()?;
        let pooled = match self.overlapping {
            true => pool::max(&first, 3, 2, 1)?,
            false => pool::max(&first, 2, 2, 0)?,
        };
        let mut levels = Vec::with_capacity(4);
        for stage in &self.stages {
            let y = stage.forward_t(levels.last().unwrap_or(&pooled), train)?;
            levels.push(y);
        }
        let mut y = levels.pop().unwrap_or(pooled.shallow_clone());
        for ((up, dense), skip) in self.ups.iter().zip(levels.iter().rev()) {
            y = dense.forward_t(&up.forward_t(&y, train)?.f_add(skip)?, train)?;
        }
        let y = self.transition.forward_t(&y, train)?.f_add(&pooled)?;
        let y = self.transition_dense.forward_t(&y, train)?;
        let (up, dense) = &self.last_up;
        let y = dense.forward_t(&up.forward_t(&y, train)?.f_add(&first)?, train)?;
        self.output.forward_t(&self.pyramid.forward(&y)?, train)
    }
}

/// The sizes of the last axes: in two dimensions the first of three is left out, as in MONAI.
fn last(spatial_dims: usize, sizes: [i64; 3]) -> Vec<i64> {
    sizes[3 - spatial_dims..].to_vec()
}
