//! Predictions of several models: `MeanEnsembled`, `VoteEnsembled`.

use byoc::{Component, Error, Image, Keys, OneOrMany, Random, Result, Sample, Transform, Value};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind, Tensor};

use super::common::image_of;

/// Where the result goes: `output_key`, or the only key.
fn output<'a>(keys: &'a Keys, output_key: Option<&'a String>) -> Result<&'a str> {
    match (output_key, keys.0.as_slice()) {
        (Some(key), _) | (None, [key]) => Ok(key),
        _ => Err(Error::invalid_argument("several `keys` need an `output_key`")),
    }
}

/// The predictions along a new first axis; a single key holds them stacked already.
fn stacked(sample: &Sample, keys: &Keys) -> Result<Tensor> {
    match keys.0.as_slice() {
        [key] => Ok(sample.tensor(key)?.shallow_clone()),
        keys => {
            let tensors = keys.iter().map(|key| sample.tensor(key)).collect::<Result<Vec<_>>>()?;
            Ok(Tensor::f_stack(&tensors, 0)?)
        }
    }
}

/// Puts a result with the geometry of the first prediction, if it has one.
fn put(sample: &mut Sample, keys: &Keys, key: &str, tensor: Tensor) -> Result<()> {
    let first = keys.0.first().map_or(key, String::as_str);
    match sample.get(first)? {
        Value::Image(_) => {
            let image: Image = image_of(sample, first)?.with_tensor(tensor);
            sample.insert(key, image);
        }
        _ => sample.insert(key, tensor),
    }
    Ok(())
}

/// The weighted mean of predictions.
///
/// MONAI `MeanEnsembled`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MeanEnsembledArgs {
    /// Keys of the predictions; a single key holds them along its first axis.
    keys: Keys,
    /// Key of the result.
    #[serde(default)]
    output_key: Option<String>,
    /// A weight for each prediction, or a list with one for each of its channels; they are divided by their mean.
    #[serde(default)]
    weights: Option<Vec<OneOrMany<f64>>>,
}

/// See [`MeanEnsembledArgs`].
pub struct MeanEnsembled(MeanEnsembledArgs);

impl Component for MeanEnsembled {
    type Args = MeanEnsembledArgs;

    fn new(args: MeanEnsembledArgs) -> Result<Self> {
        output(&args.keys, args.output_key.as_ref())?;
        Ok(Self(args))
    }
}

impl Transform for MeanEnsembled {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let Self(args) = self;
        let mut predictions = stacked(sample, &args.keys)?.f_to_kind(Kind::Float)?;
        if let Some(weights) = &args.weights {
            let n = predictions.size()[0];
            if weights.len() as i64 != n {
                return Err(Error::invalid_argument(format!(
                    "`weights` has {} entries for {n} predictions",
                    weights.len()
                )));
            }
            let rows: Vec<Vec<f64>> = weights.iter().map(|weight| weight.clone().into_vec()).collect();
            let width = rows.first().map_or(0, Vec::len);
            if rows.iter().any(|row| row.len() != width) {
                return Err(Error::invalid_argument("the lists in `weights` must be equally long"));
            }
            let mut shape = vec![1; predictions.dim()];
            shape[0] = n;
            if let Some(channels) = shape.get_mut(1) {
                *channels = width as i64;
            }
            let weights = Tensor::from_slice(&rows.concat())
                .f_view(shape.as_slice())?
                .f_to_kind(Kind::Float)?
                .f_to_device(predictions.device())?;
            let mean = weights.f_mean_dim([0i64].as_slice(), true, Kind::Float)?;
            predictions = predictions.f_mul(&weights)?.f_div(&mean)?;
        }
        let mean = predictions.f_mean_dim([0i64].as_slice(), false, Kind::Float)?;
        put(sample, &args.keys, output(&args.keys, args.output_key.as_ref())?, mean)
    }
}

/// The label that most predictions have.
///
/// Of equal ones the lowest. Without `num_classes` the predictions are one-hot and their mean is rounded. MONAI
/// `VoteEnsembled`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VoteEnsembledArgs {
    /// Keys of the predictions; a single key holds them along its first axis.
    keys: Keys,
    /// Key of the result.
    #[serde(default)]
    output_key: Option<String>,
    /// How many classes the labels have.
    #[serde(default)]
    num_classes: Option<i64>,
}

/// See [`VoteEnsembledArgs`].
pub struct VoteEnsembled(VoteEnsembledArgs);

impl Component for VoteEnsembled {
    type Args = VoteEnsembledArgs;

    fn new(args: VoteEnsembledArgs) -> Result<Self> {
        output(&args.keys, args.output_key.as_ref())?;
        Ok(Self(args))
    }
}

impl Transform for VoteEnsembled {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let Self(args) = self;
        let predictions = stacked(sample, &args.keys)?;
        let mean_of = |votes: &Tensor| votes.f_to_kind(Kind::Float)?.f_mean_dim([0i64].as_slice(), false, Kind::Float);
        let winner = match args.num_classes {
            Some(classes) => {
                let one_hot = predictions.dim() > 1 && predictions.size()[1] > 1;
                let keep = predictions.dim() > 1;
                let votes = if one_hot {
                    predictions
                } else {
                    let labels = if keep { predictions } else { predictions.f_unsqueeze(1)? };
                    let mut shape = vec![1; labels.dim()];
                    shape[1] = classes;
                    let ids = Tensor::arange(classes, (Kind::Int64, labels.device())).view(shape.as_slice());
                    labels.f_to_kind(Kind::Int64)?.f_eq_tensor(&ids)?
                };
                mean_of(&votes)?.f_argmax(0, keep)?.f_to_kind(Kind::Float)?
            }
            None => mean_of(&predictions)?.f_round()?,
        };
        put(sample, &args.keys, output(&args.keys, args.output_key.as_ref())?, winner)
    }
}

byoc::register! { transforms: [MeanEnsembled, VoteEnsembled] }
