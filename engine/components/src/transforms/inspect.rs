//! Looks at what flows through the transforms: `DataStatsd`, `IntensityStatsd`, `Identityd`, `SimulateDelayd`.

use std::time::Duration;

use byoc::{Component, Error, Keys, OneOrMany, Random, Result, Sample, Transform, Value};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tch::{Kind, Tensor};
use torch_ext::view;

use super::common::{float_values, present};
use super::metadata::{dictionaries, note};

/// Writes what values are like into the log: type, shape, range, all numbers, metadata.
///
/// MONAI `DataStatsd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataStatsdArgs {
    /// Keys of the values.
    keys: Keys,
    /// What the lines begin with, for each key or for all.
    #[serde(default = "data")]
    prefix: OneOrMany<String>,
    /// Whether the type is told, for each key or for all.
    #[serde(default = "yes")]
    data_type: OneOrMany<bool>,
    /// Whether the shape is told, for each key or for all.
    #[serde(default = "yes")]
    data_shape: OneOrMany<bool>,
    /// Whether the lowest and highest value are told, for each key or for all.
    #[serde(default = "yes")]
    value_range: OneOrMany<bool>,
    /// Whether all values are told, for each key or for all.
    #[serde(default)]
    data_value: OneOrMany<bool>,
    /// Whether the metadata are told, for each key or for all.
    #[serde(default)]
    meta_info: OneOrMany<bool>,
    /// There are no functions in a config: `null`.
    #[serde(default, rename = "additional_info")]
    _additional_info: Option<()>,
    /// For compatibility: the log has no names.
    #[serde(default, rename = "name")]
    _name: Option<String>,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

fn data() -> OneOrMany<String> {
    OneOrMany::One("Data".to_owned())
}

fn yes() -> OneOrMany<bool> {
    OneOrMany::One(true)
}

/// What is told about one key.
struct Told {
    prefix: String,
    kind: bool,
    shape: bool,
    range: bool,
    values: bool,
    meta: bool,
}

/// See [`DataStatsdArgs`].
pub struct DataStatsd {
    args: DataStatsdArgs,
    told: Vec<Told>,
}

impl Component for DataStatsd {
    type Args = DataStatsdArgs;

    fn new(args: DataStatsdArgs) -> Result<Self> {
        let n = args.keys.len();
        let prefixes = args.prefix.repeat(n, "prefix")?;
        let flags = [
            args.data_type.repeat(n, "data_type")?,
            args.data_shape.repeat(n, "data_shape")?,
            args.value_range.repeat(n, "value_range")?,
            args.data_value.repeat(n, "data_value")?,
            args.meta_info.repeat(n, "meta_info")?,
        ];
        let told = prefixes.into_iter().enumerate().map(|(i, prefix)| Told {
            prefix,
            kind: flags[0][i],
            shape: flags[1][i],
            range: flags[2][i],
            values: flags[3][i],
            meta: flags[4][i],
        });
        Ok(Self { told: told.collect(), args })
    }
}

fn describe(value: &Value, told: &Told) -> Result<String> {
    let mut lines = vec![format!("{} statistics:", told.prefix)];
    match value.as_tensor() {
        Some(tensor) => {
            if told.kind {
                let kind = if matches!(value, Value::Image(_)) { "image" } else { "tensor" };
                lines.push(format!("Type: {kind} {:?}", tensor.kind()));
            }
            if told.shape {
                lines.push(format!("Shape: {:?}", tensor.size()));
            }
            if told.range && tensor.numel() > 0 {
                let end = |value: Tensor| -> Result<f64> { Ok(value.f_to_kind(Kind::Double)?.f_double_value(&[])?) };
                lines.push(format!("Value range: ({}, {})", end(tensor.f_min()?)?, end(tensor.f_max()?)?));
            }
            if told.values {
                lines.push(format!("Value: {tensor}"));
            }
        }
        None => {
            if let Value::Json(json) = value {
                if told.kind {
                    lines.push("Type: plain value".to_owned());
                }
                if told.values {
                    lines.push(format!("Value: {json}"));
                }
            }
        }
    }
    if told.meta {
        lines.push(match value {
            Value::Image(image) => format!("Meta info: {}, affine {:?}", json!(image.meta), image.affine),
            _ => "Meta info: none, it is no image".to_owned(),
        });
    }
    Ok(lines.join("\n"))
}

impl Transform for DataStatsd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        for (position, key) in present(sample, &self.args.keys, self.args.allow_missing_keys)? {
            tracing::info!("`{key}`: {}", describe(sample.get(key)?, &self.told[position])?);
        }
        Ok(())
    }
}

/// What can be computed of the intensities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Operation {
    /// The mean.
    Mean,
    /// The median; of an even number of values the mean of the two in the middle.
    Median,
    /// The highest value.
    Max,
    /// The lowest value.
    Min,
    /// The (population) standard deviation.
    Std,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Median => "median",
            Self::Max => "max",
            Self::Min => "min",
            Self::Std => "std",
        }
    }

    /// Of values none of which is NaN.
    fn compute(self, values: &mut [f32]) -> f64 {
        let n = values.len() as f64;
        let mean = |values: &[f32]| values.iter().map(|&value| f64::from(value)).sum::<f64>() / n;
        match self {
            Self::Mean => mean(values),
            Self::Std => {
                let mean = mean(values);
                (values.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / n).sqrt()
            }
            Self::Max => f64::from(values.iter().copied().fold(f32::NEG_INFINITY, f32::max)),
            Self::Min => f64::from(values.iter().copied().fold(f32::INFINITY, f32::min)),
            Self::Median => {
                let middle = values.len() / 2;
                let (below, &mut high, _) = values.select_nth_unstable_by(middle, f32::total_cmp);
                let low = below.iter().copied().max_by(f32::total_cmp).unwrap_or(high);
                if values.len().is_multiple_of(2) {
                    f64::midpoint(f64::from(low), f64::from(high))
                } else {
                    f64::from(high)
                }
            }
        }
    }
}

/// Notes statistics of the intensities in the metadata, as `PREFIX_mean` and so on.
///
/// NaN does not count. MONAI `IntensityStatsd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IntensityStatsdArgs {
    /// Keys of the images.
    keys: Keys,
    /// What to compute.
    ops: OneOrMany<Operation>,
    /// What the names begin with.
    key_prefix: String,
    /// Keys of masks of the images' shapes, for each key; only voxels where a mask is not 0 count.
    #[serde(default)]
    mask_keys: Option<OneOrMany<Option<String>>>,
    /// Whether each channel has statistics of its own.
    #[serde(default)]
    channel_wise: bool,
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

/// See [`IntensityStatsdArgs`].
pub struct IntensityStatsd {
    args: IntensityStatsdArgs,
    dictionaries: Vec<String>,
    masks: Vec<Option<String>>,
}

impl Component for IntensityStatsd {
    type Args = IntensityStatsdArgs;

    fn new(args: IntensityStatsdArgs) -> Result<Self> {
        let n = args.keys.len();
        let dictionaries = dictionaries(&args.keys.0, args.meta_keys.as_ref(), args.meta_key_postfix.as_ref())?;
        let masks = match &args.mask_keys {
            Some(masks) => masks.repeat(n, "mask_keys")?,
            None => vec![None; n],
        };
        if args.channel_wise && masks.iter().any(Option::is_some) {
            return Err(Error::invalid_argument("with `mask_keys` the channels have no statistics of their own"));
        }
        Ok(Self { args, dictionaries, masks })
    }
}

impl Transform for IntensityStatsd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let Self { args, dictionaries, masks } = self;
        for (position, key) in present(sample, &args.keys, args.allow_missing_keys)? {
            let tensor = sample.tensor(key)?;
            let mask = match &masks[position] {
                Some(name) => {
                    let mask = sample.tensor(name)?;
                    if mask.size() != tensor.size() {
                        return Err(Error::data(format!(
                            "the mask `{name}` has shape {:?}, but `{key}` has {:?}",
                            mask.size(),
                            tensor.size()
                        )));
                    }
                    Some(float_values(mask)?)
                }
                None => None,
            };
            let source = float_values(tensor)?;
            let values = view::slice::<f32>(&source)?;
            let counted = |values: &[f32]| -> Vec<f32> { values.iter().copied().filter(|v| !v.is_nan()).collect() };
            let channels = tensor.size().first().copied().unwrap_or(1).max(1) as usize;
            let mut groups: Vec<Vec<f32>> = match &mask {
                Some(mask) => {
                    let inside = view::slice::<f32>(mask)?;
                    let chosen = values.iter().zip(inside).filter(|(_, inside)| **inside != 0.0).map(|(v, _)| *v);
                    vec![counted(&chosen.collect::<Vec<_>>())]
                }
                None if args.channel_wise => {
                    values.chunks(values.len().div_ceil(channels).max(1)).map(counted).collect()
                }
                None => vec![counted(values)],
            };
            if groups.iter().any(Vec::is_empty) {
                return Err(Error::data(format!("`{key}` has no values to compute statistics of")));
            }
            let noted: Vec<(String, Json)> = args
                .ops
                .clone()
                .into_vec()
                .into_iter()
                .map(|operation| {
                    let results: Vec<f64> = groups.iter_mut().map(|group| operation.compute(group)).collect();
                    let value = if args.channel_wise { json!(results) } else { json!(results[0]) };
                    (format!("{}_{}", args.key_prefix, operation.name()), value)
                })
                .collect();
            let fields: Vec<(&str, Json)> = noted.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
            note(sample, key, &dictionaries[position], &fields)?;
        }
        Ok(())
    }
}

/// Does nothing.
///
/// MONAI `Identityd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdentitydArgs {
    /// Keys of values that must be there.
    keys: Keys,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`IdentitydArgs`].
pub struct Identityd(IdentitydArgs);

impl Component for Identityd {
    type Args = IdentitydArgs;

    fn new(args: IdentitydArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

impl Transform for Identityd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        present(sample, &self.0.keys, self.0.allow_missing_keys).map(drop)
    }
}

/// Waits, to see what slow transforms cost.
///
/// MONAI `SimulateDelayd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SimulateDelaydArgs {
    /// Keys of the values; there is a delay for each.
    keys: Keys,
    /// Seconds to wait, for each key or for all.
    #[serde(default)]
    delay_time: OneOrMany<f64>,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`SimulateDelaydArgs`].
pub struct SimulateDelayd {
    args: SimulateDelaydArgs,
    delays: Vec<Duration>,
}

impl Component for SimulateDelayd {
    type Args = SimulateDelaydArgs;

    fn new(args: SimulateDelaydArgs) -> Result<Self> {
        let seconds = args.delay_time.repeat(args.keys.len(), "delay_time")?;
        let delays = seconds.iter().map(|&seconds| Duration::try_from_secs_f64(seconds));
        let delays = delays.collect::<Result<_, _>>();
        let delays = delays.map_err(|error| Error::invalid_argument(format!("`delay_time`: {error}")))?;
        Ok(Self { args, delays })
    }
}

impl Transform for SimulateDelayd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        for (position, _) in present(sample, &self.args.keys, self.args.allow_missing_keys)? {
            std::thread::sleep(self.delays[position]);
        }
        Ok(())
    }

    fn is_random(&self) -> bool {
        // what is cached would not be waited for
        true
    }
}

byoc::register! { transforms: [DataStatsd, IntensityStatsd, Identityd, SimulateDelayd] }

#[cfg(test)]
mod tests {
    use byoc::{Image, Value};
    use tch::Tensor;

    use super::{Told, describe};

    #[test]
    fn what_is_asked_for_is_told() {
        let told = |values, meta| Told { prefix: "CT".to_owned(), kind: true, shape: true, range: true, values, meta };
        let mut image = Image::new(Tensor::from_slice(&[1.5f32, -2.0, 8.0]).view([1, 3]));
        image.meta.insert("space".to_owned(), "RAS".into());
        let text = describe(&Value::Image(image), &told(false, true)).unwrap();
        assert!(
            text.starts_with(
                "CT statistics:\nType: image Float\nShape: [1, 3]\nValue range: (-2, 8)\nMeta info: {\"space\":\"RAS\"}"
            ),
            "{text}"
        );
        let text = describe(&Value::Json(serde_json::json!("a.nii.gz")), &told(true, false)).unwrap();
        assert_eq!(text, "CT statistics:\nType: plain value\nValue: \"a.nii.gz\"");
    }
}
