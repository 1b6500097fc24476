//! Adadelta.

use byoc::{Error, Result};

use super::grouped::{Active, Grouped, Rule};
use super::options::{at_least_zero, options};

options! {
    /// Adadelta: steps as large as the earlier ones were, in units of the gradient.
    ///
    /// Zeiler, "ADADELTA: an adaptive learning rate method", 2012; `torch.optim.Adadelta`.
    AdadeltaOptions {
        /// Learning rate.
        lr: f64 = 1.0,
        /// Decay rate of the averages of squared gradients and squared steps.
        rho: f64 = 0.9,
        /// Added under the roots.
        eps: f64 = 1e-6,
        /// L2 penalty.
        weight_decay: f64 = 0.0,
        /// Goes up the gradient instead of down.
        maximize: bool = false,
    }
    hints { foreach = None, capturable = Some(false), differentiable = Some(false) }
}

/// Adadelta.
pub type Adadelta = Grouped<AdadeltaOptions>;

byoc::register! { optimizers: [Adadelta] }

impl Rule for AdadeltaOptions {
    fn check(&self) -> Result<()> {
        if !(0.0..=1.0).contains(&self.rho) {
            return Err(Error::invalid_argument(format!("`rho` is {}, it must lie between 0 and 1", self.rho)));
        }
        at_least_zero(&[("lr", self.lr), ("eps", self.eps), ("weight_decay", self.weight_decay)])
    }

    fn lr(&mut self) -> &mut f64 {
        &mut self.lr
    }

    fn step(&self, active: &mut [Active<'_>]) -> Result<()> {
        for active in active {
            active.state.count_step()?;
            let gradient = active.effective_gradient(self.weight_decay, self.maximize)?;
            let mut squares = active.zeros("square_avg")?;
            let mut steps = active.zeros("acc_delta")?;
            let _ = squares.f_mul_scalar_(self.rho)?.f_add_(&gradient.f_square()?.f_mul_scalar(1.0 - self.rho)?)?;
            let spread = squares.f_add_scalar(self.eps)?.f_sqrt()?;
            let delta = steps.f_add_scalar(self.eps)?.f_sqrt()?.f_div(&spread)?.f_mul(&gradient)?;
            let _ = steps.f_mul_scalar_(self.rho)?.f_add_(&delta.f_square()?.f_mul_scalar(1.0 - self.rho)?)?;
            active.descend(&delta, self.lr)?;
        }
        Ok(())
    }
}
