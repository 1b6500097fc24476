//! Onto another grid: by affines (`Spacingd`, `SaveImaged`) or by a matrix of voxel indices (`Rotated`, `Affined`).

use byoc::{Affine, Error, Image, Result};
use mmar_imaging::affine;
use mmar_imaging::resample::{self, Options};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};
use torch_ext::view;

use crate::transforms::common::{GridMode, GridPadding, float_values, full_shape, spatial_shape};

/// How a grid is sampled.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(in crate::transforms) struct Sampling {
    /// Between voxels.
    pub(in crate::transforms) mode: GridMode,
    /// Outside.
    pub(in crate::transforms) padding: GridPadding,
    /// Where a reflection puts its mirror.
    pub(in crate::transforms) align_corners: bool,
}

impl Sampling {
    fn options(self) -> Options {
        Options { interpolation: self.mode.into(), padding: self.padding.into(), align_corners: self.align_corners }
    }
}

/// The image on the grid of another affine and shape, as float32 (MONAI's `spatial_resample`).
///
/// Grids that differ by less than a thousandth of a voxel in all elements of the affine count as equal: the voxels stay.
pub(in crate::transforms) fn resample_to(
    image: Image,
    target: &Affine,
    shape: &[usize],
    sampling: Sampling,
) -> Result<Image> {
    let source_shape = spatial_shape(&image.tensor)?;
    let rank = source_shape.len();
    let (from, to) = (affine::restrict(&image.affine, rank), affine::restrict(target, rank));
    let matrix = affine::solve(&from, &to).map_err(|error| Error::data(error.to_string()))?;
    let same_affine =
        affine::close(&from, &to, affine::TOLERANCE) || affine::close(&matrix, &affine::IDENTITY, affine::TOLERANCE);
    if same_affine && source_shape == shape {
        let tensor = image.tensor.f_to_kind(Kind::Float)?;
        return Ok(Image { tensor, ..image });
    }
    warp(image, &matrix, shape, sampling)
}

/// The image sampled at `matrix` · (i, j, k, 1) for each voxel of a grid of this shape, as float32.
pub(in crate::transforms) fn warp(image: Image, matrix: &Affine, shape: &[usize], sampling: Sampling) -> Result<Image> {
    let source_shape = spatial_shape(&image.tensor)?;
    let tensor = sample(&image.tensor, &source_shape, matrix, shape, sampling.options())?;
    Ok(Image { tensor, affine: affine::multiply(&image.affine, matrix), ..image })
}

/// Sizes of one to three axes as the last of three; those that are missing are 1.
pub(in crate::transforms) fn cube(shape: &[usize]) -> [usize; 3] {
    std::array::from_fn(|axis| (axis + shape.len()).checked_sub(3).map_or(1, |axis| shape[axis]))
}

/// A tensor sampled at any positions, as float32: `position` takes the index of an output voxel to a position among the
/// image's voxels, both with three axes of which the last ones are the image's.
pub(in crate::transforms) fn sample_at(
    tensor: &Tensor,
    shape: &[usize],
    sampling: Sampling,
    position: impl Fn([usize; 3]) -> [f64; 3] + Sync,
) -> Result<Tensor> {
    let (from, to) = (cube(&spatial_shape(tensor)?), cube(shape));
    let source = float_values(tensor)?;
    let (source_voxels, voxels): (usize, usize) = (from.iter().product(), to.iter().product());
    let values = view::slice::<f32>(&source)?;
    let mut outcome = Ok(());
    let out = view::build::<f32>(&full_shape(source.size()[0], shape), |out| {
        if source_voxels == 0 || voxels == 0 {
            out.fill(0.0);
            return;
        }
        for (values, out) in values.chunks_exact(source_voxels).zip(out.chunks_exact_mut(voxels)) {
            if outcome.is_ok() {
                outcome = resample::resample_at(values, from, to, sampling.options(), &position, out);
            }
        }
    });
    outcome.map_err(|error| Error::data(error.to_string()))?;
    Ok(out.f_to_device(tensor.device())?)
}

fn sample(
    tensor: &Tensor,
    source_shape: &[usize],
    matrix: &Affine,
    shape: &[usize],
    options: Options,
) -> Result<Tensor> {
    let device = tensor.device();
    // float64 input keeps its digits until the end; all else fits float32
    let exact = tensor.kind() == Kind::Double;
    let source =
        tensor.f_to_device(Device::Cpu)?.f_to_kind(if exact { Kind::Double } else { Kind::Float })?.f_contiguous()?;
    let rank = source_shape.len();
    let matrix = resample::embed(matrix, rank);
    let (from, to) = (cube(source_shape), cube(shape));
    let (source_voxels, voxels): (usize, usize) = (from.iter().product(), to.iter().product());
    let size = full_shape(source.size()[0], shape);
    macro_rules! channels {
        ($type:ty) => {{
            let values = view::slice::<$type>(&source)?;
            let mut outcome = Ok(());
            let out = view::build::<$type>(&size, |out| {
                if source_voxels == 0 || voxels == 0 {
                    out.fill(0.0);
                    return;
                }
                for (values, out) in values.chunks_exact(source_voxels).zip(out.chunks_exact_mut(voxels)) {
                    if outcome.is_ok() {
                        outcome = resample::resample(values, from, &matrix, to, options, out);
                    }
                }
            });
            outcome.map_err(|error| Error::data(error.to_string()))?;
            out
        }};
    }
    let out = if exact { channels!(f64).f_to_kind(Kind::Float)? } else { channels!(f32) };
    Ok(out.f_to_device(device)?)
}
