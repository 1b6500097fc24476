//! Learning-rate schedules.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{Result, StateTree};

/// A learning-rate schedule. The engine sets the optimizer's rates to [`LrScheduler::learning_rates`] after the
/// schedule is made and after each step.
pub trait LrScheduler: Send {
    /// Moves on by one step; `metric` is for schedules that watch one.
    fn step(&mut self, metric: Option<f64>) -> Result<()>;

    /// The learning rate of each group now.
    fn learning_rates(&self) -> Vec<f64>;

    /// The momentum of each group now, for schedules that move it, too (`OneCycleLR`): where there is one, the engine
    /// hands it to [`Optimizer::set_momentums`](crate::Optimizer::set_momentums) whenever it sets the rates.
    fn momentums(&self) -> Option<Vec<f64>> {
        None
    }

    /// What is needed to go on later, as PyTorch's `state_dict()` has it.
    fn state(&self) -> Result<StateTree>;

    /// Takes over a state as [`LrScheduler::state`] gives it.
    fn load_state(&mut self, state: &StateTree) -> Result<()>;
}

/// How the engine makes a schedule from the `args` of a config.
pub trait LrSchedulerComponent: Sized + 'static {
    /// The arguments; see [`Component::Args`](crate::Component::Args).
    type Args: DeserializeOwned + JsonSchema;

    /// Makes the schedule for an optimizer whose groups start with these learning rates.
    fn new(args: Self::Args, initial: &[f64]) -> Result<Self>;
}
