//! `ClipIntensityPercentilesd`.

use byoc::{Component, Error, Keys, Random, Result, Sample, Transform};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Tensor;
use torch_ext::view;

use super::common::{Dtype, cast, default, float_values, map_tensors, map_values};
use super::scale_intensity::percentile;

/// Cuts intensities to the range between two percentiles of the image's values, sharply or softly.
///
/// MONAI `ClipIntensityPercentilesd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClipIntensityPercentilesdArgs {
    /// Keys of the images.
    keys: Keys,
    /// Lower percentile, 0 to 100; `null`: nothing is cut below.
    lower: Option<f64>,
    /// Upper percentile, 0 to 100; `null`: nothing is cut above.
    upper: Option<f64>,
    /// How sharp the soft ends of the range are, above 0; `null`: values are cut.
    #[serde(default)]
    sharpness_factor: Option<f64>,
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

/// See [`ClipIntensityPercentilesdArgs`].
pub struct ClipIntensityPercentilesd(ClipIntensityPercentilesdArgs);

impl Component for ClipIntensityPercentilesd {
    type Args = ClipIntensityPercentilesdArgs;

    fn new(args: ClipIntensityPercentilesdArgs) -> Result<Self> {
        for (name, value) in [("lower", args.lower), ("upper", args.upper)] {
            if let Some(value) = value.filter(|value| !(0.0..=100.0).contains(value)) {
                return Err(Error::invalid_argument(format!(
                    "`{name}` is {value}; a percentile lies between 0 and 100"
                )));
            }
        }
        match (args.lower, args.upper) {
            (None, None) => Err(Error::invalid_argument("`lower` or `upper` is needed: there is nothing to cut to")),
            (Some(lower), Some(upper)) if upper < lower => {
                Err(Error::invalid_argument(format!("`upper` {upper} is below `lower` {lower}")))
            }
            _ if args.sharpness_factor.is_some_and(|factor| factor <= 0.0) => {
                Err(Error::invalid_argument("`sharpness_factor` must be above 0"))
            }
            _ => Ok(Self(args)),
        }
    }
}

byoc::register! { transforms: [ClipIntensityPercentilesd] }

/// ln(1 + exp(x)), as PyTorch computes it.
fn softplus(x: f64) -> f64 {
    if x > 20.0 { x } else { x.exp().ln_1p() }
}

impl ClipIntensityPercentilesd {
    fn clip(&self, tensor: &Tensor) -> Result<Tensor> {
        let source = float_values(tensor)?;
        let mut values = view::slice::<f32>(&source)?.to_vec();
        if values.is_empty() {
            return Ok(source);
        }
        let mut end = |percent: Option<f64>| percent.map(|percent| percentile(&mut values, percent));
        let (low, high) = (end(self.0.lower), end(self.0.upper));
        if let Some(sharpness) = self.0.sharpness_factor {
            return map_values(&source, |value| {
                let value = f64::from(value);
                let raised = low.map_or(0.0, |low| softplus(-sharpness * (value - low)) / sharpness);
                let lowered = high.map_or(0.0, |high| softplus(sharpness * (value - high)) / sharpness);
                (value + raised - lowered) as f32
            });
        }
        let (low, high) =
            (low.map_or(f32::NEG_INFINITY, |low| low as f32), high.map_or(f32::INFINITY, |high| high as f32));
        map_values(&source, |value| {
            if value < low {
                low
            } else if value > high {
                high
            } else {
                value
            }
        })
    }
}

impl Transform for ClipIntensityPercentilesd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        map_tensors(sample, &self.0.keys, self.0.allow_missing_keys, |_, tensor| {
            let clipped = if self.0.channel_wise {
                let channels = tensor.f_unbind(0)?;
                let channels = channels.iter().map(|channel| self.clip(channel)).collect::<Result<Vec<_>>>()?;
                Tensor::f_stack(&channels, 0)?
            } else {
                self.clip(tensor)?
            };
            cast(&clipped, Some(self.0.dtype))
        })
    }
}
