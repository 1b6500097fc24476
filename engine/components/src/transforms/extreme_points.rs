//! The outermost points of a label: `AddExtremePointsChanneld`.

use byoc::{Component, Error, Keys, OneOrMany, Random, Result, Sample, Transform};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind, Tensor};
use torch_ext::view;

use super::common::{float_values, map_tensors, spatial_shape};
use super::gaussian::{Approximation, smooth};

/// Adds a channel in which the label's outermost points along each axis are marked by Gaussians.
///
/// Of several voxels that lie equally far out one is drawn. All keys alike. MONAI `AddExtremePointsChanneld`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddExtremePointsChanneldArgs {
    /// Keys of the images.
    keys: Keys,
    /// Key of the label, of one channel.
    label_key: String,
    /// The label's background; all else counts.
    #[serde(default)]
    background: f64,
    /// Points are moved by up to twice so many voxels towards the end of each axis, at random.
    #[serde(default)]
    pert: f64,
    /// Standard deviation of the Gaussians in voxels, for each axis or for all.
    #[serde(default = "three")]
    sigma: OneOrMany<f64>,
    /// The lowest value of the channel.
    #[serde(default = "lowest")]
    rescale_min: f64,
    /// The highest value of the channel.
    #[serde(default = "highest")]
    rescale_max: f64,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

fn three() -> OneOrMany<f64> {
    OneOrMany::One(3.0)
}

fn lowest() -> f64 {
    -1.0
}

fn highest() -> f64 {
    1.0
}

/// See [`AddExtremePointsChanneldArgs`].
pub struct AddExtremePointsChanneld(AddExtremePointsChanneldArgs);

impl Component for AddExtremePointsChanneld {
    type Args = AddExtremePointsChanneldArgs;

    fn new(args: AddExtremePointsChanneldArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

byoc::register! { transforms: [AddExtremePointsChanneld] }

/// For each axis a voxel with the lowest and one with the highest coordinate among those that are set, in C order with this
/// shape; drawn where there are several (MONAI's `get_extreme_points`). Empty if none is set.
pub(super) fn extreme_points(
    is_set: impl Fn(usize) -> bool,
    shape: &[usize],
    pert: f64,
    random: &mut Random,
) -> Vec<Vec<i64>> {
    let place = |index: usize| -> Vec<usize> {
        let mut rest = index;
        let mut place = vec![0; shape.len()];
        for (place, n) in place.iter_mut().zip(shape).rev() {
            *place = rest % n;
            rest /= n;
        }
        place
    };
    let indices: Vec<usize> = (0..shape.iter().product()).filter(|&index| is_set(index)).collect();
    let mut points = Vec::new();
    for axis in 0..shape.len() {
        let along = |index: usize| place(index)[axis];
        let lowest = indices.iter().map(|&index| along(index)).min();
        let highest = indices.iter().map(|&index| along(index)).max();
        for end in [lowest, highest].into_iter().flatten() {
            let outermost: Vec<usize> = indices.iter().copied().filter(|&index| along(index) == end).collect();
            let chosen = place(outermost[random.integer(0, outermost.len() as i64) as usize]);
            let moved = chosen.iter().zip(shape).map(|(&at, &n)| {
                let at = (at as f64 + 2.0 * pert * random.uniform(0.0, 1.0)) as i64;
                at.clamp(0, n as i64 - 1)
            });
            points.push(moved.collect());
        }
    }
    points
}

impl AddExtremePointsChanneld {
    fn channel(&self, points: &[Vec<i64>], shape: &[usize]) -> Result<Tensor> {
        let Self(args) = self;
        let size: Vec<i64> = std::iter::once(1).chain(shape.iter().map(|&n| n as i64)).collect();
        let marked = view::build::<f32>(&size, |out| {
            out.fill(0.0);
            for point in points {
                let index = point.iter().zip(shape).fold(0, |index, (&at, &n)| index * n + at as usize);
                out[index] = 1.0;
            }
        });
        let blurred = smooth(&marked, &args.sigma.repeat(shape.len(), "sigma")?, Approximation::Erf)?;
        let (low, high) = (blurred.f_min()?, blurred.f_max()?);
        let scaled = blurred.f_sub(&low)?.f_div(&high.f_sub(&low)?)?;
        Ok(scaled.f_mul_scalar(args.rescale_max - args.rescale_min)?.f_add_scalar(args.rescale_min)?)
    }
}

impl Transform for AddExtremePointsChanneld {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        let Self(args) = self;
        let label = sample.tensor(&args.label_key)?;
        let shape = spatial_shape(label)?;
        if label.size()[0] != 1 {
            return Err(Error::data(format!(
                "`{}` has {} channels; a label of one channel is expected",
                args.label_key,
                label.size()[0]
            )));
        }
        let values = float_values(label)?;
        let values = view::slice::<f32>(&values)?;
        let points = extreme_points(|index| f64::from(values[index]) != args.background, &shape, args.pert, random);
        if points.is_empty() {
            return Err(Error::data(format!("`{}` is all background: it has no outermost points", args.label_key)));
        }
        let channel = self.channel(&points, &shape)?;
        map_tensors(sample, &args.keys, args.allow_missing_keys, |_, tensor| {
            let channel = channel.f_to_device(tensor.device())?;
            let image =
                if tensor.is_floating_point() { tensor.shallow_clone() } else { tensor.f_to_kind(Kind::Float)? };
            Ok(Tensor::f_cat(&[&image, &channel.f_to_kind(image.kind())?], 0)?)
        })
    }

    fn is_random(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use byoc::Random;

    use super::extreme_points;

    #[test]
    fn points_lie_on_the_outermost_voxels() {
        // a plus sign with arms of 3, 2, 4 and 2 voxels
        let set = |index: usize| {
            let (row, column) = (index as i64 / 12 - 5, index as i64 % 12 - 6);
            (row == 0 && (-4..=2).contains(&column)) || (column == 0 && (-3..=2).contains(&row))
        };
        let points = extreme_points(set, &[10, 12], 0.0, &mut Random::from_seed(0));
        assert_eq!(points, [[2, 6], [7, 6], [5, 2], [5, 8]]);
        // a square has a choice
        let square = |index: usize| (3..6).contains(&(index / 12)) && (4..9).contains(&(index % 12));
        let mut random = Random::from_seed(1);
        let mut columns = std::collections::BTreeSet::new();
        for _ in 0..100 {
            let points = extreme_points(square, &[10, 12], 0.0, &mut random);
            assert_eq!((points[0][0], points[1][0], points[2][1], points[3][1]), (3, 5, 4, 8));
            columns.insert(points[0][1]);
        }
        assert_eq!(columns, (4..9).collect());
        assert!(extreme_points(|_| false, &[10, 12], 0.0, &mut random).is_empty());
    }
}
