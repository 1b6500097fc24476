//! Intensities shifted: `RandShiftIntensityd`, `ShiftIntensityd`, `StdShiftIntensityd`; `RandGaussianNoised`,
//! `RandScaleIntensityd`.

use byoc::{Component, Error, Keys, OneOrMany, Random, Result, Sample, Transform};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind, Tensor};

use super::common::{Dtype, cast, default, float_values, map_tensors, map_values, present};
use super::normalize_intensity::statistics;

/// Adds a random number to all voxels.
///
/// The same number for all keys. MONAI `RandShiftIntensityd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandShiftIntensitydArgs {
    /// Keys of the images.
    keys: Keys,
    /// The range to draw from; a single number x stands for -x … x.
    offsets: OneOrMany<f64>,
    /// Probability that it does anything.
    #[serde(default = "default::tenth")]
    #[schemars(range(min = 0.0, max = 1.0))]
    prob: f64,
    /// Whether each channel gets a number of its own.
    #[serde(default)]
    channel_wise: bool,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
    /// For compatibility; images are float32.
    #[serde(default, rename = "safe")]
    _safe: bool,
    /// For compatibility: metadata travel with the image.
    #[serde(default, rename = "meta_keys")]
    _meta_keys: Option<Keys>,
    /// For compatibility: metadata travel with the image.
    #[serde(default, rename = "meta_key_postfix")]
    _meta_key_postfix: Option<OneOrMany<String>>,
}

/// A range to draw from: one number x stands for -x … x.
fn range(argument: &str, values: &OneOrMany<f64>) -> Result<(f64, f64)> {
    match values {
        OneOrMany::One(value) => Ok((-value.abs(), value.abs())),
        OneOrMany::Many(values) if values.len() == 2 => Ok((values[0].min(values[1]), values[0].max(values[1]))),
        OneOrMany::Many(values) => {
            Err(Error::invalid_argument(format!("`{argument}` has {} values; one or two are needed", values.len())))
        }
    }
}

/// A probability.
pub(super) fn probability(value: f64) -> Result<f64> {
    if (0.0..=1.0).contains(&value) {
        Ok(value)
    } else {
        Err(Error::invalid_argument(format!("`prob` is {value}, but must lie between 0 and 1")))
    }
}

/// See [`RandShiftIntensitydArgs`].
pub struct RandShiftIntensityd {
    args: RandShiftIntensitydArgs,
    range: (f64, f64),
}

impl Component for RandShiftIntensityd {
    type Args = RandShiftIntensitydArgs;

    fn new(args: RandShiftIntensitydArgs) -> Result<Self> {
        probability(args.prob)?;
        let range = range("offsets", &args.offsets)?;
        Ok(Self { args, range })
    }
}

/// One random number, or one for each channel of the first image that is there.
fn draw(
    sample: &Sample,
    keys: &Keys,
    allow_missing: bool,
    channel_wise: bool,
    range: (f64, f64),
    random: &mut Random,
) -> Result<Vec<f64>> {
    let channels = match present(sample, keys, allow_missing)?.first() {
        Some((_, key)) if channel_wise => sample.tensor(key)?.size().first().copied().unwrap_or(1),
        _ => 1,
    };
    Ok((0..channels).map(|_| random.uniform(range.0, range.1)).collect())
}

/// The numbers in a shape that broadcasts over the spatial axes.
fn per_channel(numbers: &[f64], like: &Tensor) -> Result<Tensor> {
    let mut shape = vec![1; like.dim()];
    if numbers.len() > 1 {
        shape[0] = numbers.len() as i64;
    }
    Ok(Tensor::from_slice(numbers).f_view(shape.as_slice())?.f_to_device(like.device())?.f_to_kind(Kind::Float)?)
}

impl Transform for RandShiftIntensityd {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        let Self { args, range } = self;
        if !random.chance(args.prob) {
            return Ok(());
        }
        let offsets = draw(sample, &args.keys, args.allow_missing_keys, args.channel_wise, *range, random)?;
        map_tensors(sample, &args.keys, args.allow_missing_keys, |_, tensor| match offsets[..] {
            [offset] => map_values(tensor, |value| value + offset as f32),
            _ => Ok(tensor.f_add(&per_channel(&offsets, tensor)?)?),
        })
    }

    fn is_random(&self) -> bool {
        true
    }
}

/// Multiplies all voxels by 1 + a random number.
///
/// The same number for all keys. MONAI `RandScaleIntensityd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandScaleIntensitydArgs {
    /// Keys of the images.
    keys: Keys,
    /// The range to draw from; a single number x stands for -x … x.
    factors: OneOrMany<f64>,
    /// Probability that it does anything.
    #[serde(default = "default::tenth")]
    #[schemars(range(min = 0.0, max = 1.0))]
    prob: f64,
    /// Whether each channel gets a number of its own.
    #[serde(default)]
    channel_wise: bool,
    /// The dtype of the result.
    #[serde(default = "default::float32")]
    dtype: Dtype,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`RandScaleIntensitydArgs`].
pub struct RandScaleIntensityd {
    args: RandScaleIntensitydArgs,
    range: (f64, f64),
}

impl Component for RandScaleIntensityd {
    type Args = RandScaleIntensitydArgs;

    fn new(args: RandScaleIntensitydArgs) -> Result<Self> {
        probability(args.prob)?;
        let range = range("factors", &args.factors)?;
        Ok(Self { args, range })
    }
}

impl Transform for RandScaleIntensityd {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        let Self { args, range } = self;
        if !random.chance(args.prob) {
            return Ok(());
        }
        let factors = draw(sample, &args.keys, args.allow_missing_keys, args.channel_wise, *range, random)?;
        map_tensors(sample, &args.keys, args.allow_missing_keys, |_, tensor| {
            let factors = per_channel(&factors, tensor)?.f_add_scalar(1.0)?;
            cast(&tensor.f_mul(&factors)?, Some(args.dtype))
        })
    }

    fn is_random(&self) -> bool {
        true
    }
}

/// Adds Gaussian noise.
///
/// The same noise for all keys, which must have one shape. MONAI `RandGaussianNoised`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandGaussianNoisedArgs {
    /// Keys of the images.
    keys: Keys,
    /// Probability that it does anything.
    #[serde(default = "default::tenth")]
    #[schemars(range(min = 0.0, max = 1.0))]
    prob: f64,
    /// Mean of the noise.
    #[serde(default)]
    mean: f64,
    /// Standard deviation of the noise.
    #[serde(default = "default::tenth")]
    #[schemars(range(min = 0.0))]
    std: f64,
    /// Whether the standard deviation is drawn from 0 … `std`.
    #[serde(default = "default::yes")]
    sample_std: bool,
    /// The dtype of the result.
    #[serde(default = "default::float32")]
    dtype: Dtype,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`RandGaussianNoisedArgs`].
pub struct RandGaussianNoised(RandGaussianNoisedArgs);

impl Component for RandGaussianNoised {
    type Args = RandGaussianNoisedArgs;

    fn new(args: RandGaussianNoisedArgs) -> Result<Self> {
        probability(args.prob)?;
        if args.std < 0.0 {
            return Err(Error::invalid_argument(format!("`std` is {}, but must not be negative", args.std)));
        }
        Ok(Self(args))
    }
}

impl Transform for RandGaussianNoised {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        let Self(args) = self;
        if !random.chance(args.prob) {
            return Ok(());
        }
        let Some((_, first)) = present(sample, &args.keys, args.allow_missing_keys)?.first().copied() else {
            return Ok(());
        };
        let std = if args.sample_std { random.uniform(0.0, args.std) } else { args.std };
        let noise = random.normal_tensor(&sample.tensor(first)?.size()).f_mul_scalar(std)?.f_add_scalar(args.mean)?;
        map_tensors(sample, &args.keys, args.allow_missing_keys, |_, tensor| {
            if tensor.size() != noise.size() {
                return Err(Error::data(format!(
                    "its shape is {:?}, but that of `{first}` is {:?}: both get the same noise",
                    tensor.size(),
                    noise.size()
                )));
            }
            cast(&tensor.f_to_kind(Kind::Float)?.f_add(&noise.f_to_device(tensor.device())?)?, Some(args.dtype))
        })
    }

    fn is_random(&self) -> bool {
        true
    }
}

/// Adds a number to all voxels.
///
/// MONAI `ShiftIntensityd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShiftIntensitydArgs {
    /// Keys of the images.
    keys: Keys,
    /// The number.
    offset: f64,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`ShiftIntensitydArgs`].
pub struct ShiftIntensityd(ShiftIntensitydArgs);

impl Component for ShiftIntensityd {
    type Args = ShiftIntensitydArgs;

    fn new(args: ShiftIntensitydArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

impl Transform for ShiftIntensityd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        map_tensors(sample, &self.0.keys, self.0.allow_missing_keys, |_, tensor| {
            Ok(tensor.f_add_scalar(self.0.offset)?.f_to_kind(tensor.kind())?)
        })
    }
}

/// Adds a multiple of the image's standard deviation.
///
/// MONAI `StdShiftIntensityd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StdShiftIntensitydArgs {
    /// Keys of the images.
    keys: Keys,
    /// The multiple.
    factor: f64,
    /// Whether voxels of 0 neither count nor change.
    #[serde(default)]
    nonzero: bool,
    /// Whether each channel has a standard deviation of its own.
    #[serde(default)]
    channel_wise: bool,
    /// The dtype of the result.
    #[serde(default = "default::float32")]
    dtype: Dtype,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`StdShiftIntensitydArgs`].
pub struct StdShiftIntensityd(StdShiftIntensitydArgs);

impl Component for StdShiftIntensityd {
    type Args = StdShiftIntensitydArgs;

    fn new(args: StdShiftIntensitydArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

impl StdShiftIntensityd {
    fn shift(&self, tensor: &Tensor) -> Result<Tensor> {
        let source = float_values(tensor)?;
        let Some((_, std)) = statistics(torch_ext::view::slice::<f32>(&source)?, self.0.nonzero) else {
            return Ok(source);
        };
        let (offset, nonzero) = ((self.0.factor * std) as f32, self.0.nonzero);
        map_values(&source, |value| if nonzero && value == 0.0 { value } else { value + offset })
    }
}

impl Transform for StdShiftIntensityd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        map_tensors(sample, &self.0.keys, self.0.allow_missing_keys, |_, tensor| {
            let shifted = if self.0.channel_wise {
                let channels =
                    tensor.f_unbind(0)?.iter().map(|channel| self.shift(channel)).collect::<Result<Vec<_>>>()?;
                Tensor::f_stack(&channels, 0)?
            } else {
                self.shift(tensor)?
            };
            cast(&shifted, Some(self.0.dtype))
        })
    }
}

byoc::register! {
    transforms: [RandShiftIntensityd, RandScaleIntensityd, RandGaussianNoised, ShiftIntensityd, StdShiftIntensityd],
}

#[cfg(test)]
mod tests {
    use byoc::{Component, Random, Sample, Transform};
    use serde_json::{Value, json};
    use tch::{Device, Kind, Tensor};

    fn shift(args: Value, random: &mut Random) -> Vec<f64> {
        let transform = super::RandShiftIntensityd::new(serde_json::from_value(args).unwrap()).unwrap();
        let mut sample = Sample::new();
        sample.insert("image", Tensor::zeros([2, 3, 3], (Kind::Float, Device::Cpu)));
        transform.apply(&mut sample, random).unwrap();
        let image = sample.tensor("image").unwrap();
        vec![image.double_value(&[0, 1, 1]), image.double_value(&[1, 2, 0])]
    }

    #[test]
    fn shifts_as_often_and_as_far_as_asked() {
        let mut random = Random::from_seed(5);
        let offsets: Vec<f64> =
            (0..1000).map(|_| shift(json!({"keys": "image", "offsets": 0.1, "prob": 0.3}), &mut random)[0]).collect();
        let moved: Vec<_> = offsets.iter().filter(|&&offset| offset != 0.0).collect();
        // 300 with a standard deviation of 14.5
        assert!((245..=355).contains(&moved.len()), "{}", moved.len());
        assert!(
            moved.iter().all(|offset| offset.abs() <= 0.1)
                && moved.iter().any(|&&offset| offset < -0.05)
                && moved.iter().any(|&&offset| offset > 0.05)
        );
        let [a, b] =
            shift(json!({"keys": "image", "offsets": [1, 2], "prob": 1.0, "channel_wise": true}), &mut random)[..]
        else {
            panic!()
        };
        assert!(a != b && (1.0..=2.0).contains(&a) && (1.0..=2.0).contains(&b));
    }
}
