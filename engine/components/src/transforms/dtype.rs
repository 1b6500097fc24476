//! Dtypes and devices: `ToTensord`, `EnsureTyped`, `CastToTyped`, `ToNumpyd`, `ToDeviced`, `ToCupyd`, `ToPILd`.

use byoc::{Component, Error, Keys, OneOrMany, Random, Result, Sample, Transform, Value};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;
use tch::Tensor;

use super::common::{Dtype, cast, default, device, map_tensors, present};

/// Makes tensors of numbers and lists of numbers; images and tensors stay what they are.
///
/// MONAI `ToTensord`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToTensordArgs {
    /// Keys of the values.
    keys: Keys,
    /// The dtype; unchanged if it is `null`.
    #[serde(default)]
    dtype: Option<Dtype>,
    /// The device: `cpu`, `cuda:0`; unchanged if it is `null`.
    #[serde(default)]
    device: Option<String>,
    /// Whether a list becomes one tensor; else a list of numbers stays a list.
    #[serde(default = "default::yes")]
    wrap_sequence: bool,
    /// For compatibility: metadata always travel with the image.
    #[serde(default, rename = "track_meta")]
    _track_meta: Option<bool>,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`ToTensordArgs`].
pub struct ToTensord(ToTensordArgs);

impl Component for ToTensord {
    type Args = ToTensordArgs;

    fn new(args: ToTensordArgs) -> Result<Self> {
        args.device.as_deref().map(device).transpose()?;
        Ok(Self(args))
    }
}

impl Transform for ToTensord {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let Self(args) = self;
        let dtypes = vec![args.dtype; args.keys.len()];
        to_tensor(sample, &args.keys, args.allow_missing_keys, &dtypes, args.device.as_deref(), args.wrap_sequence)
    }
}

fn to_tensor(
    sample: &mut Sample,
    keys: &Keys,
    allow_missing: bool,
    dtypes: &[Option<Dtype>],
    device_name: Option<&str>,
    wrap_sequence: bool,
) -> Result<()> {
    let target = device_name.map(device).transpose()?;
    for (position, key) in present(sample, keys, allow_missing)? {
        if let Value::Json(json) = sample.get(key)? {
            // texts stay what they are, also in a batch of them, as the clicks of Deepgrow are
            if is_text(json) || (json.is_array() && !wrap_sequence) {
                continue;
            }
            let tensor = tensor_of(json)
                .ok_or_else(|| Error::data(format!("`{key}` is {json}, which cannot become a tensor")))?;
            sample.insert(key, tensor);
        }
        let mut tensor = cast(sample.tensor(key)?, dtypes[position])?;
        if let Some(target) = target {
            tensor = tensor.f_to_device(target)?;
        }
        sample.set_tensor(key, tensor)?;
    }
    Ok(())
}

/// Whether a value is a text or a list of texts.
fn is_text(json: &Json) -> bool {
    match json {
        Json::String(_) => true,
        Json::Array(list) => !list.is_empty() && list.iter().all(is_text),
        _ => false,
    }
}

/// Numbers and rectangular lists of them: int64 if all are whole, else float32.
fn tensor_of(json: &Json) -> Option<Tensor> {
    fn gather(json: &Json, depth: usize, shape: &mut Vec<i64>, values: &mut Vec<f64>, whole: &mut bool) -> Option<()> {
        match json {
            Json::Array(list) => {
                match shape.get(depth) {
                    None => shape.push(list.len() as i64),
                    Some(&n) if n == list.len() as i64 => {}
                    Some(_) => return None,
                }
                list.iter().try_for_each(|item| gather(item, depth + 1, shape, values, whole))
            }
            _ if depth != shape.len() => None,
            Json::Bool(value) => {
                values.push(f64::from(u8::from(*value)));
                Some(())
            }
            Json::Number(number) => {
                *whole &= number.is_i64();
                values.push(number.as_f64()?);
                Some(())
            }
            _ => None,
        }
    }
    let (mut shape, mut values, mut whole) = (Vec::new(), Vec::new(), true);
    gather(json, 0, &mut shape, &mut values, &mut whole)?;
    let tensor = Tensor::from_slice(&values).view(shape.as_slice());
    Some(tensor.to_kind(if whole { tch::Kind::Int64 } else { tch::Kind::Float }))
}

/// Makes sure that values are tensors of a dtype.
///
/// MONAI `EnsureTyped`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnsureTypedArgs {
    /// Keys of the values.
    keys: Keys,
    /// `tensor` or `numpy`: there is one kind of tensor here.
    #[serde(default, rename = "data_type")]
    _data_type: DataType,
    /// The dtype, for each key or for all; unchanged if it is `null`.
    #[serde(default)]
    dtype: OneOrMany<Option<Dtype>>,
    /// The device: `cpu`, `cuda:0`; unchanged if it is `null`.
    #[serde(default)]
    device: Option<String>,
    /// Whether a list becomes one tensor.
    #[serde(default = "default::yes")]
    wrap_sequence: bool,
    /// For compatibility: metadata always travel with the image.
    #[serde(default, rename = "track_meta")]
    _track_meta: Option<bool>,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// What MONAI makes of a value.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum DataType {
    /// A tensor.
    #[default]
    Tensor,
    /// A numpy array.
    Numpy,
}

/// See [`EnsureTypedArgs`].
pub struct EnsureTyped(EnsureTypedArgs, Vec<Option<Dtype>>);

impl Component for EnsureTyped {
    type Args = EnsureTypedArgs;

    fn new(args: EnsureTypedArgs) -> Result<Self> {
        args.device.as_deref().map(device).transpose()?;
        let dtypes = args.dtype.repeat(args.keys.len(), "dtype")?;
        Ok(Self(args, dtypes))
    }
}

impl Transform for EnsureTyped {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let Self(args, dtypes) = self;
        to_tensor(sample, &args.keys, args.allow_missing_keys, dtypes, args.device.as_deref(), args.wrap_sequence)
    }
}

/// Converts tensors to a dtype; floats are cut towards zero when they become integers.
///
/// MONAI `CastToTyped`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CastToTypedArgs {
    /// Keys of the tensors.
    keys: Keys,
    /// The dtype, for each key or for all.
    #[serde(default = "float32")]
    dtype: OneOrMany<Dtype>,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

fn float32() -> OneOrMany<Dtype> {
    OneOrMany::One(Dtype::Float32)
}

/// See [`CastToTypedArgs`].
pub struct CastToTyped(CastToTypedArgs, Vec<Dtype>);

impl Component for CastToTyped {
    type Args = CastToTypedArgs;

    fn new(args: CastToTypedArgs) -> Result<Self> {
        let dtypes = args.dtype.repeat(args.keys.len(), "dtype")?;
        Ok(Self(args, dtypes))
    }
}

impl Transform for CastToTyped {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        map_tensors(sample, &self.0.keys, self.0.allow_missing_keys, |position, tensor| {
            cast(tensor, Some(self.1[position]))
        })
    }
}

/// Moves tensors into main memory, where MONAI would make numpy arrays of them.
///
/// MONAI `ToNumpyd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToNumpydArgs {
    /// Keys of the tensors.
    keys: Keys,
    /// The dtype; unchanged if it is `null`.
    #[serde(default)]
    dtype: Option<Dtype>,
    /// Whether a list becomes one tensor.
    #[serde(default = "default::yes")]
    wrap_sequence: bool,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`ToNumpydArgs`].
pub struct ToNumpyd(ToNumpydArgs);

impl Component for ToNumpyd {
    type Args = ToNumpydArgs;

    fn new(args: ToNumpydArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

impl Transform for ToNumpyd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let Self(args) = self;
        let dtypes = vec![args.dtype; args.keys.len()];
        to_tensor(sample, &args.keys, args.allow_missing_keys, &dtypes, Some("cpu"), args.wrap_sequence)
    }
}

/// Moves tensors to a device.
///
/// MONAI `ToDeviced`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToDevicedArgs {
    /// Keys of the tensors.
    keys: Keys,
    /// The device: `cpu`, `cuda:0`.
    device: String,
    /// For compatibility: a copy waits for what it copies.
    #[serde(default, rename = "non_blocking")]
    _non_blocking: bool,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`ToDevicedArgs`].
pub struct ToDeviced(ToDevicedArgs);

impl Component for ToDeviced {
    type Args = ToDevicedArgs;

    fn new(args: ToDevicedArgs) -> Result<Self> {
        device(&args.device)?;
        Ok(Self(args))
    }
}

impl Transform for ToDeviced {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let target = device(&self.0.device)?;
        map_tensors(sample, &self.0.keys, self.0.allow_missing_keys, |_, tensor| Ok(tensor.f_to_device(target)?))
    }
}

/// Moves tensors to the GPU, where MONAI would make arrays of `CuPy` of them; without a GPU they stay where they are.
///
/// MONAI `ToCupyd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToCupydArgs {
    /// Keys of the tensors.
    keys: Keys,
    /// The dtype; unchanged if it is `null`.
    #[serde(default)]
    dtype: Option<Dtype>,
    /// Whether a list becomes one tensor.
    #[serde(default = "default::yes")]
    wrap_sequence: bool,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`ToCupydArgs`].
pub struct ToCupyd(ToCupydArgs);

impl Component for ToCupyd {
    type Args = ToCupydArgs;

    fn new(args: ToCupydArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

impl Transform for ToCupyd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let Self(args) = self;
        let dtypes = vec![args.dtype; args.keys.len()];
        let target = tch::Cuda::is_available().then_some("cuda");
        to_tensor(sample, &args.keys, args.allow_missing_keys, &dtypes, target, args.wrap_sequence)
    }
}

/// Leaves tensors as they are, where MONAI would make pictures of PIL of them for torchvision.
///
/// `TorchVisiond` takes tensors here. MONAI `ToPILd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToPILdArgs {
    /// Keys of the tensors.
    keys: Keys,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`ToPILdArgs`].
pub struct ToPILd(ToPILdArgs);

impl Component for ToPILd {
    type Args = ToPILdArgs;

    fn new(args: ToPILdArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

impl Transform for ToPILd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        for (_, key) in present(sample, &self.0.keys, self.0.allow_missing_keys)? {
            sample.tensor(key)?;
        }
        Ok(())
    }
}

byoc::register! { transforms: [ToTensord, EnsureTyped, CastToTyped, ToNumpyd, ToDeviced, ToCupyd, ToPILd] }
