//! Handlers: what happens around the steps of a run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::{Error, ErrorCode, Result, Sample};

/// When a handler is called. The names are those of ignite's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// Before the first epoch.
    Started,
    /// An epoch begins.
    EpochStarted,
    /// A batch is there, nothing is computed yet.
    IterationStarted,
    /// The step is done, post transforms and metrics included.
    IterationCompleted,
    /// The epoch's metrics are computed.
    EpochCompleted,
    /// After the last epoch, also after a stop that was asked for.
    Completed,
    /// The run failed; no further event follows.
    ExceptionRaised,
}

/// Which of the two engines a handler sits in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineRole {
    /// `train`
    Trainer,
    /// `validate`, or an evaluation on its own
    Evaluator,
}

/// Where an engine stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EngineState {
    /// Trainer or evaluator.
    pub role: EngineRole,
    /// The epoch, from 1. In the evaluator of a training run: the trainer's epoch.
    pub epoch: u64,
    /// How many epochs there will be.
    pub max_epochs: u64,
    /// Steps since the start of the run, from 1.
    pub iteration: u64,
    /// Steps in an epoch.
    pub epoch_length: u64,
    /// The last step's loss, before any handler's transform; trainer only.
    pub loss: Option<f64>,
    /// The metrics of the last completed epoch, by label.
    pub metrics: BTreeMap<String, f64>,
    /// The label of the key metric, if there is one.
    pub key_metric: Option<String>,
    /// The best value of the key metric so far, and the epoch it came from.
    pub best_metric: Option<(f64, u64)>,
    /// Whether the last completed epoch gave a new best value.
    pub is_new_best: bool,
    /// The optimizer's learning rates; trainer only.
    pub learning_rates: Vec<f64>,
}

/// What to write into, or read from, a checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckpointRequest {
    /// The file.
    pub path: PathBuf,
    /// Key in the file → object of the run: `model`, `optimizer`, `lr_scheduler`, `train_conf` …
    pub objects: Vec<(String, String)>,
    /// When reading: whether every name and shape must agree (PyTorch's `load_state_dict(strict=True)`). Else what
    /// agrees is taken over, and the rest stays as it is.
    #[serde(default = "strict_by_default")]
    pub strict: bool,
}

fn strict_by_default() -> bool {
    true
}

/// A handler.
///
/// ```
/// use byoc::{Component, Engine, Event, Handler, Result};
/// use schemars::JsonSchema;
/// use serde::Deserialize;
///
/// /// Stops the training when the loss falls below a limit.
/// #[derive(Deserialize, JsonSchema)]
/// #[serde(deny_unknown_fields)]
/// struct StopAtLossArgs {
///     /// The limit.
///     limit: f64,
/// }
///
/// struct StopAtLoss(StopAtLossArgs);
///
/// impl Component for StopAtLoss {
///     type Args = StopAtLossArgs;
///
///     fn new(args: StopAtLossArgs) -> Result<Self> {
///         Ok(Self(args))
///     }
/// }
///
/// impl Handler for StopAtLoss {
///     fn handle(&mut self, event: Event, engine: &mut dyn Engine) -> Result<()> {
///         if event == Event::IterationCompleted && engine.state().loss.is_some_and(|loss| loss < self.0.limit) {
///             engine.request_stop("the loss is below the limit");
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait Handler: Send {
    /// Called at every event, the handlers in the order of the config.
    fn handle(&mut self, event: Event, engine: &mut dyn Engine) -> Result<()>;

    /// What must be kept to go on after a resume; `null` if nothing.
    fn state(&self) -> Result<serde_json::Value> {
        Ok(serde_json::Value::Null)
    }

    /// Takes over a state as [`Handler::state`] gives it.
    fn load_state(&mut self, _state: &serde_json::Value) -> Result<()> {
        Ok(())
    }
}

/// What a handler sees of the engine, and what it can ask of it.
///
/// A plugin's requests are carried out when its handler returns.
pub trait Engine {
    /// Where the engine stands.
    fn state(&self) -> &EngineState;

    /// The last step's output: one sample per item (dialect 4.1), or the batch as one sample (4.0), with `image`,
    /// `label`, `pred`, `loss` and what post transforms added.
    fn output(&self) -> &[Sample];

    /// Ends the run after this step.
    fn request_stop(&mut self, reason: &str);

    /// Writes a number into `metrics.jsonl` and TensorBoard under this label, at the current step.
    fn record(&mut self, label: &str, value: f64) -> Result<()>;

    /// A path of the config as the file system knows it: relative ones start at the root of the archive.
    fn resolve_path(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }

    /// Runs the evaluator for one epoch.
    fn run_validation(&mut self) -> Result<()> {
        Err(unsupported("run a validation"))
    }

    /// Moves the learning-rate schedule on and gives the new rates.
    fn step_lr_scheduler(&mut self, _metric: Option<f64>) -> Result<Vec<f64>> {
        Err(unsupported("step the learning-rate schedule"))
    }

    /// Writes a checkpoint, beside its place and then renamed into it.
    fn save_checkpoint(&mut self, _request: &CheckpointRequest) -> Result<()> {
        Err(unsupported("save a checkpoint"))
    }

    /// Reads objects back from a checkpoint.
    fn load_checkpoint(&mut self, _request: &CheckpointRequest) -> Result<()> {
        Err(unsupported("load a checkpoint"))
    }

    /// The values per item and class of a metric of the last completed epoch.
    fn metric_details(&self, _label: &str) -> Option<Tensor> {
        None
    }
}

fn unsupported(what: &str) -> Error {
    Error::new(ErrorCode::UNSUPPORTED, format!("this engine cannot {what} for a handler"))
}
