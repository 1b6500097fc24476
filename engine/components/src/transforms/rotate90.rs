//! Quarter turns: `Rotate90d`, `RandRotate90d`.

use byoc::{Component, Error, Keys, Random, Result, Sample, Transform};
use schemars::JsonSchema;
use serde::Deserialize;

use super::common::{default, map_images, probability, spatial_shape};
use super::geometry::{Operation, record, rotate90, spatial_axes};

/// Turns images by quarters in the plane of two axes.
///
/// From the first axis towards the second one, as numpy's `rot90`. MONAI `Rotate90d`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotate90dArgs {
    /// Keys of the images.
    keys: Keys,
    /// How many quarters.
    #[serde(default = "one")]
    k: i64,
    /// The two spatial axes.
    #[serde(default = "first_two")]
    spatial_axes: [i64; 2],
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

fn one() -> i64 {
    1
}

fn three() -> i64 {
    3
}

fn first_two() -> [i64; 2] {
    [0, 1]
}

/// See [`Rotate90dArgs`].
pub struct Rotate90d(Rotate90dArgs);

impl Component for Rotate90d {
    type Args = Rotate90dArgs;

    fn new(args: Rotate90dArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

fn turn_all(
    sample: &mut Sample,
    keys: &Keys,
    allow_missing: bool,
    axes: [i64; 2],
    k: i64,
    transform: &str,
) -> Result<()> {
    map_images(sample, keys, allow_missing, |_, image| {
        let found = spatial_axes(Some(&axes), spatial_shape(&image.tensor)?.len())?;
        let plane = [found[0], found[1]];
        if plane[0] == plane[1] {
            return Err(Error::invalid_argument(format!(
                "`spatial_axes` {axes:?} are the same axis: two make a plane"
            )));
        }
        let mut image = rotate90(image, plane, k)?;
        record(&mut image, transform, &Operation::Rotate90 { axes: plane, k })?;
        Ok(image)
    })
}

impl Transform for Rotate90d {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        turn_all(sample, &self.0.keys, self.0.allow_missing_keys, self.0.spatial_axes, self.0.k, "Rotate90d")
    }
}

/// Turns images by 1 to `max_k` quarters at random.
///
/// All keys alike. MONAI `RandRotate90d`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandRotate90dArgs {
    /// Keys of the images.
    keys: Keys,
    /// Probability that it does anything.
    #[serde(default = "default::tenth")]
    #[schemars(range(min = 0.0, max = 1.0))]
    prob: f64,
    /// How many quarters at most.
    #[serde(default = "three")]
    #[schemars(range(min = 1))]
    max_k: i64,
    /// The two spatial axes.
    #[serde(default = "first_two")]
    spatial_axes: [i64; 2],
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`RandRotate90dArgs`].
pub struct RandRotate90d(RandRotate90dArgs);

impl Component for RandRotate90d {
    type Args = RandRotate90dArgs;

    fn new(args: RandRotate90dArgs) -> Result<Self> {
        probability(args.prob)?;
        if args.max_k < 1 {
            return Err(Error::invalid_argument(format!("`max_k` is {}, but must be 1 or more", args.max_k)));
        }
        Ok(Self(args))
    }
}

impl Transform for RandRotate90d {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        if !random.chance(self.0.prob) {
            return Ok(());
        }
        let k = random.integer(0, self.0.max_k) + 1;
        turn_all(sample, &self.0.keys, self.0.allow_missing_keys, self.0.spatial_axes, k, "RandRotate90d")
    }

    fn is_random(&self) -> bool {
        true
    }
}

byoc::register! { transforms: [Rotate90d, RandRotate90d] }
