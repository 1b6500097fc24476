//! `last.pt`: everything that a run needs to go on as if it had not stopped.
//!
//! Beside the usual `model`, `optimizer`, `lr_scheduler` and `train_conf` it has `mmar`: the position within the epoch,
//! the seed, the best metrics, and the states of the handlers; `scaler`: the gradient scaler; and `metrics`: what the
//! trainer's metrics took in since the epoch began. Generators need no state: every draw of a run comes from the seed
//! and the number of its epoch, item or step.

use std::path::{Path, PathBuf};

use byoc::{EngineState, Event, StateKey, StateTree};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tch::Tensor;

use crate::Failure;
use crate::workflow::{Context, Evaluator, HandlerSlot, Trainer, guard};

/// The objects of the run in the file, and the `mmar` entry beside them.
const OBJECTS: [&str; 4] = ["model", "optimizer", "lr_scheduler", "train_conf"];

/// How far a training is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Progressed {
    /// The epoch that is going on, or the last one that was.
    pub(crate) epoch: u64,
    /// Whether it is over.
    pub(crate) closed: bool,
    /// Its steps so far.
    pub(crate) step: u64,
    /// Items of its steps.
    pub(crate) items: u64,
    /// All steps.
    pub(crate) iteration: u64,
    /// The mean loss of the epoch's steps.
    pub(crate) mean_loss: f64,
    /// The handler of an event that has to run first when the run goes on.
    pub(crate) pending: Option<(Event, usize)>,
}

impl Progressed {
    /// Nothing is done.
    pub(crate) fn start() -> Self {
        Self { closed: true, ..Self::default() }
    }

    /// The epoch that the next step belongs to.
    pub(crate) fn next_epoch(&self) -> u64 {
        if self.closed { self.epoch + 1 } else { self.epoch }
    }

    /// Begins an epoch, or goes on with one; says which.
    pub(crate) fn open_epoch(&mut self) -> bool {
        if !self.closed {
            return true;
        }
        *self = Self { epoch: self.epoch + 1, iteration: self.iteration, ..Self::default() };
        false
    }

    pub(crate) fn finish_step(&mut self, items: usize, loss: f64) {
        self.step += 1;
        self.iteration += 1;
        self.items += items as u64;
        self.mean_loss += (loss - self.mean_loss) / self.step as f64;
    }

    /// Whether steps of the epoch are still to come.
    fn is_within_epoch(&self) -> bool {
        !self.closed && !matches!(self.pending, Some((Event::EpochCompleted, _)))
    }

    pub(crate) fn close_epoch(&mut self) {
        self.closed = true;
    }
}

/// What `last.pt` holds under `mmar`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Record {
    schema: u32,
    seed: u64,
    progressed: Progressed,
    trainer: EngineRecord,
    evaluator: Option<EngineRecord>,
}

/// The part of an engine's state that outlives a stop.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct EngineRecord {
    best_metric: Option<(f64, u64)>,
    metrics: Vec<(String, f64)>,
    is_new_best: bool,
    /// Name and state of each handler.
    handlers: Vec<(String, Json)>,
}

impl EngineRecord {
    fn of(state: &EngineState, handlers: &[HandlerSlot]) -> Result<Self, Failure> {
        let handlers = handlers.iter().map(|slot| {
            let state = guard::guarded(|| slot.handler.state());
            state.map(|state| (slot.label.clone(), state)).map_err(|error| {
                Failure::new(error.code().name(), format!("`{}` failed in `state`: {error}", slot.label))
            })
        });
        Ok(Self {
            best_metric: state.best_metric,
            // JSON has no NaN
            metrics: state
                .metrics
                .iter()
                .filter(|(_, value)| value.is_finite())
                .map(|(k, v)| (k.clone(), *v))
                .collect(),
            is_new_best: state.is_new_best,
            handlers: handlers.collect::<Result<_, _>>()?,
        })
    }

    fn restore(&self, state: &mut EngineState, handlers: &mut [HandlerSlot]) -> Result<(), Failure> {
        state.best_metric = self.best_metric;
        state.metrics = self.metrics.iter().cloned().collect();
        state.is_new_best = self.is_new_best;
        for (index, slot) in handlers.iter_mut().enumerate() {
            // the same handler at the same place, or else by its name
            let kept = self.handlers.get(index).filter(|(label, _)| *label == slot.label);
            let kept = kept.or_else(|| self.handlers.iter().find(|(label, _)| *label == slot.label));
            if let Some((_, kept)) = kept
                && !kept.is_null()
            {
                guard::guarded(|| slot.handler.load_state(kept)).map_err(|error| {
                    Failure::new("cannot-resume", format!("`{}` does not take over its state: {error}", slot.label))
                })?;
            }
        }
        Ok(())
    }
}

/// Writes `last.pt` into the run folder.
pub(crate) fn save(trainer: &Trainer, evaluator: Option<&Evaluator>, context: &mut Context<'_>) -> Result<(), Failure> {
    let record = Record {
        schema: 1,
        seed: context.seed,
        progressed: trainer.progressed.clone(),
        trainer: EngineRecord::of(&trainer.core.state, &trainer.core.handlers)?,
        evaluator: evaluator.map(|it| EngineRecord::of(&it.core.state, &it.core.handlers)).transpose()?,
    };
    let path = context.folder.last_checkpoint();
    let failed = |error: String| {
        Failure::new("checkpoint-not-saved", format!("cannot write the checkpoint `{}`: {error}", path.display()))
            .note("a checkpoint that was there before is untouched")
    };
    let wanted = OBJECTS.iter().filter(|name| **name != "lr_scheduler" || context.objects.lr_scheduler.is_some());
    let wanted: Vec<(String, String)> = wanted.map(|&name| (name.to_owned(), name.to_owned())).collect();
    let tree = super::collect(&context.objects, &wanted).map_err(|error| failed(error.to_string()))?;
    let StateTree::Dict(mut entries) = tree else { return Err(Failure::bug("a checkpoint that is no dict")) };
    let record = serde_json::to_value(record).map_err(|error| failed(error.to_string()))?;
    entries.push(("mmar".into(), StateTree::from_json(&record)));
    entries.push(("scaler".into(), context.objects.scaler.state()));
    if trainer.progressed.is_within_epoch() {
        let states = trainer.core.metrics.iter().map(|slot| Ok((slot.label.as_str(), slot.state()?)));
        entries.push(("metrics".into(), StateTree::dict(states.collect::<Result<Vec<_>, Failure>>()?)));
    }
    torch_ext::checkpoint::write(&path, &StateTree::Dict(entries)).map_err(|error| failed(error.to_string()))?;
    context.wrote(&path);
    Ok(())
}

/// The tensors of a dict with their names.
fn named_tensors(state: &StateTree) -> Vec<(String, Tensor)> {
    let named = state.entries().iter().filter_map(|(key, value)| match key {
        StateKey::Str(name) => Some((name.clone(), value.as_tensor()?.shallow_clone())),
        StateKey::Int(_) => None,
    });
    named.collect()
}

/// A `last.pt` that a run goes on from.
#[derive(Debug)]
pub(crate) struct Point {
    pub(crate) path: PathBuf,
    pub(crate) seed: u64,
    pub(crate) progressed: Progressed,
    /// The config of the run so far.
    pub(crate) conf: Json,
    tree: StateTree,
    record: Record,
}

impl Point {
    /// Reads a `last.pt`.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let tree = torch_ext::checkpoint::read(path)
            .map_err(|error| Failure::new("cannot-resume", format!("cannot read the checkpoint `{shown}`: {error}")))?;
        let Some(record) = tree.get("mmar") else {
            return Err(Failure::usage("cannot-resume", format!("`{shown}` holds no run to go on with"))
                .note("runs are resumed from the `last.pt` in their run folder")
                .help("to start from the weights of another checkpoint, use `--set dont_load_ckpt_model=false MMAR_CKPT=…`"));
        };
        let record: Record = serde_json::from_value(record.to_json()).map_err(|error| {
            Failure::new("cannot-resume", format!("`{shown}` was written by another version of mmar: {error}"))
        })?;
        let conf = tree.get("train_conf").map_or(Json::Null, StateTree::to_json);
        Ok(Self { path: path.to_owned(), seed: record.seed, progressed: record.progressed.clone(), conf, tree, record })
    }

    /// Puts everything back where it was.
    pub(crate) fn restore(
        &self,
        trainer: &mut Trainer,
        evaluator: Option<&mut Evaluator>,
        context: &mut Context<'_>,
    ) -> Result<(), Failure> {
        let failed = |error: &byoc::Error| {
            Failure::new("cannot-resume", format!("the checkpoint `{}` does not fit this run", self.path.display()))
                .note(error.to_string())
        };
        let wanted = OBJECTS.iter().filter(|name| self.tree.get(name).is_some());
        let wanted: Vec<(String, String)> = wanted.map(|&name| (name.to_owned(), name.to_owned())).collect();
        super::restore(&mut context.objects, &self.tree, &wanted, true).map_err(|error| failed(&error))?;
        if let Some(scaler) = self.tree.get("scaler") {
            context.objects.scaler.load_state(scaler).map_err(|error| failed(&error))?;
        }
        trainer.progressed = self.progressed.clone();
        if let Some(states) = self.tree.get("metrics") {
            for slot in &mut trainer.core.metrics {
                slot.saved = states.get(&slot.label).map(named_tensors);
            }
        }
        let state = &mut trainer.core.state;
        (state.epoch, state.iteration) = (self.progressed.epoch, self.progressed.iteration);
        state.learning_rates = context.objects.optimizer.as_ref().map(|it| it.learning_rates()).unwrap_or_default();
        self.record.trainer.restore(state, &mut trainer.core.handlers)?;
        if let (Some(evaluator), Some(record)) = (evaluator, &self.record.evaluator) {
            record.restore(&mut evaluator.core.state, &mut evaluator.core.handlers)?;
        }
        Ok(())
    }

    /// What `run.json` and the banner say about it.
    pub(crate) fn describe(&self) -> String {
        format!("{} at step {} (epoch {})", self.path.display(), self.progressed.iteration, self.progressed.epoch)
    }

    /// Where the config of a resumed run differs from that of the run so far.
    pub(crate) fn differences(&self, conf: &Json) -> Differences {
        let mut all = Vec::new();
        compare(&self.conf, conf, &mut String::new(), &mut all);
        let decisive = |pointer: &str| {
            ["/train/model", "/train/optimizer", "/train/lr_scheduler/name", "/train/lr_scheduler/path"]
                .iter()
                .any(|prefix| pointer == *prefix || pointer.starts_with(&format!("{prefix}/")))
        };
        let (refused, listed) = all.into_iter().partition(|difference| decisive(&difference.pointer));
        Differences { refused, listed }
    }
}

/// How two configs differ.
#[derive(Debug, Default)]
pub(crate) struct Differences {
    /// Those that the saved state cannot go on with: network and optimizer.
    pub(crate) refused: Vec<Difference>,
    /// The others.
    pub(crate) listed: Vec<Difference>,
}

/// A value that differs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Difference {
    /// JSON pointer.
    pub(crate) pointer: String,
    /// Before; none if it was not there.
    pub(crate) before: Option<Json>,
    /// Now.
    pub(crate) now: Option<Json>,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = |value: &Option<Json>| value.as_ref().map_or_else(|| "not set".to_owned(), Json::to_string);
        write!(f, "`{}` was {}, is {}", self.pointer, shown(&self.before), shown(&self.now))
    }
}

fn compare(before: &Json, now: &Json, pointer: &mut String, differences: &mut Vec<Difference>) {
    match (before, now) {
        (Json::Object(a), Json::Object(b)) => {
            let keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
            for key in keys {
                nested(a.get(key), b.get(key), key, pointer, differences);
            }
        }
        (Json::Array(a), Json::Array(b)) => {
            for index in 0..a.len().max(b.len()) {
                nested(a.get(index), b.get(index), &index.to_string(), pointer, differences);
            }
        }
        // a checkpoint has one kind of number where JSON has two spellings: 1 and 1.0
        _ if before == now || (before.is_number() && before.as_f64() == now.as_f64()) => {}
        _ => differences.push(Difference {
            pointer: pointer.clone(),
            before: Some(before.clone()),
            now: Some(now.clone()),
        }),
    }
}

fn nested(
    before: Option<&Json>,
    now: Option<&Json>,
    key: &str,
    pointer: &mut String,
    differences: &mut Vec<Difference>,
) {
    let length = pointer.len();
    pointer.push('/');
    pointer.push_str(key);
    match (before, now) {
        (Some(before), Some(now)) => compare(before, now, pointer, differences),
        (before, now) => {
            differences.push(Difference { pointer: pointer.clone(), before: before.cloned(), now: now.cloned() });
        }
    }
    pointer.truncate(length);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Progressed, compare};

    #[test]
    fn an_epoch_goes_on_where_it_stopped() {
        let mut progressed = Progressed::start();
        assert_eq!(progressed.next_epoch(), 1);
        assert!(!progressed.open_epoch());
        progressed.finish_step(4, 1.0);
        progressed.finish_step(4, 2.0);
        assert_eq!((progressed.step, progressed.items, progressed.mean_loss), (2, 8, 1.5));
        assert_eq!(progressed.next_epoch(), 1);
        assert!(progressed.open_epoch(), "within the epoch");
        progressed.close_epoch();
        assert!(!progressed.open_epoch());
        assert_eq!((progressed.epoch, progressed.step, progressed.iteration), (2, 0, 2));
    }

    #[test]
    fn differences_are_told_by_pointer() {
        let before = json!({"epochs": 2, "train": {"model": {"args": {"channels": [1, 2]}}}, "lr": 1.0});
        let now = json!({"epochs": 3, "train": {"model": {"args": {"channels": [1, 4]}}}, "lr": 1, "amp": true});
        let mut differences = Vec::new();
        compare(&before, &now, &mut String::new(), &mut differences);
        let shown: Vec<String> = differences.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            ["`/epochs` was 2, is 3", "`/train/model/args/channels/1` was 2, is 4", "`/amp` was not set, is true"]
        );
    }
}
