//! `CheckpointSaver`: the best, the last and every so manyth model.

use std::path::{Path, PathBuf};

use byoc::{CheckpointRequest, Component, Engine, Error, Event, Handler, ObjectMap, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Saves checkpoints: the best by the key metric (`model.pt`), the final one (`final_model.pt`), every so many epochs.
/// MONAI: `CheckpointSaver`; the default file names are Clara's.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckpointSaverArgs {
    /// The folder.
    save_dir: PathBuf,
    /// What to save: `{"model": "@model", "train_conf": "@conf"}`, or `["model", "optimizer", "lr_scheduler"]`.
    save_dict: ObjectMap,
    /// Accepted for compatibility: the name of a Python logger.
    #[serde(default)]
    #[expect(dead_code, reason = "accepted and not used")]
    name: Option<String>,
    /// Stands before every file name, with an underscore.
    #[serde(default)]
    file_prefix: String,
    /// Whether to save when the run is over, or fails.
    #[serde(default)]
    save_final: bool,
    /// The file of `save_final`; `final_model.pt` if not given.
    #[serde(default)]
    final_filename: Option<String>,
    /// Whether to save when the key metric is better than before.
    #[serde(default)]
    save_key_metric: bool,
    /// The metric that decides; the key metric if not given.
    #[serde(default)]
    key_metric_name: Option<String>,
    /// How many of the best to keep. More than one have their value in the name.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    key_metric_n_saved: usize,
    /// The file of `save_key_metric`; `model.pt` if not given and one is kept.
    #[serde(default)]
    key_metric_filename: Option<String>,
    /// Accepted for compatibility: the best values are always kept in `last.pt`.
    #[serde(default)]
    #[expect(dead_code, reason = "accepted and not used")]
    key_metric_save_state: bool,
    /// Whether an equal value counts as better.
    #[serde(default)]
    key_metric_greater_or_equal: bool,
    /// Whether smaller is better.
    #[serde(default)]
    key_metric_negative_sign: bool,
    /// Whether `save_interval` counts epochs; else steps.
    #[serde(default = "yes")]
    epoch_level: bool,
    /// Save every so many epochs or steps; 0 is never.
    #[serde(default)]
    save_interval: u64,
    /// How many of those to keep; all if not given.
    #[serde(default)]
    n_saved: Option<usize>,
}

fn one() -> usize {
    1
}

fn yes() -> bool {
    true
}

struct CheckpointSaver {
    args: CheckpointSaverArgs,
    kept: Kept,
}

/// What was saved and is still there.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    /// Score and file of the best, the best first.
    best: Vec<(f64, PathBuf)>,
    /// Files of `save_interval`, the oldest first.
    interval: Vec<PathBuf>,
}

impl Component for CheckpointSaver {
    type Args = CheckpointSaverArgs;

    fn new(args: CheckpointSaverArgs) -> Result<Self> {
        byoc::ensure!(!args.save_dict.pairs().is_empty(), "`save_dict` names nothing to save");
        if args.key_metric_filename.is_some() && args.key_metric_n_saved > 1 {
            return Err(Error::invalid_argument(
                "with `key_metric_filename` only one model can be kept: `key_metric_n_saved` must be 1",
            ));
        }
        Ok(Self { args, kept: Kept::default() })
    }
}

impl Handler for CheckpointSaver {
    fn handle(&mut self, event: Event, engine: &mut dyn Engine) -> Result<()> {
        match event {
            Event::EpochCompleted => {
                if self.args.save_key_metric {
                    self.save_if_best(engine)?;
                }
                if self.args.epoch_level {
                    self.save_if_due("epoch", engine.state().epoch, engine)?;
                }
            }
            Event::IterationCompleted if !self.args.epoch_level => {
                self.save_if_due("iteration", engine.state().iteration, engine)?;
            }
            Event::Completed | Event::ExceptionRaised if self.args.save_final => {
                let name = self.args.final_filename.clone().unwrap_or_else(|| "final_model.pt".into());
                let path = self.path(&name);
                self.save(&path, engine)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn state(&self) -> Result<serde_json::Value> {
        Ok(serde_json::to_value(&self.kept)?)
    }

    fn load_state(&mut self, state: &serde_json::Value) -> Result<()> {
        self.kept = Kept::deserialize(state)?;
        Ok(())
    }
}

impl CheckpointSaver {
    fn save_if_best(&mut self, engine: &mut dyn Engine) -> Result<()> {
        let state = engine.state();
        let Some(label) = self.args.key_metric_name.as_ref().or(state.key_metric.as_ref()) else {
            return Err(Error::invalid_argument("`save_key_metric` needs a key metric, and this engine has none"));
        };
        let Some(&value) = state.metrics.get(label) else {
            let labels: Vec<String> = state.metrics.keys().map(|label| format!("`{label}`")).collect();
            return Err(Error::invalid_argument(format!(
                "there is no metric `{label}`; there are {}",
                labels.join(", ")
            )));
        };
        let (label, epoch) = (label.clone(), state.epoch);
        let score = if self.args.key_metric_negative_sign { -value } else { value };
        let or_equal = self.args.key_metric_greater_or_equal;
        let better = |kept: f64| score > kept || (or_equal && score == kept);
        let full = self.kept.best.len() >= self.args.key_metric_n_saved;
        let worst = self.kept.best.last().map(|(score, _)| *score);
        if score.is_nan() || (full && !worst.is_some_and(better)) {
            return Ok(());
        }
        let name = match (&self.args.key_metric_filename, self.args.key_metric_n_saved) {
            (Some(name), _) => name.clone(),
            (None, 1) => "model.pt".into(),
            (None, _) => format!("model_epoch={epoch}_key_metric={value:.4}.pt"),
        };
        let path = self.path(&name);
        self.save(&path, engine)?;
        if self.kept.best.first().is_none_or(|(best, _)| better(*best)) {
            tracing::info!(target: "mmar::stats", "got new best metric of {label}: {value}");
        }
        self.kept.best.retain(|(_, kept)| *kept != path);
        let place = self.kept.best.iter().position(|(kept, _)| better(*kept)).unwrap_or(self.kept.best.len());
        self.kept.best.insert(place, (score, path));
        for (_, old) in self.kept.best.drain(self.args.key_metric_n_saved.min(self.kept.best.len())..) {
            remove(&old, engine);
        }
        Ok(())
    }

    fn save_if_due(&mut self, unit: &str, count: u64, engine: &mut dyn Engine) -> Result<()> {
        if self.args.save_interval == 0 || !count.is_multiple_of(self.args.save_interval) {
            return Ok(());
        }
        let path = self.path(&format!("checkpoint_{unit}={count}.pt"));
        self.save(&path, engine)?;
        self.kept.interval.retain(|kept| *kept != path);
        self.kept.interval.push(path);
        let surplus = self.args.n_saved.map_or(0, |n| self.kept.interval.len().saturating_sub(n.max(1)));
        for old in self.kept.interval.drain(..surplus) {
            remove(&old, engine);
        }
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        let prefix = &self.args.file_prefix;
        self.args.save_dir.join(if prefix.is_empty() { name.to_owned() } else { format!("{prefix}_{name}") })
    }

    fn save(&self, path: &Path, engine: &mut dyn Engine) -> Result<()> {
        let request = CheckpointRequest { path: path.to_owned(), objects: self.args.save_dict.pairs(), strict: true };
        engine.save_checkpoint(&request)
    }
}

/// Removes a checkpoint that this handler wrote and does not keep.
fn remove(path: &Path, engine: &dyn Engine) {
    let path = engine.resolve_path(path);
    if let Err(error) = std::fs::remove_file(&path) {
        tracing::warn!("could not remove the older checkpoint `{}`: {error}", path.display());
    }
}

byoc::register! { handlers: [CheckpointSaver] }

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use byoc::{CheckpointRequest, Component, Engine, EngineRole, EngineState, Event, Handler, Result, Sample};
    use serde_json::json;

    use super::CheckpointSaver;

    /// Writes down what is saved.
    struct Recording {
        state: EngineState,
        saved: Vec<PathBuf>,
    }

    impl Engine for Recording {
        fn state(&self) -> &EngineState {
            &self.state
        }

        fn output(&self) -> &[Sample] {
            &[]
        }

        fn request_stop(&mut self, _: &str) {}

        fn record(&mut self, _: &str, _: f64) -> Result<()> {
            Ok(())
        }

        fn save_checkpoint(&mut self, request: &CheckpointRequest) -> Result<()> {
            std::fs::write(&request.path, "")?;
            self.saved.push(request.path.clone());
            Ok(())
        }
    }

    fn run(args: serde_json::Value, values: &[f64]) -> (Vec<String>, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let mut args = args;
        args["save_dir"] = folder.path().to_str().into();
        args["save_dict"] = json!(["model"]);
        let mut saver = CheckpointSaver::new(serde_json::from_value(args).unwrap()).unwrap();
        let mut engine = Recording {
            state: EngineState {
                role: EngineRole::Evaluator,
                epoch: 0,
                max_epochs: 9,
                iteration: 0,
                epoch_length: 1,
                loss: None,
                metrics: BTreeMap::new(),
                key_metric: Some("val_mean_dice".into()),
                best_metric: None,
                is_new_best: false,
                learning_rates: vec![],
            },
            saved: vec![],
        };
        for value in values {
            engine.state.epoch += 1;
            engine.state.metrics.insert("val_mean_dice".into(), *value);
            saver.handle(Event::EpochCompleted, &mut engine).unwrap();
            // the state of a stopped run is as good as that of one that goes on
            let state = saver.state().unwrap();
            saver.load_state(&state).unwrap();
        }
        saver.handle(Event::Completed, &mut engine).unwrap();
        let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        let mut left: Vec<String> =
            std::fs::read_dir(folder.path()).unwrap().map(|entry| name(&entry.unwrap().path())).collect();
        left.sort();
        (engine.saved.iter().map(name).collect(), left)
    }

    #[test]
    fn the_best_model_is_saved_when_it_gets_better() {
        let (saved, left) = run(json!({"save_key_metric": true}), &[0.2, 0.1, f64::NAN, 0.2, 0.3]);
        assert_eq!(saved, ["model.pt", "model.pt"], "epochs 1 and 5");
        assert_eq!(left, ["model.pt"]);
        let (saved, _) = run(json!({"save_key_metric": true, "key_metric_greater_or_equal": true}), &[0.2, 0.1, 0.2]);
        assert_eq!(saved.len(), 2);
        let (saved, _) = run(json!({"save_key_metric": true, "key_metric_negative_sign": true}), &[0.2, 0.1, 0.3]);
        assert_eq!(saved.len(), 2);
    }

    #[test]
    fn several_best_ones_are_kept_in_order() {
        let (_, left) = run(json!({"save_key_metric": true, "key_metric_n_saved": 2}), &[0.2, 0.1, 0.3, 0.05]);
        assert_eq!(left, ["model_epoch=1_key_metric=0.2000.pt", "model_epoch=3_key_metric=0.3000.pt"]);
    }

    #[test]
    fn intervals_rotate_and_the_final_model_comes_last() {
        let (saved, left) = run(json!({"save_interval": 2, "n_saved": 1, "save_final": true}), &[0.0; 5]);
        assert_eq!(saved, ["checkpoint_epoch=2.pt", "checkpoint_epoch=4.pt", "final_model.pt"]);
        assert_eq!(left, ["checkpoint_epoch=4.pt", "final_model.pt"]);
        let (saved, _) = run(json!({"save_final": true, "final_filename": "last.pt", "file_prefix": "a"}), &[0.0]);
        assert_eq!(saved, ["a_last.pt"]);
    }
}
