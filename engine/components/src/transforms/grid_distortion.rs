//! Images stretched cell by cell: `GridDistortiond`, `RandGridDistortiond`.

use byoc::{Component, Error, Image, Keys, OneOrMany, Random, Result, Sample, Transform};
use schemars::JsonSchema;
use serde::Deserialize;

use super::affine::samplings;
use super::common::{GridMode, GridPadding, default, map_images, present, probability, range, spatial_shape};
use super::geometry::{Sampling, sample_at};

/// Stretches and squeezes the cells of a regular grid along each axis.
///
/// A step of 1 leaves a cell as it is; larger ones shrink what is seen in it. It cannot be undone. MONAI
/// `GridDistortiond`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GridDistortiondArgs {
    /// Keys of the images.
    keys: Keys,
    /// How many cells each axis has, for each or for all.
    num_cells: OneOrMany<usize>,
    /// For each axis the steps of its cells and one more for what is left behind them.
    distort_steps: Vec<Vec<f64>>,
    /// Between voxels, for each key or for all.
    #[serde(default = "default::bilinear")]
    mode: OneOrMany<GridMode>,
    /// Outside, for each key or for all.
    #[serde(default = "default::border")]
    padding_mode: OneOrMany<GridPadding>,
    /// For compatibility: it is computed on the CPU.
    #[serde(default, rename = "device")]
    _device: Option<String>,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`GridDistortiondArgs`].
pub struct GridDistortiond {
    args: GridDistortiondArgs,
    samplings: Vec<Sampling>,
}

fn check_cells(cells: &OneOrMany<usize>) -> Result<()> {
    if cells.clone().into_vec().contains(&0) {
        return Err(Error::invalid_argument("`num_cells` must be at least 1"));
    }
    Ok(())
}

impl Component for GridDistortiond {
    type Args = GridDistortiondArgs;

    fn new(args: GridDistortiondArgs) -> Result<Self> {
        check_cells(&args.num_cells)?;
        let samplings = samplings(&args.keys, &args.mode, &args.padding_mode, &OneOrMany::One(false))?;
        Ok(Self { args, samplings })
    }
}

/// For each of `n` voxels along an axis the position that it shows.
fn positions(n: usize, cells: usize, steps: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; n];
    let size = n / cells;
    let mut from = 0.0;
    for (cell, step) in steps.iter().enumerate().take(cells + 1) {
        let start = (cell * size).min(n);
        let mut end = start + size;
        let to = if end > n {
            end = n;
            n as f64
        } else {
            from + size as f64 * step
        };
        let count = end - start;
        for (i, value) in out[start..end].iter_mut().enumerate() {
            *value = if count > 1 { from + (to - from) * i as f64 / (count as f64 - 1.0) } else { from };
        }
        from = to;
    }
    out
}

fn distort(image: Image, cells: &OneOrMany<usize>, steps: &[Vec<f64>], sampling: Sampling) -> Result<Image> {
    let shape = spatial_shape(&image.tensor)?;
    let rank = shape.len();
    let cells = cells.repeat(rank, "num_cells")?;
    if steps.len() != rank {
        return Err(Error::data(format!(
            "`distort_steps` has {} lists, but the image {rank} spatial axes",
            steps.len()
        )));
    }
    for (steps, cells) in steps.iter().zip(&cells) {
        if steps.len() < cells + 1 {
            return Err(Error::invalid_argument(format!(
                "an axis with {cells} cells needs {} `distort_steps`, but {} are given",
                cells + 1,
                steps.len()
            )));
        }
    }
    let along: Vec<Vec<f64>> = (0..rank).map(|axis| positions(shape[axis], cells[axis], &steps[axis])).collect();
    let tensor = sample_at(&image.tensor, &shape, sampling, |index| {
        std::array::from_fn(|axis| (axis + rank).checked_sub(3).map_or(0.0, |of| along[of][index[axis]]))
    })?;
    Ok(Image { tensor, ..image })
}

impl Transform for GridDistortiond {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let Self { args, samplings } = self;
        map_images(sample, &args.keys, args.allow_missing_keys, |position, image| {
            distort(image, &args.num_cells, &args.distort_steps, samplings[position])
        })
    }
}

/// Stretches and squeezes the cells of a regular grid at random.
///
/// See `GridDistortiond`; all keys alike. MONAI `RandGridDistortiond`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandGridDistortiondArgs {
    /// Keys of the images.
    keys: Keys,
    /// How many cells each axis has, for each or for all.
    #[serde(default = "five")]
    num_cells: OneOrMany<usize>,
    /// Probability that it does anything.
    #[serde(default = "default::tenth")]
    #[schemars(range(min = 0.0, max = 1.0))]
    prob: f64,
    /// The range of what is added to the steps of 1; x stands for -x … x.
    #[serde(default = "limits")]
    distort_limit: OneOrMany<f64>,
    /// Between voxels, for each key or for all.
    #[serde(default = "default::bilinear")]
    mode: OneOrMany<GridMode>,
    /// Outside, for each key or for all.
    #[serde(default = "default::border")]
    padding_mode: OneOrMany<GridPadding>,
    /// For compatibility: it is computed on the CPU.
    #[serde(default, rename = "device")]
    _device: Option<String>,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

fn five() -> OneOrMany<usize> {
    OneOrMany::One(5)
}

fn limits() -> OneOrMany<f64> {
    OneOrMany::Many(vec![-0.03, 0.03])
}

/// See [`RandGridDistortiondArgs`].
pub struct RandGridDistortiond {
    args: RandGridDistortiondArgs,
    limits: (f64, f64),
    samplings: Vec<Sampling>,
}

impl Component for RandGridDistortiond {
    type Args = RandGridDistortiondArgs;

    fn new(args: RandGridDistortiondArgs) -> Result<Self> {
        probability(args.prob)?;
        check_cells(&args.num_cells)?;
        let limits = range("distort_limit", &args.distort_limit)?;
        let samplings = samplings(&args.keys, &args.mode, &args.padding_mode, &OneOrMany::One(false))?;
        Ok(Self { args, limits, samplings })
    }
}

impl Transform for RandGridDistortiond {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        let Self { args, limits, samplings } = self;
        if !random.chance(args.prob) {
            return Ok(());
        }
        let Some((_, first)) = present(sample, &args.keys, args.allow_missing_keys)?.first().copied() else {
            return Ok(());
        };
        let rank = spatial_shape(sample.tensor(first)?)?.len();
        let cells = args.num_cells.repeat(rank, "num_cells")?;
        let steps: Vec<Vec<f64>> = cells
            .iter()
            .map(|&cells| (0..=cells).map(|_| 1.0 + random.uniform(limits.0, limits.1)).collect())
            .collect();
        map_images(sample, &args.keys, args.allow_missing_keys, |position, image| {
            distort(image, &args.num_cells, &steps, samplings[position])
        })
    }

    fn is_random(&self) -> bool {
        true
    }
}

byoc::register! { transforms: [GridDistortiond, RandGridDistortiond] }
