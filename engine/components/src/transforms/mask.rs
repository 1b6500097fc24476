//! Intensities by a condition: `MaskIntensityd`, `ThresholdIntensityd`.

use byoc::{Component, Error, Keys, Random, Result, Sample, Transform};
use schemars::JsonSchema;
use serde::Deserialize;

use super::common::{default, map_tensors};

/// Sets voxels to 0 where a mask is not above 0.
///
/// MONAI `MaskIntensityd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MaskIntensitydArgs {
    /// Keys of the images.
    keys: Keys,
    /// Key of the mask: one channel, or as many as the image.
    mask_key: String,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`MaskIntensitydArgs`].
pub struct MaskIntensityd(MaskIntensitydArgs);

impl Component for MaskIntensityd {
    type Args = MaskIntensitydArgs;

    fn new(args: MaskIntensitydArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

impl Transform for MaskIntensityd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let mask = sample.tensor(&self.0.mask_key)?.f_gt(0.0)?;
        map_tensors(sample, &self.0.keys, self.0.allow_missing_keys, |_, tensor| {
            let (size, own) = (mask.size(), tensor.size());
            if size.get(1..) != own.get(1..) || (size.first() != Some(&1) && size.first() != own.first()) {
                return Err(Error::data(format!(
                    "the mask `{}` has shape {size:?}, which does not fit {own:?}",
                    self.0.mask_key
                )));
            }
            Ok(tensor.f_mul(&mask.f_to_kind(tensor.kind())?)?)
        })
    }
}

/// Replaces voxels beyond a threshold.
///
/// With `above` those above it stay, else those below it. MONAI `ThresholdIntensityd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ThresholdIntensitydArgs {
    /// Keys of the images.
    keys: Keys,
    /// The threshold.
    threshold: f64,
    /// Which side stays.
    #[serde(default = "default::yes")]
    above: bool,
    /// What the others become.
    #[serde(default)]
    cval: f64,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`ThresholdIntensitydArgs`].
pub struct ThresholdIntensityd(ThresholdIntensitydArgs);

impl Component for ThresholdIntensityd {
    type Args = ThresholdIntensitydArgs;

    fn new(args: ThresholdIntensitydArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

impl Transform for ThresholdIntensityd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        map_tensors(sample, &self.0.keys, self.0.allow_missing_keys, |_, tensor| {
            let replaced = if self.0.above { tensor.f_le(self.0.threshold)? } else { tensor.f_ge(self.0.threshold)? };
            Ok(tensor.f_masked_fill(&replaced, self.0.cval)?)
        })
    }
}

byoc::register! { transforms: [MaskIntensityd, ThresholdIntensityd] }
