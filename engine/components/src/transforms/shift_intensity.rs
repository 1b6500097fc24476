//! Intensities shifted and multiplied: `ShiftIntensityd`, `StdShiftIntensityd`, `RandShiftIntensityd`,
//! `RandStdShiftIntensityd`, `RandScaleIntensityd`.

use byoc::{Component, Keys, OneOrMany, Random, Result, Sample, Transform};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind, Tensor};

use super::common::{Dtype, cast, default, float_values, map_tensors, map_values, present, probability, range};
use super::metadata::{dictionaries, field};
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
    /// Names of numbers in the metadata that the offset is multiplied by, for each key or for all.
    #[serde(default)]
    factor_key: OneOrMany<Option<String>>,
    /// Keys of metadata items, where a sample has them; else metadata travel with the image.
    #[serde(default)]
    meta_keys: Option<Keys>,
    /// What such keys end with.
    #[serde(default)]
    meta_key_postfix: Option<OneOrMany<String>>,
}

/// Numbers in the metadata of each key that an offset is multiplied by.
struct Factors {
    names: Vec<Option<String>>,
    dictionaries: Vec<String>,
}

impl Factors {
    fn new(
        keys: &Keys,
        names: &OneOrMany<Option<String>>,
        meta_keys: Option<&Keys>,
        postfix: Option<&OneOrMany<String>>,
    ) -> Result<Self> {
        let dictionaries = dictionaries(&keys.0, meta_keys, postfix)?;
        Ok(Self { names: names.repeat(keys.len(), "factor_key")?, dictionaries })
    }

    /// For each key; 1 where the metadata have no such number.
    fn of(&self, sample: &Sample, keys: &Keys) -> Vec<f64> {
        let parts = keys.iter().zip(self.names.iter().zip(&self.dictionaries));
        parts
            .map(|(key, (name, dictionary))| {
                let name = name.as_deref()?;
                field(sample, key, dictionary, name)?.as_f64()
            })
            .map(|factor| factor.unwrap_or(1.0))
            .collect()
    }
}

/// See [`RandShiftIntensitydArgs`].
pub struct RandShiftIntensityd {
    args: RandShiftIntensitydArgs,
    range: (f64, f64),
    factors: Factors,
}

impl Component for RandShiftIntensityd {
    type Args = RandShiftIntensitydArgs;

    fn new(args: RandShiftIntensitydArgs) -> Result<Self> {
        probability(args.prob)?;
        let range = range("offsets", &args.offsets)?;
        let meta_keys = args.meta_keys.as_ref();
        let factors = Factors::new(&args.keys, &args.factor_key, meta_keys, args.meta_key_postfix.as_ref())?;
        Ok(Self { args, range, factors })
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
        let Self { args, range, factors } = self;
        if !random.chance(args.prob) {
            return Ok(());
        }
        let offsets = draw(sample, &args.keys, args.allow_missing_keys, args.channel_wise, *range, random)?;
        let factors = factors.of(sample, &args.keys);
        map_tensors(sample, &args.keys, args.allow_missing_keys, |position, tensor| {
            let offsets: Vec<f64> = offsets.iter().map(|offset| offset * factors[position]).collect();
            match offsets[..] {
                [offset] => map_values(tensor, |value| value + offset as f32),
                _ => Ok(tensor.f_add(&per_channel(&offsets, tensor)?)?),
            }
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
    /// For compatibility; images are float32.
    #[serde(default, rename = "safe")]
    _safe: bool,
    /// Names of numbers in the metadata that the offset is multiplied by, for each key or for all.
    #[serde(default)]
    factor_key: OneOrMany<Option<String>>,
    /// Keys of metadata items, where a sample has them; else metadata travel with the image.
    #[serde(default)]
    meta_keys: Option<Keys>,
    /// What such keys end with.
    #[serde(default)]
    meta_key_postfix: Option<OneOrMany<String>>,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`ShiftIntensitydArgs`].
pub struct ShiftIntensityd {
    args: ShiftIntensitydArgs,
    factors: Factors,
}

impl Component for ShiftIntensityd {
    type Args = ShiftIntensitydArgs;

    fn new(args: ShiftIntensitydArgs) -> Result<Self> {
        let meta_keys = args.meta_keys.as_ref();
        let factors = Factors::new(&args.keys, &args.factor_key, meta_keys, args.meta_key_postfix.as_ref())?;
        Ok(Self { args, factors })
    }
}

impl Transform for ShiftIntensityd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let Self { args, factors } = self;
        let factors = factors.of(sample, &args.keys);
        map_tensors(sample, &args.keys, args.allow_missing_keys, |position, tensor| {
            Ok(tensor.f_add_scalar(args.offset * factors[position])?.f_to_kind(tensor.kind())?)
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

/// A multiple of its own standard deviation added to an image, or to each channel.
fn std_shift(tensor: &Tensor, factor: f64, nonzero: bool, channel_wise: bool) -> Result<Tensor> {
    if channel_wise {
        let channels = tensor.f_unbind(0)?;
        let shifted = channels.iter().map(|channel| std_shift(channel, factor, nonzero, false));
        return Ok(Tensor::f_stack(&shifted.collect::<Result<Vec<_>>>()?, 0)?);
    }
    let source = float_values(tensor)?;
    let Some((_, std)) = statistics(torch_ext::view::slice::<f32>(&source)?, nonzero) else {
        return Ok(source);
    };
    let offset = (factor * std) as f32;
    map_values(&source, |value| if nonzero && value == 0.0 { value } else { value + offset })
}

impl Transform for StdShiftIntensityd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let Self(args) = self;
        map_tensors(sample, &args.keys, args.allow_missing_keys, |_, tensor| {
            cast(&std_shift(tensor, args.factor, args.nonzero, args.channel_wise)?, Some(args.dtype))
        })
    }
}

/// Adds a random multiple of the image's standard deviation.
///
/// The same multiple for all keys. MONAI `RandStdShiftIntensityd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandStdShiftIntensitydArgs {
    /// Keys of the images.
    keys: Keys,
    /// The range to draw from; a single number x stands for -x … x.
    factors: OneOrMany<f64>,
    /// Probability that it does anything.
    #[serde(default = "default::tenth")]
    #[schemars(range(min = 0.0, max = 1.0))]
    prob: f64,
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

/// See [`RandStdShiftIntensitydArgs`].
pub struct RandStdShiftIntensityd {
    args: RandStdShiftIntensitydArgs,
    range: (f64, f64),
}

impl Component for RandStdShiftIntensityd {
    type Args = RandStdShiftIntensitydArgs;

    fn new(args: RandStdShiftIntensitydArgs) -> Result<Self> {
        probability(args.prob)?;
        let range = range("factors", &args.factors)?;
        Ok(Self { args, range })
    }
}

impl Transform for RandStdShiftIntensityd {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        let Self { args, range } = self;
        if !random.chance(args.prob) {
            return Ok(());
        }
        let factor = random.uniform(range.0, range.1);
        map_tensors(sample, &args.keys, args.allow_missing_keys, |_, tensor| {
            cast(&std_shift(tensor, factor, args.nonzero, args.channel_wise)?, Some(args.dtype))
        })
    }

    fn is_random(&self) -> bool {
        true
    }
}

byoc::register! {
    transforms: [ShiftIntensityd, StdShiftIntensityd, RandShiftIntensityd, RandStdShiftIntensityd, RandScaleIntensityd],
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
