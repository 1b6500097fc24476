//! Kullback-Leibler divergence.

use byoc::{Component, Loss, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Tensor;

use super::target::{full_precision, same_shape, shape_hint};

byoc::register! { losses: [KLDivLoss] }

/// Kullback-Leibler divergence of log probabilities from a target distribution (PyTorch `KLDivLoss`).
///
/// Output (log probabilities) and target have the same shape. `mean` divides by the number of elements, which is not
/// the divergence; `batchmean` is.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KLDivLossArgs {
    /// `mean`, `batchmean`, `sum`, or `none`: one value per element.
    reduction: DivergenceReduction,
    /// Whether the target is in logarithms, too.
    log_target: bool,
}

/// How the values are put together.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum DivergenceReduction {
    /// They are not.
    None,
    /// Their mean.
    #[default]
    Mean,
    /// Their sum, divided by the batch size.
    BatchMean,
    /// Their sum.
    Sum,
}

/// See [`KLDivLossArgs`].
#[derive(Debug)]
pub struct KLDivLoss(KLDivLossArgs);

impl Component for KLDivLoss {
    type Args = KLDivLossArgs;

    fn new(args: KLDivLossArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

impl Loss for KLDivLoss {
    fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let input = full_precision(input)?;
        same_shape(&input, target, shape_hint(&input, target))?;
        let target = target.f_to_kind(input.kind())?;
        let reduction = match self.0.reduction {
            DivergenceReduction::None => tch::Reduction::None,
            DivergenceReduction::Mean => tch::Reduction::Mean,
            DivergenceReduction::BatchMean | DivergenceReduction::Sum => tch::Reduction::Sum,
        };
        let loss = input.f_kl_div(&target, reduction, self.0.log_target)?;
        match self.0.reduction {
            DivergenceReduction::BatchMean => {
                let batch = input.size().first().copied().unwrap_or(1).max(1);
                Ok(loss.f_div_scalar(batch)?)
            }
            _ => Ok(loss),
        }
    }
}

#[cfg(test)]
mod tests {
    use byoc::{Component, Loss};
    use serde_json::json;
    use tch::Tensor;

    use super::KLDivLoss;

    #[test]
    fn equal_distributions_do_not_diverge_and_batchmean_divides_by_the_batch() {
        let loss = |args| KLDivLoss::new(byoc::args::parse(&args).unwrap()).unwrap();
        let p = Tensor::from_slice(&[0.25f32, 0.75, 0.5, 0.5]).view([2, 2]);
        let q = Tensor::from_slice(&[0.5f32, 0.5, 0.5, 0.5]).view([2, 2]);
        let value = |args, a: &Tensor, b: &Tensor| loss(args).forward(&a.log(), b).unwrap().double_value(&[]);
        assert!(value(json!({}), &p, &p).abs() < 1e-7);
        let sum = value(json!({ "reduction": "sum" }), &p, &q);
        assert!((sum - (0.5 * (0.5f64 / 0.25).ln() + 0.5 * (0.5f64 / 0.75).ln())).abs() < 1e-6);
        assert!((value(json!({ "reduction": "batchmean" }), &p, &q) - sum / 2.0).abs() < 1e-7);
    }
}
