//! Axes flipped, permuted and turned by quarters: no voxel changes its value.

use byoc::{Error, Image, Result};
use mmar_imaging::affine;
use mmar_imaging::orientation::{self, Axis};

use crate::transforms::common::spatial_shape;

/// Indices of spatial axes, negative ones counted from the end; all axes for `None`.
pub(in crate::transforms) fn spatial_axes(axes: Option<&[i64]>, rank: usize) -> Result<Vec<usize>> {
    let Some(axes) = axes else { return Ok((0..rank).collect()) };
    axes.iter()
        .map(|&axis| {
            let index = if axis < 0 { axis + rank as i64 } else { axis };
            usize::try_from(index).ok().filter(|&index| index < rank).ok_or_else(|| {
                Error::invalid_argument(format!(
                    "there is no spatial axis {axis}: the image has {rank}, counted from 0"
                ))
            })
        })
        .collect()
}

/// The order of these spatial axes reversed.
pub(in crate::transforms) fn flip(image: Image, axes: &[usize]) -> Result<Image> {
    let shape = spatial_shape(&image.tensor)?;
    let mut matrix = affine::IDENTITY;
    for &axis in axes {
        matrix[axis][axis] = -1.0;
        matrix[axis][3] = shape[axis] as f64 - 1.0;
    }
    let dims: Vec<i64> = axes.iter().map(|&axis| axis as i64 + 1).collect();
    let tensor = image.tensor.f_flip(&dims)?;
    Ok(Image { tensor, affine: affine::multiply(&image.affine, &matrix), ..image })
}

/// `k` quarter turns in the plane of two spatial axes, from the first towards the second (numpy's `rot90`).
pub(in crate::transforms) fn rotate90(image: Image, axes: [usize; 2], k: i64) -> Result<Image> {
    let shape = spatial_shape(&image.tensor)?;
    let tensor = image.tensor.f_rot90(k, [axes[0] as i64 + 1, axes[1] as i64 + 1])?.f_contiguous()?;
    // new index → old index of one turn: old first = new second, old second = last - new first
    let [a, b] = axes;
    let mut total = affine::IDENTITY;
    let mut size = shape;
    for _ in 0..k.rem_euclid(4) {
        let mut turn = affine::IDENTITY;
        turn[a] = [0.0; 4];
        turn[b] = [0.0; 4];
        turn[a][b] = 1.0;
        turn[b][a] = -1.0;
        turn[b][3] = size[b] as f64 - 1.0;
        total = affine::multiply(&total, &turn);
        size.swap(a, b);
    }
    Ok(Image { tensor, affine: affine::multiply(&image.affine, &total), ..image })
}

/// Axes flipped and permuted so that they run as `target` says.
pub(in crate::transforms) fn reorient(image: Image, target: &[Axis]) -> Result<Image> {
    let shape = spatial_shape(&image.tensor)?;
    let geometry = |error: mmar_imaging::Error| Error::data(error.to_string());
    let start = orientation::of_affine(&image.affine, shape.len()).map_err(geometry)?;
    let change = orientation::between(&start, target).map_err(geometry)?;
    let flipped: Vec<i64> = (0..shape.len()).filter(|&axis| change[axis].flipped).map(|axis| axis as i64 + 1).collect();
    let order: Vec<i64> =
        std::iter::once(0).chain(orientation::permutation(&change).iter().map(|&axis| axis as i64 + 1)).collect();
    let mut tensor = image.tensor.shallow_clone();
    if !flipped.is_empty() {
        tensor = tensor.f_flip(&flipped)?;
    }
    tensor = tensor.f_permute(&order)?.f_contiguous()?;
    let matrix = orientation::index_change(&change, &shape);
    Ok(Image { tensor, affine: affine::multiply(&image.affine, &matrix), ..image })
}
