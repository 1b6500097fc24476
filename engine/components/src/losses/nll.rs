//! Negative log likelihood.

use byoc::{Component, Error, Loss, OneOrMany, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind, Tensor};

use super::reduction::Reduction;
use super::target::{channels, check_classes, class_error, full_precision, weights};

byoc::register! { losses: [NLLLoss] }

/// Negative log likelihood of log probabilities (PyTorch `NLLLoss`): what cross entropy is after a log-softmax.
///
/// Log probabilities are (B, C, spatial…), the target a class map, (B, spatial…) or (B, 1, spatial…).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NLLLossArgs {
    /// One weight per class.
    weight: Option<Vec<f64>>,
    /// Voxels with this class do not count.
    ignore_index: i64,
    /// `mean`, weighted by the classes' weights, `sum`, or `none`: one value per voxel.
    reduction: Reduction,
}

impl Default for NLLLossArgs {
    fn default() -> Self {
        Self { weight: None, ignore_index: -100, reduction: Reduction::Mean }
    }
}

/// See [`NLLLossArgs`].
#[derive(Debug)]
pub struct NLLLoss(NLLLossArgs);

impl Component for NLLLoss {
    type Args = NLLLossArgs;

    fn new(args: NLLLossArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

impl Loss for NLLLoss {
    fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let input = full_precision(input)?;
        let classes = channels(&input)?;
        let (shape, mut found) = (input.size(), target.size());
        let mut target = target.f_to_kind(Kind::Int64)?;
        if found.len() == shape.len() && found.get(1) == Some(&1) {
            target = target.f_squeeze_dim(1)?;
            found.remove(1);
        }
        if found.first() != shape.first() || found.get(1..) != shape.get(2..) {
            return Err(Error::data(format!(
                "the class map {:?} does not fit the log probabilities {shape:?}; it must be (B, spatial…)",
                target.size()
            )));
        }
        let weight = self.0.weight.clone().map(|weight| weights(&OneOrMany::Many(weight), &input)).transpose()?;
        check_classes(&target, classes, Some(self.0.ignore_index))?;
        let loss = input.f_nll_loss_nd(&target, weight.as_ref(), self.0.reduction.torch(), self.0.ignore_index);
        loss.map_err(|error| class_error(&target, classes, error))
    }
}

#[cfg(test)]
mod tests {
    use byoc::{Component, Loss};
    use tch::Tensor;

    use super::{NLLLoss, NLLLossArgs};

    #[test]
    fn it_is_minus_the_log_probability_of_the_class() {
        let loss = NLLLoss::new(NLLLossArgs::default()).unwrap();
        let logarithms = Tensor::from_slice(&[-1f32, -2.0, -3.0, -4.0]).view([2, 2]);
        let value = loss.forward(&logarithms, &Tensor::from_slice(&[1i64, 0])).unwrap();
        assert_eq!(value.double_value(&[]), 2.5);
        let error = loss.forward(&logarithms, &Tensor::from_slice(&[1i64])).unwrap_err().to_string();
        assert!(error.contains("[1]") && error.contains("[2, 2]"), "{error}");
    }
}
