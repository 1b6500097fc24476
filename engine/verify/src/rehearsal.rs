//! A run as a handler sees it, without anything that computes: the losses and metrics are given, and what the handler
//! asks for is written down. Reference cases and conformance tests of handlers are played on it.

use std::path::{Path, PathBuf};

use byoc::{CheckpointRequest, Engine, EngineRole, EngineState, Event, Handler, Result, Sample};

/// What happens in the run.
#[derive(Debug, Clone)]
pub struct Script {
    /// Trainer or evaluator.
    pub role: EngineRole,
    /// Steps in an epoch; may be 0.
    pub epoch_length: u64,
    /// How many epochs there are.
    pub epochs: u64,
    /// The loss of each step, epoch after epoch; none in an evaluator.
    pub losses: Vec<f64>,
    /// Each epoch's value of a metric, by its label; the first one is the key metric.
    pub metrics: Vec<(String, Vec<f64>)>,
    /// Where relative paths of the config start.
    pub folder: PathBuf,
}

/// Something that the handler asked for, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct Note {
    /// The epoch, from 1; 0 before the first.
    pub epoch: u64,
    /// The step since the start of the run, from 1; 0 before the first.
    pub iteration: u64,
    /// During which event.
    pub event: Event,
    /// What.
    pub request: Request,
}

/// What a handler can ask of an engine.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// End the run, for this reason.
    Stop(String),
    /// Write a number under a label.
    Record(String, f64),
    /// Run the evaluator.
    Validation,
    /// Move the learning-rate schedule on.
    Schedule(Option<f64>),
    /// Write a checkpoint.
    Save(CheckpointRequest),
    /// Read a checkpoint.
    Load(CheckpointRequest),
}

/// An engine that follows a [`Script`].
#[derive(Debug)]
pub struct Rehearsal {
    script: Script,
    state: EngineState,
    output: Vec<Sample>,
    event: Event,
    notes: Vec<Note>,
    stop: Option<String>,
}

impl Rehearsal {
    /// An engine at the start of its run.
    pub fn new(script: Script) -> Self {
        let is_trainer = script.role == EngineRole::Trainer;
        let state = EngineState {
            role: script.role,
            epoch: 0,
            max_epochs: script.epochs,
            iteration: 0,
            epoch_length: script.epoch_length,
            loss: None,
            metrics: std::collections::BTreeMap::new(),
            key_metric: script.metrics.first().map(|(label, _)| label.clone()),
            best_metric: None,
            is_new_best: false,
            learning_rates: if is_trainer { vec![0.01] } else { Vec::new() },
        };
        Self { script, state, output: Vec::new(), event: Event::Started, notes: Vec::new(), stop: None }
    }

    /// Gives the engine an output, the same at each step.
    #[must_use]
    pub fn with_output(mut self, output: Vec<Sample>) -> Self {
        self.output = output;
        self
    }

    /// The whole run, to its end or to where the handler stops it.
    pub fn perform(&mut self, handler: &mut dyn Handler) -> Result<()> {
        self.fire(Event::Started, handler)?;
        self.epochs(handler, self.script.epochs)?;
        self.fire(Event::Completed, handler)
    }

    /// The epochs from here to the one with this number.
    pub fn epochs(&mut self, handler: &mut dyn Handler, last: u64) -> Result<()> {
        while self.stop.is_none() && self.state.epoch < last {
            self.state.epoch += 1;
            self.epoch(handler)?;
        }
        Ok(())
    }

    fn epoch(&mut self, handler: &mut dyn Handler) -> Result<()> {
        self.fire(Event::EpochStarted, handler)?;
        for _ in 0..self.script.epoch_length {
            if self.stop.is_some() {
                break;
            }
            self.state.iteration += 1;
            self.fire(Event::IterationStarted, handler)?;
            self.state.loss = self.script.losses.get(self.state.iteration as usize - 1).copied();
            self.fire(Event::IterationCompleted, handler)?;
        }
        let index = self.state.epoch as usize - 1;
        for (label, values) in &self.script.metrics {
            if let Some(value) = values.get(index) {
                self.state.metrics.insert(label.clone(), *value);
            }
        }
        let key = self.state.key_metric.as_ref().and_then(|label| self.state.metrics.get(label)).copied();
        self.state.is_new_best = key.is_some_and(|value| self.state.best_metric.is_none_or(|(best, _)| value > best));
        if self.state.is_new_best {
            self.state.best_metric = key.map(|value| (value, self.state.epoch));
        }
        self.fire(Event::EpochCompleted, handler)
    }

    /// One event, where the run stands.
    pub fn fire(&mut self, event: Event, handler: &mut dyn Handler) -> Result<()> {
        self.event = event;
        handler.handle(event, self)
    }

    /// What the handler asked for so far.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Why the handler stopped the run, if it did.
    pub fn stopped(&self) -> Option<&str> {
        self.stop.as_deref()
    }

    /// Where the run stands.
    pub fn position(&self) -> &EngineState {
        &self.state
    }

    fn note(&mut self, request: Request) {
        let (epoch, iteration, event) = (self.state.epoch, self.state.iteration, self.event);
        self.notes.push(Note { epoch, iteration, event, request });
    }
}

impl Engine for Rehearsal {
    fn state(&self) -> &EngineState {
        &self.state
    }

    fn output(&self) -> &[Sample] {
        &self.output
    }

    fn request_stop(&mut self, reason: &str) {
        self.stop.get_or_insert_with(|| reason.to_owned());
        self.note(Request::Stop(reason.to_owned()));
    }

    fn record(&mut self, label: &str, value: f64) -> Result<()> {
        self.note(Request::Record(label.to_owned(), value));
        Ok(())
    }

    fn resolve_path(&self, path: &Path) -> PathBuf {
        self.script.folder.join(path)
    }

    fn run_validation(&mut self) -> Result<()> {
        self.note(Request::Validation);
        Ok(())
    }

    fn step_lr_scheduler(&mut self, metric: Option<f64>) -> Result<Vec<f64>> {
        self.note(Request::Schedule(metric));
        for rate in &mut self.state.learning_rates {
            *rate *= 0.9;
        }
        Ok(self.state.learning_rates.clone())
    }

    fn save_checkpoint(&mut self, request: &CheckpointRequest) -> Result<()> {
        self.note(Request::Save(request.clone()));
        Ok(())
    }

    fn load_checkpoint(&mut self, request: &CheckpointRequest) -> Result<()> {
        self.note(Request::Load(request.clone()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use byoc::{Engine, EngineRole, Event, Handler, Result};

    use super::{Rehearsal, Request, Script};

    /// Writes down what it sees at the end of each epoch, and stops at a loss below 1.
    struct Witness;

    impl Handler for Witness {
        fn handle(&mut self, event: Event, engine: &mut dyn Engine) -> Result<()> {
            let state = engine.state().clone();
            if event == Event::EpochCompleted {
                engine.record("best", state.best_metric.map_or(-1.0, |(value, _)| value))?;
            }
            if event == Event::IterationCompleted && state.loss.is_some_and(|loss| loss < 1.0) {
                engine.request_stop("low enough");
            }
            Ok(())
        }
    }

    #[test]
    fn the_run_follows_its_script_until_it_is_stopped() {
        let script = Script {
            role: EngineRole::Trainer,
            epoch_length: 2,
            epochs: 9,
            losses: vec![3.0, 2.0, 4.0, 2.0, 0.5, 9.0],
            metrics: vec![("dice".into(), vec![0.5, 0.25, 0.75])],
            folder: "/mmar".into(),
        };
        let mut run = Rehearsal::new(script);
        run.perform(&mut Witness).unwrap();
        let recorded: Vec<_> = run.notes().iter().map(|note| (note.epoch, note.iteration, &note.request)).collect();
        let best = |value| Request::Record("best".into(), value);
        let expected =
            [(1, 2, best(0.5)), (2, 4, best(0.5)), (3, 5, Request::Stop("low enough".into())), (3, 5, best(0.75))];
        assert_eq!(recorded, expected.each_ref().map(|(epoch, step, request)| (*epoch, *step, request)));
        assert_eq!(run.stopped(), Some("low enough"));
    }
}
