//! Label maps: `LabelToMaskd`, `LabelToContourd`, `BoundingRectd`.

use byoc::{Component, Error, Keys, OneOrMany, Random, Result, Sample, Transform};
use mmar_imaging::region::bounding_box;
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind, Tensor};
use torch_ext::view;

use super::common::{float_values, map_tensors, present, spatial_shape};

/// Makes a mask of some labels.
///
/// Of a one-hot label the chosen channels are taken. MONAI `LabelToMaskd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LabelToMaskdArgs {
    /// Keys of the labels.
    keys: Keys,
    /// The labels.
    select_labels: OneOrMany<i64>,
    /// Whether the channels become one, in which any of them counts.
    #[serde(default)]
    merge_channels: bool,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`LabelToMaskdArgs`].
pub struct LabelToMaskd(LabelToMaskdArgs);

impl Component for LabelToMaskd {
    type Args = LabelToMaskdArgs;

    fn new(args: LabelToMaskdArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

impl Transform for LabelToMaskd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let labels = self.0.select_labels.clone().into_vec();
        map_tensors(sample, &self.0.keys, self.0.allow_missing_keys, |_, tensor| {
            let mask = if tensor.size().first().is_some_and(|&channels| channels > 1) {
                tensor.f_index_select(0, &Tensor::from_slice(&labels).to_device(tensor.device()))?
            } else {
                let mut mask = tensor.f_zeros_like()?.f_to_kind(Kind::Bool)?;
                for &label in &labels {
                    mask = mask.f_logical_or(&tensor.f_eq(label)?)?;
                }
                mask
            };
            Ok(if self.0.merge_channels { mask.f_to_kind(Kind::Bool)?.f_any_dim(0, true)? } else { mask })
        })
    }
}

/// Keeps the outline of a label: voxels with a neighbour of another value.
///
/// The Laplace filter over all neighbours, zeros outside, cut to 0 … 1. MONAI `LabelToContourd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LabelToContourdArgs {
    /// Keys of the labels, one-hot or binary.
    keys: Keys,
    /// The filter.
    #[serde(default)]
    kernel_type: ContourKernel,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// Filters that find outlines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum ContourKernel {
    /// The number of neighbours in the middle, -1 around.
    #[default]
    Laplace,
}

/// See [`LabelToContourdArgs`].
pub struct LabelToContourd(LabelToContourdArgs);

impl Component for LabelToContourd {
    type Args = LabelToContourdArgs;

    fn new(args: LabelToContourdArgs) -> Result<Self> {
        let ContourKernel::Laplace = args.kernel_type;
        Ok(Self(args))
    }
}

impl Transform for LabelToContourd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        map_tensors(sample, &self.0.keys, self.0.allow_missing_keys, |_, tensor| {
            let rank = spatial_shape(tensor)?.len();
            let neighbours = 3i64.pow(rank as u32) - 1;
            let mut weights = vec![-1f32; neighbours as usize + 1];
            weights[neighbours as usize / 2] = neighbours as f32;
            let shape: Vec<i64> = [1, 1].into_iter().chain(std::iter::repeat_n(3, rank)).collect();
            let kernel = Tensor::from_slice(&weights).view(shape.as_slice()).to_device(tensor.device());
            let batch = tensor.f_to_kind(Kind::Float)?.f_unsqueeze(1)?;
            let ones = vec![1; rank];
            let filtered = match rank {
                2 => batch.f_conv2d::<Tensor>(&kernel, None, &ones, &ones, &ones, 1)?,
                3 => batch.f_conv3d::<Tensor>(&kernel, None, &ones, &ones, &ones, 1)?,
                _ => {
                    return Err(Error::data(format!(
                        "a label with {rank} spatial axes has no outline; 2 or 3 are needed"
                    )));
                }
            };
            Ok(filtered.f_clamp(0.0, 1.0)?.f_squeeze_dim(1)?)
        })
    }
}

/// The box around the voxels above 0, for each channel: start and end of each axis.
///
/// MONAI `BoundingRectd`; the result is (channels, 2 · axes).
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BoundingRectdArgs {
    /// Keys of the images.
    keys: Keys,
    /// The box goes under the key with `_` and this behind it.
    #[serde(default = "bbox")]
    bbox_key_postfix: String,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

fn bbox() -> String {
    "bbox".to_owned()
}

/// See [`BoundingRectdArgs`].
pub struct BoundingRectd(BoundingRectdArgs);

impl Component for BoundingRectd {
    type Args = BoundingRectdArgs;

    fn new(args: BoundingRectdArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

impl Transform for BoundingRectd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        for (_, key) in present(sample, &self.0.keys, self.0.allow_missing_keys)? {
            let name = format!("{key}_{}", self.0.bbox_key_postfix);
            if sample.contains(&name) {
                return Err(Error::data(format!("there is a `{name}` already; choose another `bbox_key_postfix`")));
            }
            let shape = spatial_shape(sample.tensor(key)?)?;
            let values = float_values(sample.tensor(key)?)?;
            let channels = values.size()[0];
            let values = view::slice::<f32>(&values)?;
            let mut boxes: Vec<i64> = Vec::new();
            for channel in values.chunks_exact(shape.iter().product::<usize>().max(1)) {
                let (start, end) = bounding_box(&[channel], &shape, |value| value > 0.0)
                    .unwrap_or_else(|| (vec![0; shape.len()], vec![0; shape.len()]));
                boxes.extend(start.iter().zip(&end).flat_map(|(&start, &end)| [start as i64, end as i64]));
            }
            sample.insert(name, Tensor::from_slice(&boxes).f_view([channels, 2 * shape.len() as i64])?);
        }
        Ok(())
    }
}

byoc::register! { transforms: [LabelToMaskd, LabelToContourd, BoundingRectd] }
