//! Adam and `AdamW`, as fused kernels over all parameters.

use byoc::Result;
use tch::{Kind, Tensor};
use torch_ext::optim::{self, AdamTensors};

use super::grouped::{Active, Grouped, Rule};
use super::options::{at_least_zero, decay_rates, options};

options! {
    /// Adam.
    ///
    /// Kingma and Ba, "Adam: a method for stochastic optimization", 2015; `torch.optim.Adam`.
    AdamOptions {
        /// Learning rate.
        lr: f64 = 1e-3,
        /// Decay rates of the averages of the gradient and of its square.
        betas: (f64, f64) = (0.9, 0.999),
        /// Added to the denominator.
        eps: f64 = 1e-8,
        /// L2 penalty, or with `decoupled_weight_decay` the decay of the weights themselves.
        weight_decay: f64 = 0.0,
        /// Divides by the largest average of squares so far instead of the present one.
        amsgrad: bool = false,
        /// Goes up the gradient instead of down.
        maximize: bool = false,
        /// Decays the weights apart from the gradient, as `AdamW` does.
        decoupled_weight_decay: bool = false,
    }
    hints { foreach = None, capturable = Some(false), differentiable = Some(false), fused = None }
}

options! {
    /// `AdamW`: Adam with decoupled weight decay.
    ///
    /// Loshchilov and Hutter, "Decoupled weight decay regularization", 2019; `torch.optim.AdamW`.
    AdamWOptions {
        /// Learning rate.
        lr: f64 = 1e-3,
        /// Decay rates of the averages of the gradient and of its square.
        betas: (f64, f64) = (0.9, 0.999),
        /// Added to the denominator.
        eps: f64 = 1e-8,
        /// Decay of the weights, apart from the gradient.
        weight_decay: f64 = 1e-2,
        /// Divides by the largest average of squares so far instead of the present one.
        amsgrad: bool = false,
        /// Goes up the gradient instead of down.
        maximize: bool = false,
    }
    hints { foreach = None, capturable = Some(false), differentiable = Some(false), fused = None }
}

/// Adam.
pub type Adam = Grouped<AdamOptions>;

/// `AdamW`.
pub type AdamW = Grouped<AdamWOptions>;

byoc::register! { optimizers: [Adam, AdamW] }

impl Rule for AdamOptions {
    const STEP_ON_DEVICE: bool = true;

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
        let tensors = gather(active, self.amsgrad)?;
        let numbers = optim::Adam {
            lr: self.lr,
            betas: self.betas,
            eps: self.eps,
            weight_decay: self.weight_decay,
            amsgrad: self.amsgrad,
            maximize: self.maximize,
        };
        if self.decoupled_weight_decay {
            optim::fused_adamw(&tensors, numbers)
        } else {
            optim::fused_adam(&tensors, numbers)
        }
    }
}

impl Rule for AdamWOptions {
    const STEP_ON_DEVICE: bool = true;

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
        let numbers = optim::Adam {
            lr: self.lr,
            betas: self.betas,
            eps: self.eps,
            weight_decay: self.weight_decay,
            amsgrad: self.amsgrad,
            maximize: self.maximize,
        };
        optim::fused_adamw(&gather(active, self.amsgrad)?, numbers)
    }
}

/// The lists that the kernels take, with this step counted.
fn gather(active: &mut [Active<'_>], amsgrad: bool) -> Result<AdamTensors> {
    let mut tensors = AdamTensors::default();
    for active in active {
        tensors.averages.push(active.zeros("exp_avg")?);
        tensors.squares.push(active.zeros("exp_avg_sq")?);
        if amsgrad {
            tensors.maxima.push(active.zeros("max_exp_avg_sq")?);
        }
        let device = active.parameter.device();
        tensors.steps.push(active.state.get_or_insert("step", || Ok(Tensor::f_zeros([], (Kind::Float, device))?))?);
        tensors.parameters.push(active.parameter.shallow_clone());
        tensors.gradients.push(active.gradient.shallow_clone());
    }
    optim::foreach_increase_(&tensors.steps, 1.0)?;
    Ok(tensors)
}
