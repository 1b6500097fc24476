//! `RandScaleIntensityFixedMeand`.

use byoc::{Component, Keys, OneOrMany, Random, Result, Sample, Transform};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind, Tensor};

use super::common::{Dtype, cast, default, map_tensors, present, probability, range};

/// Multiplies the distance of all voxels from the mean by 1 + a random number.
///
/// The same number for all keys. MONAI `RandScaleIntensityFixedMeand`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandScaleIntensityFixedMeandArgs {
    /// Keys of the images.
    keys: Keys,
    /// The range to draw from; a single number x stands for -x … x.
    factors: OneOrMany<f64>,
    /// Whether the mean stays what it was; else the voxels themselves are multiplied.
    #[serde(default = "default::yes")]
    fixed_mean: bool,
    /// Whether the result is cut to the range of the image.
    #[serde(default)]
    preserve_range: bool,
    /// Probability that it does anything.
    #[serde(default = "default::tenth")]
    #[schemars(range(min = 0.0, max = 1.0))]
    prob: f64,
    /// The dtype of the result.
    #[serde(default = "default::float32")]
    dtype: Dtype,
    /// Whether each channel gets a number of its own.
    #[serde(default)]
    channel_wise: bool,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`RandScaleIntensityFixedMeandArgs`].
pub struct RandScaleIntensityFixedMeand {
    args: RandScaleIntensityFixedMeandArgs,
    range: (f64, f64),
}

impl Component for RandScaleIntensityFixedMeand {
    type Args = RandScaleIntensityFixedMeandArgs;

    fn new(args: RandScaleIntensityFixedMeandArgs) -> Result<Self> {
        probability(args.prob)?;
        let range = range("factors", &args.factors)?;
        Ok(Self { args, range })
    }
}

byoc::register! { transforms: [RandScaleIntensityFixedMeand] }

impl RandScaleIntensityFixedMeand {
    fn scale(&self, tensor: &Tensor, factor: f64) -> Result<Tensor> {
        let image = tensor.f_to_kind(Kind::Float)?;
        let scaled = if self.args.fixed_mean {
            let mean = image.f_mean(Kind::Float)?;
            image.f_sub(&mean)?.f_mul_scalar(1.0 + factor)?.f_add(&mean)?
        } else {
            image.f_mul_scalar(1.0 + factor)?
        };
        if self.args.preserve_range && image.numel() > 0 {
            return Ok(scaled.f_clamp_tensor(Some(image.f_min()?), Some(image.f_max()?))?);
        }
        Ok(scaled)
    }
}

impl Transform for RandScaleIntensityFixedMeand {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        let Self { args, range } = self;
        if !random.chance(args.prob) {
            return Ok(());
        }
        let Some((_, first)) = present(sample, &args.keys, args.allow_missing_keys)?.first().copied() else {
            return Ok(());
        };
        let channels = sample.tensor(first)?.size().first().copied().unwrap_or(1);
        let count = if args.channel_wise { channels } else { 1 };
        let factors: Vec<f64> = (0..count).map(|_| random.uniform(range.0, range.1)).collect();
        map_tensors(sample, &args.keys, args.allow_missing_keys, |_, tensor| {
            let scaled = if args.channel_wise {
                let parts = tensor.f_unbind(0)?;
                let factor = |channel: usize| factors[channel.min(factors.len() - 1)];
                let parts = parts.iter().enumerate().map(|(channel, part)| self.scale(part, factor(channel)));
                Tensor::f_stack(&parts.collect::<Result<Vec<_>>>()?, 0)?
            } else {
                self.scale(tensor, factors[0])?
            };
            cast(&scaled, Some(args.dtype))
        })
    }

    fn is_random(&self) -> bool {
        true
    }
}
