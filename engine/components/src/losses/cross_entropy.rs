//! Cross entropy over classes.

use byoc::{Component, Error, Loss, OneOrMany, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind, Tensor};

use super::reduction::Reduction;
use super::target::{channels, check_classes, class_error, full_precision, same_shape, shape_hint, weights};

byoc::register! { losses: [CrossEntropyLoss] }

/// Cross entropy of logits and classes (PyTorch `CrossEntropyLoss`).
///
/// Logits are (B, C, spatial…). The target is a class map, (B, spatial…) of integers or (B, 1, spatial…) as images are
/// here, or probabilities (B, C, spatial…).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CrossEntropyLossArgs {
    /// One weight per class.
    weight: Option<Vec<f64>>,
    /// Voxels with this class do not count.
    ignore_index: i64,
    /// `mean`, weighted by the classes' weights, `sum`, or `none`: one value per voxel.
    reduction: Reduction,
    /// How much of a class's probability is spread over all classes, 0 to 1.
    label_smoothing: f64,
}

impl Default for CrossEntropyLossArgs {
    fn default() -> Self {
        Self { weight: None, ignore_index: -100, reduction: Reduction::Mean, label_smoothing: 0.0 }
    }
}

/// See [`CrossEntropyLossArgs`].
#[derive(Debug)]
pub struct CrossEntropyLoss {
    weight: Option<OneOrMany<f64>>,
    ignore_index: i64,
    reduction: Reduction,
    label_smoothing: f64,
}

impl Component for CrossEntropyLoss {
    type Args = CrossEntropyLossArgs;

    fn new(args: CrossEntropyLossArgs) -> Result<Self> {
        if !(0.0..=1.0).contains(&args.label_smoothing) {
            return Err(Error::invalid_argument(format!(
                "`label_smoothing` must be 0 to 1, found {}",
                args.label_smoothing
            )));
        }
        let CrossEntropyLossArgs { weight, ignore_index, reduction, label_smoothing } = args;
        Ok(Self { weight: weight.map(OneOrMany::Many), ignore_index, reduction, label_smoothing })
    }
}

impl Loss for CrossEntropyLoss {
    fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let input = full_precision(input)?;
        compute(&input, target, self.weight.as_ref(), self.reduction, self.ignore_index, self.label_smoothing)
    }
}

/// Cross entropy of logits (B, C, spatial…) with a class map or with probabilities.
pub(super) fn compute(
    input: &Tensor,
    target: &Tensor,
    weight: Option<&OneOrMany<f64>>,
    reduction: Reduction,
    ignore_index: i64,
    label_smoothing: f64,
) -> Result<Tensor> {
    let classes = channels(input)?;
    let (shape, found) = (input.size(), target.size());
    let target = if found.len() == shape.len() && found[1] == 1 && classes != 1 {
        target.f_squeeze_dim(1)?.f_to_kind(Kind::Int64)?
    } else if found.len() + 1 == shape.len() {
        target.f_to_kind(Kind::Int64)?
    } else {
        same_shape(input, target, shape_hint(input, target))?;
        target.f_to_kind(input.kind())?
    };
    if let Some(OneOrMany::Many(values)) = weight
        && values.len() as i64 != classes
    {
        return Err(Error::invalid_argument(format!("`weight` has {} values for {classes} classes", values.len())));
    }
    let weight = weight.map(|weight| weights(weight, input)).transpose()?;
    if target.kind() == Kind::Int64 {
        check_classes(&target, classes, Some(ignore_index))?;
    }
    let loss = input.f_cross_entropy_loss(&target, weight.as_ref(), reduction.torch(), ignore_index, label_smoothing);
    loss.map_err(|error| class_error(&target, classes, error))
}

#[cfg(test)]
mod tests {
    use byoc::{Component, Loss};
    use tch::{Device, Kind, Tensor};

    use super::{CrossEntropyLoss, CrossEntropyLossArgs};

    #[test]
    fn a_class_map_may_have_a_channel_and_be_of_any_dtype() {
        let loss = CrossEntropyLoss::new(CrossEntropyLossArgs::default()).unwrap();
        let logits = Tensor::from_slice(&[1f32, 0.0, 2.0, 0.5, 0.0, 1.0]).view([1, 3, 2]);
        let classes = Tensor::from_slice(&[2i64, 0]).view([1, 2]);
        let expected = loss.forward(&logits, &classes).unwrap();
        let found = loss.forward(&logits, &classes.view([1, 1, 2]).to_kind(Kind::Float)).unwrap();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_class_without_channel_is_told() {
        let loss = CrossEntropyLoss::new(CrossEntropyLossArgs::default()).unwrap();
        let logits = Tensor::zeros([1, 2, 2], (Kind::Float, Device::Cpu));
        let error = loss.forward(&logits, &Tensor::from_slice(&[0i64, 2]).view([1, 2])).unwrap_err().to_string();
        assert!(error.starts_with("the label holds class 2, but the network's output has 2 channels"), "{error}");
    }
}
