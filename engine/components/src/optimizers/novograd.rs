//! Novograd, in foreach operators over all parameters.

use byoc::Result;
use tch::{Device, Kind, Tensor};
use torch_ext::optim;

use super::grouped::{Active, Grouped, Rule};
use super::options::{at_least_zero, decay_rates, options};

options! {
    /// Novograd: gradients normalised per layer.
    ///
    /// Ginsburg et al., "Stochastic gradient methods with layer-wise adaptive moments for training of deep networks",
    /// 2019; `monai.optimizers.Novograd`.
    NovogradOptions {
        /// Learning rate.
        lr: f64 = 1e-3,
        /// Decay rates of the averages of the gradient and of its squared norm.
        betas: (f64, f64) = (0.9, 0.98),
        /// Added to the denominator.
        eps: f64 = 1e-8,
        /// L2 penalty on the normalised gradient.
        weight_decay: f64 = 0.0,
        /// Weighs the gradient with one minus the first decay rate.
        grad_averaging: bool = false,
        /// Divides by the largest average of squared norms so far instead of the present one.
        amsgrad: bool = false,
    }
    hints {}
}

/// Novograd.
pub type Novograd = Grouped<NovogradOptions>;

byoc::register! { optimizers: [Novograd] }

impl Rule for NovogradOptions {
    fn check(&self) -> Result<()> {
        decay_rates(self.betas)?;
        at_least_zero(&[("lr", self.lr), ("eps", self.eps), ("weight_decay", self.weight_decay)])
    }

    fn lr(&mut self) -> &mut f64 {
        &mut self.lr
    }

    fn momentum(&mut self) -> Option<&mut f64> {
        Some(&mut self.betas.0)
    }

    fn step(&self, active: &mut [Active<'_>]) -> Result<()> {
        let (beta1, beta2) = self.betas;
        let mut parameters = Vec::with_capacity(active.len());
        let mut gradients = Vec::with_capacity(active.len());
        let mut averages = Vec::with_capacity(active.len());
        let mut steps = Vec::with_capacity(active.len());
        for active in &mut *active {
            averages.push(active.zeros("exp_avg")?);
            steps.push(active.state.get_or_insert("step", || Ok(Tensor::f_zeros([], (Kind::Float, Device::Cpu))?))?);
            parameters.push(active.parameter.shallow_clone());
            gradients.push(active.gradient.shallow_clone());
        }
        optim::foreach_increase_(&steps, 1.0)?;

        // one number per parameter: all of them in one vector
        let norms = Tensor::f_stack(&optim::foreach_norm(&gradients, 2.0)?, 0)?.f_square()?;
        let before = vector(active, "exp_avg_sq", &norms)?;
        let moved = before.f_mul_scalar(beta2)?.f_add(&norms.f_mul_scalar(1.0 - beta2)?)?;
        // nothing averaged yet: start with the norm itself
        let squares = norms.f_where_self(&before.f_eq(0.0)?, &moved)?;
        scatter(active, "exp_avg_sq", &squares);
        let squares = if self.amsgrad {
            let maxima = vector(active, "max_exp_avg_sq", &norms)?.f_maximum(&squares)?;
            scatter(active, "max_exp_avg_sq", &maxima);
            maxima
        } else {
            squares
        };
        let factors = squares.f_sqrt()?.f_add_scalar(self.eps)?.f_reciprocal()?.f_unbind(0)?;

        let normalised = optim::foreach_multiply(&gradients, &factors)?;
        if self.weight_decay != 0.0 {
            optim::foreach_add_(&normalised, &parameters, self.weight_decay)?;
        }
        if self.grad_averaging {
            optim::foreach_scale_(&normalised, 1.0 - beta1)?;
        }
        optim::foreach_scale_(&averages, beta1)?;
        optim::foreach_add_(&averages, &normalised, 1.0)?;
        optim::foreach_add_(&parameters, &averages, -self.lr)
    }
}

/// A state of one number per parameter, gathered; zeros where there is none yet.
fn vector(active: &[Active<'_>], name: &str, like: &Tensor) -> Result<Tensor> {
    let zero = like.f_new_zeros([] as [i64; 0], (like.kind(), like.device()))?;
    let numbers: Vec<Tensor> =
        active.iter().map(|active| active.state.get(name).unwrap_or_else(|| zero.shallow_clone())).collect();
    Ok(Tensor::f_stack(&numbers, 0)?)
}

fn scatter(active: &mut [Active<'_>], name: &str, vector: &Tensor) {
    for (index, active) in active.iter_mut().enumerate() {
        active.state.insert(name, vector.get(index as i64));
    }
}
