//! Surfaces of masks, and distances between two of them.

use byoc::{Error, OneOrMany, Result};
use tch::{Kind, Tensor};

use super::distance_transform::{DistanceMetric, distances};
use super::pair::{foreground, ignore_mask, same_shape};
use super::surface_elements::{ElementSizes, Elements};

/// What the metrics of surfaces have in common.
#[derive(Debug, Clone)]
pub(super) struct SurfaceOptions {
    pub(super) include_background: bool,
    pub(super) distance_metric: DistanceMetric,
    /// Voxel size, one for all axes or one per axis; 1 by default.
    pub(super) spacing: Option<OneOrMany<f64>>,
    pub(super) ignore_index: Option<i64>,
    /// Whether surfaces run between the voxels; else they are made of voxels.
    pub(super) use_subvoxels: bool,
}

/// Distances between the surfaces of one class of one item.
#[derive(Debug, Default)]
pub(super) struct SurfaceDistances {
    /// Of each surface voxel of the prediction to the ground truth. Infinite if one of them is empty; then, if it is
    /// the prediction, there is one value per surface voxel of the ground truth (as in MONAI).
    pub(super) to_truth: Vec<f32>,
    /// The other way round.
    pub(super) to_prediction: Vec<f32>,
    /// How large the pieces of the prediction's surface are, in the order of `to_truth`; 1 for voxels.
    pub(super) prediction_sizes: Vec<f64>,
    /// The same of the ground truth's surface, in the order of `to_prediction`.
    pub(super) truth_sizes: Vec<f64>,
}

impl SurfaceOptions {
    /// A value for each item and class, (B, C), from the distances of their surfaces. `both` asks for the distances in
    /// both directions.
    pub(super) fn per_item(
        &self,
        y_pred: &Tensor,
        y: &Tensor,
        both: bool,
        value: impl Fn(&SurfaceDistances, usize) -> f32,
    ) -> Result<Tensor> {
        same_shape(y_pred, y, 3)?;
        let (mut y_pred, mut y) = (y_pred.shallow_clone(), y.shallow_clone());
        if let Some(mask) = ignore_mask(&y, self.ignore_index)? {
            y_pred = y_pred.f_mul(&mask)?;
            y = y.f_mul(&mask)?;
        }
        let (y_pred, y) = foreground(&y_pred, &y, self.include_background)?;
        let shape = y_pred.size();
        let dims = shape.len() - 2;
        if dims > 3 {
            return Err(Error::data(format!("surfaces are computed in 1 to 3 dimensions, found shape {shape:?}")));
        }
        let given = self.spacing.clone().unwrap_or(OneOrMany::One(1.0)).repeat(dims, "spacing")?;
        // missing axes come first, with size 1
        let (mut grid, mut spacing) = ([1; 3], [1.0; 3]);
        for axis in 0..dims {
            grid[3 - dims + axis] = shape[2 + axis] as usize;
            spacing[3 - dims + axis] = given[axis];
        }
        let sizes = self.use_subvoxels.then(|| ElementSizes::new(spacing, dims)).transpose()?;
        let mut values = Vec::new();
        for item in 0..shape[0] {
            for class in 0..shape[1] {
                let voxels = |tensor: &Tensor| -> Result<Vec<bool>> {
                    let mask = tensor.f_select(0, item)?.f_select(0, class)?.f_eq(1)?.f_to_device(tch::Device::Cpu)?;
                    Ok(Vec::try_from(mask.f_contiguous()?.f_reshape([-1])?)?)
                };
                let surface = |mask: &[bool]| match &sizes {
                    Some(sizes) => sizes.surface(mask, grid),
                    None => voxel_surface(mask, grid),
                };
                let (prediction, truth) = (surface(&voxels(&y_pred)?), surface(&voxels(&y)?));
                let between = |from: &Elements, to: &Elements| {
                    surface_distances(&from.is_surface, &to.is_surface, from.shape, self.distance_metric, spacing)
                };
                let distances = SurfaceDistances {
                    to_truth: between(&prediction, &truth),
                    to_prediction: if both { between(&truth, &prediction) } else { Vec::new() },
                    prediction_sizes: prediction.sizes,
                    truth_sizes: truth.sizes,
                };
                values.push(value(&distances, class as usize));
            }
        }
        Ok(Tensor::from_slice(&values).f_reshape([shape[0], shape[1]])?.f_to_kind(Kind::Float)?)
    }
}

/// The surface of a mask as the voxels at its border.
fn voxel_surface(mask: &[bool], shape: [usize; 3]) -> Elements {
    let is_surface = surface(mask, shape);
    let sizes = vec![1.0; is_surface.iter().filter(|on| **on).count()];
    Elements { is_surface, sizes, shape }
}

/// Voxels of a mask with a neighbour (along an axis) that is not in it; beyond the image there is nothing.
fn surface(mask: &[bool], shape: [usize; 3]) -> Vec<bool> {
    let strides = [shape[1] * shape[2], shape[2], 1];
    let is_edge = |at: usize| {
        (0..3).filter(|axis| shape[*axis] > 1).any(|axis| {
            let place = at / strides[axis] % shape[axis];
            place == 0 || place + 1 == shape[axis] || !mask[at - strides[axis]] || !mask[at + strides[axis]]
        })
    };
    (0..mask.len()).map(|at| mask[at] && is_edge(at)).collect()
}

fn surface_distances(
    from: &[bool],
    to: &[bool],
    shape: [usize; 3],
    metric: DistanceMetric,
    spacing: [f64; 3],
) -> Vec<f32> {
    let count = |surface: &[bool]| surface.iter().filter(|on| **on).count();
    match (count(from), count(to)) {
        (from, 0) => return vec![f32::INFINITY; from],
        (0, to) => return vec![f32::INFINITY; to],
        _ => {}
    }
    // everything happens within the box around both: most of a volume is far from any surface
    let (low, high) = bounding_box(from, to, shape);
    let size = [0, 1, 2].map(|axis| high[axis] - low[axis] + 1);
    let crop = |surface: &[bool]| {
        let mut cropped = Vec::with_capacity(size.iter().product());
        for x in low[0]..=high[0] {
            for y in low[1]..=high[1] {
                let start = (x * shape[1] + y) * shape[2] + low[2];
                cropped.extend_from_slice(&surface[start..start + size[2]]);
            }
        }
        cropped
    };
    let distances = distances(&crop(to), size, metric, spacing);
    crop(from).iter().zip(distances).filter(|(on, _)| **on).map(|(_, distance)| distance).collect()
}

fn bounding_box(a: &[bool], b: &[bool], shape: [usize; 3]) -> ([usize; 3], [usize; 3]) {
    let (mut low, mut high) = (shape, [0; 3]);
    for at in (0..a.len()).filter(|at| a[*at] || b[*at]) {
        let place = [at / (shape[1] * shape[2]), at / shape[2] % shape[1], at % shape[2]];
        for axis in 0..3 {
            low[axis] = low[axis].min(place[axis]);
            high[axis] = high[axis].max(place[axis]);
        }
    }
    (low, high)
}

#[cfg(test)]
mod tests {
    use super::{DistanceMetric, surface, surface_distances};

    #[test]
    fn the_surface_is_where_a_neighbour_is_missing() {
        let full = [true; 25];
        let edge = surface(&full, [1, 5, 5]);
        assert_eq!(edge.iter().filter(|on| **on).count(), 16);
        assert!(!edge[12]);
    }

    #[test]
    fn distances_of_two_lines_and_of_nothing() {
        let line = |row: usize| (0..16).map(|i| i / 4 == row).collect::<Vec<_>>();
        let between = |from: &[bool], to: &[bool]| {
            surface_distances(from, to, [1, 4, 4], DistanceMetric::Euclidean, [1.0, 2.0, 1.0])
        };
        assert_eq!(between(&line(0), &line(2)), [4.0; 4]);
        assert_eq!(between(&line(0), &[false; 16]), [f32::INFINITY; 4]);
        assert_eq!(between(&[false; 16], &line(0)), [f32::INFINITY; 4]);
        assert!(between(&[false; 16], &[false; 16]).is_empty());
    }
}
