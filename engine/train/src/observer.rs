//! What a run tells while it works. Nothing here prints: whoever starts a run decides how it looks.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use byoc::EngineRole;
use serde::Serialize;

/// Listens to a run. Every method has an empty default.
pub trait Observer {
    /// Everything is built, the run folder exists; called once, before the first step.
    fn banner(&mut self, _banner: &Banner) {}

    /// The run moved on.
    fn progress(&mut self, _progress: &Progress) {}

    /// Something the user should read.
    fn message(&mut self, _level: Level, _text: &str) {}
}

/// An observer that listens to nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {}

/// How urgent a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Good to know.
    Info,
    /// Something is not as the config asked, and the run goes on.
    Warning,
}

/// The facts of a run, before it starts; `run.json` holds the same.
#[derive(Debug, Clone, Serialize)]
pub struct Banner {
    /// `train` or `evaluate`.
    pub command: String,
    /// The config file.
    pub config: PathBuf,
    /// SHA-256 of the resolved config.
    pub config_sha256: String,
    /// `cpu`, `cuda:0 (NVIDIA H100)`.
    pub device: String,
    /// `float32`, `bfloat16 autocast`, `float16 autocast with gradient scaling`.
    pub precision: String,
    /// Its version.
    pub libtorch: String,
    /// Intra-op threads of the training thread.
    pub threads: usize,
    /// The plugins whose components take part.
    pub plugins: Vec<PluginUse>,
    /// The seed everything random is derived from.
    pub seed: u64,
    /// Whether the config set the seed (`determinism`), which also makes cuDNN deterministic.
    pub deterministic: bool,
    /// The network's name and the number of its trainable parameters.
    pub network: String,
    /// See [`Banner::network`].
    pub parameters: u64,
    /// Items of the training list; absent in an evaluation.
    pub training_items: Option<usize>,
    /// Items of the validation list.
    pub validation_items: Option<usize>,
    /// Epochs to do; 1 in an evaluation.
    pub epochs: u64,
    /// Steps of a training epoch; batches of an evaluation.
    pub steps_per_epoch: u64,
    /// The run folder.
    pub run_folder: PathBuf,
    /// Where checkpoints (or, in an evaluation, results) go.
    pub output_folder: PathBuf,
    /// The run it goes on with, and from which epoch and step.
    pub resumed: Option<String>,
}

/// A plugin that takes part in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PluginUse {
    /// The plugin's module.
    pub name: String,
    /// The library it was loaded from.
    pub file: PathBuf,
    /// SHA-256 of the library.
    pub sha256: String,
    /// Which build of it in this process, from 1.
    pub generation: u64,
    /// The private copy that is mapped.
    #[serde(skip)]
    pub staged: PathBuf,
}

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Progress {
    /// A preparation with a known length: filling a cache.
    Preparing {
        /// `caching the training list`.
        what: String,
        /// Items done.
        done: usize,
        /// Items in all.
        total: usize,
    },
    /// An epoch begins; for the evaluator inside a training run: a validation.
    EpochStarted {
        /// Whose epoch.
        role: EngineRole,
        /// From 1; the trainer's epoch in a validation.
        epoch: u64,
        /// How many there will be.
        max_epochs: u64,
        /// Steps of this epoch.
        steps: u64,
        /// Steps of it that a resumed run has behind it already.
        done: u64,
    },
    /// A step is done.
    Step {
        /// Whose step.
        role: EngineRole,
        /// From 1.
        epoch: u64,
        /// The step within the epoch, from 1.
        step: u64,
        /// Steps of this epoch.
        steps: u64,
        /// The steps since the start of the run, from 1.
        iteration: u64,
        /// The loss; trainer only.
        loss: Option<f64>,
        /// The learning rate of the first parameter group; trainer only.
        learning_rate: Option<f64>,
        /// How long the step took, waiting for data included.
        #[serde(skip)]
        duration: Duration,
        /// The part of it that was spent waiting for data.
        #[serde(skip)]
        waited: Duration,
    },
    /// An epoch is over, its metrics are computed.
    EpochCompleted {
        /// Whose epoch.
        role: EngineRole,
        /// From 1.
        epoch: u64,
        /// How many there will be.
        max_epochs: u64,
        /// The metrics by label; `train_loss_mean` is the mean over the trainer's steps.
        metrics: BTreeMap<String, f64>,
        /// The key metric's label.
        key_metric: Option<String>,
        /// Whether the key metric is better than ever.
        is_new_best: bool,
        /// How long the epoch took.
        #[serde(skip)]
        duration: Duration,
    },
    /// A checkpoint was written.
    CheckpointSaved {
        /// The file.
        path: PathBuf,
    },
    /// A plugin was rebuilt while the run goes on.
    Reload {
        /// Its module.
        plugin: String,
        /// How far the new build is.
        state: ReloadState,
        /// The facts, in words; the reason if it was rejected.
        text: String,
    },
    /// A stage of a dry run passed.
    DryRun {
        /// `training batch`, `prediction`, `loss` …
        stage: String,
        /// Shapes and dtypes: `image [8, 1, 96, 96, 96] f32 cpu`.
        detail: String,
    },
}

/// How far a rebuilt plugin is on its way into a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReloadState {
    /// It is compiled.
    Building,
    /// It is inspected, and opened in a process of its own.
    Checking,
    /// It takes over at the next point where it may.
    Waiting,
    /// It is in use.
    Active,
    /// It is not used; the build in use goes on.
    Rejected,
}

impl ReloadState {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Building => "building",
            Self::Checking => "checking",
            Self::Waiting => "waiting",
            Self::Active => "active",
            Self::Rejected => "rejected",
        }
    }
}
