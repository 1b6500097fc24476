//! Binary cross entropy, of probabilities and of logits.

use byoc::{Component, Error, Loss, OneOrMany, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Tensor;

use super::reduction::Reduction;
use super::target::{full_precision, same_shape, shape_hint, weights};

byoc::register! { losses: [BCELoss, BCEWithLogitsLoss] }

/// Binary cross entropy of probabilities (PyTorch `BCELoss`): output and target have the same shape.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BCELossArgs {
    /// Factors, one or as many as the last axis is long.
    weight: Option<OneOrMany<f64>>,
    /// `mean`, `sum`, or `none`: one value per element.
    reduction: Reduction,
}

/// See [`BCELossArgs`].
#[derive(Debug)]
pub struct BCELoss(BCELossArgs);

impl Component for BCELoss {
    type Args = BCELossArgs;

    fn new(args: BCELossArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

impl Loss for BCELoss {
    fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let input = full_precision(input)?;
        same_shape(&input, target, shape_hint(&input, target))?;
        let weight = self.0.weight.as_ref().map(|weight| weights(weight, &input)).transpose()?;
        let target = target.f_to_kind(input.kind())?;
        let loss = input.f_binary_cross_entropy(&target, weight.as_ref(), self.0.reduction.torch());
        loss.map_err(|error| {
            let range =
                (input.f_min().and_then(|t| t.f_double_value(&[])), input.f_max().and_then(|t| t.f_double_value(&[])));
            match range {
                (Ok(low), Ok(high)) if low < 0.0 || high > 1.0 => Error::data(format!(
                    "`BCELoss` needs probabilities between 0 and 1, found {low} to {high}; for logits there is \
                     `BCEWithLogitsLoss`"
                )),
                _ => error.into(),
            }
        })
    }
}

/// Binary cross entropy of logits (PyTorch `BCEWithLogitsLoss`): output and target have the same shape.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BCEWithLogitsLossArgs {
    /// Factors, one or as many as the last axis is long.
    weight: Option<OneOrMany<f64>>,
    /// `mean`, `sum`, or `none`: one value per element.
    reduction: Reduction,
    /// Weight of positive elements, one or as many as the last axis is long.
    pos_weight: Option<OneOrMany<f64>>,
}

/// See [`BCEWithLogitsLossArgs`].
#[derive(Debug)]
pub struct BCEWithLogitsLoss(BCEWithLogitsLossArgs);

impl Component for BCEWithLogitsLoss {
    type Args = BCEWithLogitsLossArgs;

    fn new(args: BCEWithLogitsLossArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

impl Loss for BCEWithLogitsLoss {
    fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let input = full_precision(input)?;
        same_shape(&input, target, shape_hint(&input, target))?;
        let weight = self.0.weight.as_ref().map(|weight| weights(weight, &input)).transpose()?;
        let positive = self.0.pos_weight.as_ref().map(|weight| weights(weight, &input)).transpose()?;
        let target = target.f_to_kind(input.kind())?;
        let reduction = self.0.reduction.torch();
        Ok(input.f_binary_cross_entropy_with_logits(&target, weight.as_ref(), positive.as_ref(), reduction)?)
    }
}

#[cfg(test)]
mod tests {
    use byoc::{Component, Loss};
    use tch::Tensor;

    use super::{BCELoss, BCELossArgs, BCEWithLogitsLoss, BCEWithLogitsLossArgs};

    #[test]
    fn both_agree_and_logits_are_told_from_probabilities() {
        let logits = Tensor::from_slice(&[-2f32, 0.3, 1.7]);
        let target = Tensor::from_slice(&[0f32, 1.0, 1.0]);
        let probabilities = BCELoss::new(BCELossArgs::default()).unwrap();
        let with_logits = BCEWithLogitsLoss::new(BCEWithLogitsLossArgs::default()).unwrap();
        let a = probabilities.forward(&logits.sigmoid(), &target).unwrap().double_value(&[]);
        let b = with_logits.forward(&logits, &target).unwrap().double_value(&[]);
        assert!((a - b).abs() < 1e-6);
        let error = probabilities.forward(&logits, &target).unwrap_err().to_string();
        assert!(error.contains("found -2 to 1.7") && error.contains("`BCEWithLogitsLoss`"), "{error}");
    }
}
