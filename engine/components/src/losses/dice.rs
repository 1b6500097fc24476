//! Dice and Jaccard loss.

use byoc::{Component, Error, Loss, OneOrMany, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Tensor;

use super::overlap::{Counting, OtherActivation, Preparation, Prepared, broadcastable};
use super::reduction::Reduction;
use super::target::weights;

byoc::register! { losses: [DiceLoss] }

/// 1 - Dice overlap, per item and class (MONAI `DiceLoss`; Milletari et al. 2016, V-Net).
///
/// The output (B, C, spatial…) is compared with a label of the same shape, or with a class map (B, 1, spatial…) under
/// `to_onehot_y`. With one channel `softmax`, `to_onehot_y` and `include_background: false` have no effect.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DiceLossArgs {
    /// Whether channel 0, the background, counts.
    pub(crate) include_background: bool,
    /// Whether the label is a class map, (B, 1, spatial…), to be made one-hot.
    pub(crate) to_onehot_y: bool,
    /// Apply a sigmoid to the output.
    pub(crate) sigmoid: bool,
    /// Apply a softmax over the channels of the output.
    pub(crate) softmax: bool,
    /// Another activation.
    pub(crate) other_act: Option<OtherActivation>,
    /// Squares of output and label in the denominator.
    pub(crate) squared_pred: bool,
    /// The Jaccard index instead of Dice.
    pub(crate) jaccard: bool,
    /// `mean` or `sum` over items and classes, or `none`: (B, C, 1…).
    pub(crate) reduction: Reduction,
    /// Added to the numerator.
    pub(crate) smooth_nr: f64,
    /// Added to the denominator.
    pub(crate) smooth_dr: f64,
    /// Whether the batch is one volume: sums are taken over it before dividing.
    pub(crate) batch: bool,
    /// A weight for all classes or one per class, without the background if that is left out.
    pub(crate) weight: Option<OneOrMany<f64>>,
    /// Whether the label has values between 0 and 1.
    pub(crate) soft_label: bool,
    /// Voxels with this label do not count.
    pub(crate) ignore_index: Option<i64>,
}

impl Default for DiceLossArgs {
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
            soft_label: false,
            ignore_index: None,
        }
    }
}

/// See [`DiceLossArgs`].
#[derive(Debug)]
pub struct DiceLoss {
    args: DiceLossArgs,
}

impl Component for DiceLoss {
    type Args = DiceLossArgs;

    fn new(args: DiceLossArgs) -> Result<Self> {
        let loss = Self { args };
        loss.preparation().check()?;
        if let Some(weight) = &loss.args.weight
            && weight.clone().into_vec().iter().any(|weight| *weight < 0.0)
        {
            return Err(Error::invalid_argument("`weight` must not be negative"));
        }
        Ok(loss)
    }
}

impl Loss for DiceLoss {
    fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.compare(&self.preparation().apply(input, target)?)
    }
}

impl DiceLoss {
    /// What happens to output and label.
    pub(crate) fn preparation(&self) -> Preparation {
        let args = &self.args;
        Preparation {
            include_background: args.include_background,
            to_onehot_y: args.to_onehot_y,
            sigmoid: args.sigmoid,
            softmax: args.softmax,
            other_act: args.other_act,
            ignore_index: args.ignore_index,
        }
    }

    /// The loss of tensors that are prepared.
    pub(crate) fn compare(&self, Prepared { input, target, .. }: &Prepared) -> Result<Tensor> {
        let args = &self.args;
        let counting = Counting {
            batch: args.batch,
            squared: args.squared_pred,
            soft_label: args.soft_label,
            ..Counting::default()
        };
        let counts = counting.count(input, target)?;
        let mut wrong = counts.false_positives.f_add(&counts.false_negatives)?;
        if !args.jaccard {
            wrong = wrong.f_mul_scalar(0.5)?;
        }
        let numerator = counts.true_positives.f_mul_scalar(2)?.f_add_scalar(args.smooth_nr)?;
        let denominator = counts.true_positives.f_add(&wrong)?.f_mul_scalar(2)?.f_add_scalar(args.smooth_dr)?;
        let mut loss = numerator.f_div(&denominator)?.f_neg()?.f_add_scalar(1)?;

        let classes = target.size()[1];
        if let Some(weight) = args.weight.as_ref().filter(|_| classes != 1) {
            if let OneOrMany::Many(values) = weight
                && values.len() as i64 != classes
            {
                return Err(Error::invalid_argument(format!(
                    "`weight` has {} values for {classes} classes (the background is not one of them under \
                     `include_background: false`)",
                    values.len()
                )));
            }
            loss = loss.f_mul(&weights(weight, &loss)?)?;
        }
        match args.reduction {
            Reduction::None => broadcastable(&loss, input.dim()),
            reduction => reduction.apply(loss),
        }
    }
}

#[cfg(test)]
mod tests {
    use byoc::{Component, Loss};
    use serde_json::json;
    use tch::{Kind, Tensor};

    use super::DiceLoss;

    fn loss(args: serde_json::Value) -> DiceLoss {
        DiceLoss::new(byoc::args::parse(&args).unwrap()).unwrap()
    }

    #[test]
    fn a_perfect_prediction_costs_nothing_and_a_wrong_one_everything() {
        let label = Tensor::from_slice(&[0f32, 1.0, 1.0, 0.0]).view([1, 1, 2, 2]);
        let dice = loss(json!({}));
        assert!(dice.forward(&label, &label).unwrap().double_value(&[]) < 1e-5);
        let wrong = 1.0 - &label;
        assert!(dice.forward(&wrong, &label).unwrap().double_value(&[]) > 0.99);
    }

    #[test]
    fn half_precision_outputs_are_summed_in_float32() {
        let probabilities = Tensor::full([1, 1, 64, 64, 64], 0.3, (Kind::BFloat16, tch::Device::Cpu));
        let value = loss(json!({})).forward(&probabilities, &Tensor::ones_like(&probabilities)).unwrap();
        assert_eq!(value.kind(), Kind::Float);
        let p = probabilities.double_value(&[0, 0, 0, 0, 0]);
        assert!((value.double_value(&[]) - (1.0 - 2.0 * p / (p + 1.0))).abs() < 1e-5);
    }

    #[test]
    fn errors_name_shapes_and_what_to_do() {
        let output = Tensor::zeros([2, 3, 4, 4], (Kind::Float, tch::Device::Cpu));
        let label = |shape: &[i64], value: i64| Tensor::full(shape, value, (Kind::Float, tch::Device::Cpu));
        let error = |args, label: Tensor| loss(args).forward(&output, &label).unwrap_err().to_string();
        let cases = [
            (
                error(json!({ "softmax": true }), label(&[2, 1, 4, 4], 0)),
                "the target's shape [2, 1, 4, 4] differs from that of the network's output, [2, 3, 4, 4]; a label of class \
                 numbers needs `to_onehot_y: true`",
            ),
            (
                error(json!({ "to_onehot_y": true }), label(&[2, 1, 4, 5], 0)),
                "the target's shape [2, 3, 4, 5] differs from that of the network's output, [2, 3, 4, 4]; image and label \
                 must have the same spatial size",
            ),
            (
                error(json!({ "to_onehot_y": true }), label(&[2, 1, 4, 4], 3)),
                "the label holds class 3, but the network's output has 3 channels, for classes 0 to 2; set the network's \
                 `out_channels`, or map the label's values",
            ),
        ];
        for (found, expected) in cases {
            assert_eq!(found, expected);
        }
        let both: super::DiceLossArgs = byoc::args::parse(&json!({ "sigmoid": true, "softmax": true })).unwrap();
        assert!(DiceLoss::new(both).unwrap_err().to_string().contains("exclude each other"));
    }

    #[test]
    fn ignored_voxels_do_not_count() {
        let dice = loss(json!({ "to_onehot_y": true, "softmax": true, "ignore_index": 255, "smooth_nr": 0.0 }));
        let logits = Tensor::from_slice(&[9f32, -9.0, 9.0, -9.0, 9.0, -9.0]).view([1, 2, 3]);
        let label = Tensor::from_slice(&[0f32, 1.0, 255.0]).view([1, 1, 3]);
        assert!(dice.forward(&logits, &label).unwrap().double_value(&[]) < 1.0);
        let cut = |tensor: &Tensor| tensor.narrow(2, 0, 2);
        let difference = dice.forward(&logits, &label).unwrap() - dice.forward(&cut(&logits), &cut(&label)).unwrap();
        assert!(difference.double_value(&[]).abs() < 1e-6);
    }
}
