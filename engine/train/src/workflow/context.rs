//! What trainer and evaluator share: the objects of the run and the places where its traces go.

use std::path::{Path, PathBuf};

use byoc::{CheckpointRequest, Error, ErrorCode, LrScheduler, Optimizer, Result};
use mmar_loader::Generation;
use serde_json::{Value as Json, json};
use tch::Device;
use torch_ext::amp::GradScaler;

use super::ModelHandle;
use crate::calls::CallWatch;
use crate::checkpoint;
use crate::files::{Recorder, RunFolder};
use crate::reload::Reloader;
use crate::tensorboard::EventFile;
use crate::{Failure, Interrupt, Level, Observer, Progress};

/// The objects that checkpoints hold.
pub(crate) struct Objects {
    /// `model`
    pub(crate) model: ModelHandle,
    /// `optimizer`; none in an evaluation
    pub(crate) optimizer: Option<Box<dyn Optimizer>>,
    /// `lr_scheduler`
    pub(crate) lr_scheduler: Option<Box<dyn LrScheduler>>,
    /// The gradient scaler of float16 training.
    pub(crate) scaler: GradScaler,
    /// `conf`, `train_conf`: the whole resolved config
    pub(crate) conf: Json,
}

/// A run that is going on.
pub(crate) struct Context<'a> {
    pub(crate) observer: &'a mut dyn Observer,
    pub(crate) interrupt: &'a Interrupt,
    /// Sees the calls into plugins.
    pub(crate) watch: CallWatch,
    /// Follows the plugins, if they may be exchanged.
    pub(crate) reloader: Option<Reloader<'a>>,
    pub(crate) objects: Objects,
    pub(crate) device: Device,
    /// Everything random is derived from it.
    pub(crate) seed: u64,
    /// Where relative paths of the config start.
    pub(crate) mmar_root: PathBuf,
    pub(crate) folder: RunFolder,
    /// Where the config's checkpoints or results go.
    pub(crate) output_folder: PathBuf,
    pub(crate) recorder: Recorder,
    /// The curves of [`byoc::Engine::record`].
    pub(crate) recorded_curves: Option<EventFile>,
    /// Files that the run wrote, each once.
    pub(crate) files: Vec<PathBuf>,
    /// Why a handler asked the run to stop.
    pub(crate) stop: Option<String>,
    /// The whole story behind the error that a handler is about to return.
    pub(crate) failure: Option<Failure>,
}

impl Context<'_> {
    /// Tells the user something.
    pub(crate) fn message(&mut self, level: Level, text: &str) {
        self.observer.message(level, text);
    }

    /// A path of the config as the file system knows it.
    pub(crate) fn resolve(&self, path: &Path) -> PathBuf {
        self.mmar_root.join(path)
    }

    /// Notes a file that the run wrote.
    pub(crate) fn wrote(&mut self, path: &Path) {
        if !self.files.iter().any(|known| known == path) {
            self.files.push(path.to_owned());
        }
    }

    /// Writes a checkpoint that the config asks for.
    pub(crate) fn save(&mut self, request: &CheckpointRequest) -> Result<()> {
        let path = self.resolve(&request.path);
        let tree = checkpoint::collect(&self.objects, &request.objects)?;
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|error| Error::msg(format!("cannot make the folder `{}`: {error}", folder.display())))?;
        }
        self.folder.keep_replaced(&path);
        torch_ext::checkpoint::write(&path, &tree)
            .map_err(|error| Error::msg(format!("cannot save the checkpoint `{}`: {error}", path.display())))?;
        self.folder.keep(&path);
        self.wrote(&path);
        self.observer.progress(&Progress::CheckpointSaved { path });
        Ok(())
    }

    /// Reads objects back from a checkpoint.
    pub(crate) fn load(&mut self, request: &CheckpointRequest) -> Result<()> {
        let path = self.resolve(&request.path);
        let tree = torch_ext::checkpoint::read(&path)
            .map_err(|error| Error::data(format!("cannot read the checkpoint `{}`: {error}", path.display())))?;
        checkpoint::restore(&mut self.objects, &tree, &request.objects, request.strict)
            .map_err(|error| error.context(format!("the checkpoint `{}` does not fit", path.display())))?;
        tracing::info!("restored {} from `{}`", names(&request.objects), path.display());
        Ok(())
    }

    /// Notes in the curves and in `metrics.jsonl` that another build of a plugin is in use from now on.
    pub(crate) fn note_generation(&mut self, generation: &Generation, epoch: u64, step: u64) -> Result<(), Failure> {
        let not_recorded = |error: Error| Failure::new("cannot-write", format!("cannot record the reload: {error}"));
        let facts = json!({
            "plugin": generation.module,
            "generation": generation.number,
            "sha256": generation.sha256,
        });
        self.recorder.event("reload", epoch, step, &facts).map_err(|error| not_recorded(error.into()))?;
        let label = format!("reload/{}", generation.module);
        self.curve(&label, f64::from(generation.number), step).map_err(not_recorded)
    }

    /// Adds a number to the curves and to `metrics.jsonl`.
    pub(crate) fn record(&mut self, label: &str, value: f64, epoch: u64, step: u64) -> Result<()> {
        self.recorder.line("record", epoch, step, [(label, value)])?;
        self.curve(label, value, step)
    }

    fn curve(&mut self, label: &str, value: f64, step: u64) -> Result<()> {
        let mut curves = match self.recorded_curves.take() {
            Some(curves) => curves,
            None => EventFile::create(&self.output_folder)?,
        };
        curves.scalar(label, value, step)?;
        curves.flush()?;
        self.recorded_curves = Some(curves);
        Ok(())
    }

    /// Moves the schedule on and hands its rates to the optimizer.
    pub(crate) fn step_lr_scheduler(&mut self, metric: Option<f64>) -> Result<Vec<f64>> {
        let (Some(schedule), Some(optimizer)) = (&mut self.objects.lr_scheduler, &mut self.objects.optimizer) else {
            return Err(Error::new(ErrorCode::UNSUPPORTED, "the config has no `lr_scheduler` to step"));
        };
        schedule.step(metric)?;
        let rates = schedule.learning_rates();
        optimizer.set_learning_rates(&rates)?;
        if let Some(momentums) = schedule.momentums() {
            optimizer.set_momentums(&momentums)?;
        }
        Ok(rates)
    }
}

fn names(objects: &[(String, String)]) -> String {
    let names: Vec<&str> = objects.iter().map(|(key, _)| key.as_str()).collect();
    names.join(", ")
}
