//! Focal loss.

use byoc::{Component, Error, Loss, OneOrMany, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind, Tensor};

use super::overlap::{Preparation, Prepared};
use super::reduction::Reduction;
use super::target::weights;

byoc::register! { losses: [FocalLoss] }

/// Cross entropy that counts voxels the less the surer the network is of them (MONAI `FocalLoss`; Lin et al. 2017).
///
/// Takes logits (B, C, spatial…): each channel is a binary problem of its own, or with `use_softmax` all are one.
/// `sum` is the sum over items and channels of the spatial mean, as in MONAI.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FocalLossArgs {
    /// Whether channel 0, the background, counts.
    pub(crate) include_background: bool,
    /// Whether the label is a class map, (B, 1, spatial…), to be made one-hot.
    pub(crate) to_onehot_y: bool,
    /// The exponent of 1 - p: 0 is cross entropy.
    pub(crate) gamma: f64,
    /// Weight of the positive voxels (1 - alpha for the others), or one per class.
    pub(crate) alpha: Option<OneOrMany<f64>>,
    /// A weight for all classes or one per class, without the background if that is left out.
    pub(crate) weight: Option<OneOrMany<f64>>,
    /// `mean` over everything, `sum`, or `none`: one value per voxel.
    pub(crate) reduction: Reduction,
    /// A softmax over the channels instead of a sigmoid for each.
    pub(crate) use_softmax: bool,
    /// Voxels with this label do not count.
    pub(crate) ignore_index: Option<i64>,
}

impl Default for FocalLossArgs {
    fn default() -> Self {
        Self {
            include_background: true,
            to_onehot_y: false,
            gamma: 2.0,
            alpha: None,
            weight: None,
            reduction: Reduction::Mean,
            use_softmax: false,
            ignore_index: None,
        }
    }
}

/// See [`FocalLossArgs`].
#[derive(Debug)]
pub struct FocalLoss {
    args: FocalLossArgs,
}

impl Component for FocalLoss {
    type Args = FocalLossArgs;

    fn new(args: FocalLossArgs) -> Result<Self> {
        if let Some(weight) = &args.weight
            && weight.clone().into_vec().iter().any(|weight| *weight < 0.0)
        {
            return Err(Error::invalid_argument("`weight` must not be negative"));
        }
        Ok(Self { args })
    }
}

impl Loss for FocalLoss {
    fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let args = &self.args;
        let preparation = Preparation {
            include_background: args.include_background,
            to_onehot_y: args.to_onehot_y,
            ignore_index: args.ignore_index,
            ..Preparation::default()
        };
        let Prepared { input, target, mask } = preparation.encode(input.f_to_kind(Kind::Float)?, target)?;
        let target = target.f_to_kind(Kind::Float)?;
        let mut loss = if args.use_softmax { self.softmax(&input, &target)? } else { self.sigmoid(&input, &target)? };
        if let Some(mask) = &mask {
            loss = loss.f_mul(mask)?;
        }
        if let Some(weight) = &args.weight {
            loss = loss.f_mul(&per_class(weight, "weight", &loss)?)?;
        }
        self.reduce(loss, mask.as_ref())
    }
}

impl FocalLoss {
    fn sigmoid(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        // binary cross entropy with logits, and (1 - p_t)^gamma through its logarithm, which does not overflow
        let entropy = input.f_sub(&input.f_mul(target)?)?.f_sub(&input.f_log_sigmoid()?)?;
        let sign = target.f_mul_scalar(2)?.f_sub_scalar(1)?;
        let wrong = input.f_neg()?.f_mul(&sign)?.f_log_sigmoid()?;
        let loss = wrong.f_mul_scalar(self.args.gamma)?.f_exp()?.f_mul(&entropy)?;
        Ok(match &self.args.alpha {
            None => loss,
            Some(OneOrMany::One(alpha)) => {
                // alpha where the label is 1, 1 - alpha where it is 0
                loss.f_mul(&target.f_mul_scalar(2.0 * alpha - 1.0)?.f_add_scalar(1.0 - alpha)?)?
            }
            Some(alpha) => {
                let alpha = per_class(alpha, "alpha", &loss)?;
                loss.f_mul(&alpha.f_where_scalarother(&target.f_eq(1)?, 1.0)?)?
            }
        })
    }

    fn softmax(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let logarithm = input.f_log_softmax(1, None)?;
        let wrong = logarithm.f_exp()?.f_neg()?.f_add_scalar(1)?.f_pow_tensor_scalar(self.args.gamma)?;
        let loss = wrong.f_mul(&logarithm)?.f_mul(target)?.f_neg()?;
        let alpha = match &self.args.alpha {
            None => return Ok(loss),
            // without the background there is nothing that 1 - alpha could weight
            Some(OneOrMany::One(_)) if !self.args.include_background => return Ok(loss),
            Some(OneOrMany::One(alpha)) => {
                let classes = target.size()[1] as usize;
                let mut factors = vec![*alpha; classes];
                factors[0] = 1.0 - alpha;
                OneOrMany::Many(factors)
            }
            Some(alpha) => alpha.clone(),
        };
        Ok(loss.f_mul(&per_class(&alpha, "alpha", &loss)?)?)
    }

    fn reduce(&self, loss: Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        let spatial: Vec<i64> = (2..loss.dim() as i64).collect();
        Ok(match (self.args.reduction, mask) {
            (Reduction::None, _) => loss,
            (Reduction::Mean, None) => loss.f_mean(None)?,
            (Reduction::Mean, Some(mask)) => {
                loss.f_sum(None)?.f_div(&mask.f_sum(None)?.f_clamp_min(f64::from(f32::EPSILON))?)?
            }
            (Reduction::Sum, None) => loss.f_mean_dim(spatial.as_slice(), false, None)?.f_sum(None)?,
            (Reduction::Sum, Some(mask)) => {
                let count =
                    mask.f_sum_dim_intlist(spatial.as_slice(), true, None)?.f_clamp_min(f64::from(f32::EPSILON))?;
                loss.f_sum_dim_intlist(spatial.as_slice(), true, None)?.f_div(&count)?.f_sum(None)?
            }
        })
    }
}

/// A factor for all classes, or one per class in a shape that broadcasts: (1, C, 1…).
fn per_class(values: &OneOrMany<f64>, argument: &str, loss: &Tensor) -> Result<Tensor> {
    let factors = weights(values, loss)?;
    let OneOrMany::Many(values) = values else { return Ok(factors) };
    let classes = loss.size()[1];
    if values.len() as i64 != classes {
        return Err(Error::invalid_argument(format!(
            "`{argument}` has {} values for {classes} classes (the background is not one of them under \
             `include_background: false`)",
            values.len()
        )));
    }
    let mut shape = vec![1; loss.dim()];
    shape[1] = classes;
    Ok(factors.f_reshape(shape)?)
}
