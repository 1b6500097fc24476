//! `AdjustContrastd`.

use byoc::{Component, Keys, Random, Result, Sample, Transform};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind, Tensor};

use super::common::map_tensors;

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

byoc::register! { transforms: [AdjustContrastd] }

impl Transform for AdjustContrastd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        map_tensors(sample, &self.0.keys, self.0.allow_missing_keys, |_, tensor| self.adjust(tensor))
    }
}

impl AdjustContrastd {
    fn adjust(&self, tensor: &Tensor) -> Result<Tensor> {
        let mut image = tensor.f_to_kind(Kind::Float)?;
        if image.numel() == 0 {
            return Ok(image);
        }
        if self.0.invert_image {
            image = image.f_neg()?;
        }
        let low = image.f_min()?;
        let range = image.f_max()?.f_sub(&low)?;
        let scaled = image.f_sub(&low)?.f_div(&range.f_add_scalar(1e-7)?)?;
        let mut out = scaled.f_pow_tensor_scalar(self.0.gamma)?.f_mul(&range)?.f_add(&low)?;
        if self.0.retain_stats {
            let centred = out.f_sub(&out.f_mean(Kind::Float)?)?;
            let spread = centred.f_std(true)?.f_add_scalar(1e-8)?;
            out = centred.f_div(&spread)?.f_mul(&image.f_std(true)?)?.f_add(&image.f_mean(Kind::Float)?)?;
        }
        Ok(if self.0.invert_image { out.f_neg()? } else { out })
    }
}
