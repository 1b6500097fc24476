//! Slices of a volume: `FindAllValidSlicesd`, `Fetch2DSliced`.

use byoc::{Component, Error, Keys, OneOrMany, Random, Result, Sample, Transform};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tch::{Kind, Tensor};

use super::guidance::Guidance;
use crate::transforms::common::present;
use crate::transforms::metadata::{dictionaries, note};

/// Lists the slices in which a label marks anything.
///
/// The label is (1, D, H, W); the result is an int64 tensor of slice indices. A label that marks nothing adds nothing to the
/// sample. MONAI `monai.apps.deepgrow.transforms.FindAllValidSlicesd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FindAllValidSlicesdArgs {
    /// Key of the label.
    #[serde(default = "label")]
    label: String,
    /// Key for the indices.
    #[serde(default = "sids")]
    sids: String,
}

fn label() -> String {
    "label".to_owned()
}

fn sids() -> String {
    "sids".to_owned()
}

/// See [`FindAllValidSlicesdArgs`].
pub struct FindAllValidSlicesd(FindAllValidSlicesdArgs);

impl Component for FindAllValidSlicesd {
    type Args = FindAllValidSlicesdArgs;

    fn new(args: FindAllValidSlicesdArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

impl Transform for FindAllValidSlicesd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let label = sample.tensor(&self.0.label)?;
        let size = label.size();
        if size.len() != 4 || size[0] != 1 {
            return Err(Error::data(format!(
                "`{}` has shape {size:?}; a label of one channel, (1, D, H, W), is expected",
                self.0.label
            )));
        }
        let sums = label.f_sum_dim_intlist([0i64, 2, 3].as_slice(), false, Kind::Double)?;
        let indices = sums.f_ne(0.0)?.f_nonzero()?.f_flatten(0, -1)?.f_to_device(tch::Device::Cpu)?;
        if indices.numel() > 0 {
            sample.insert(&self.0.sids, indices);
        }
        Ok(())
    }
}

/// Takes one slice out of volumes without a channel axis.
///
/// Which one says the guidance of `AddGuidanceFromPointsd`; it is noted in the metadata as `slice_idx`, for
/// `RestoreLabeld`. MONAI `monai.apps.deepgrow.transforms.Fetch2DSliced`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fetch2DSlicedArgs {
    /// Keys of the volumes.
    keys: Keys,
    /// Key of the guidance.
    #[serde(default = "guidance")]
    guidance: String,
    /// The axis that counts the slices.
    #[serde(default)]
    axis: usize,
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

fn guidance() -> String {
    "guidance".to_owned()
}

/// See [`Fetch2DSlicedArgs`].
pub struct Fetch2DSliced {
    args: Fetch2DSlicedArgs,
    dictionaries: Vec<String>,
}

impl Component for Fetch2DSliced {
    type Args = Fetch2DSlicedArgs;

    fn new(args: Fetch2DSlicedArgs) -> Result<Self> {
        let dictionaries = dictionaries(&args.keys.0, args.meta_keys.as_ref(), args.meta_key_postfix.as_ref())?;
        Ok(Self { args, dictionaries })
    }
}

impl Transform for Fetch2DSliced {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let Self { args, dictionaries } = self;
        let guidance = Guidance::of(sample.get(&args.guidance)?, &args.guidance)?;
        let index = guidance.slice.ok_or_else(|| {
            Error::data(format!(
                "`{}` names no slice; `AddGuidanceFromPointsd` with `spatial_dims` 2 puts it there",
                args.guidance
            ))
        })?;
        for (position, key) in present(sample, &args.keys, args.allow_missing_keys)? {
            let volume = sample.tensor(key)?;
            let size = volume.size();
            let n = size.get(args.axis).copied().ok_or_else(|| {
                Error::invalid_argument(format!("`axis` is {}, but `{key}` has shape {size:?}", args.axis))
            })?;
            if !(-n..n).contains(&index) {
                return Err(Error::data(format!(
                    "`{key}` has {n} slices along axis {}, but no slice {index}",
                    args.axis
                )));
            }
            let slice: Tensor = volume.f_select(args.axis as i64, index)?;
            // the index stands at the place of its axis, as in the tuple that MONAI notes
            let noted = (0..size.len()).map(|axis| if axis == args.axis { json!(index) } else { Json::Null }).collect();
            sample.set_tensor(key, slice)?;
            note(sample, key, &dictionaries[position], &[("slice_idx", Json::Array(noted))])?;
        }
        Ok(())
    }
}

byoc::register! { transforms: [FindAllValidSlicesd, Fetch2DSliced] }
