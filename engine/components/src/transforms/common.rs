//! What the transforms share: keys, dtypes, modes, voxels as slices.

use byoc::{Error, Image, Keys, OneOrMany, Result, Sample, Value};
use mmar_imaging::resample::{Interpolation, Padding};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};
use torch_ext::view;

/// Voxels that one thread handles at a time. Fixed, so that sums do not depend on the number of threads.
pub(super) const CHUNK: usize = 1 << 16;

/// The keys that are there with their positions in the list; a missing one is an error unless it is allowed.
pub(super) fn present<'k>(sample: &Sample, keys: &'k Keys, allow_missing: bool) -> Result<Vec<(usize, &'k str)>> {
    let mut found = Vec::with_capacity(keys.len());
    for (position, key) in keys.iter().enumerate() {
        if sample.contains(key) {
            found.push((position, key.as_str()));
        } else if !allow_missing {
            sample.get(key)?;
        }
    }
    Ok(found)
}

/// Changes the tensors of the keys; images keep their geometry and metadata.
pub(super) fn map_tensors(
    sample: &mut Sample,
    keys: &Keys,
    allow_missing: bool,
    mut change: impl FnMut(usize, &Tensor) -> Result<Tensor>,
) -> Result<()> {
    for (position, key) in present(sample, keys, allow_missing)? {
        let changed = change(position, sample.tensor(key)?).map_err(|error| error.context(format!("in `{key}`")))?;
        sample.set_tensor(key, changed)?;
    }
    Ok(())
}

/// Changes the images of the keys, geometry and all; a plain tensor becomes an image without metadata.
pub(super) fn map_images(
    sample: &mut Sample,
    keys: &Keys,
    allow_missing: bool,
    mut change: impl FnMut(usize, Image) -> Result<Image>,
) -> Result<()> {
    for (position, key) in present(sample, keys, allow_missing)? {
        let image = image_of(sample, key)?;
        let changed = change(position, image).map_err(|error| error.context(format!("in `{key}`")))?;
        sample.insert(key, changed);
    }
    Ok(())
}

/// The image under a key, its voxels shared.
pub(super) fn image_of(sample: &Sample, key: &str) -> Result<Image> {
    match sample.get(key)? {
        Value::Image(image) => Ok(image.shallow_clone()),
        _ => Ok(Image::new(sample.tensor(key)?.shallow_clone())),
    }
}

/// Sizes of the spatial axes of a channel-first tensor, one to three of them.
pub(super) fn spatial_shape(tensor: &Tensor) -> Result<Vec<usize>> {
    let size = tensor.size();
    if !(2..=4).contains(&size.len()) {
        return Err(Error::data(format!(
            "a tensor of shape {size:?} is not an image: (channels, x[, y[, z]]) is expected; `EnsureChannelFirstd` adds a missing channel axis"
        )));
    }
    Ok(size[1..].iter().map(|&n| n as usize).collect())
}

/// Sizes as libtorch wants them, behind the number of channels.
pub(super) fn full_shape(channels: i64, shape: &[usize]) -> Vec<i64> {
    std::iter::once(channels).chain(shape.iter().map(|&n| n as i64)).collect()
}

/// One size for each axis: a single value is for all axes, missing ones and those below 1 are the image's own (MONAI's
/// `fall_back_tuple`).
pub(super) fn sizes_or(sizes: &OneOrMany<i64>, shape: &[usize], argument: &str) -> Result<Vec<usize>> {
    let given = match sizes {
        OneOrMany::Many(values) if values.len() > shape.len() => values[..shape.len()].to_vec(),
        other => other.repeat(shape.len(), argument)?,
    };
    Ok(given.iter().zip(shape).map(|(&size, &own)| if size > 0 { size as usize } else { own }).collect())
}

/// The tensor as contiguous float32 values in main memory; no copy if it is that already.
pub(super) fn float_values(tensor: &Tensor) -> Result<Tensor> {
    Ok(tensor.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?.f_contiguous()?)
}

/// A tensor of the same shape with `change` applied to each value, as float32 on the same device.
pub(super) fn map_values(tensor: &Tensor, change: impl Fn(f32) -> f32 + Sync) -> Result<Tensor> {
    let source = float_values(tensor)?;
    let values = view::slice::<f32>(&source)?;
    let out = view::build::<f32>(&tensor.size(), |out| {
        out.par_chunks_mut(CHUNK).zip(values.par_chunks(CHUNK)).for_each(|(out, values)| {
            for (out, value) in out.iter_mut().zip(values) {
                *out = change(*value);
            }
        });
    });
    Ok(out.f_to_device(tensor.device())?)
}

/// A range to draw from: one number x stands for -x … x.
pub(super) fn range(argument: &str, values: &OneOrMany<f64>) -> Result<(f64, f64)> {
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

/// A numeric type by numpy's or PyTorch's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(inline)]
pub(super) enum Dtype {
    /// float32
    #[serde(rename = "float32", alias = "float", alias = "torch.float32", alias = "torch.float", alias = "np.float32")]
    Float32,
    /// float64
    #[serde(rename = "float64", alias = "double", alias = "torch.float64", alias = "np.float64")]
    Float64,
    /// float16
    #[serde(rename = "float16", alias = "half", alias = "torch.float16", alias = "np.float16")]
    Float16,
    /// uint8
    #[serde(rename = "uint8", alias = "torch.uint8", alias = "np.uint8")]
    Uint8,
    /// int8
    #[serde(rename = "int8", alias = "torch.int8", alias = "np.int8")]
    Int8,
    /// int16
    #[serde(rename = "int16", alias = "short", alias = "torch.int16", alias = "np.int16")]
    Int16,
    /// int32
    #[serde(rename = "int32", alias = "int", alias = "torch.int32", alias = "np.int32")]
    Int32,
    /// int64
    #[serde(rename = "int64", alias = "long", alias = "torch.int64", alias = "torch.long", alias = "np.int64")]
    Int64,
    /// bool
    #[serde(rename = "bool", alias = "torch.bool")]
    Bool,
}

impl Dtype {
    /// libtorch's name for it.
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::Float32 => Kind::Float,
            Self::Float64 => Kind::Double,
            Self::Float16 => Kind::Half,
            Self::Uint8 => Kind::Uint8,
            Self::Int8 => Kind::Int8,
            Self::Int16 => Kind::Int16,
            Self::Int32 => Kind::Int,
            Self::Int64 => Kind::Int64,
            Self::Bool => Kind::Bool,
        }
    }
}

/// Converts to a dtype, if there is one to convert to.
pub(super) fn cast(tensor: &Tensor, dtype: Option<Dtype>) -> Result<Tensor> {
    Ok(match dtype {
        Some(dtype) => tensor.f_to_kind(dtype.kind())?,
        None => tensor.shallow_clone(),
    })
}

/// How values between voxels are found when a grid is sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum GridMode {
    /// Linear along each axis, in 2-D and in 3-D.
    Bilinear,
    /// The nearest voxel.
    Nearest,
}

/// What lies outside of the image when a grid is sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum GridPadding {
    /// The nearest voxel of the border.
    Border,
    /// Zeros.
    Zeros,
    /// The image mirrored.
    Reflection,
}

impl From<GridMode> for Interpolation {
    fn from(mode: GridMode) -> Self {
        match mode {
            GridMode::Bilinear => Self::Linear,
            GridMode::Nearest => Self::Nearest,
        }
    }
}

impl From<GridPadding> for Padding {
    fn from(padding: GridPadding) -> Self {
        match padding {
            GridPadding::Border => Self::Border,
            GridPadding::Zeros => Self::Zeros,
            GridPadding::Reflection => Self::Reflection,
        }
    }
}

/// `serde(default)` values that several transforms use.
pub(super) mod default {
    use byoc::OneOrMany;

    use super::{Dtype, GridMode, GridPadding};

    pub(in crate::transforms) fn yes() -> bool {
        true
    }

    pub(in crate::transforms) fn float32() -> Dtype {
        Dtype::Float32
    }

    pub(in crate::transforms) fn bilinear() -> OneOrMany<GridMode> {
        OneOrMany::One(GridMode::Bilinear)
    }

    pub(in crate::transforms) fn border() -> OneOrMany<GridPadding> {
        OneOrMany::One(GridPadding::Border)
    }

    pub(in crate::transforms) fn reflection() -> OneOrMany<GridPadding> {
        OneOrMany::One(GridPadding::Reflection)
    }

    pub(in crate::transforms) fn one() -> f64 {
        1.0
    }

    pub(in crate::transforms) fn tenth() -> f64 {
        0.1
    }
}

/// The device of a name such as `cpu`, `cuda` or `cuda:1`.
pub(super) fn device(name: &str) -> Result<Device> {
    match name.split_once(':') {
        None if name == "cpu" => Ok(Device::Cpu),
        None if name == "cuda" => Ok(Device::Cuda(0)),
        Some(("cuda", index)) if index.parse::<usize>().is_ok() => Ok(Device::Cuda(index.parse().unwrap_or_default())),
        _ => Err(Error::invalid_argument(format!("`{name}` is no device; `cpu`, `cuda` and `cuda:0`, `cuda:1` … are"))),
    }
}
