//! `AsDiscreted`.

use byoc::{Component, Error, Keys, OneOrMany, Random, Result, Sample, Transform};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Device, Kind, Tensor};

use super::common::{Dtype, cast, default, map_tensors};

/// Makes discrete values of predictions and labels: arg max, one-hot, threshold, rounding, in this order.
///
/// MONAI `AsDiscreted`, with the arguments of its versions up to 0.6: `to_onehot: true` with `n_classes` N is
/// `to_onehot: N`, `threshold_values: true` with `logit_thresh` t is `threshold: t`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AsDiscretedArgs {
    /// Keys of the tensors.
    keys: Keys,
    /// Whether to take the channel with the highest value, for each key or for all.
    #[serde(default)]
    argmax: OneOrMany<Option<bool>>,
    /// Number of classes for one-hot, for each key or for all; `true` takes it from `n_classes`.
    #[serde(default)]
    to_onehot: OneOrMany<Option<Switch<i64>>>,
    /// Values from here on become 1, others 0, for each key or for all; `true` takes it from `logit_thresh`.
    #[serde(default)]
    threshold: OneOrMany<Option<Switch<f64>>>,
    /// `torchrounding`: to whole numbers, halves to even ones. For each key or for all.
    #[serde(default)]
    rounding: OneOrMany<Option<Rounding>>,
    /// Number of classes where `to_onehot` is `true`.
    #[serde(default, alias = "num_classes")]
    #[schemars(extend("x-aliases" = ["num_classes"]))]
    n_classes: OneOrMany<Option<i64>>,
    /// Whether values are compared with `logit_thresh`, for each key or for all.
    #[serde(default)]
    threshold_values: OneOrMany<Option<bool>>,
    /// The threshold where `threshold_values` is on, for each key or for all.
    #[serde(default = "half")]
    logit_thresh: OneOrMany<f64>,
    /// The axis of the channels.
    #[serde(default)]
    dim: i64,
    /// Whether arg max keeps the axis of the channels.
    #[serde(default = "default::yes")]
    keepdim: bool,
    /// The dtype of the result.
    #[serde(default = "default::float32")]
    dtype: Dtype,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// A number, or whether the older argument for it is to be used.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum Switch<T> {
    /// On or off.
    Flag(bool),
    /// The number.
    Value(T),
}

/// How values are rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Rounding {
    /// PyTorch's `round`.
    TorchRounding,
}

fn half() -> OneOrMany<f64> {
    OneOrMany::One(0.5)
}

/// What is done for one key.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Steps {
    argmax: bool,
    classes: Option<i64>,
    threshold: Option<f64>,
    round: bool,
}

/// See [`AsDiscretedArgs`].
pub struct AsDiscreted {
    args: AsDiscretedArgs,
    per_key: Vec<Steps>,
}

impl Component for AsDiscreted {
    type Args = AsDiscretedArgs;

    fn new(args: AsDiscretedArgs) -> Result<Self> {
        let n = args.keys.len();
        let argmax = args.argmax.repeat(n, "argmax")?;
        let one_hot = args.to_onehot.repeat(n, "to_onehot")?;
        let n_classes = args.n_classes.repeat(n, "n_classes")?;
        let threshold = args.threshold.repeat(n, "threshold")?;
        let threshold_values = args.threshold_values.repeat(n, "threshold_values")?;
        let logit_thresh = args.logit_thresh.repeat(n, "logit_thresh")?;
        let rounding = args.rounding.repeat(n, "rounding")?;
        let per_key = (0..n)
            .map(|i| {
                let classes = match one_hot[i] {
                    Some(Switch::Value(classes)) => Some(classes),
                    Some(Switch::Flag(true)) => Some(n_classes[i].ok_or_else(|| {
                        Error::invalid_argument(
                            "`to_onehot: true` needs `n_classes`; better, give the number of classes as `to_onehot`",
                        )
                    })?),
                    _ => None,
                };
                if let Some(classes) = classes
                    && classes < 1
                {
                    return Err(Error::invalid_argument(format!("`to_onehot` is {classes}, but must be 1 or more")));
                }
                let threshold = match threshold[i] {
                    Some(Switch::Value(threshold)) => Some(threshold),
                    Some(Switch::Flag(true)) => Some(logit_thresh[i]),
                    _ => threshold_values[i].unwrap_or(false).then_some(logit_thresh[i]),
                };
                Ok(Steps { argmax: argmax[i].unwrap_or(false), classes, threshold, round: rounding[i].is_some() })
            })
            .collect::<Result<_>>()?;
        Ok(Self { args, per_key })
    }
}

byoc::register! { transforms: [AsDiscreted] }

impl Transform for AsDiscreted {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        map_tensors(sample, &self.args.keys, self.args.allow_missing_keys, |position, tensor| {
            let steps = self.per_key[position];
            let mut tensor = tensor.shallow_clone();
            if steps.argmax {
                tensor = tensor.f_argmax(self.args.dim, self.args.keepdim)?;
            }
            if let Some(classes) = steps.classes {
                tensor = one_hot(&tensor, classes, self.args.dim)?;
            }
            if let Some(threshold) = steps.threshold {
                tensor = tensor.f_ge(threshold)?;
            }
            if steps.round {
                tensor = tensor.f_round()?;
            }
            cast(&tensor, Some(self.args.dtype))
        })
    }
}

/// A channel for each class, 1 where the label is it.
fn one_hot(label: &Tensor, classes: i64, dim: i64) -> Result<Tensor> {
    let size = label.size();
    let axis = if dim < 0 { dim + size.len() as i64 } else { dim };
    if usize::try_from(axis).ok().and_then(|axis| size.get(axis)) != Some(&1) {
        return Err(Error::data(format!("`to_onehot` needs a label with one channel, but the shape is {size:?}")));
    }
    let label = label.f_to_kind(Kind::Int64)?;
    if label.device() == Device::Cpu && label.numel() > 0 {
        let (low, high) = (label.min().int64_value(&[]), label.max().int64_value(&[]));
        if low < 0 || high >= classes {
            let found = if low < 0 { low } else { high };
            return Err(Error::data(format!(
                "there is a label of {found}, but `to_onehot` is {classes}: labels go from 0 to {}",
                classes - 1
            )));
        }
    }
    let mut shape = vec![1; size.len()];
    shape[axis as usize] = classes;
    let ids = Tensor::arange(classes, (Kind::Int64, label.device())).view(shape.as_slice());
    Ok(label.f_eq_tensor(&ids)?)
}

#[cfg(test)]
mod tests {
    use byoc::{Component, Random, Sample, Transform};
    use serde_json::{Value, json};
    use tch::Tensor;

    use super::AsDiscreted;

    fn run(args: Value, sample: &mut Sample) -> byoc::Result<()> {
        let args = serde_json::from_value(args).unwrap();
        AsDiscreted::new(args)?.apply(sample, &mut Random::from_seed(0))
    }

    #[test]
    fn legacy_and_new_spellings_agree() {
        let scores = Tensor::from_slice(&[0.2f32, 0.9, 0.5, 0.1, 0.8, 0.1]).view([3, 2]);
        for (old, new) in [
            (
                json!({"keys": "pred", "argmax": true, "to_onehot": true, "n_classes": 3}),
                json!({"keys": ["pred"], "argmax": [true], "to_onehot": [3]}),
            ),
            (json!({"keys": "pred", "threshold_values": true}), json!({"keys": "pred", "threshold": 0.5})),
            (
                json!({"keys": "pred", "threshold_values": true, "logit_thresh": 0.15}),
                json!({"keys": "pred", "threshold": 0.15}),
            ),
        ] {
            let results = [old, new].map(|args| {
                let mut sample = Sample::new();
                sample.insert("pred", scores.shallow_clone());
                run(args, &mut sample).unwrap();
                sample.tensor("pred").unwrap().shallow_clone()
            });
            assert_eq!(results[0], results[1]);
        }
    }

    #[test]
    fn labels_beyond_the_classes_are_told() {
        let mut sample = Sample::new();
        sample.insert("label", Tensor::from_slice(&[0f32, 5.0]).view([1, 2]));
        let error = run(json!({"keys": "label", "to_onehot": 2}), &mut sample).unwrap_err().to_string();
        assert_eq!(error, "in `label`: there is a label of 5, but `to_onehot` is 2: labels go from 0 to 1");
    }
}
