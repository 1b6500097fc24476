//! `NAdam`.

use byoc::Result;
use tch::{Device, Kind, Tensor};

use super::grouped::{Active, Grouped, Rule};
use super::options::{at_least_zero, decay_rates, options};

options! {
    /// `NAdam`: Adam with Nesterov's momentum.
    ///
    /// Dozat, "Incorporating Nesterov momentum into Adam", 2016; `torch.optim.NAdam`.
    NAdamOptions {
        /// Learning rate.
        lr: f64 = 2e-3,
        /// Decay rates of the averages of the gradient and of its square.
        betas: (f64, f64) = (0.9, 0.999),
        /// Added to the denominator.
        eps: f64 = 1e-8,
        /// L2 penalty, or with `decoupled_weight_decay` the decay of the weights themselves.
        weight_decay: f64 = 0.0,
        /// How fast the momentum rises to its full value.
        momentum_decay: f64 = 4e-3,
        /// Decays the weights apart from the gradient.
        decoupled_weight_decay: bool = false,
        /// Goes up the gradient instead of down.
        maximize: bool = false,
    }
    hints { foreach = None, capturable = Some(false), differentiable = Some(false) }
}

/// `NAdam`.
pub type NAdam = Grouped<NAdamOptions>;

byoc::register! { optimizers: [NAdam] }

impl Rule for NAdamOptions {
    fn check(&self) -> Result<()> {
        decay_rates(self.betas)?;
        at_least_zero(&[
            ("lr", self.lr),
            ("eps", self.eps),
            ("weight_decay", self.weight_decay),
            ("momentum_decay", self.momentum_decay),
        ])
    }

    fn lr(&mut self) -> &mut f64 {
        &mut self.lr
    }

    fn momentum(&mut self) -> Option<&mut f64> {
        Some(&mut self.betas.0)
    }

    fn step(&self, active: &mut [Active<'_>]) -> Result<()> {
        let (beta1, beta2) = self.betas;
        let momentum_at = |step: f64| beta1 * (1.0 - 0.5 * 0.96f64.powf(step * self.momentum_decay));
        for active in active {
            let step = active.state.count_step()?;
            let gradient = if self.decoupled_weight_decay {
                let _ = active.parameter.f_mul_scalar_(1.0 - self.lr * self.weight_decay)?;
                active.effective_gradient(0.0, self.maximize)?
            } else {
                active.effective_gradient(self.weight_decay, self.maximize)?
            };
            let (momentum, next) = (momentum_at(step), momentum_at(step + 1.0));
            let mut product =
                active.state.get_or_insert("mu_product", || Ok(Tensor::f_ones([], (Kind::Float, Device::Cpu))?))?;
            let product = f64::try_from(product.f_mul_scalar_(momentum)?)?;
            let mut average = active.zeros("exp_avg")?;
            let _ = average.f_lerp_(&gradient, 1.0 - beta1)?;
            let mut squares = active.zeros("exp_avg_sq")?;
            let _ = squares.f_mul_scalar_(beta2)?.f_add_(&gradient.f_square()?.f_mul_scalar(1.0 - beta2)?)?;
            let spread = squares.f_div_scalar(1.0 - beta2.powf(step))?.f_sqrt()?.f_add_scalar(self.eps)?;
            active.descend(&gradient.f_div(&spread)?, self.lr * (1.0 - momentum) / (1.0 - product))?;
            active.descend(&average.f_div(&spread)?, self.lr * next / (1.0 - product * next))?;
        }
        Ok(())
    }
}
