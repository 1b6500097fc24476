//! Tversky loss: Dice with a price for each kind of error.

use byoc::{Component, Loss, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Tensor;

use super::overlap::{Counting, OtherActivation, Preparation, Prepared};
use super::reduction::Reduction;

byoc::register! { losses: [TverskyLoss] }

/// 1 - Tversky index, which prices false positives and false negatives (MONAI `TverskyLoss`; Salehi et al. 2017).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TverskyLossArgs {
    /// Whether channel 0, the background, counts.
    include_background: bool,
    /// Whether the label is a class map, (B, 1, spatial…), to be made one-hot.
    to_onehot_y: bool,
    /// Apply a sigmoid to the output.
    sigmoid: bool,
    /// Apply a softmax over the channels of the output.
    softmax: bool,
    /// Another activation.
    other_act: Option<OtherActivation>,
    /// Weight of false positives.
    alpha: f64,
    /// Weight of false negatives.
    beta: f64,
    /// `mean` or `sum` over items and classes, or `none`: (B, C).
    reduction: Reduction,
    /// Added to the numerator.
    smooth_nr: f64,
    /// Added to the denominator.
    smooth_dr: f64,
    /// Whether the batch is one volume: sums are taken over it before dividing.
    batch: bool,
    /// Whether the label has values between 0 and 1.
    soft_label: bool,
    /// Voxels with this label do not count.
    ignore_index: Option<i64>,
}

impl Default for TverskyLossArgs {
    fn default() -> Self {
        Self {
            include_background: true,
            to_onehot_y: false,
            sigmoid: false,
            softmax: false,
            other_act: None,
            alpha: 0.5,
            beta: 0.5,
            reduction: Reduction::Mean,
            smooth_nr: 1e-5,
            smooth_dr: 1e-5,
            batch: false,
            soft_label: false,
            ignore_index: None,
        }
    }
}

/// See [`TverskyLossArgs`].
#[derive(Debug)]
pub struct TverskyLoss {
    args: TverskyLossArgs,
    preparation: Preparation,
}

impl Component for TverskyLoss {
    type Args = TverskyLossArgs;

    fn new(args: TverskyLossArgs) -> Result<Self> {
        let preparation = Preparation {
            include_background: args.include_background,
            to_onehot_y: args.to_onehot_y,
            sigmoid: args.sigmoid,
            softmax: args.softmax,
            other_act: args.other_act,
            ignore_index: args.ignore_index,
        };
        preparation.check()?;
        Ok(Self { args, preparation })
    }
}

impl Loss for TverskyLoss {
    fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let args = &self.args;
        let Prepared { input, target, .. } = self.preparation.apply(input, target)?;
        let counting =
            Counting { batch: args.batch, soft_label: args.soft_label, products: true, ..Counting::default() };
        let counts = counting.count(&input, &target)?;
        let wrong =
            counts.false_positives.f_mul_scalar(args.alpha)?.f_add(&counts.false_negatives.f_mul_scalar(args.beta)?)?;
        let numerator = counts.true_positives.f_add_scalar(args.smooth_nr)?;
        let denominator = counts.true_positives.f_add(&wrong)?.f_add_scalar(args.smooth_dr)?;
        args.reduction.apply(numerator.f_div(&denominator)?.f_neg()?.f_add_scalar(1)?)
    }
}
