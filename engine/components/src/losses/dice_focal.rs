//! Dice loss and focal loss together.

use byoc::{Component, Error, Loss, OneOrMany, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Tensor;

use super::dice::{DiceLoss, DiceLossArgs};
use super::dice_ce::check_channels;
use super::focal::{FocalLoss, FocalLossArgs};
use super::overlap::OtherActivation;
use super::reduction::Reduction;
use super::target::{channels, full_precision, one_hot};

byoc::register! { losses: [DiceFocalLoss] }

/// Weighted sum of Dice loss and focal loss (MONAI `DiceFocalLoss`).
///
/// Focal loss takes the logits as they are, whatever activation Dice has.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DiceFocalLossArgs {
    /// Whether channel 0, the background, counts.
    include_background: bool,
    /// Whether the label is a class map, (B, 1, spatial…), to be made one-hot.
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
    /// `mean` or `sum`, or `none`: one value per voxel.
    reduction: Reduction,
    /// Added to the numerator of Dice.
    smooth_nr: f64,
    /// Added to the denominator of Dice.
    smooth_dr: f64,
    /// Whether the batch is one volume for Dice.
    batch: bool,
    /// The exponent of 1 - p in focal loss.
    gamma: f64,
    /// A weight for all classes or one per class, for both parts.
    weight: Option<OneOrMany<f64>>,
    /// A weight for all classes or one per class, for focal loss only (MONAI 0.8).
    focal_weight: Option<OneOrMany<f64>>,
    /// Weight of Dice.
    lambda_dice: f64,
    /// Weight of focal loss.
    lambda_focal: f64,
    /// Weight of positive voxels in focal loss.
    alpha: Option<f64>,
}

impl Default for DiceFocalLossArgs {
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
            gamma: 2.0,
            weight: None,
            focal_weight: None,
            lambda_dice: 1.0,
            lambda_focal: 1.0,
            alpha: None,
        }
    }
}

/// See [`DiceFocalLossArgs`].
#[derive(Debug)]
pub struct DiceFocalLoss {
    dice: DiceLoss,
    focal: FocalLoss,
    to_onehot_y: bool,
    lambda_dice: f64,
    lambda_focal: f64,
}

impl Component for DiceFocalLoss {
    type Args = DiceFocalLossArgs;

    fn new(args: DiceFocalLossArgs) -> Result<Self> {
        if args.lambda_dice < 0.0 || args.lambda_focal < 0.0 {
            return Err(Error::invalid_argument("`lambda_dice` and `lambda_focal` must not be negative"));
        }
        if args.weight.is_some() && args.focal_weight.is_some() {
            return Err(Error::invalid_argument("`weight` and `focal_weight` exclude each other"));
        }
        let focal = FocalLoss::new(FocalLossArgs {
            include_background: args.include_background,
            gamma: args.gamma,
            alpha: args.alpha.map(OneOrMany::One),
            weight: args.weight.clone().or(args.focal_weight),
            reduction: args.reduction,
            ..FocalLossArgs::default()
        })?;
        let dice = DiceLoss::new(DiceLossArgs {
            include_background: args.include_background,
            sigmoid: args.sigmoid,
            softmax: args.softmax,
            other_act: args.other_act,
            squared_pred: args.squared_pred,
            jaccard: args.jaccard,
            reduction: args.reduction,
            smooth_nr: args.smooth_nr,
            smooth_dr: args.smooth_dr,
            batch: args.batch,
            weight: args.weight,
            ..DiceLossArgs::default()
        })?;
        let DiceFocalLossArgs { to_onehot_y, lambda_dice, lambda_focal, .. } = args;
        Ok(Self { dice, focal, to_onehot_y, lambda_dice, lambda_focal })
    }
}

impl Loss for DiceFocalLoss {
    fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let input = full_precision(input)?;
        check_channels(&input, target)?;
        let classes = channels(&input)?;
        // encoded once for both
        let target = if self.to_onehot_y && classes > 1 {
            one_hot(target, classes, input.kind())?
        } else {
            target.shallow_clone()
        };
        let dice = self.dice.forward(&input, &target)?.f_mul_scalar(self.lambda_dice)?;
        let focal = self.focal.forward(&input, &target)?.f_mul_scalar(self.lambda_focal)?;
        Ok(dice.f_add(&focal)?)
    }
}
