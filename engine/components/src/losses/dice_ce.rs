//! Dice loss and cross entropy together.

use byoc::{Component, Error, Loss, OneOrMany, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Tensor;

use super::cross_entropy;
use super::dice::{DiceLoss, DiceLossArgs};
use super::overlap::OtherActivation;
use super::reduction::Reduction;
use super::target::{channels, full_precision, weights};

byoc::register! { losses: [DiceCELoss] }

/// Weighted sum of Dice loss and cross entropy (MONAI `DiceCELoss`).
///
/// Cross entropy takes the logits as they are (with one channel, the binary one), whatever activation Dice has; it
/// always counts the background.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DiceCELossArgs {
    /// Whether channel 0, the background, counts for Dice.
    include_background: bool,
    /// Whether the label is a class map, (B, 1, spatial…), to be made one-hot for Dice.
    to_onehot_y: bool,
    /// Apply a sigmoid to the output for Dice.
    sigmoid: bool,
    /// Apply a softmax over the channels of the output for Dice.
    softmax: bool,
    /// Another activation for Dice.
    other_act: Option<OtherActivation>,
    /// Squares of output and label in the denominator of Dice.
    squared_pred: bool,
    /// The Jaccard index instead of Dice.
    jaccard: bool,
    /// `mean` or `sum`.
    reduction: Reduction,
    /// Added to the numerator of Dice.
    smooth_nr: f64,
    /// Added to the denominator of Dice.
    smooth_dr: f64,
    /// Whether the batch is one volume for Dice.
    batch: bool,
    /// One weight per class, for both parts.
    weight: Option<Vec<f64>>,
    /// One weight per class, for cross entropy only (MONAI 0.8).
    ce_weight: Option<Vec<f64>>,
    /// Weight of Dice.
    lambda_dice: f64,
    /// Weight of cross entropy.
    lambda_ce: f64,
    /// How much of a class's probability is spread over all classes.
    label_smoothing: f64,
}

impl Default for DiceCELossArgs {
    fn default() -> Self {
        Self {
            include_background: true,
            to_onehot_y: false,
            sigmoid: false,
            softmax: false,
            other_act: None,
            squared_pred: false,
            jaccard: false,
            reduction: Reduction::Mean,
            smooth_nr: 1e-5,
            smooth_dr: 1e-5,
            batch: false,
            weight: None,
            ce_weight: None,
            lambda_dice: 1.0,
            lambda_ce: 1.0,
            label_smoothing: 0.0,
        }
    }
}

/// See [`DiceCELossArgs`].
#[derive(Debug)]
pub struct DiceCELoss {
    dice: DiceLoss,
    weight: Option<OneOrMany<f64>>,
    reduction: Reduction,
    lambda_dice: f64,
    lambda_ce: f64,
    label_smoothing: f64,
}

impl Component for DiceCELoss {
    type Args = DiceCELossArgs;

    fn new(args: DiceCELossArgs) -> Result<Self> {
        if args.reduction == Reduction::None {
            return Err(Error::invalid_argument("`reduction` must be `mean` or `sum`: the two parts differ in shape"));
        }
        if args.lambda_dice < 0.0 || args.lambda_ce < 0.0 {
            return Err(Error::invalid_argument("`lambda_dice` and `lambda_ce` must not be negative"));
        }
        if args.weight.is_some() && args.ce_weight.is_some() {
            return Err(Error::invalid_argument("`weight` and `ce_weight` exclude each other"));
        }
        // the background's weight is the first
        let left_out = usize::from(!args.include_background);
        let dice_weight: Option<Vec<f64>> =
            args.weight.as_ref().map(|weight| weight.iter().skip(left_out).copied().collect());
        let dice = DiceLoss::new(DiceLossArgs {
            include_background: args.include_background,
            to_onehot_y: args.to_onehot_y,
            sigmoid: args.sigmoid,
            softmax: args.softmax,
            other_act: args.other_act,
            squared_pred: args.squared_pred,
            jaccard: args.jaccard,
            reduction: args.reduction,
            smooth_nr: args.smooth_nr,
            smooth_dr: args.smooth_dr,
            batch: args.batch,
            weight: dice_weight.map(OneOrMany::Many),
            ..DiceLossArgs::default()
        })?;
        Ok(Self {
            dice,
            weight: args.weight.or(args.ce_weight).map(OneOrMany::Many),
            reduction: args.reduction,
            lambda_dice: args.lambda_dice,
            lambda_ce: args.lambda_ce,
            label_smoothing: args.label_smoothing,
        })
    }
}

impl Loss for DiceCELoss {
    fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let input = full_precision(input)?;
        check_channels(&input, target)?;
        let dice = self.dice.forward(&input, target)?;
        let entropy = if channels(&input)? == 1 {
            let weight = self.weight.as_ref().map(|weight| weights(weight, &input)).transpose()?;
            let target = target.f_to_kind(input.kind())?;
            input.f_binary_cross_entropy_with_logits(&target, None, weight.as_ref(), self.reduction.torch())?
        } else {
            cross_entropy::compute(&input, target, self.weight.as_ref(), self.reduction, -100, self.label_smoothing)?
        };
        Ok(dice.f_mul_scalar(self.lambda_dice)?.f_add(&entropy.f_mul_scalar(self.lambda_ce)?)?)
    }
}

/// An error unless the label is a class map or has the channels of the output.
#[track_caller]
pub(super) fn check_channels(input: &Tensor, target: &Tensor) -> Result<()> {
    let (output, label) = (input.size(), target.size());
    if output.len() == label.len() && output.len() >= 2 && (label[1] == 1 || label[1] == output[1]) {
        return Ok(());
    }
    Err(Error::data(format!(
        "the target must have one channel, or as many as the network's output: found {label:?} for an output of {output:?}"
    )))
}

#[cfg(test)]
mod tests {
    use byoc::{Component, Loss};
    use serde_json::json;
    use tch::{Device, Kind, Tensor};

    use super::DiceCELoss;

    #[test]
    fn one_channel_uses_binary_cross_entropy() {
        let loss = |args| DiceCELoss::new(byoc::args::parse(&args).unwrap()).unwrap();
        let logits = Tensor::from_slice(&[2f32, -1.0, 0.5]).view([1, 1, 3]);
        let label = Tensor::from_slice(&[1i64, 0, 1]).view([1, 1, 3]);
        let entropy = loss(json!({ "sigmoid": true, "lambda_dice": 0.0 })).forward(&logits, &label).unwrap();
        let expected = logits.binary_cross_entropy_with_logits::<Tensor>(
            &label.to_kind(Kind::Float),
            None,
            None,
            tch::Reduction::Mean,
        );
        assert_eq!(entropy.double_value(&[]), expected.double_value(&[]));
    }

    #[test]
    fn a_label_of_other_channels_is_refused() {
        let loss = DiceCELoss::new(super::DiceCELossArgs::default()).unwrap();
        let zeros = |channels| Tensor::zeros([1, channels, 4], (Kind::Float, Device::Cpu));
        let error = loss.forward(&zeros(3), &zeros(2)).unwrap_err().to_string();
        assert!(error.contains("found [1, 2, 4] for an output of [1, 3, 4]"), "{error}");
    }
}
