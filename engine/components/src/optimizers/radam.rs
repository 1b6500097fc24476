//! `RAdam`.

use byoc::Result;

use super::grouped::{Active, Grouped, Rule};
use super::options::{at_least_zero, decay_rates, options};

options! {
    /// `RAdam`: Adam that waits with its adaptive step until the variance is known.
    ///
    /// Liu et al., "On the variance of the adaptive learning rate and beyond", 2020; `torch.optim.RAdam`.
    RAdamOptions {
        /// Learning rate.
        lr: f64 = 1e-3,
        /// Decay rates of the averages of the gradient and of its square.
        betas: (f64, f64) = (0.9, 0.999),
        /// Added to the denominator.
        eps: f64 = 1e-8,
        /// L2 penalty, or with `decoupled_weight_decay` the decay of the weights themselves.
        weight_decay: f64 = 0.0,
        /// Decays the weights apart from the gradient.
        decoupled_weight_decay: bool = false,
        /// Goes up the gradient instead of down.
        maximize: bool = false,
    }
    hints { foreach = None, capturable = Some(false), differentiable = Some(false) }
}

/// `RAdam`.
pub type RAdam = Grouped<RAdamOptions>;

byoc::register! { optimizers: [RAdam] }

impl Rule for RAdamOptions {
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
        // length of the simple moving average that the exponential one stands for: at the end, and now
        let final_length = 2.0 / (1.0 - beta2) - 1.0;
        for active in active {
            let step = active.state.count_step()?;
            let gradient = if self.decoupled_weight_decay {
                let _ = active.parameter.f_mul_scalar_(1.0 - self.lr * self.weight_decay)?;
                active.effective_gradient(0.0, self.maximize)?
            } else {
                active.effective_gradient(self.weight_decay, self.maximize)?
            };
            let mut average = active.zeros("exp_avg")?;
            let _ = average.f_lerp_(&gradient, 1.0 - beta1)?;
            let mut squares = active.zeros("exp_avg_sq")?;
            let _ = squares.f_mul_scalar_(beta2)?.f_add_(&gradient.f_square()?.f_mul_scalar(1.0 - beta2)?)?;

            let (corrected1, corrected2) = (1.0 - beta1.powf(step), 1.0 - beta2.powf(step));
            let length = final_length - 2.0 * step * beta2.powf(step) / corrected2;
            if length > 5.0 {
                let rectified = ((length - 4.0) * (length - 2.0) * final_length
                    / ((final_length - 4.0) * (final_length - 2.0) * length))
                    .sqrt();
                let direction = average.f_div(&squares.f_sqrt()?.f_add_scalar(self.eps)?)?;
                active.descend(&direction, self.lr / corrected1 * rectified * corrected2.sqrt())?;
            } else {
                active.descend(&average, self.lr / corrected1)?;
            }
        }
        Ok(())
    }
}
