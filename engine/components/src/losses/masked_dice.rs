//! Dice loss within a mask.

use byoc::{Component, Error, Loss, LossInput, OneOrMany, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Tensor;

use super::dice::{DiceLoss, DiceLossArgs};
use super::overlap::{OtherActivation, Preparation};
use super::reduction::Reduction;

byoc::register! { losses: [MaskedDiceLoss] }

/// Dice loss of the voxels within a mask, (B or 1, 1, spatial…) (MONAI `MaskedDiceLoss`).
///
/// The activation comes before the mask, so a masked voxel has probability 0 (MONAI before 1.5 masked the logits).
/// Without a mask it is `DiceLoss`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MaskedDiceLossArgs {
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
    /// Squares of output and label in the denominator.
    squared_pred: bool,
    /// The Jaccard index instead of Dice.
    jaccard: bool,
    /// `mean` or `sum` over items and classes, or `none`: (B, C, 1…).
    reduction: Reduction,
    /// Added to the numerator.
    smooth_nr: f64,
    /// Added to the denominator.
    smooth_dr: f64,
    /// Whether the batch is one volume: sums are taken over it before dividing.
    batch: bool,
    /// A weight for all classes or one per class, without the background if that is left out.
    weight: Option<OneOrMany<f64>>,
    /// Whether the label has values between 0 and 1.
    soft_label: bool,
}

impl Default for MaskedDiceLossArgs {
    fn default() -> Self {
        let dice = DiceLossArgs::default();
        Self {
            include_background: dice.include_background,
            to_onehot_y: dice.to_onehot_y,
            sigmoid: dice.sigmoid,
            softmax: dice.softmax,
            other_act: dice.other_act,
            squared_pred: dice.squared_pred,
            jaccard: dice.jaccard,
            reduction: dice.reduction,
            smooth_nr: dice.smooth_nr,
            smooth_dr: dice.smooth_dr,
            batch: dice.batch,
            weight: dice.weight,
            soft_label: dice.soft_label,
        }
    }
}

/// See [`MaskedDiceLossArgs`].
#[derive(Debug)]
pub struct MaskedDiceLoss {
    activation: Preparation,
    dice: DiceLoss,
}

impl Component for MaskedDiceLoss {
    type Args = MaskedDiceLossArgs;

    fn new(args: MaskedDiceLossArgs) -> Result<Self> {
        let activation = Preparation {
            sigmoid: args.sigmoid,
            softmax: args.softmax,
            other_act: args.other_act,
            ..Preparation::default()
        };
        activation.check()?;
        let dice = DiceLoss::new(DiceLossArgs {
            include_background: args.include_background,
            to_onehot_y: args.to_onehot_y,
            squared_pred: args.squared_pred,
            jaccard: args.jaccard,
            reduction: args.reduction,
            smooth_nr: args.smooth_nr,
            smooth_dr: args.smooth_dr,
            batch: args.batch,
            weight: args.weight,
            soft_label: args.soft_label,
            ..DiceLossArgs::default()
        })?;
        Ok(Self { activation, dice })
    }
}

impl Loss for MaskedDiceLoss {
    fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.dice.forward(&self.activation.activate(input)?, target)
    }

    fn forward_full(&self, call: &LossInput<'_>) -> Result<Tensor> {
        let (input, target) = (call.input()?, call.target()?);
        let Some(mask) = call.mask else { return self.forward(input, target) };
        // the trainer has only image and label moved to the device
        let mask = mask.f_to_device(input.device())?;
        let (shape, found) = (input.size(), mask.size());
        let fits = found.len() == shape.len()
            && (found[0] == 1 || found[0] == shape[0])
            && found[1] == 1
            && found[2..] == shape[2..];
        if !fits {
            return Err(Error::data(format!(
                "the mask's shape {found:?} does not fit the network's output, {shape:?}; it must be (B or 1, 1, spatial…)"
            )));
        }
        self.dice.forward(&self.activation.activate(input)?.f_mul(&mask)?, &target.f_mul(&mask)?)
    }
}
