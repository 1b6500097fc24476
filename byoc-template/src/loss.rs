//! The loss and its arguments.

use byoc::{Component, Loss, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind, Tensor};

/// Soft Dice loss over all classes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct {{component}}Args {
    /// Added to numerator and denominator, so that an empty class is no division by zero.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub smooth: f64,
}

impl Default for {{component}}Args {
    fn default() -> Self {
        Self { smooth: 1e-5 }
    }
}

/// 1 - (2 · Σ pt + smooth) / (Σ p + Σ t + smooth), averaged over batch and classes, with p the softmax of the input.
#[derive(Debug)]
pub struct {{component}} {
    smooth: f64,
}

impl Component for {{component}} {
    type Args = {{component}}Args;

    fn new(args: {{component}}Args) -> Result<Self> {
        byoc::ensure!(args.smooth > 0.0, "`smooth` must be greater than 0, found {}", args.smooth);
        Ok(Self { smooth: args.smooth })
    }
}

impl Loss for {{component}} {
    /// `input` (B, C, spatial…) logits, `target` (B, 1, spatial…) class indices.
    fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let size = input.size();
        byoc::ensure!(size.len() > 2, "the input must be (B, C, spatial…), found {size:?}");
        let mut expected = size.clone();
        expected[1] = 1;
        byoc::ensure!(target.size() == expected, "the target must be {expected:?}, found {:?}", target.size());

        // sums over a volume lose digits in half precision; float64 stays, so that the gradient can be proved
        let kind = if input.kind() == Kind::Double { Kind::Double } else { Kind::Float };
        let probability = input.f_softmax(1, kind)?;
        let classes = target.f_to_kind(Kind::Int64)?;
        let one_hot = Tensor::f_zeros(&size[..], (kind, input.device()))?.f_scatter_value(1, &classes, 1.0)?;
        let spatial: Vec<i64> = (2..size.len() as i64).collect();
        let sum = |tensor: &Tensor| tensor.f_sum_dim_intlist(&spatial[..], false, kind);
        let overlap = sum(&probability.f_mul(&one_hot)?)?.f_mul_scalar(2.0)?.f_add_scalar(self.smooth)?;
        let total = sum(&probability)?.f_add(&sum(&one_hot)?)?.f_add_scalar(self.smooth)?;
        Ok(overlap.f_div(&total)?.f_neg()?.f_add_scalar(1.0)?.f_mean(kind)?)
    }
}

#[cfg(test)]
mod tests {
    use super::{Component, Loss, {{component}}, {{component}}Args};
    use tch::{Device, Kind, Tensor};

    #[test]
    fn a_perfect_prediction_costs_nothing_and_the_gradient_reaches_the_input() {
        let loss = {{component}}::new({{component}}Args::default()).unwrap();
        let target = Tensor::randint(2, [2, 1, 4, 4], (Kind::Float, Device::Cpu));
        let perfect = Tensor::cat(&[1.0 - &target, target.shallow_clone()], 1) * 100.0;
        assert!(loss.forward(&perfect, &target).unwrap().double_value(&[]) < 1e-4);

        let input = Tensor::randn([2, 2, 4, 4], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        loss.forward(&input, &target).unwrap().backward();
        assert!(input.grad().abs().sum(Kind::Float).double_value(&[]) > 0.0);
    }

    #[test]
    fn a_target_of_another_size_is_refused() {
        let loss = {{component}}::new({{component}}Args::default()).unwrap();
        let zeros = |size: &[i64]| Tensor::zeros(size, (Kind::Float, Device::Cpu));
        let error = loss.forward(&zeros(&[2, 2, 4, 4]), &zeros(&[2, 1, 4, 5])).unwrap_err();
        assert!(error.to_string().contains("[2, 1, 4, 5]"), "{error}");
    }
}
