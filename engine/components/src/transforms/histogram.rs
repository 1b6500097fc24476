//! Intensities by their histogram: `HistogramNormalized`, `RandHistogramShiftd`.

use byoc::{Component, Error, Keys, OneOrMany, Random, Result, Sample, Transform};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Tensor;
use torch_ext::view;

use super::common::{Dtype, cast, default, float_values, map_tensors, map_values, probability};

/// Spreads the intensities so that all of them are about equally frequent.
///
/// Each value becomes the share of values below it, interpolated between the middles of the histogram's bins and scaled to
/// the output range. All channels have one histogram. MONAI `HistogramNormalized`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HistogramNormalizedArgs {
    /// Keys of the images.
    keys: Keys,
    /// How many bins the histogram has.
    #[serde(default = "bins")]
    #[schemars(range(min = 1))]
    num_bins: usize,
    /// Lower end of the output range.
    #[serde(default)]
    min: f64,
    /// Upper end of the output range.
    #[serde(default = "highest")]
    max: f64,
    /// For a mask in the config, which is not possible; name a `mask_key`.
    #[serde(default, rename = "mask")]
    _mask: Option<()>,
    /// Key of a mask of the image's shape; only voxels where it is not 0 are counted.
    #[serde(default)]
    mask_key: Option<String>,
    /// The dtype of the result.
    #[serde(default = "default::float32")]
    dtype: Dtype,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

fn bins() -> usize {
    256
}

fn highest() -> f64 {
    255.0
}

/// See [`HistogramNormalizedArgs`].
pub struct HistogramNormalized(HistogramNormalizedArgs);

impl Component for HistogramNormalized {
    type Args = HistogramNormalizedArgs;

    fn new(args: HistogramNormalizedArgs) -> Result<Self> {
        if args.num_bins == 0 {
            return Err(Error::invalid_argument("`num_bins` is 0; a histogram has at least one"));
        }
        Ok(Self(args))
    }
}

/// The value at `x` of the polygon through (`from`, `to`), constant beyond its ends (numpy's `interp`).
fn interpolate(x: f64, from: &[f64], to: &[f64]) -> f64 {
    let last = from.len() - 1;
    let above = from.partition_point(|&knot| knot <= x);
    if x.is_nan() {
        x
    } else if above == 0 {
        to[0]
    } else if above > last {
        to[last]
    } else {
        let low = above - 1;
        (to[above] - to[low]) / (from[above] - from[low]) * (x - from[low]) + to[low]
    }
}

impl HistogramNormalized {
    fn normalize(&self, tensor: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        let Self(args) = self;
        let source = float_values(tensor)?;
        let values = view::slice::<f32>(&source)?;
        let mask = match mask {
            Some(mask) if mask.size() == tensor.size() => Some(float_values(mask)?),
            Some(mask) => {
                return Err(Error::data(format!(
                    "its shape is {:?}, but that of the mask {:?}",
                    tensor.size(),
                    mask.size()
                )));
            }
            None => None,
        };
        let counted: Vec<f32> = match &mask {
            Some(mask) => {
                let inside = view::slice::<f32>(mask)?;
                values.iter().zip(inside).filter(|(_, inside)| **inside != 0.0).map(|(value, _)| *value).collect()
            }
            None => values.to_vec(),
        };
        let (low, high) = counted
            .iter()
            .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &value| (low.min(value), high.max(value)));
        if counted.is_empty() || !(high - low).is_finite() {
            return Err(Error::data("there are no finite values to make a histogram of"));
        }
        // numpy widens the range of a single value by one half on both sides
        let (low, high) = if low == high { (low - 0.5, high + 0.5) } else { (low, high) };
        let n = args.num_bins;
        // in float32, as numpy has it: the bin of a value on an edge depends on it
        let width = (high - low) / n as f32;
        let edge = |i: usize| if i == n { high } else { i as f32 * width + low };
        let mut counts = vec![0u64; n];
        for &value in &counted {
            let guess = (((value - low) / (high - low) * n as f32) as usize).min(n - 1);
            let bin = if value < edge(guess) {
                guess.saturating_sub(1)
            } else if guess + 1 < n && value >= edge(guess + 1) {
                guess + 1
            } else {
                guess
            };
            counts[bin] += 1;
        }
        let middles: Vec<f64> = (0..n).map(|i| f64::from(f32::midpoint(edge(i), edge(i + 1)))).collect();
        let mut sum = 0;
        let below: Vec<f64> = counts
            .iter()
            .map(|count| {
                sum += count;
                sum as f64
            })
            .collect();
        let (first, span) = (below[0], below[n - 1] - below[0]);
        // one bin, or all values in the first one: MONAI's rescaling multiplies by the lower end then
        let shares: Vec<f64> =
            below
                .iter()
                .map(|&count| {
                    if span > 0.0 {
                        (count - first) / span * (args.max - args.min) + args.min
                    } else {
                        count * args.min
                    }
                })
                .map(|share| f64::from(share as f32))
                .collect();
        map_values(&source, |value| interpolate(f64::from(value), &middles, &shares) as f32)
    }
}

impl Transform for HistogramNormalized {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let Self(args) = self;
        let mask = match &args.mask_key {
            Some(key) => Some(sample.tensor(key)?.shallow_clone()),
            None => None,
        };
        map_tensors(sample, &args.keys, args.allow_missing_keys, |_, tensor| {
            cast(&self.normalize(tensor, mask.as_ref())?, Some(args.dtype))
        })
    }
}

/// Moves intensities along a random, monotonous polygon.
///
/// The range of each image is divided by equally spaced control points, whose values are moved between those of their
/// neighbours. The same for all keys. MONAI `RandHistogramShiftd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandHistogramShiftdArgs {
    /// Keys of the images.
    keys: Keys,
    /// How many control points, at least 3; or the range to draw their number from.
    #[serde(default = "ten")]
    num_control_points: OneOrMany<i64>,
    /// Probability that it does anything.
    #[serde(default = "default::tenth")]
    #[schemars(range(min = 0.0, max = 1.0))]
    prob: f64,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

fn ten() -> OneOrMany<i64> {
    OneOrMany::One(10)
}

/// See [`RandHistogramShiftdArgs`].
pub struct RandHistogramShiftd {
    args: RandHistogramShiftdArgs,
    range: [i64; 2],
}

impl Component for RandHistogramShiftd {
    type Args = RandHistogramShiftdArgs;

    fn new(args: RandHistogramShiftdArgs) -> Result<Self> {
        probability(args.prob)?;
        let range = match &args.num_control_points {
            OneOrMany::One(n) => [*n, *n],
            OneOrMany::Many(range) if range.len() == 2 => [range[0].min(range[1]), range[0].max(range[1])],
            OneOrMany::Many(range) => {
                return Err(Error::invalid_argument(format!(
                    "`num_control_points` has {} numbers; one or two are needed",
                    range.len()
                )));
            }
        };
        if range[0] < 3 {
            return Err(Error::invalid_argument(format!(
                "`num_control_points` is {}, but at least 3 are needed",
                range[0]
            )));
        }
        Ok(Self { args, range })
    }
}

fn shifted(tensor: &Tensor, reference: &[f64], moved: &[f64]) -> Result<Tensor> {
    let source = float_values(tensor)?;
    let (low, high) = view::slice::<f32>(&source)?
        .iter()
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &value| (low.min(value), high.max(value)));
    if low >= high {
        return Ok(tensor.shallow_clone());
    }
    let scaled = |points: &[f64]| -> Vec<f64> {
        points.iter().map(|&point| point * f64::from(high - low) + f64::from(low)).collect()
    };
    let (from, to) = (scaled(reference), scaled(moved));
    map_values(&source, |value| interpolate(f64::from(value), &from, &to) as f32)
}

impl Transform for RandHistogramShiftd {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        let Self { args, range } = self;
        if !random.chance(args.prob) {
            return Ok(());
        }
        let n = random.integer(range[0], range[1] + 1) as usize;
        let reference: Vec<f64> = (0..n).map(|i| i as f64 / (n as f64 - 1.0)).collect();
        let mut moved = reference.clone();
        for i in 1..n - 1 {
            moved[i] = random.uniform(moved[i - 1], moved[i + 1]);
        }
        map_tensors(sample, &args.keys, args.allow_missing_keys, |_, tensor| shifted(tensor, &reference, &moved))
    }

    fn is_random(&self) -> bool {
        true
    }
}

byoc::register! { transforms: [HistogramNormalized, RandHistogramShiftd] }

#[cfg(test)]
mod tests {
    use byoc::{Component, Random, Sample, Transform};
    use serde_json::json;
    use tch::Tensor;

    use super::shifted;

    #[test]
    fn a_given_shift_is_that_of_numpy() {
        // numpy.interp(x, linspace(0, 1, 4) * 6 - 2, [0, .1, .8, 1] * 6 - 2)
        let image = Tensor::from_slice(&[-2f32, -1.0, 0.0, 1.0, 2.5, 4.0]).view([1, 6]);
        let out = shifted(&image, &[0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0], &[0.0, 0.1, 0.8, 1.0]).unwrap();
        let expected = Tensor::from_slice(&[-2f32, -1.7, -1.4, 0.7, 3.1, 4.0]).view([1, 6]);
        assert!((&out - &expected).abs().max().double_value(&[]) < 1e-5, "{out}");
    }

    #[test]
    fn random_shifts_keep_the_order_and_the_ends() {
        let args = json!({"keys": "image", "prob": 1.0, "num_control_points": [3, 8]});
        let transform = super::RandHistogramShiftd::new(serde_json::from_value(args).unwrap()).unwrap();
        let mut random = Random::from_seed(9);
        let mut middles = Vec::new();
        for _ in 0..200 {
            let mut sample = Sample::new();
            sample.insert("image", Tensor::linspace(-3.0, 5.0, 33, tch::kind::FLOAT_CPU).view([1, 33]));
            transform.apply(&mut sample, &mut random).unwrap();
            let values: Vec<f32> = Vec::try_from(sample.tensor("image").unwrap().view([33])).unwrap();
            assert!((values[0] + 3.0).abs() < 1e-5 && (values[32] - 5.0).abs() < 1e-5);
            assert!(values.windows(2).all(|pair| pair[0] <= pair[1]), "{values:?}");
            middles.push(f64::from(values[16]));
        }
        let mean = middles.iter().sum::<f64>() / 200.0;
        assert!((mean - 1.0).abs() < 0.6 && middles.iter().any(|v| *v > 2.0) && middles.iter().any(|v| *v < 0.0));
    }
}
