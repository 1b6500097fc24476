//! `RMSprop`.

use byoc::Result;

use super::grouped::{Active, Grouped, Rule};
use super::options::{at_least_zero, options};

options! {
    /// `RMSprop`: the gradient divided by a running average of its magnitude.
    ///
    /// Tieleman and Hinton, lecture 6.5 of "Neural networks for machine learning", 2012; `torch.optim.RMSprop`.
    RMSpropOptions {
        /// Learning rate.
        lr: f64 = 1e-2,
        /// Decay rate of the average of squared gradients.
        alpha: f64 = 0.99,
        /// Added to the denominator.
        eps: f64 = 1e-8,
        /// L2 penalty.
        weight_decay: f64 = 0.0,
        /// Momentum.
        momentum: f64 = 0.0,
        /// Divides by an estimate of the standard deviation instead of the magnitude.
        centered: bool = false,
        /// Goes up the gradient instead of down.
        maximize: bool = false,
    }
    hints { foreach = None, capturable = Some(false), differentiable = Some(false) }
}

/// `RMSprop`.
pub type RMSprop = Grouped<RMSpropOptions>;

byoc::register! { optimizers: [RMSprop] }

impl Rule for RMSpropOptions {
    fn check(&self) -> Result<()> {
        at_least_zero(&[
            ("lr", self.lr),
            ("alpha", self.alpha),
            ("eps", self.eps),
            ("weight_decay", self.weight_decay),
            ("momentum", self.momentum),
        ])
    }

    fn lr(&mut self) -> &mut f64 {
        &mut self.lr
    }

    fn momentum(&mut self) -> Option<&mut f64> {
        Some(&mut self.momentum)
    }

    fn step(&self, active: &mut [Active<'_>]) -> Result<()> {
        for active in active {
            active.state.count_step()?;
            let gradient = active.effective_gradient(self.weight_decay, self.maximize)?;
            let mut squares = active.zeros("square_avg")?;
            let _ = squares.f_mul_scalar_(self.alpha)?.f_add_(&gradient.f_square()?.f_mul_scalar(1.0 - self.alpha)?)?;
            let spread = if self.centered {
                let mut mean = active.zeros("grad_avg")?;
                let _ = mean.f_lerp_(&gradient, 1.0 - self.alpha)?;
                squares.f_sub(&mean.f_square()?)?.f_sqrt()?
            } else {
                squares.f_sqrt()?
            };
            let direction = gradient.f_div(&spread.f_add_scalar(self.eps)?)?;
            if self.momentum > 0.0 {
                let mut buffer = active.zeros("momentum_buffer")?;
                let _ = buffer.f_mul_scalar_(self.momentum)?.f_add_(&direction)?;
                active.descend(&buffer, self.lr)?;
            } else {
                active.descend(&direction, self.lr)?;
            }
        }
        Ok(())
    }
}
