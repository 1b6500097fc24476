//! What the losses of overlap (Dice, Jaccard, Tversky) have in common.

use std::sync::atomic::{AtomicU8, Ordering};

use byoc::{Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Tensor;

use super::target::{channels, full_precision, one_hot, same_shape, shape_hint};

/// An activation that is neither sigmoid nor softmax; MONAI takes a Python function here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(crate) enum OtherActivation {
    /// `torch.tanh`
    #[serde(alias = "torch.tanh")]
    Tanh,
    /// `torch.relu`
    #[serde(alias = "torch.relu")]
    Relu,
    /// `torch.sigmoid`
    #[serde(alias = "torch.sigmoid")]
    Sigmoid,
    /// `torch.exp`
    #[serde(alias = "torch.exp")]
    Exp,
}

/// What happens to output and label before they are compared.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Preparation {
    pub(crate) include_background: bool,
    pub(crate) to_onehot_y: bool,
    pub(crate) sigmoid: bool,
    pub(crate) softmax: bool,
    pub(crate) other_act: Option<OtherActivation>,
    pub(crate) ignore_index: Option<i64>,
}

/// Output and label, ready to be compared; both have the same shape.
pub(crate) struct Prepared {
    pub(crate) input: Tensor,
    pub(crate) target: Tensor,
    /// 1 where a voxel counts, (B, 1, spatial…); absent without `ignore_index`.
    pub(crate) mask: Option<Tensor>,
}

impl Preparation {
    /// An error if more than one activation is asked for.
    #[track_caller]
    pub(crate) fn check(&self) -> Result<()> {
        let activations = [self.sigmoid, self.softmax, self.other_act.is_some()];
        if activations.iter().filter(|on| **on).count() > 1 {
            return Err(Error::invalid_argument("`sigmoid`, `softmax` and `other_act` exclude each other: choose one"));
        }
        Ok(())
    }

    /// Applies the activation to the output, encodes the label, and drops the background channel of both.
    pub(crate) fn apply(&self, input: &Tensor, target: &Tensor) -> Result<Prepared> {
        let input = self.activate(input)?;
        self.encode(input, target)
    }

    /// Only the activation.
    pub(crate) fn activate(&self, input: &Tensor) -> Result<Tensor> {
        let mut input = full_precision(input)?;
        if self.sigmoid {
            input = input.f_sigmoid()?;
        }
        if self.softmax {
            if channels(&input)? == 1 {
                ignored(0, "softmax: true");
            } else {
                input = input.f_softmax(1, None)?;
            }
        }
        Ok(match self.other_act {
            None => input,
            Some(OtherActivation::Tanh) => input.f_tanh()?,
            Some(OtherActivation::Relu) => input.f_relu()?,
            Some(OtherActivation::Sigmoid) => input.f_sigmoid()?,
            Some(OtherActivation::Exp) => input.f_exp()?,
        })
    }

    /// All but the activation.
    pub(crate) fn encode(&self, mut input: Tensor, target: &Tensor) -> Result<Prepared> {
        let classes = channels(&input)?;
        let mask = self.ignore_index.map(|ignored| ignore_mask(target, ignored)).transpose()?;
        let mask = mask.map(|mask| mask.f_to_kind(input.kind())).transpose()?;
        let mut target = full_precision(target)?;
        if self.to_onehot_y {
            if classes == 1 {
                ignored(1, "to_onehot_y: true");
            } else {
                if let Some(index) = self.ignore_index.filter(|index| !(0..classes).contains(index)) {
                    target = target.f_masked_fill(&target.f_eq(index)?, 0)?;
                }
                target = one_hot(&target, classes, input.kind())?;
            }
        }
        if !self.include_background {
            if classes == 1 {
                ignored(2, "include_background: false");
            } else {
                input = input.f_narrow(1, 1, classes - 1)?;
                let found = channels(&target)?;
                target = target.f_narrow(1, 1, (found - 1).max(0))?;
            }
        }
        same_shape(&input, &target, shape_hint(&input, &target))?;
        if let Some(mask) = &mask {
            input = input.f_mul(mask)?;
            target = target.f_mul(mask)?;
        }
        if !target.is_floating_point() {
            target = target.f_to_kind(input.kind())?;
        }
        Ok(Prepared { input, target, mask })
    }
}

/// 1 where a voxel counts, 0 where it is ignored, (B, 1, spatial…). In a class map the ignored value is a class number
/// or any other; in a one-hot label a class number, or any other for voxels without a class.
fn ignore_mask(target: &Tensor, ignored: i64) -> Result<Tensor> {
    let classes = channels(target)?;
    Ok(if classes == 1 {
        target.f_ne(ignored)?
    } else if (0..classes).contains(&ignored) {
        target.f_narrow(1, ignored, 1)?.f_ne(1)?
    } else {
        target.f_sum_dim_intlist([1].as_slice(), true, None)?.f_gt(0)?
    })
}

/// Tells once per process that an argument has no meaning for one channel, as MONAI does.
fn ignored(bit: u8, argument: &str) {
    static TOLD: AtomicU8 = AtomicU8::new(0);
    if TOLD.fetch_or(1 << bit, Ordering::Relaxed) & (1 << bit) == 0 {
        tracing::warn!("the network's output has a single channel: `{argument}` of the loss is ignored");
    }
}

/// The counts of a soft comparison, per item and class (B, C), or per class (C) over the batch.
pub(crate) struct Counts {
    pub(crate) true_positives: Tensor,
    pub(crate) false_positives: Tensor,
    pub(crate) false_negatives: Tensor,
}

/// How to count.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counting {
    /// Over the batch as well.
    pub(crate) batch: bool,
    /// Of squares.
    pub(crate) squared: bool,
    /// The formulation for labels between 0 and 1 (Wang et al. 2023, Dice semimetric losses).
    pub(crate) soft_label: bool,
    /// False counts from the products p(1-t) and (1-p)t instead of differences, as Tversky's.
    pub(crate) products: bool,
}

impl Counting {
    /// The axes that are summed over.
    pub(crate) fn axes(&self, dims: usize) -> Vec<i64> {
        let spatial = 2..dims as i64;
        if self.batch { std::iter::once(0).chain(spatial).collect() } else { spatial.collect() }
    }

    /// Counts of prepared tensors.
    pub(crate) fn count(&self, input: &Tensor, target: &Tensor) -> Result<Counts> {
        let axes = self.axes(input.dim());
        let sum = |values: Tensor| -> Result<Tensor> {
            // without spatial axes there is nothing to sum; libtorch would sum over all
            if axes.is_empty() { Ok(values) } else { Ok(values.f_sum_dim_intlist(axes.as_slice(), false, None)?) }
        };
        if !self.squared && !self.soft_label {
            let true_positives = sum(input.f_mul(target)?)?;
            let (false_positives, false_negatives) = if self.products {
                let (not_input, not_target) = (input.f_neg()?.f_add_scalar(1)?, target.f_neg()?.f_add_scalar(1)?);
                (sum(input.f_mul(&not_target)?)?, sum(not_input.f_mul(target)?)?)
            } else {
                (
                    sum(input.shallow_clone())?.f_sub(&true_positives)?,
                    sum(target.shallow_clone())?.f_sub(&true_positives)?,
                )
            };
            return Ok(Counts { true_positives, false_positives, false_negatives });
        }
        let size = |values: &Tensor| sum(if self.squared { values.f_square()? } else { values.f_abs()? });
        let (predicted, truth, difference) = (size(input)?, size(target)?, size(&input.f_sub(target)?)?);
        let true_positives = predicted.f_add(&truth)?.f_sub(&difference)?.f_div_scalar(2)?;
        Ok(Counts {
            false_positives: predicted.f_sub(&true_positives)?,
            false_negatives: truth.f_sub(&true_positives)?,
            true_positives,
        })
    }
}

/// A loss per item and class (B, C) in a shape that broadcasts with the image: (B, C, 1…).
pub(crate) fn broadcastable(values: &Tensor, dims: usize) -> Result<Tensor> {
    let mut shape: Vec<i64> = values.size().into_iter().take(2).collect();
    shape.extend(std::iter::repeat_n(1, dims - 2));
    Ok(values.f_reshape(shape)?)
}
