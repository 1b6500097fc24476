//! Contrastive loss.

use byoc::{Component, Error, Loss, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind, Tensor};

use super::target::{full_precision, same_shape};

byoc::register! { losses: [ContrastiveLoss] }

/// Pulls two views of an item together and pushes other items away (MONAI `ContrastiveLoss`; Chen et al. 2020,
/// `SimCLR`).
///
/// Output and target are features of two views of the same items, each (B, features).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContrastiveLossArgs {
    /// What similarities are divided by; the smaller, the more the most similar items count.
    #[serde(default = "half")]
    temperature: f64,
    /// Not used: the batch tells its size.
    #[serde(default = "any")]
    batch_size: i64,
}

fn half() -> f64 {
    0.5
}

fn any() -> i64 {
    -1
}

/// See [`ContrastiveLossArgs`].
#[derive(Debug)]
pub struct ContrastiveLoss {
    temperature: f64,
}

impl Component for ContrastiveLoss {
    type Args = ContrastiveLossArgs;

    fn new(args: ContrastiveLossArgs) -> Result<Self> {
        let _ = args.batch_size;
        if args.temperature <= 0.0 {
            return Err(Error::invalid_argument(format!("`temperature` must be above 0, found {}", args.temperature)));
        }
        Ok(Self { temperature: args.temperature })
    }
}

impl Loss for ContrastiveLoss {
    fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        if input.dim() != 2 {
            return Err(Error::data(format!(
                "`ContrastiveLoss` compares features, (B, features), found shape {:?}",
                input.size()
            )));
        }
        same_shape(input, target, "")?;
        let views = Tensor::f_cat(&[full_precision(input)?, full_precision(target)?], 0)?;
        let lengths = views.f_norm_scalaropt_dim(2.0, [1i64].as_slice(), true)?.f_clamp_min(1e-8)?;
        let directions = views.f_div(&lengths)?;
        let similarities =
            torch_ext::autocast::with(input.device(), None, || directions.f_matmul(&directions.f_transpose(0, 1)?))?;
        let logits = similarities.f_div_scalar(self.temperature)?;
        let items = input.size()[0];
        let positive = Tensor::f_cat(&[logits.f_diagonal(items, 0, 1)?, logits.f_diagonal(-items, 0, 1)?], 0)?;
        // an item is no candidate for its own partner
        let itself = Tensor::f_eye(2 * items, (Kind::Bool, input.device()))?;
        let others = logits.f_masked_fill(&itself, f64::NEG_INFINITY)?;
        Ok(others.f_logsumexp([1i64].as_slice(), false)?.f_sub(&positive)?.f_mean(None::<Kind>)?)
    }
}
