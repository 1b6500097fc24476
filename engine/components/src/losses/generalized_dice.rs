//! Dice loss that weights classes by their size.

use byoc::{Component, Loss, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind, Tensor};

use super::overlap::{Counting, OtherActivation, Preparation, Prepared, broadcastable};
use super::reduction::Reduction;

byoc::register! { losses: [GeneralizedDiceLoss] }

/// Dice loss over all classes together, each weighted by its inverse volume (MONAI `GeneralizedDiceLoss`; Sudre et al. 2017).
///
/// A class that is absent gets the largest weight of the others.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GeneralizedDiceLossArgs {
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
    /// How a class's volume becomes its weight.
    w_type: WeightType,
    /// `mean` or `sum` over items, or `none`: (B, 1, 1…).
    reduction: Reduction,
    /// Added to the numerator.
    smooth_nr: f64,
    /// Added to the denominator.
    smooth_dr: f64,
    /// Whether the batch is one volume: sums are taken over it before dividing.
    batch: bool,
    /// Whether the label has values between 0 and 1.
    soft_label: bool,
}

/// How a class's volume v becomes its weight.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum WeightType {
    /// 1 / v²
    #[default]
    Square,
    /// 1 / v
    Simple,
    /// 1
    Uniform,
}

impl Default for GeneralizedDiceLossArgs {
    fn default() -> Self {
        Self {
            include_background: true,
            to_onehot_y: false,
            sigmoid: false,
            softmax: false,
            other_act: None,
            w_type: WeightType::Square,
            reduction: Reduction::Mean,
            smooth_nr: 1e-5,
            smooth_dr: 1e-5,
            batch: false,
            soft_label: false,
        }
    }
}

/// See [`GeneralizedDiceLossArgs`].
#[derive(Debug)]
pub struct GeneralizedDiceLoss {
    args: GeneralizedDiceLossArgs,
    preparation: Preparation,
}

impl Component for GeneralizedDiceLoss {
    type Args = GeneralizedDiceLossArgs;

    fn new(args: GeneralizedDiceLossArgs) -> Result<Self> {
        let preparation = Preparation {
            include_background: args.include_background,
            to_onehot_y: args.to_onehot_y,
            sigmoid: args.sigmoid,
            softmax: args.softmax,
            other_act: args.other_act,
            ignore_index: None,
        };
        preparation.check()?;
        Ok(Self { args, preparation })
    }
}

impl Loss for GeneralizedDiceLoss {
    fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let Prepared { input, target, .. } = self.preparation.apply(input, target)?;
        let counting = Counting { batch: self.args.batch, soft_label: self.args.soft_label, ..Counting::default() };
        let counts = counting.count(&input, &target)?;
        let wrong = counts.false_positives.f_add(&counts.false_negatives)?;
        let denominator = counts.true_positives.f_mul_scalar(2)?.f_add(&wrong)?;
        let axes = counting.axes(input.dim());
        let volume = if axes.is_empty() {
            target.shallow_clone()
        } else {
            target.f_sum_dim_intlist(axes.as_slice(), false, None)?
        };
        let weight = self.class_weights(&volume.f_to_kind(Kind::Float)?)?;

        // over the classes: the only axis left when the batch is summed, too
        let class_axis: &[i64] = if self.args.batch { &[0] } else { &[1] };
        let weighted = |counts: &Tensor| -> Result<Tensor> {
            Ok(counts.f_mul(&weight)?.f_sum_dim_intlist(class_axis, true, None)?)
        };
        let numerator = weighted(&counts.true_positives)?.f_mul_scalar(2)?.f_add_scalar(self.args.smooth_nr)?;
        let denominator = weighted(&denominator)?.f_add_scalar(self.args.smooth_dr)?;
        let loss = numerator.f_div(&denominator)?.f_neg()?.f_add_scalar(1)?;
        match self.args.reduction {
            Reduction::None => broadcastable(&loss, input.dim()),
            reduction => reduction.apply(loss),
        }
    }
}

impl GeneralizedDiceLoss {
    fn class_weights(&self, volume: &Tensor) -> Result<Tensor> {
        let weight = match self.args.w_type {
            WeightType::Square => volume.f_square()?.f_reciprocal()?,
            WeightType::Simple => volume.f_reciprocal()?,
            WeightType::Uniform => return Ok(volume.f_ones_like()?),
        };
        let absent = weight.f_isinf()?;
        let weight = weight.f_masked_fill(&absent, 0.0)?;
        let largest = if self.args.batch { weight.f_max()? } else { weight.f_amax([1].as_slice(), true)? };
        Ok(weight.f_add(&absent.f_to_kind(weight.kind())?.f_mul(&largest)?)?)
    }
}
