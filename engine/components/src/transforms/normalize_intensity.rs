//! `NormalizeIntensityd`.

use byoc::{Component, Error, Keys, OneOrMany, Random, Result, Sample, Transform};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Tensor;
use torch_ext::view;

use super::common::{CHUNK, Dtype, cast, default, float_values, map_tensors, map_values};

/// Subtracts a number and divides by another: by default the mean and the standard deviation.
///
/// A standard deviation of 0 divides by 1. MONAI `NormalizeIntensityd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NormalizeIntensitydArgs {
    /// Keys of the images.
    keys: Keys,
    /// What is subtracted, with `channel_wise` one for each channel; the mean if it is `null`.
    #[serde(default)]
    subtrahend: Option<OneOrMany<f64>>,
    /// What is divided by, with `channel_wise` one for each channel; the standard deviation if it is `null`.
    #[serde(default)]
    divisor: Option<OneOrMany<f64>>,
    /// Whether voxels of 0 neither count nor change.
    #[serde(default)]
    nonzero: bool,
    /// Whether each channel is normalized on its own.
    #[serde(default)]
    channel_wise: bool,
    /// The dtype of the result.
    #[serde(default = "default::float32")]
    dtype: Dtype,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`NormalizeIntensitydArgs`].
pub struct NormalizeIntensityd(NormalizeIntensitydArgs);

impl Component for NormalizeIntensityd {
    type Args = NormalizeIntensitydArgs;

    fn new(args: NormalizeIntensitydArgs) -> Result<Self> {
        for (name, value) in [("subtrahend", &args.subtrahend), ("divisor", &args.divisor)] {
            if let Some(OneOrMany::Many(values)) = value
                && !args.channel_wise
                && values.len() != 1
            {
                return Err(Error::invalid_argument(format!(
                    "`{name}` is a list of {} values, which needs `channel_wise`",
                    values.len()
                )));
            }
        }
        Ok(Self(args))
    }
}

byoc::register! { transforms: [NormalizeIntensityd] }

/// Mean and (population) standard deviation in float64; `None` if no value counts.
pub(super) fn statistics(values: &[f32], nonzero: bool) -> Option<(f64, f64)> {
    // sums over fixed pieces, added in order: the same on any number of threads
    let sum = |value: &(dyn Fn(f64) -> f64 + Sync)| -> f64 {
        let parts: Vec<f64> = values
            .par_chunks(CHUNK)
            .map(|chunk| chunk.iter().filter(|&&v| !nonzero || v != 0.0).map(|&v| value(f64::from(v))).sum())
            .collect();
        parts.iter().sum()
    };
    let count = sum(&|_| 1.0);
    if count == 0.0 {
        return None;
    }
    let mean = sum(&|value| value) / count;
    let variance = sum(&|value| (value - mean) * (value - mean)) / count;
    Some((mean, variance.sqrt()))
}

impl NormalizeIntensityd {
    fn normalize(&self, tensor: &Tensor, subtrahend: Option<f64>, divisor: Option<f64>) -> Result<Tensor> {
        let source = float_values(tensor)?;
        let nonzero = self.0.nonzero;
        let (mean, std) = match (subtrahend, divisor) {
            (Some(subtrahend), Some(divisor)) => (subtrahend, divisor),
            _ => match statistics(view::slice::<f32>(&source)?, nonzero) {
                Some((mean, std)) => (subtrahend.unwrap_or(mean), divisor.unwrap_or(std)),
                None => return Ok(source),
            },
        };
        let (mean, std) = (mean as f32, if std == 0.0 { 1.0 } else { std as f32 });
        map_values(&source, |value| if nonzero && value == 0.0 { value } else { (value - mean) / std })
    }
}

impl Transform for NormalizeIntensityd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let Self(args) = self;
        map_tensors(sample, &args.keys, args.allow_missing_keys, |_, tensor| {
            let parts = if args.channel_wise { tensor.f_unbind(0)? } else { vec![tensor.shallow_clone()] };
            let values = |name: &str, values: &Option<OneOrMany<f64>>| -> Result<Vec<Option<f64>>> {
                match values {
                    None => Ok(vec![None; parts.len()]),
                    Some(values) => Ok(values.repeat(parts.len(), name)?.into_iter().map(Some).collect()),
                }
            };
            let (subtrahends, divisors) = (values("subtrahend", &args.subtrahend)?, values("divisor", &args.divisor)?);
            let normalized = parts
                .iter()
                .zip(subtrahends.iter().zip(&divisors))
                .map(|(part, (subtrahend, divisor))| self.normalize(part, *subtrahend, *divisor))
                .collect::<Result<Vec<_>>>()?;
            let normalized =
                if args.channel_wise { Tensor::f_stack(&normalized, 0)? } else { normalized[0].shallow_clone() };
            cast(&normalized, Some(args.dtype))
        })
    }
}
