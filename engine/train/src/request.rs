//! What a run is asked to do.

use std::path::PathBuf;

use crate::RunLog;

/// A run of `mmar train` or `mmar evaluate`, as the command line asks for it.
#[derive(Debug, Clone, Default)]
pub struct RunRequest {
    /// The root of the archive; relative paths of the config start here.
    pub mmar_root: PathBuf,
    /// The training, validation or inference config; relative to the root if it is not found as it stands.
    pub config: PathBuf,
    /// `environment.json`; relative like the config.
    pub environment: Option<PathBuf>,
    /// `KEY=VALUE` of each `--set`.
    pub overrides: Vec<String>,
    /// Go on with an earlier run.
    pub resume: Option<Resume>,
    /// Go on although the network, optimizer or schedule of the config is not that of the run so far; what fits of the
    /// saved state is taken over, and it is an error if the weights do not fit.
    pub allow_changed: bool,
    /// Build everything, run one training and one validation step, save and load a checkpoint in a temporary folder.
    pub dry_run: bool,
    /// Fail instead of falling back to the CPU when the config wants a GPU.
    pub require_gpu: bool,
    /// Let plugins that are rebuilt while the run goes on take over.
    pub watch: Option<WatchRequest>,
    /// Write `train_stats.json` beside the checkpoints.
    pub write_train_stats: bool,
    /// The run folder, in place of the next free `run-NNNN`; must be empty or not exist.
    pub output: Option<PathBuf>,
    /// Where the run's log goes once its folder exists.
    pub log: RunLog,
}

/// How plugins are followed while a run goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WatchRequest {
    /// When a new build takes over.
    pub at: SafePoint,
    /// Look at the files again and again: network file systems and some containers tell nothing.
    pub poll: bool,
}

/// When components may be exchanged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SafePoint {
    /// Between two epochs.
    #[default]
    Epoch,
    /// Between two steps; plugins whose transforms prepare the data wait for the end of the epoch all the same.
    Step,
}

/// Which earlier run to go on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resume {
    /// The newest run of this archive's checkpoint folder that has a `last.pt`.
    Latest,
    /// A run folder, or a `last.pt`.
    Path(PathBuf),
}

impl RunRequest {
    /// A plain run of a config.
    pub fn new(mmar_root: impl Into<PathBuf>, config: impl Into<PathBuf>) -> Self {
        Self { mmar_root: mmar_root.into(), config: config.into(), ..Self::default() }
    }
}
