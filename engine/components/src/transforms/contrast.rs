//! Contrast by a power: `AdjustContrastd`, `RandAdjustContrastd`.

use byoc::{Component, Error, Keys, OneOrMany, Random, Result, Sample, Transform};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind, Tensor};

use super::common::{default, map_tensors, probability, range};

/// Raises the intensities, scaled to 0 … 1, to a power and scales them back.
///
/// MONAI `AdjustContrastd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdjustContrastdArgs {
    /// Keys of the images.
    keys: Keys,
    /// The power.
    gamma: f64,
    /// Whether it is done to the negative image.
    #[serde(default)]
    invert_image: bool,
    /// Whether mean and standard deviation stay what they were.
    #[serde(default)]
    retain_stats: bool,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`AdjustContrastdArgs`].
pub struct AdjustContrastd(AdjustContrastdArgs);

impl Component for AdjustContrastd {
    type Args = AdjustContrastdArgs;

    fn new(args: AdjustContrastdArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

impl Transform for AdjustContrastd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let Self(args) = self;
        map_tensors(sample, &args.keys, args.allow_missing_keys, |_, tensor| {
            adjust(tensor, args.gamma, args.invert_image, args.retain_stats)
        })
    }
}

fn adjust(tensor: &Tensor, gamma: f64, invert_image: bool, retain_stats: bool) -> Result<Tensor> {
    let mut image = tensor.f_to_kind(Kind::Float)?;
    if image.numel() == 0 {
        return Ok(image);
    }
    if invert_image {
        image = image.f_neg()?;
    }
    let low = image.f_min()?;
    let range = image.f_max()?.f_sub(&low)?;
    let scaled = image.f_sub(&low)?.f_div(&range.f_add_scalar(1e-7)?)?;
    let mut out = scaled.f_pow_tensor_scalar(gamma)?.f_mul(&range)?.f_add(&low)?;
    if retain_stats {
        let centred = out.f_sub(&out.f_mean(Kind::Float)?)?;
        let spread = centred.f_std(true)?.f_add_scalar(1e-8)?;
        out = centred.f_div(&spread)?.f_mul(&image.f_std(true)?)?.f_add(&image.f_mean(Kind::Float)?)?;
    }
    Ok(if invert_image { out.f_neg()? } else { out })
}

/// Raises the intensities, scaled to 0 … 1, to a random power and scales them back.
///
/// The same power for all keys. MONAI `RandAdjustContrastd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandAdjustContrastdArgs {
    /// Keys of the images.
    keys: Keys,
    /// Probability that it does anything.
    #[serde(default = "default::tenth")]
    #[schemars(range(min = 0.0, max = 1.0))]
    prob: f64,
    /// The range of the power; a single number x, above 0.5, stands for 0.5 … x.
    #[serde(default = "powers")]
    gamma: OneOrMany<f64>,
    /// Whether it is done to the negative image.
    #[serde(default)]
    invert_image: bool,
    /// Whether mean and standard deviation stay what they were.
    #[serde(default)]
    retain_stats: bool,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

fn powers() -> OneOrMany<f64> {
    OneOrMany::Many(vec![0.5, 4.5])
}

/// See [`RandAdjustContrastdArgs`].
pub struct RandAdjustContrastd {
    args: RandAdjustContrastdArgs,
    range: (f64, f64),
}

impl Component for RandAdjustContrastd {
    type Args = RandAdjustContrastdArgs;

    fn new(args: RandAdjustContrastdArgs) -> Result<Self> {
        probability(args.prob)?;
        let range = match &args.gamma {
            OneOrMany::One(high) if *high > 0.5 => (0.5, *high),
            OneOrMany::One(high) => {
                return Err(Error::invalid_argument(format!(
                    "`gamma` is {high}, but a single number is the upper end of a range that begins at 0.5"
                )));
            }
            OneOrMany::Many(_) => range("gamma", &args.gamma)?,
        };
        Ok(Self { args, range })
    }
}

impl Transform for RandAdjustContrastd {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        let Self { args, range } = self;
        if !random.chance(args.prob) {
            return Ok(());
        }
        let gamma = random.uniform(range.0, range.1);
        map_tensors(sample, &args.keys, args.allow_missing_keys, |_, tensor| {
            adjust(tensor, gamma, args.invert_image, args.retain_stats)
        })
    }

    fn is_random(&self) -> bool {
        true
    }
}

byoc::register! { transforms: [AdjustContrastd, RandAdjustContrastd] }
