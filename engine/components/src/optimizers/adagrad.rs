//! Adagrad.

use byoc::Result;

use super::grouped::{Active, Grouped, Rule};
use super::options::{at_least_zero, options};

options! {
    /// Adagrad: the gradient divided by the root of all its squares so far.
    ///
    /// Duchi, Hazan and Singer, "Adaptive subgradient methods for online learning and stochastic optimization", 2011;
    /// `torch.optim.Adagrad`.
    AdagradOptions {
        /// Learning rate.
        lr: f64 = 1e-2,
        /// How fast the learning rate falls with the steps.
        lr_decay: f64 = 0.0,
        /// L2 penalty.
        weight_decay: f64 = 0.0,
        /// What the sum of squares begins with.
        initial_accumulator_value: f64 = 0.0,
        /// Added to the denominator.
        eps: f64 = 1e-10,
        /// Goes up the gradient instead of down.
        maximize: bool = false,
    }
    hints { foreach = None, differentiable = Some(false), fused = None }
}

/// Adagrad.
pub type Adagrad = Grouped<AdagradOptions>;

byoc::register! { optimizers: [Adagrad] }

impl Rule for AdagradOptions {
    fn check(&self) -> Result<()> {
        at_least_zero(&[
            ("lr", self.lr),
            ("lr_decay", self.lr_decay),
            ("weight_decay", self.weight_decay),
            ("initial_accumulator_value", self.initial_accumulator_value),
            ("eps", self.eps),
        ])
    }

    fn lr(&mut self) -> &mut f64 {
        &mut self.lr
    }

    fn step(&self, active: &mut [Active<'_>]) -> Result<()> {
        for active in active {
            let step = active.state.count_step()?;
            let gradient = active.effective_gradient(self.weight_decay, self.maximize)?;
            let parameter = &active.parameter;
            let mut sum =
                active.state.get_or_insert("sum", || Ok(parameter.f_full_like(self.initial_accumulator_value)?))?;
            let _ = sum.f_add_(&gradient.f_square()?)?;
            let lr = self.lr / (1.0 + (step - 1.0) * self.lr_decay);
            active.descend(&gradient.f_div(&sum.f_sqrt()?.f_add_scalar(self.eps)?)?, lr)?;
        }
        Ok(())
    }
}
