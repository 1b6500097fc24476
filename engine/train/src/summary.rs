//! What a run that came to its end has to show.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

/// The result of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Summary {
    /// The run folder; a temporary one that is gone again after a dry run.
    pub run_folder: PathBuf,
    /// Epochs done, earlier parts of a resumed run included.
    pub epochs: u64,
    /// Steps done, earlier parts of a resumed run included.
    pub steps: u64,
    /// The last training loss.
    pub train_loss: Option<f64>,
    /// The metrics of the last epoch, training and validation, by label.
    pub metrics: BTreeMap<String, f64>,
    /// The key metric's label.
    pub key_metric: Option<String>,
    /// Its best value and the epoch it came from.
    pub best_metric: Option<(f64, u64)>,
    /// Why the run stopped before its last epoch, if a handler asked for it.
    pub stopped: Option<String>,
    /// Files of the run that matter to a user, in the order they were first written: checkpoints, curves, reports.
    pub files: Vec<PathBuf>,
    /// How long it took.
    #[serde(skip)]
    pub duration: Duration,
}
