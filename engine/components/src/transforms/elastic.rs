//! Random elastic deformations: `Rand2DElasticd`, `Rand3DElasticd`.

use byoc::{Affine, Component, Error, Image, Keys, OneOrMany, Random, Result, Sample, Transform};
use mmar_imaging::affine::multiply;
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind, Tensor};
use torch_ext::view;

use super::affine::{centre, samplings};
use super::common::{GridMode, GridPadding, default, map_images, present, probability, sizes_or, spatial_shape};
use super::gaussian::{Approximation, filter_axes, weights};
use super::geometry::{Sampling, sample_at};
use super::rand_affine::{RandomAffine, Ranges};

/// Deforms 2-D images by random shifts of a coarse grid of control points, then rotates, shears, shifts and scales them.
///
/// Between control points the shifts are interpolated cubically. All keys alike. It cannot be undone. MONAI
/// `Rand2DElasticd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rand2DElasticdArgs {
    /// Keys of the images.
    keys: Keys,
    /// Distance of the control points in pixels, for each axis or for all.
    spacing: OneOrMany<f64>,
    /// The range of the shifts' standard deviation in pixels.
    magnitude_range: [f64; 2],
    /// Size of the result, for each axis or for all; 0 or -1, or `null`, is the image's own.
    #[serde(default)]
    spatial_size: Option<OneOrMany<i64>>,
    /// Probability that it does anything.
    #[serde(default = "default::tenth")]
    #[schemars(range(min = 0.0, max = 1.0))]
    prob: f64,
    /// See `RandAffined`.
    #[serde(default)]
    rotate_range: Ranges,
    /// See `RandAffined`.
    #[serde(default)]
    shear_range: Ranges,
    /// See `RandAffined`.
    #[serde(default)]
    translate_range: Ranges,
    /// See `RandAffined`.
    #[serde(default)]
    scale_range: Ranges,
    /// Between pixels, for each key or for all.
    #[serde(default = "default::bilinear")]
    mode: OneOrMany<GridMode>,
    /// Outside, for each key or for all.
    #[serde(default = "default::reflection")]
    padding_mode: OneOrMany<GridPadding>,
    /// For compatibility: it is computed on the CPU.
    #[serde(default, rename = "device")]
    _device: Option<String>,
    /// For compatibility with MONAI 0.8.
    #[serde(default, rename = "as_tensor_output")]
    _as_tensor_output: bool,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`Rand2DElasticdArgs`].
pub struct Rand2DElasticd {
    args: Rand2DElasticdArgs,
    ranges: RandomAffine,
    samplings: Vec<Sampling>,
}

impl Component for Rand2DElasticd {
    type Args = Rand2DElasticdArgs;

    fn new(args: Rand2DElasticdArgs) -> Result<Self> {
        probability(args.prob)?;
        let ranges = RandomAffine {
            rotate: args.rotate_range.clone(),
            shear: args.shear_range.clone(),
            translate: args.translate_range.clone(),
            scale: args.scale_range.clone(),
        };
        ranges.check()?;
        let samplings = samplings(&args.keys, &args.mode, &args.padding_mode, &OneOrMany::One(false))?;
        Ok(Self { args, ranges, samplings })
    }
}

/// Where the voxels of the result come from.
enum Grid {
    /// From the same place, seen from the middle.
    Same,
    /// From a place among the image's voxels, seen from its middle, for each axis; the tensor is (axes, spatial…).
    At(Tensor),
}

/// Sizes of the control grid of an image (MONAI's `create_control_grid`): it reaches at least half a control point beyond.
fn control_shape(shape: &[usize], spacing: &[f64]) -> Vec<i64> {
    let size = |(&n, spacing): (&usize, &f64)| {
        let n = n as f64;
        if n % 2.0 == 0.0 {
            (((n - 1.0) / (2.0 * spacing) + 0.5).ceil() * 2.0 + 2.0) as i64
        } else {
            (((n - 1.0) / (2.0 * spacing)).ceil() * 2.0 + 3.0) as i64
        }
    };
    shape.iter().zip(spacing).map(size).collect()
}

/// The positions for a grid of control points that are shifted by (2, rows, columns) `shifts`, in pixels from the middle.
fn control_positions(shape: &[usize], spacing: &[f64], shifts: &Tensor, about: &Affine) -> Result<Tensor> {
    let control = &shifts.size()[1..];
    let axis = |axis: usize| {
        let reach = (control[axis] as f64 - 1.0) / 2.0 * spacing[axis];
        Tensor::f_linspace(-reach, reach, control[axis], (Kind::Float, tch::Device::Cpu))
    };
    let rows = axis(0)?.f_unsqueeze(1)?.f_expand([control[0], control[1]], false)?;
    let columns = axis(1)?.f_unsqueeze(0)?.f_expand([control[0], control[1]], false)?;
    let moved = Tensor::f_stack(&[rows, columns], 0)?.f_add(shifts)?;
    let (x, y) = (moved.f_select(0, 0)?, moved.f_select(0, 1)?);
    let turned = [0, 1].map(|i| -> Result<Tensor> {
        Ok(x.f_mul_scalar(about[i][0])?.f_add(&y.f_mul_scalar(about[i][1])?)?.f_add_scalar(about[i][3])?)
    });
    let [x, y] = turned;
    let coarse = Tensor::f_stack(&[x?, y?], 0)?.f_unsqueeze(0)?;
    let fine: Vec<i64> = control.iter().zip(spacing).map(|(&n, spacing)| (n as f64 * spacing) as i64).collect();
    let mut grid = coarse.f_upsample_bicubic2d(&fine, false, None, None)?.f_squeeze_dim(0)?;
    for (axis, (&n, &wanted)) in fine.iter().zip(shape).enumerate() {
        let wanted = wanted as i64;
        grid = grid.f_narrow(axis as i64 + 1, (n / 2 - wanted / 2).max(0), wanted.min(n))?;
    }
    Ok(grid)
}

/// The image sampled on a grid of this shape; its affine stays, as in MONAI.
fn deform(image: Image, shape: &[usize], grid: &Grid, sampling: Sampling) -> Result<Image> {
    let own = spatial_shape(&image.tensor)?;
    let rank = own.len();
    let middle: [f64; 3] =
        std::array::from_fn(|axis| (axis + rank).checked_sub(3).map_or(0.0, |axis| (own[axis] as f64 - 1.0) / 2.0));
    let tensor = match grid {
        Grid::Same => {
            let start: [f64; 3] = std::array::from_fn(|axis| {
                let target = (axis + rank).checked_sub(3).map_or(1, |axis| shape[axis]);
                middle[axis] - (target as f64 - 1.0) / 2.0
            });
            sample_at(&image.tensor, shape, sampling, |index| {
                std::array::from_fn(|axis| start[axis] + index[axis] as f64)
            })?
        }
        Grid::At(grid) => {
            let grid = grid.f_to_kind(Kind::Float)?.f_contiguous()?;
            let positions = view::slice::<f32>(&grid)?;
            let voxels: usize = shape.iter().product();
            let [_, rows, columns] = super::geometry::cube(shape);
            sample_at(&image.tensor, shape, sampling, |[x, y, z]| {
                let index = (x * rows + y) * columns + z;
                std::array::from_fn(|axis| match (axis + rank).checked_sub(3) {
                    Some(along) => f64::from(positions[along * voxels + index]) + middle[axis],
                    None => 0.0,
                })
            })?
        }
    };
    Ok(Image { tensor, ..image })
}

/// Applies a drawn grid to all keys.
fn deform_all(
    sample: &mut Sample,
    keys: &Keys,
    allow_missing: bool,
    shape: &[usize],
    grid: &Grid,
    samplings: &[Sampling],
) -> Result<()> {
    map_images(sample, keys, allow_missing, |position, image| {
        let own = spatial_shape(&image.tensor)?;
        if own.len() != shape.len() {
            return Err(Error::data(format!("it has {} spatial axes, but the deformation {}", own.len(), shape.len())));
        }
        if matches!(grid, Grid::Same) && own == shape {
            return Ok(image);
        }
        deform(image, shape, grid, samplings[position])
    })
}

/// The shape of the results, from that of the first image, which must have so many axes.
fn target_shape(
    sample: &Sample,
    keys: &Keys,
    allow_missing: bool,
    size: Option<&OneOrMany<i64>>,
    rank: usize,
) -> Result<Option<Vec<usize>>> {
    let Some((_, first)) = present(sample, keys, allow_missing)?.first().copied() else { return Ok(None) };
    let shape = spatial_shape(sample.tensor(first)?)?;
    if shape.len() != rank {
        return Err(Error::data(format!("`{first}` has {} spatial axes; {rank} are expected", shape.len())));
    }
    Ok(Some(match size {
        Some(size) => sizes_or(size, &shape, "spatial_size")?,
        None => shape,
    }))
}

impl Transform for Rand2DElasticd {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        let Self { args, ranges, samplings } = self;
        let missing = args.allow_missing_keys;
        let Some(shape) = target_shape(sample, &args.keys, missing, args.spatial_size.as_ref(), 2)? else {
            return Ok(());
        };
        let grid = if random.chance(args.prob) {
            let given = args.spacing.repeat(2, "spacing")?;
            // 0 and -1 stand for 1, as sizes that are not given do
            let spacing: Vec<f64> =
                given.into_iter().map(|spacing| if spacing > 0.0 { spacing } else { 1.0 }).collect();
            let control = control_shape(&shape, &spacing);
            let magnitude = random.uniform(args.magnitude_range[0], args.magnitude_range[1]);
            let shifts = random.normal_tensor(&[2, control[0], control[1]]).f_mul_scalar(magnitude)?;
            let about = ranges.draw(2, random);
            Grid::At(control_positions(&shape, &spacing, &shifts, &about)?)
        } else {
            Grid::Same
        };
        deform_all(sample, &args.keys, missing, &shape, &grid, samplings)
    }

    fn is_random(&self) -> bool {
        true
    }
}

/// Deforms 3-D images by a smoothed field of random shifts, then rotates, shears, shifts and scales them.
///
/// All keys alike. It cannot be undone. MONAI `Rand3DElasticd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rand3DElasticdArgs {
    /// Keys of the images.
    keys: Keys,
    /// The range of the standard deviation of the Gaussian that smooths the field, in voxels.
    sigma_range: [f64; 2],
    /// The range of the factor for the smoothed field, whose shifts are drawn from -1 … 1 voxels.
    magnitude_range: [f64; 2],
    /// Size of the result, for each axis or for all; 0 or -1, or `null`, is the image's own.
    #[serde(default)]
    spatial_size: Option<OneOrMany<i64>>,
    /// Probability that it does anything.
    #[serde(default = "default::tenth")]
    #[schemars(range(min = 0.0, max = 1.0))]
    prob: f64,
    /// See `RandAffined`.
    #[serde(default)]
    rotate_range: Ranges,
    /// See `RandAffined`.
    #[serde(default)]
    shear_range: Ranges,
    /// See `RandAffined`.
    #[serde(default)]
    translate_range: Ranges,
    /// See `RandAffined`.
    #[serde(default)]
    scale_range: Ranges,
    /// Between voxels, for each key or for all.
    #[serde(default = "default::bilinear")]
    mode: OneOrMany<GridMode>,
    /// Outside, for each key or for all.
    #[serde(default = "default::reflection")]
    padding_mode: OneOrMany<GridPadding>,
    /// For compatibility: it is computed on the CPU.
    #[serde(default, rename = "device")]
    _device: Option<String>,
    /// For compatibility with MONAI 0.8.
    #[serde(default, rename = "as_tensor_output")]
    _as_tensor_output: bool,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`Rand3DElasticdArgs`].
pub struct Rand3DElasticd {
    args: Rand3DElasticdArgs,
    ranges: RandomAffine,
    samplings: Vec<Sampling>,
}

impl Component for Rand3DElasticd {
    type Args = Rand3DElasticdArgs;

    fn new(args: Rand3DElasticdArgs) -> Result<Self> {
        probability(args.prob)?;
        let ranges = RandomAffine {
            rotate: args.rotate_range.clone(),
            shear: args.shear_range.clone(),
            translate: args.translate_range.clone(),
            scale: args.scale_range.clone(),
        };
        ranges.check()?;
        let samplings = samplings(&args.keys, &args.mode, &args.padding_mode, &OneOrMany::One(false))?;
        Ok(Self { args, ranges, samplings })
    }
}

/// The Gaussian is cut off here, in standard deviations.
const FIELD_TRUNCATED: f64 = 3.0;

/// The positions for a (3, x, y, z) field of shifts, smoothed and scaled, in voxels from the middle.
fn field_positions(shifts: &Tensor, sigma: f64, magnitude: f64, about: &Affine) -> Result<Tensor> {
    let kernel = weights(sigma, Approximation::Erf, FIELD_TRUNCATED)?;
    let kernels: Vec<Tensor> = (0..3).map(|_| kernel.shallow_clone()).collect();
    let field = filter_axes(shifts, &kernels)?.f_contiguous()?;
    let values = view::slice::<f32>(&field)?;
    let size = shifts.size();
    let shape: Vec<usize> = size[1..].iter().map(|&n| n as usize).collect();
    let voxels: usize = shape.iter().product();
    // the middle of the grid is where the matrix turns
    let matrix = multiply(about, &centre(&shape, -1.0));
    Ok(view::build::<f32>(&size, |out| {
        for index in 0..voxels {
            let place = [index / shape[2] / shape[1], index / shape[2] % shape[1], index % shape[2]];
            let moved: [f64; 3] =
                std::array::from_fn(|axis| place[axis] as f64 + f64::from(values[axis * voxels + index]) * magnitude);
            for axis in 0..3 {
                let row = &matrix[axis];
                let position = row[0] * moved[0] + row[1] * moved[1] + row[2] * moved[2] + row[3];
                out[axis * voxels + index] = position as f32;
            }
        }
    }))
}

impl Transform for Rand3DElasticd {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        let Self { args, ranges, samplings } = self;
        let missing = args.allow_missing_keys;
        let Some(shape) = target_shape(sample, &args.keys, missing, args.spatial_size.as_ref(), 3)? else {
            return Ok(());
        };
        let grid = if random.chance(args.prob) {
            let size: Vec<i64> = std::iter::once(3).chain(shape.iter().map(|&n| n as i64)).collect();
            let shifts = random.uniform_tensor(&size).f_mul_scalar(2.0)?.f_sub_scalar(1.0)?;
            let magnitude = random.uniform(args.magnitude_range[0], args.magnitude_range[1]);
            let sigma = random.uniform(args.sigma_range[0], args.sigma_range[1]);
            let about = ranges.draw(3, random);
            Grid::At(field_positions(&shifts, sigma, magnitude, &about)?)
        } else {
            Grid::Same
        };
        deform_all(sample, &args.keys, missing, &shape, &grid, samplings)
    }

    fn is_random(&self) -> bool {
        true
    }
}

byoc::register! { transforms: [Rand2DElasticd, Rand3DElasticd] }

#[cfg(test)]
mod tests {
    use byoc::Image;
    use tch::{Kind, Tensor};

    use super::{Grid, control_positions, control_shape, deform, field_positions};
    use crate::transforms::affine::composed;
    use crate::transforms::common::{GridMode, GridPadding};
    use crate::transforms::geometry::Sampling;

    fn wave(size: &[i64], step: f64) -> Tensor {
        let n: i64 = size.iter().product();
        (Tensor::arange(n, (Kind::Float, tch::Device::Cpu)) * step).sin().view(size)
    }

    fn shifts(size: &[i64]) -> Tensor {
        let n: i64 = size.iter().product();
        (Tensor::arange(n, (Kind::Float, tch::Device::Cpu)) * 0.7).cos().view(size)
    }

    fn assert_close(image: &Tensor, step: i64, expected: &[f64], sum: f64) {
        let values: Vec<f64> = Vec::try_from(image.to_kind(Kind::Double).view([-1])).unwrap();
        for (value, expected) in values.iter().step_by(step as usize).zip(expected) {
            assert!((value - expected).abs() < 2e-4, "{value} {expected}");
        }
        assert!((values.iter().sum::<f64>() - sum).abs() < 2e-3);
    }

    // the expected numbers are those of MONAI's classes with these shifts and parameters put in place of what they draw

    #[test]
    fn two_dimensions_as_in_monai() {
        let spacing = [3.0, 2.5];
        let control = control_shape(&[9, 8], &spacing);
        assert_eq!(
            (control.as_slice(), control_shape(&[9, 8], &[3.0, 2.0]).as_slice()),
            ([7, 6].as_slice(), [7, 8].as_slice())
        );
        let about = composed(2, &[0.2], &[], &[0.5, -0.25], &[]);
        let grid = Grid::At(control_positions(&[9, 8], &spacing, &(shifts(&[2, 7, 6]) * 1.5), &about).unwrap());
        let apply = |mode, padding| {
            let sampling = Sampling { mode, padding, align_corners: false };
            deform(Image::new(wave(&[1, 9, 8], 0.37)), &[9, 8], &grid, sampling).unwrap().tensor
        };
        let expected =
            [0.14043, -0.68853, -0.85868, -0.29822, 0.38456, 0.04533, 0.48781, -0.98469, -0.94554, 0.90749, -0.09333];
        assert_close(&apply(GridMode::Bilinear, GridPadding::Reflection), 7, &expected, -7.9235);
        let expected = [0.0, -0.96313, -0.96313, -0.96313, 0.89871, -0.54135, 0.50652, -0.99304, 0.0, 0.90749, 0.0];
        assert_close(&apply(GridMode::Nearest, GridPadding::Zeros), 7, &expected, -3.4938);
    }

    #[test]
    fn three_dimensions_as_in_monai() {
        let about = composed(3, &[0.2, 0.1, -0.3], &[], &[0.5, -0.25, 1.0], &[1.1, 0.9]);
        let grid = Grid::At(field_positions(&shifts(&[3, 6, 5, 7]), 1.2, 20.0, &about).unwrap());
        let sampling = Sampling { mode: GridMode::Bilinear, padding: GridPadding::Reflection, align_corners: false };
        let image = deform(Image::new(wave(&[1, 6, 5, 7], 0.37)), &[6, 5, 7], &grid, sampling).unwrap();
        let expected = [0.36882, 0.09693, 0.31011, -0.59134, -0.68125, -0.17523, -0.68757, 0.81439, -0.19807, -0.71307];
        assert_close(&image.tensor, 23, &expected, -18.3774);
    }

    #[test]
    fn without_a_deformation_another_size_is_cut_around_the_middle() {
        let image = wave(&[1, 9, 8], 0.37);
        let sampling = Sampling { mode: GridMode::Bilinear, padding: GridPadding::Zeros, align_corners: false };
        let cut = deform(Image::new(image.shallow_clone()), &[5, 10], &Grid::Same, sampling).unwrap();
        assert_eq!(cut.tensor.narrow(2, 1, 8), image.narrow(1, 2, 5));
        assert_eq!(cut.tensor.select(2, 0).abs().max().double_value(&[]), 0.0);
    }
}
