//! `DistanceTransformEDTd`.

use byoc::{Component, Error, Keys, OneOrMany, Random, Result, Sample, Transform};
use mmar_imaging::region::euclidean_distances;
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Tensor;
use torch_ext::view;

use super::common::{float_values, map_tensors, spatial_shape};
use super::geometry::cube;

/// Replaces voxels by their Euclidean distance to the nearest voxel that is 0, each channel on its own, as float64.
///
/// In a channel without zeros the distance is that to the voxel in front of the first one along the first axis, as in
/// scipy. For 2-D and 3-D images. MONAI `DistanceTransformEDTd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DistanceTransformEDTdArgs {
    /// Keys of the labels.
    keys: Keys,
    /// Size of a voxel, for each axis or for all; 1 if it is `null`.
    #[serde(default)]
    sampling: Option<OneOrMany<f64>>,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`DistanceTransformEDTdArgs`].
pub struct DistanceTransformEDTd(DistanceTransformEDTdArgs);

impl Component for DistanceTransformEDTd {
    type Args = DistanceTransformEDTdArgs;

    fn new(args: DistanceTransformEDTdArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

byoc::register! { transforms: [DistanceTransformEDTd] }

/// Distances to the place in front of the first voxel.
fn without_zeros(shape: &[usize], spacing: &[f64]) -> Vec<f64> {
    (0..shape.iter().product())
        .map(|index: usize| {
            let mut rest = index;
            let mut square = 0.0;
            for (axis, &n) in shape.iter().enumerate().rev() {
                let steps = (rest % n + usize::from(axis == 0)) as f64;
                square += (steps * spacing[axis]).powi(2);
                rest /= n;
            }
            square.sqrt()
        })
        .collect()
}

impl Transform for DistanceTransformEDTd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        map_tensors(sample, &self.0.keys, self.0.allow_missing_keys, |_, tensor| {
            let shape = spatial_shape(tensor)?;
            let rank = shape.len();
            if rank < 2 {
                return Err(Error::data(format!("it has {rank} spatial axes; 2 or 3 are expected")));
            }
            let sizes = match &self.0.sampling {
                Some(sizes) => sizes.repeat(rank, "sampling")?,
                None => vec![1.0; rank],
            };
            let spacing: [f64; 3] =
                std::array::from_fn(|axis| (axis + rank).checked_sub(3).map_or(1.0, |axis| sizes[axis]));
            let source = float_values(tensor)?;
            let values = view::slice::<f32>(&source)?;
            let voxels: usize = shape.iter().product::<usize>().max(1);
            let mut all = Vec::with_capacity(values.len());
            for channel in values.chunks(voxels) {
                let zeros: Vec<bool> = channel.iter().map(|&value| value == 0.0).collect();
                if zeros.contains(&true) {
                    all.extend(euclidean_distances(&zeros, cube(&shape), spacing));
                } else {
                    all.extend(without_zeros(&shape, &sizes));
                }
            }
            let out: Tensor = view::from_vec(all, &tensor.size());
            Ok(out.f_to_device(tensor.device())?)
        })
    }
}
