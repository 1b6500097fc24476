//! Mirrored images: `Flipd`, `RandFlipd`, `RandAxisFlipd`.

use byoc::{Component, Keys, OneOrMany, Random, Result, Sample, Transform};
use schemars::JsonSchema;
use serde::Deserialize;

use super::common::{default, map_images, present, probability, spatial_shape};
use super::geometry::{Operation, flip, record, spatial_axes};

/// Reverses spatial axes.
///
/// MONAI `Flipd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FlipdArgs {
    /// Keys of the images.
    keys: Keys,
    /// The axes, 0 the first spatial one, negative ones from the end; all if it is `null`.
    #[serde(default)]
    spatial_axis: Option<OneOrMany<i64>>,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`FlipdArgs`].
pub struct Flipd(FlipdArgs);

impl Component for Flipd {
    type Args = FlipdArgs;

    fn new(args: FlipdArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

fn flip_all(
    sample: &mut Sample,
    keys: &Keys,
    allow_missing: bool,
    axis: Option<&OneOrMany<i64>>,
    transform: &str,
) -> Result<()> {
    let wanted = axis.map(|axis| axis.clone().into_vec());
    map_images(sample, keys, allow_missing, |_, image| {
        let axes = spatial_axes(wanted.as_deref(), spatial_shape(&image.tensor)?.len())?;
        let mut image = flip(image, &axes)?;
        record(&mut image, transform, &Operation::Flip { axes })?;
        Ok(image)
    })
}

impl Transform for Flipd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        flip_all(sample, &self.0.keys, self.0.allow_missing_keys, self.0.spatial_axis.as_ref(), "Flipd")
    }
}

/// Reverses spatial axes, or not, at random.
///
/// All keys alike. MONAI `RandFlipd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandFlipdArgs {
    /// Keys of the images.
    keys: Keys,
    /// Probability that it does anything.
    #[serde(default = "default::tenth")]
    #[schemars(range(min = 0.0, max = 1.0))]
    prob: f64,
    /// The axes, 0 the first spatial one, negative ones from the end; all if it is `null`.
    #[serde(default)]
    spatial_axis: Option<OneOrMany<i64>>,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`RandFlipdArgs`].
pub struct RandFlipd(RandFlipdArgs);

impl Component for RandFlipd {
    type Args = RandFlipdArgs;

    fn new(args: RandFlipdArgs) -> Result<Self> {
        probability(args.prob)?;
        Ok(Self(args))
    }
}

impl Transform for RandFlipd {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        if !random.chance(self.0.prob) {
            return Ok(());
        }
        flip_all(sample, &self.0.keys, self.0.allow_missing_keys, self.0.spatial_axis.as_ref(), "RandFlipd")
    }

    fn is_random(&self) -> bool {
        true
    }
}

/// Reverses a random spatial axis, or none.
///
/// All keys alike. MONAI `RandAxisFlipd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandAxisFlipdArgs {
    /// Keys of the images.
    keys: Keys,
    /// Probability that it does anything.
    #[serde(default = "default::tenth")]
    #[schemars(range(min = 0.0, max = 1.0))]
    prob: f64,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`RandAxisFlipdArgs`].
pub struct RandAxisFlipd(RandAxisFlipdArgs);

impl Component for RandAxisFlipd {
    type Args = RandAxisFlipdArgs;

    fn new(args: RandAxisFlipdArgs) -> Result<Self> {
        probability(args.prob)?;
        Ok(Self(args))
    }
}

impl Transform for RandAxisFlipd {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        let Self(args) = self;
        if !random.chance(args.prob) {
            return Ok(());
        }
        let Some((_, first)) = present(sample, &args.keys, args.allow_missing_keys)?.first().copied() else {
            return Ok(());
        };
        let rank = spatial_shape(sample.tensor(first)?)?.len();
        let axis = OneOrMany::One(random.integer(0, rank as i64));
        flip_all(sample, &args.keys, args.allow_missing_keys, Some(&axis), "RandAxisFlipd")
    }

    fn is_random(&self) -> bool {
        true
    }
}

byoc::register! { transforms: [Flipd, RandFlipd, RandAxisFlipd] }
