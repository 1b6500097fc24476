//! Stochastic gradient descent, as a fused kernel over all parameters.

use byoc::{Error, Result};
use tch::Tensor;
use torch_ext::optim;

use super::grouped::{Active, Grouped, Rule};
use super::options::{at_least_zero, options};

options! {
    /// Stochastic gradient descent, with momentum if wanted.
    ///
    /// `torch.optim.SGD`.
    SGDOptions {
        /// Learning rate.
        lr: f64 = 1e-3,
        /// Momentum.
        momentum: f64 = 0.0,
        /// What of the gradient does not go into the momentum.
        dampening: f64 = 0.0,
        /// L2 penalty.
        weight_decay: f64 = 0.0,
        /// Nesterov's momentum.
        nesterov: bool = false,
        /// Goes up the gradient instead of down.
        maximize: bool = false,
    }
    hints { foreach = None, differentiable = Some(false), fused = None }
}

/// Stochastic gradient descent.
pub type SGD = Grouped<SGDOptions>;

byoc::register! { optimizers: [SGD] }

impl Rule for SGDOptions {
    fn check(&self) -> Result<()> {
        at_least_zero(&[("lr", self.lr), ("momentum", self.momentum), ("weight_decay", self.weight_decay)])?;
        if self.nesterov && (self.momentum == 0.0 || self.dampening != 0.0) {
            return Err(Error::invalid_argument("`nesterov` needs a `momentum` and no `dampening`"));
        }
        Ok(())
    }

    fn lr(&mut self) -> &mut f64 {
        &mut self.lr
    }

    fn momentum(&mut self) -> Option<&mut f64> {
        Some(&mut self.momentum)
    }

    fn step(&self, active: &mut [Active<'_>]) -> Result<()> {
        let numbers = optim::Sgd {
            lr: self.lr,
            momentum: self.momentum,
            dampening: self.dampening,
            weight_decay: self.weight_decay,
            nesterov: self.nesterov,
            maximize: self.maximize,
        };
        // a parameter's first gradient starts its momentum undampened
        let (mut first, mut later) = (Lists::default(), Lists::default());
        for active in active {
            let buffer = if self.momentum == 0.0 { None } else { active.state.get("momentum_buffer") };
            let lists = if buffer.is_some() { &mut later } else { &mut first };
            if self.momentum != 0.0 {
                let buffer = match buffer {
                    Some(buffer) => buffer,
                    None => active.zeros("momentum_buffer")?,
                };
                lists.buffers.push(buffer);
            }
            lists.parameters.push(active.parameter.shallow_clone());
            lists.gradients.push(active.gradient.shallow_clone());
        }
        for (lists, is_first) in [(first, true), (later, false)] {
            if !lists.parameters.is_empty() {
                optim::fused_sgd(&lists.parameters, &lists.gradients, &lists.buffers, numbers, is_first)?;
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct Lists {
    parameters: Vec<Tensor>,
    gradients: Vec<Tensor>,
    buffers: Vec<Tensor>,
}
