//! Intensities scaled linearly: `ScaleIntensityRanged`, `ScaleIntensityd`, `ScaleIntensityRangePercentilesd`.

use byoc::{Component, Error, Keys, Random, Result, Sample, Transform};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Tensor;
use torch_ext::view;

use super::common::{CHUNK, Dtype, cast, default, float_values, map_tensors, map_values};

/// Maps the range from `a_min` to `a_max` onto that from `b_min` to `b_max`.
///
/// In float32. Without `b_min` and `b_max` the range becomes 0 … 1. MONAI `ScaleIntensityRanged`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScaleIntensityRangedArgs {
    /// Keys of the images.
    keys: Keys,
    /// Lower end of the input range.
    a_min: f64,
    /// Upper end of the input range.
    a_max: f64,
    /// Lower end of the output range.
    #[serde(default)]
    b_min: Option<f64>,
    /// Upper end of the output range.
    #[serde(default)]
    b_max: Option<f64>,
    /// Whether values outside are cut to the output range.
    #[serde(default)]
    clip: bool,
    /// The dtype of the result.
    #[serde(default = "default::float32")]
    dtype: Dtype,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`ScaleIntensityRangedArgs`].
pub struct ScaleIntensityRanged(ScaleIntensityRangedArgs, Range);

/// The numbers of a range mapping.
#[derive(Clone, Copy)]
struct Range {
    a_min: f64,
    a_max: f64,
    b_min: Option<f64>,
    b_max: Option<f64>,
    clip: bool,
}

impl Range {
    fn check(self) -> Result<Self> {
        if self.clip && self.b_min.is_none() && self.b_max.is_none() {
            return Err(Error::invalid_argument("`clip` needs `b_min` or `b_max`: there is no range to cut to"));
        }
        Ok(self)
    }

    fn apply(self, tensor: &Tensor) -> Result<Tensor> {
        let (a_min, width) = (self.a_min as f32, (self.a_max - self.a_min) as f32);
        if self.a_max == self.a_min {
            tracing::warn!("`a_min` and `a_max` are both {}: the intensities are shifted, not scaled", self.a_min);
            let b_min = self.b_min.unwrap_or(0.0) as f32;
            return map_values(tensor, |value| value - a_min + b_min);
        }
        let (factor, offset) = match (self.b_min, self.b_max) {
            (Some(low), Some(high)) => ((high - low) as f32, low as f32),
            _ => (1.0, 0.0),
        };
        if self.clip {
            let low = self.b_min.map_or(f32::NEG_INFINITY, |low| low as f32);
            let high = self.b_max.map_or(f32::INFINITY, |high| high as f32);
            // the order of `clamp` keeps NaN, which has to be seen later
            return map_values(tensor, |value| {
                let scaled = (value - a_min) / width * factor + offset;
                if scaled < low {
                    low
                } else if scaled > high {
                    high
                } else {
                    scaled
                }
            });
        }
        map_values(tensor, |value| (value - a_min) / width * factor + offset)
    }
}

impl Component for ScaleIntensityRanged {
    type Args = ScaleIntensityRangedArgs;

    fn new(args: ScaleIntensityRangedArgs) -> Result<Self> {
        let range =
            Range { a_min: args.a_min, a_max: args.a_max, b_min: args.b_min, b_max: args.b_max, clip: args.clip };
        Ok(Self(args, range.check()?))
    }
}

impl Transform for ScaleIntensityRanged {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        map_tensors(sample, &self.0.keys, self.0.allow_missing_keys, |_, tensor| {
            cast(&self.1.apply(tensor)?, Some(self.0.dtype))
        })
    }
}

/// Maps the range of the image's own values onto `minv` … `maxv`, or multiplies by 1 + `factor`.
///
/// An image of one value is multiplied by `minv`. MONAI `ScaleIntensityd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScaleIntensitydArgs {
    /// Keys of the images.
    keys: Keys,
    /// Lower end of the output range.
    #[serde(default = "zero")]
    minv: Option<f64>,
    /// Upper end of the output range.
    #[serde(default = "one")]
    maxv: Option<f64>,
    /// With `minv` and `maxv` null the values become v · (1 + `factor`).
    #[serde(default)]
    factor: Option<f64>,
    /// Whether each channel has a range of its own.
    #[serde(default)]
    channel_wise: bool,
    /// The dtype of the result.
    #[serde(default = "default::float32")]
    dtype: Dtype,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

#[expect(clippy::unnecessary_wraps, reason = "the type of the field")]
fn zero() -> Option<f64> {
    Some(0.0)
}

#[expect(clippy::unnecessary_wraps, reason = "the type of the field")]
fn one() -> Option<f64> {
    Some(1.0)
}

/// See [`ScaleIntensitydArgs`].
pub struct ScaleIntensityd(ScaleIntensitydArgs);

impl Component for ScaleIntensityd {
    type Args = ScaleIntensitydArgs;

    fn new(args: ScaleIntensitydArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

impl ScaleIntensityd {
    fn rescale(&self, tensor: &Tensor) -> Result<Tensor> {
        let source = float_values(tensor)?;
        let ends = |values: &[f32]| {
            values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)))
        };
        let (low, high) = view::slice::<f32>(&source)?
            .par_chunks(CHUNK)
            .map(ends)
            .reduce(|| (f32::INFINITY, f32::NEG_INFINITY), |a, b| (a.0.min(b.0), a.1.max(b.1)));
        if low == high {
            return Ok(match self.0.minv {
                Some(minv) => source.f_mul_scalar(minv)?,
                None => source,
            });
        }
        let width = high - low;
        match (self.0.minv, self.0.maxv) {
            (Some(minv), Some(maxv)) => {
                let (factor, minv) = ((maxv - minv) as f32, minv as f32);
                map_values(&source, |value| (value - low) / width * factor + minv)
            }
            _ => map_values(&source, |value| (value - low) / width),
        }
    }
}

impl Transform for ScaleIntensityd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        map_tensors(sample, &self.0.keys, self.0.allow_missing_keys, |_, tensor| {
            let scaled = if self.0.minv.is_none() && self.0.maxv.is_none() {
                match self.0.factor {
                    Some(factor) => tensor.f_mul_scalar(1.0 + factor)?,
                    None => tensor.shallow_clone(),
                }
            } else if self.0.channel_wise {
                let channels =
                    tensor.f_unbind(0)?.iter().map(|channel| self.rescale(channel)).collect::<Result<Vec<_>>>()?;
                Tensor::f_stack(&channels, 0)?
            } else {
                self.rescale(tensor)?
            };
            cast(&scaled, Some(self.0.dtype))
        })
    }
}

/// Maps the range between two percentiles of the image's values onto `b_min` … `b_max`.
///
/// Percentiles are interpolated linearly. MONAI `ScaleIntensityRangePercentilesd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScaleIntensityRangePercentilesdArgs {
    /// Keys of the images.
    keys: Keys,
    /// Lower percentile, 0 to 100.
    #[schemars(range(min = 0.0, max = 100.0))]
    lower: f64,
    /// Upper percentile, 0 to 100.
    #[schemars(range(min = 0.0, max = 100.0))]
    upper: f64,
    /// Lower end of the output range.
    b_min: Option<f64>,
    /// Upper end of the output range.
    b_max: Option<f64>,
    /// Whether values outside are cut to the output range.
    #[serde(default)]
    clip: bool,
    /// Whether the ends of the output range move inwards by the percentiles, too.
    #[serde(default)]
    relative: bool,
    /// Whether each channel has percentiles of its own.
    #[serde(default)]
    channel_wise: bool,
    /// The dtype of the result.
    #[serde(default = "default::float32")]
    dtype: Dtype,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`ScaleIntensityRangePercentilesdArgs`].
pub struct ScaleIntensityRangePercentilesd(ScaleIntensityRangePercentilesdArgs);

impl Component for ScaleIntensityRangePercentilesd {
    type Args = ScaleIntensityRangePercentilesdArgs;

    fn new(args: ScaleIntensityRangePercentilesdArgs) -> Result<Self> {
        for (name, value) in [("lower", args.lower), ("upper", args.upper)] {
            if !(0.0..=100.0).contains(&value) {
                return Err(Error::invalid_argument(format!(
                    "`{name}` is {value}; a percentile lies between 0 and 100"
                )));
            }
        }
        if args.relative && (args.b_min.is_none() || args.b_max.is_none()) {
            return Err(Error::invalid_argument("`relative` needs `b_min` and `b_max`"));
        }
        Range { a_min: 0.0, a_max: 1.0, b_min: args.b_min, b_max: args.b_max, clip: args.clip }.check()?;
        Ok(Self(args))
    }
}

impl ScaleIntensityRangePercentilesd {
    fn rescale(&self, tensor: &Tensor) -> Result<Tensor> {
        let source = float_values(tensor)?;
        let mut values = view::slice::<f32>(&source)?.to_vec();
        if values.is_empty() {
            return Ok(source);
        }
        let Self(args) = self;
        let a_min = percentile(&mut values, args.lower);
        let a_max = percentile(&mut values, args.upper);
        let (mut b_min, mut b_max) = (args.b_min, args.b_max);
        if let (true, Some(low), Some(high)) = (args.relative, b_min, b_max) {
            b_min = Some((high - low) * (args.lower / 100.0) + low);
            b_max = Some((high - low) * (args.upper / 100.0) + low);
        }
        Range { a_min, a_max, b_min, b_max, clip: args.clip }.apply(&source)
    }
}

/// The value below which `percent` of the values lie, between two values linearly (numpy's default).
pub(super) fn percentile(values: &mut [f32], percent: f64) -> f64 {
    let position = percent / 100.0 * (values.len() - 1) as f64;
    let index = position.floor() as usize;
    let (_, &mut low, above) = values.select_nth_unstable_by(index, f32::total_cmp);
    let high = above.iter().copied().min_by(f32::total_cmp).unwrap_or(low);
    let (low, high) = (f64::from(low), f64::from(high));
    low + (high - low) * (position - index as f64)
}

impl Transform for ScaleIntensityRangePercentilesd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        map_tensors(sample, &self.0.keys, self.0.allow_missing_keys, |_, tensor| {
            let scaled = if self.0.channel_wise {
                let channels =
                    tensor.f_unbind(0)?.iter().map(|channel| self.rescale(channel)).collect::<Result<Vec<_>>>()?;
                Tensor::f_stack(&channels, 0)?
            } else {
                self.rescale(tensor)?
            };
            cast(&scaled, Some(self.0.dtype))
        })
    }
}

byoc::register! { transforms: [ScaleIntensityRanged, ScaleIntensityd, ScaleIntensityRangePercentilesd] }
