//! Optimizers.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};
use tch::Tensor;

use crate::{Error, ErrorCode, Result, StateTree};

/// An optimizer. It owns handles to the parameters and reads their gradients.
pub trait Optimizer: Send {
    /// One update from the gradients there are; parameters without a gradient stay as they are.
    fn step(&mut self) -> Result<()>;

    /// Drops all gradients.
    fn zero_grad(&mut self) -> Result<()>;

    /// The learning rate of each group.
    fn learning_rates(&self) -> Vec<f64>;

    /// Sets the learning rate of each group.
    fn set_learning_rates(&mut self, learning_rates: &[f64]) -> Result<()>;

    /// Sets the momentum of each group (SGD's `momentum`, the first of Adam's `betas`), for schedules that move it.
    fn set_momentums(&mut self, _momentums: &[f64]) -> Result<()> {
        Err(Error::new(
            ErrorCode::UNSUPPORTED,
            "this optimizer has no momentum that a schedule could move: set `cycle_momentum` to false",
        ))
    }

    /// The state as PyTorch lays it out: `{"state": {0: {…}}, "param_groups": [{…, "params": [0]}]}`.
    fn state(&self) -> Result<StateTree>;

    /// Takes over a state as [`Optimizer::state`] gives it, also one that PyTorch wrote.
    fn load_state(&mut self, state: &StateTree) -> Result<()>;
}

/// How the engine makes an optimizer from the `args` of a config.
pub trait OptimizerComponent: Sized + 'static {
    /// The arguments; see [`Component::Args`](crate::Component::Args).
    type Args: DeserializeOwned + JsonSchema;

    /// Makes the optimizer. A group's own options win over `args`.
    fn new(args: Self::Args, groups: Vec<ParameterGroup>) -> Result<Self>;
}

/// Parameters that share options.
#[derive(Debug, Default)]
pub struct ParameterGroup {
    /// The parameters, the network's own tensors.
    pub parameters: Vec<Tensor>,
    /// Options of this group, under the optimizer's argument names: `{"lr": 1e-3}`.
    pub options: Map<String, Json>,
}
