//! Adamax.

use byoc::Result;

use super::grouped::{Active, Grouped, Rule};
use super::options::{at_least_zero, decay_rates, options};

options! {
    /// Adamax: Adam with the largest gradient so far instead of an average of squares.
    ///
    /// Kingma and Ba, "Adam: a method for stochastic optimization", 2015, section 7; `torch.optim.Adamax`.
    AdamaxOptions {
        /// Learning rate.
        lr: f64 = 2e-3,
        /// Decay rates of the average of the gradient and of its largest magnitude.
        betas: (f64, f64) = (0.9, 0.999),
        /// Added to the magnitude.
        eps: f64 = 1e-8,
        /// L2 penalty.
        weight_decay: f64 = 0.0,
        /// Goes up the gradient instead of down.
        maximize: bool = false,
    }
    hints { foreach = None, differentiable = Some(false), capturable = Some(false) }
}

/// Adamax.
pub type Adamax = Grouped<AdamaxOptions>;

byoc::register! { optimizers: [Adamax] }

impl Rule for AdamaxOptions {
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
        for active in active {
            let step = active.state.count_step()?;
            let gradient = active.effective_gradient(self.weight_decay, self.maximize)?;
            let mut average = active.zeros("exp_avg")?;
            let _ = average.f_lerp_(&gradient, 1.0 - beta1)?;
            let mut largest = active.zeros("exp_inf")?;
            let moved = largest.f_mul_scalar(beta2)?.f_maximum(&gradient.f_abs()?.f_add_scalar(self.eps)?)?;
            largest.f_copy_(&moved)?;
            active.descend(&average.f_div(&largest)?, self.lr / (1.0 - beta1.powf(step)))?;
        }
        Ok(())
    }
}
