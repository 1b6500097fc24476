//! Rotated, sheared and scaled images: `Rotated`, `Affined`.

use byoc::{Affine, Component, Error, IDENTITY_AFFINE, Image, Keys, OneOrMany, Random, Result, Sample, Transform};
use mmar_imaging::affine::{multiply, rotation, scaling, shear, translation};
use schemars::JsonSchema;
use serde::Deserialize;

use super::common::{Dtype, GridMode, GridPadding, default, map_images, sizes_or, spatial_shape};
use super::geometry::{Operation, Sampling, record, warp};

/// The middle of a grid.
pub(super) fn centre(shape: &[usize], sign: f64) -> Affine {
    translation(&shape.iter().map(|&n| sign * (n as f64 - 1.0) / 2.0).collect::<Vec<_>>())
}

/// How each key is sampled.
pub(super) fn samplings(
    keys: &Keys,
    mode: &OneOrMany<GridMode>,
    padding: &OneOrMany<GridPadding>,
    corners: &OneOrMany<bool>,
) -> Result<Vec<Sampling>> {
    let n = keys.len();
    let (modes, paddings, corners) =
        (mode.repeat(n, "mode")?, padding.repeat(n, "padding_mode")?, corners.repeat(n, "align_corners")?);
    Ok((0..n).map(|i| Sampling { mode: modes[i], padding: paddings[i], align_corners: corners[i] }).collect())
}

/// Rotates images about their middle.
///
/// MONAI `Rotated`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RotatedArgs {
    /// Keys of the images.
    keys: Keys,
    /// Angle in radians: one for 2-D images, one for each axis, or one for all, for 3-D ones.
    angle: OneOrMany<f64>,
    /// Whether the image keeps its size; else all of it is kept.
    #[serde(default = "default::yes")]
    keep_size: bool,
    /// Between voxels, for each key or for all.
    #[serde(default = "default::bilinear")]
    mode: OneOrMany<GridMode>,
    /// Outside, for each key or for all.
    #[serde(default = "default::border")]
    padding_mode: OneOrMany<GridPadding>,
    /// Where `reflection` puts its mirror, for each key or for all.
    #[serde(default)]
    align_corners: OneOrMany<bool>,
    /// For compatibility: everything is computed in float64.
    #[serde(default, rename = "dtype")]
    _dtype: OneOrMany<Option<Dtype>>,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`RotatedArgs`].
pub struct Rotated {
    args: RotatedArgs,
    samplings: Vec<Sampling>,
}

impl Component for Rotated {
    type Args = RotatedArgs;

    fn new(args: RotatedArgs) -> Result<Self> {
        let samplings = samplings(&args.keys, &args.mode, &args.padding_mode, &args.align_corners)?;
        Ok(Self { args, samplings })
    }
}

impl Transform for Rotated {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        map_images(sample, &self.args.keys, self.args.allow_missing_keys, |position, image| {
            let rank = spatial_shape(&image.tensor)?.len();
            let angles = self.args.angle.repeat(if rank == 2 { 1 } else { 3 }, "angle")?;
            rotate(image, &angles, self.args.keep_size, self.samplings[position], "Rotated")
        })
    }
}

/// An image rotated about its middle: by one angle in radians, or by one about each axis.
pub(super) fn rotate(
    image: Image,
    angles: &[f64],
    keep_size: bool,
    sampling: Sampling,
    transform: &str,
) -> Result<Image> {
    let shape = spatial_shape(&image.tensor)?;
    let rank = shape.len();
    if rank < 2 {
        return Err(Error::data("an image with one spatial axis cannot be rotated"));
    }
    let turn = rotation(rank, angles);
    let target = if keep_size { shape.clone() } else { rotated_size(&turn, &shape) };
    let matrix = multiply(&multiply(&centre(&shape, 1.0), &turn), &centre(&target, -1.0));
    let mut image = warp(image, &matrix, &target, sampling)?;
    record(&mut image, transform, &Operation::Warp { matrix, shape, sampling })?;
    Ok(image)
}

/// The size of the box around a rotated box.
fn rotated_size(turn: &Affine, shape: &[usize]) -> Vec<usize> {
    (0..shape.len())
        .map(|row| {
            // the extent of a sum of intervals is the sum of their lengths
            let extent: f64 = shape.iter().enumerate().map(|(axis, &n)| (turn[row][axis] * n as f64).abs()).sum();
            (extent + 0.5) as usize
        })
        .collect()
}

/// Rotates, shears, shifts and scales images about their middle.
///
/// The matrix is rotation · shear · shift · scale and takes a position in the result to one in the image: a scale of 2
/// makes things half as large. MONAI `Affined`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AffinedArgs {
    /// Keys of the images.
    keys: Keys,
    /// Angles in radians: one for 2-D, up to three for 3-D images.
    #[serde(default)]
    rotate_params: Option<OneOrMany<f64>>,
    /// Shears: up to two for 2-D, up to six for 3-D images.
    #[serde(default)]
    shear_params: Option<OneOrMany<f64>>,
    /// Shift in voxels for each axis.
    #[serde(default)]
    translate_params: Option<OneOrMany<f64>>,
    /// Scale for each axis.
    #[serde(default)]
    scale_params: Option<OneOrMany<f64>>,
    /// The whole matrix, in place of all of the above.
    #[serde(default)]
    affine: Option<Vec<Vec<f64>>>,
    /// Size of the result, for each axis or for all; 0 or -1, or `null`, is the image's own.
    #[serde(default)]
    spatial_size: Option<OneOrMany<i64>>,
    /// Between voxels, for each key or for all.
    #[serde(default = "default::bilinear")]
    mode: OneOrMany<GridMode>,
    /// Outside, for each key or for all.
    #[serde(default = "default::reflection")]
    padding_mode: OneOrMany<GridPadding>,
    /// Where `reflection` puts its mirror.
    #[serde(default)]
    align_corners: bool,
    /// For compatibility: everything is computed in float64.
    #[serde(default, rename = "dtype")]
    _dtype: Option<Dtype>,
    /// For compatibility: it is computed on the CPU.
    #[serde(default, rename = "device")]
    _device: Option<String>,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`AffinedArgs`].
pub struct Affined {
    args: AffinedArgs,
    samplings: Vec<Sampling>,
}

impl Component for Affined {
    type Args = AffinedArgs;

    fn new(args: AffinedArgs) -> Result<Self> {
        let samplings = samplings(&args.keys, &args.mode, &args.padding_mode, &OneOrMany::One(args.align_corners))?;
        if let Some(rows) = &args.affine
            && (!(3..=4).contains(&rows.len()) || rows.iter().any(|row| row.len() != rows.len()))
        {
            return Err(Error::invalid_argument("`affine` is a matrix of 4 × 4 numbers, for 2-D images of 3 × 3"));
        }
        Ok(Self { args, samplings })
    }
}

impl Affined {
    fn matrix(&self, rank: usize) -> Result<Affine> {
        if let Some(rows) = &self.args.affine {
            if rows.len() != rank + 1 {
                return Err(Error::data(format!(
                    "`affine` has {} rows, but an image with {rank} spatial axes needs {}",
                    rows.len(),
                    rank + 1
                )));
            }
            let mut matrix = IDENTITY_AFFINE;
            for i in 0..rank {
                matrix[i][..rank].copy_from_slice(&rows[i][..rank]);
                matrix[i][3] = rows[i][rank];
            }
            return Ok(matrix);
        }
        let numbers = |values: &Option<OneOrMany<f64>>| values.clone().map(OneOrMany::into_vec).unwrap_or_default();
        let args = &self.args;
        Ok(composed(
            rank,
            &numbers(&args.rotate_params),
            &numbers(&args.shear_params),
            &numbers(&args.translate_params),
            &numbers(&args.scale_params),
        ))
    }
}

/// Rotation · shear · shift · scale. Parameters that are missing do nothing: a single scale or shift is for the first axis,
/// as in MONAI.
pub(super) fn composed(rank: usize, rotate: &[f64], shears: &[f64], translate: &[f64], scale: &[f64]) -> Affine {
    [
        rotation(rank, rotate),
        shear(rank, shears),
        translation(&translate[..translate.len().min(rank)]),
        scaling(&scale[..scale.len().min(rank)]),
    ]
    .iter()
    .fold(IDENTITY_AFFINE, |product, step| multiply(&product, step))
}

impl Transform for Affined {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        map_images(sample, &self.args.keys, self.args.allow_missing_keys, |position, image| {
            let shape = spatial_shape(&image.tensor)?;
            let target = match &self.args.spatial_size {
                Some(size) => sizes_or(size, &shape, "spatial_size")?,
                None => shape.clone(),
            };
            let matrix = multiply(&multiply(&centre(&shape, 1.0), &self.matrix(shape.len())?), &centre(&target, -1.0));
            let sampling = self.samplings[position];
            let mut image = warp(image, &matrix, &target, sampling)?;
            record(&mut image, "Affined", &Operation::Warp { matrix, shape, sampling })?;
            Ok(image)
        })
    }
}

byoc::register! { transforms: [Rotated, Affined] }
