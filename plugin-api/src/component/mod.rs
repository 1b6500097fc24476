//! The component kinds: for each an object-safe trait, which is what the engine calls, and next to it how the engine
//! makes one from the arguments of a config.

mod handler;
mod inferer;
mod loss;
mod lr_scheduler;
mod metric;
mod network;
mod optimizer;
mod transform;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

pub use handler::{CheckpointRequest, Engine, EngineRole, EngineState, Event, Handler};
pub use inferer::{Inferer, Predictor};
pub use loss::{Loss, LossInput};
pub use lr_scheduler::{LrScheduler, LrSchedulerComponent};
pub use metric::Metric;
pub use network::{BuiltNetwork, NamedTensor, Network, NetworkComponent, state_of};
pub use optimizer::{Optimizer, OptimizerComponent, ParameterGroup};
pub use transform::Transform;

use crate::Result;

/// How the engine makes a component from the `args` of a config.
///
/// Losses, metrics, transforms, inferers and handlers implement this beside the trait of their kind; networks
/// implement [`NetworkComponent`], optimizers [`OptimizerComponent`], schedules [`LrSchedulerComponent`], because
/// those are given more than arguments.
pub trait Component: Sized + 'static {
    /// The arguments: a struct with `#[derive(Deserialize, JsonSchema)]` and `#[serde(deny_unknown_fields)]`.
    ///
    /// The first line of its doc comment is the component's summary in `mmar components`; the doc comments of its
    /// fields describe the arguments; `#[serde(default …)]` gives the defaults. The engine checks a config against
    /// the schema made from it before anything runs. An argument's other spellings go into
    /// `#[serde(alias = "dimensions")]` and, for the schema, `#[schemars(extend("x-aliases" = ["dimensions"]))]`.
    type Args: DeserializeOwned + JsonSchema;

    /// Makes the component. An error here is shown at the component's place in the config.
    fn new(args: Self::Args) -> Result<Self>;
}
