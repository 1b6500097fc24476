//! The values of label maps: `LabelFilterd`, `MapLabelValued`, `ConvertToMultiChannelBasedOnBratsClassesd`.

use byoc::{Component, Error, Keys, OneOrMany, Random, Result, Sample, Transform};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind, Tensor};

use super::common::{Dtype, default, map_tensors};

/// Keeps some labels; voxels of others become 0.
///
/// MONAI `LabelFilterd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LabelFilterdArgs {
    /// Keys of the labels.
    keys: Keys,
    /// The labels to keep.
    applied_labels: OneOrMany<i64>,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`LabelFilterdArgs`].
pub struct LabelFilterd(LabelFilterdArgs);

impl Component for LabelFilterd {
    type Args = LabelFilterdArgs;

    fn new(args: LabelFilterdArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

impl Transform for LabelFilterd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let labels = self.0.applied_labels.clone().into_vec();
        map_tensors(sample, &self.0.keys, self.0.allow_missing_keys, |_, tensor| {
            let labels = Tensor::from_slice(&labels).f_to_device(tensor.device())?.f_to_kind(tensor.kind())?;
            let kept = Tensor::f_isin(tensor, &labels, false, false)?;
            Ok(tensor.f_where_self(&kept, &tensor.f_zeros_like()?)?)
        })
    }
}

/// Maps labels onto others, all at once; those that are not named stay.
///
/// MONAI `MapLabelValued`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MapLabelValuedArgs {
    /// Keys of the labels.
    keys: Keys,
    /// The labels to replace.
    orig_labels: Vec<f64>,
    /// What each becomes.
    target_labels: Vec<f64>,
    /// The dtype of the result.
    #[serde(default = "default::float32")]
    dtype: Dtype,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`MapLabelValuedArgs`].
pub struct MapLabelValued(MapLabelValuedArgs);

impl Component for MapLabelValued {
    type Args = MapLabelValuedArgs;

    fn new(args: MapLabelValuedArgs) -> Result<Self> {
        if args.orig_labels.len() != args.target_labels.len() {
            return Err(Error::invalid_argument(format!(
                "`orig_labels` has {} numbers, `target_labels` {}; they must be as many",
                args.orig_labels.len(),
                args.target_labels.len()
            )));
        }
        Ok(Self(args))
    }
}

impl Transform for MapLabelValued {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let Self(args) = self;
        map_tensors(sample, &args.keys, args.allow_missing_keys, |_, tensor| {
            let mut mapped = tensor.f_to_kind(args.dtype.kind())?;
            for (&from, &to) in args.orig_labels.iter().zip(&args.target_labels).filter(|(from, to)| from != to) {
                // compared with what came in: a label is never mapped twice
                let place = tensor.f_eq_tensor(&Tensor::from(from).f_to_device(tensor.device())?)?;
                let value = Tensor::from(to).f_to_kind(mapped.kind())?.f_to_device(tensor.device())?;
                mapped = value.f_where_self(&place, &mapped)?;
            }
            Ok(mapped)
        })
    }
}

/// Makes three channels of the labels of the BRATS challenge: tumour core, whole tumour, enhancing tumour.
///
/// Of the labels 1 (necrosis), 2 (oedema) and 4 (enhancing tumour) the core is 1 and 4, the whole tumour all of them. A
/// volume without a channel axis is accepted. MONAI `ConvertToMultiChannelBasedOnBratsClassesd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConvertToMultiChannelBasedOnBratsClassesdArgs {
    /// Keys of the labels.
    keys: Keys,
    /// The label of the enhancing tumour; 3 in the challenge of 2023.
    #[serde(default = "four")]
    et_label: i64,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

fn four() -> i64 {
    4
}

/// See [`ConvertToMultiChannelBasedOnBratsClassesdArgs`].
pub struct ConvertToMultiChannelBasedOnBratsClassesd(ConvertToMultiChannelBasedOnBratsClassesdArgs);

impl Component for ConvertToMultiChannelBasedOnBratsClassesd {
    type Args = ConvertToMultiChannelBasedOnBratsClassesdArgs;

    fn new(args: ConvertToMultiChannelBasedOnBratsClassesdArgs) -> Result<Self> {
        if [1, 2].contains(&args.et_label) {
            return Err(Error::invalid_argument(format!(
                "`et_label` is {}, but 1 and 2 are the labels of necrosis and oedema",
                args.et_label
            )));
        }
        Ok(Self(args))
    }
}

impl Transform for ConvertToMultiChannelBasedOnBratsClassesd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        map_tensors(sample, &self.0.keys, self.0.allow_missing_keys, |_, tensor| {
            let one_channel = tensor.dim() == 4 && tensor.size()[0] == 1;
            let label = if one_channel { tensor.f_squeeze_dim(0)? } else { tensor.shallow_clone() };
            let is = |value: i64| label.f_eq(value);
            let enhancing = is(self.0.et_label)?;
            let core = is(1)?.f_logical_or(&enhancing)?;
            let whole = core.f_logical_or(&is(2)?)?;
            Ok(Tensor::f_stack(&[core, whole, enhancing], 0)?.f_to_kind(Kind::Bool)?)
        })
    }
}

byoc::register! { transforms: [LabelFilterd, MapLabelValued, ConvertToMultiChannelBasedOnBratsClassesd] }
