//! Losses of differences between numbers.

use byoc::{Component, Error, Loss, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Tensor;

use super::reduction::Reduction;
use super::target::{full_precision, same_shape, shape_hint};

byoc::register! { losses: [MSELoss, L1Loss, SmoothL1Loss] }

/// Mean squared error (PyTorch `MSELoss`): output and target have the same shape.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MSELossArgs {
    /// `mean`, `sum`, or `none`: one value per element.
    reduction: Reduction,
}

/// See [`MSELossArgs`].
#[derive(Debug)]
pub struct MSELoss(MSELossArgs);

impl Component for MSELoss {
    type Args = MSELossArgs;

    fn new(args: MSELossArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

impl Loss for MSELoss {
    fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let (input, target) = pair(input, target)?;
        Ok(input.f_mse_loss(&target, self.0.reduction.torch())?)
    }
}

/// Mean absolute error (PyTorch `L1Loss`): output and target have the same shape.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct L1LossArgs {
    /// `mean`, `sum`, or `none`: one value per element.
    reduction: Reduction,
}

/// See [`L1LossArgs`].
#[derive(Debug)]
pub struct L1Loss(L1LossArgs);

impl Component for L1Loss {
    type Args = L1LossArgs;

    fn new(args: L1LossArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

impl Loss for L1Loss {
    fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let (input, target) = pair(input, target)?;
        Ok(input.f_l1_loss(&target, self.0.reduction.torch())?)
    }
}

/// Squared below `beta`, absolute above it (PyTorch `SmoothL1Loss`): output and target have the same shape.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SmoothL1LossArgs {
    /// `mean`, `sum`, or `none`: one value per element.
    reduction: Reduction,
    /// Where squared becomes absolute.
    beta: f64,
}

impl Default for SmoothL1LossArgs {
    fn default() -> Self {
        Self { reduction: Reduction::Mean, beta: 1.0 }
    }
}

/// See [`SmoothL1LossArgs`].
#[derive(Debug)]
pub struct SmoothL1Loss(SmoothL1LossArgs);

impl Component for SmoothL1Loss {
    type Args = SmoothL1LossArgs;

    fn new(args: SmoothL1LossArgs) -> Result<Self> {
        if args.beta < 0.0 {
            return Err(Error::invalid_argument(format!("`beta` must not be negative, found {}", args.beta)));
        }
        Ok(Self(args))
    }
}

impl Loss for SmoothL1Loss {
    fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let (input, target) = pair(input, target)?;
        let reduction = self.0.reduction.torch();
        // PyTorch does the same: at 0 it is the absolute error
        if self.0.beta == 0.0 {
            return Ok(input.f_l1_loss(&target, reduction)?);
        }
        Ok(input.f_smooth_l1_loss(&target, reduction, self.0.beta)?)
    }
}

/// Both in one dtype. PyTorch broadcasts other shapes with a warning; that is a mistake nearly always.
fn pair(input: &Tensor, target: &Tensor) -> Result<(Tensor, Tensor)> {
    let input = full_precision(input)?;
    same_shape(&input, target, shape_hint(&input, target))?;
    let target = target.f_to_kind(input.kind())?;
    Ok((input, target))
}

#[cfg(test)]
mod tests {
    use byoc::{Component, Loss, Result};
    use serde_json::{Value, json};
    use tch::Tensor;

    use super::{L1Loss, MSELoss, SmoothL1Loss};

    fn value<L: Loss + Component>(args: Value, input: &[f32], target: &[f32]) -> Result<f64> {
        let loss = L::new(byoc::args::parse(&args)?)?;
        Ok(loss.forward(&Tensor::from_slice(input), &Tensor::from_slice(target))?.double_value(&[]))
    }

    #[test]
    fn values() {
        let (input, target) = ([0f32, 4.0], [0.5f32, 1.0]);
        assert_eq!(value::<MSELoss>(json!({}), &input, &target).unwrap(), f64::midpoint(0.25, 9.0));
        assert_eq!(value::<L1Loss>(json!({ "reduction": "sum" }), &input, &target).unwrap(), 3.5);
        assert_eq!(value::<SmoothL1Loss>(json!({}), &input, &target).unwrap(), f64::midpoint(0.125, 2.5));
        assert_eq!(value::<SmoothL1Loss>(json!({ "beta": 0.0 }), &input, &target).unwrap(), 1.75);
    }

    #[test]
    fn shapes_are_not_broadcast() {
        let error = value::<MSELoss>(json!({}), &[1.0, 2.0], &[1.0]).unwrap_err().to_string();
        assert!(error.starts_with("the target's shape [1] differs from that of the network's output, [2]"), "{error}");
        let error = value::<L1Loss>(json!({ "reduction": "avg" }), &[1.0], &[1.0]).unwrap_err().to_string();
        assert!(error.contains("`none`, `mean`, `sum`") || error.contains("avg"), "{error}");
    }
}
