//! Events: the handlers of an engine, called in the order of the config, and what they see of the engine.

use std::path::{Path, PathBuf};

use byoc::{CheckpointRequest, Engine, EngineState, Event, Handler, Result, Sample};
use tch::Tensor;

use super::guard::guarded;
use super::wording::{self, Position};
use super::{Context, Evaluator, MetricSlot};
use crate::Failure;

/// A handler and its name in messages.
pub(crate) struct HandlerSlot {
    pub(crate) label: String,
    pub(crate) handler: Box<dyn Handler>,
}

/// An engine in the middle of an event, as its handlers see it.
pub(crate) struct View<'v, 'c> {
    pub(crate) state: &'v mut EngineState,
    pub(crate) outputs: &'v [Sample],
    pub(crate) metrics: &'v [MetricSlot],
    pub(crate) context: &'v mut Context<'c>,
    /// The evaluator of a training run.
    pub(crate) validator: Option<&'v mut Evaluator>,
}

/// A handler that failed: its place in the list, so that a resumed run can go on with it.
#[derive(Debug)]
pub(crate) struct HandlerFailure {
    pub(crate) index: usize,
    pub(crate) failure: Failure,
}

/// Calls the handlers from the one at `first` on.
pub(crate) fn fire(
    handlers: &mut [HandlerSlot],
    event: Event,
    first: usize,
    view: &mut View<'_, '_>,
) -> Result<(), HandlerFailure> {
    for (index, slot) in handlers.iter_mut().enumerate().skip(first) {
        let called = guarded(|| slot.handler.handle(event, view));
        if let Err(error) = called {
            let position = Position { epoch: view.state.epoch, iteration: view.state.iteration };
            // an error from deep within the engine tells its own story better
            let failure = view.context.failure.take();
            let failure = failure.unwrap_or_else(|| wording::component(&slot.label, name(event), position, &error));
            return Err(HandlerFailure { index, failure });
        }
    }
    Ok(())
}

/// The event's name in messages.
fn name(event: Event) -> &'static str {
    match event {
        Event::Started => "started",
        Event::EpochStarted => "epoch_started",
        Event::IterationStarted => "iteration_started",
        Event::IterationCompleted => "iteration_completed",
        Event::EpochCompleted => "epoch_completed",
        Event::Completed => "completed",
        Event::ExceptionRaised => "exception_raised",
        _ => "handle",
    }
}

impl Engine for View<'_, '_> {
    fn state(&self) -> &EngineState {
        self.state
    }

    fn output(&self) -> &[Sample] {
        self.outputs
    }

    fn request_stop(&mut self, reason: &str) {
        self.context.stop.get_or_insert_with(|| reason.to_owned());
    }

    fn record(&mut self, label: &str, value: f64) -> Result<()> {
        self.context.record(label, value, self.state.epoch, self.state.iteration)
    }

    fn resolve_path(&self, path: &Path) -> PathBuf {
        self.context.resolve(path)
    }

    fn run_validation(&mut self) -> Result<()> {
        let Some(evaluator) = &mut self.validator else {
            return Err(byoc::Error::invalid_argument("the config has no `validate` section to run"));
        };
        evaluator.validate(self.context, self.state).map_err(|failure| {
            let error = byoc::Error::msg(failure.message());
            self.context.failure = Some(failure);
            error
        })
    }

    fn step_lr_scheduler(&mut self, metric: Option<f64>) -> Result<Vec<f64>> {
        let rates = self.context.step_lr_scheduler(metric)?;
        self.state.learning_rates.clone_from(&rates);
        Ok(rates)
    }

    fn save_checkpoint(&mut self, request: &CheckpointRequest) -> Result<()> {
        self.context.save(request)
    }

    fn load_checkpoint(&mut self, request: &CheckpointRequest) -> Result<()> {
        self.context.load(request)
    }

    fn metric_details(&self, label: &str) -> Option<Tensor> {
        self.metrics.iter().find(|slot| slot.label == label)?.metric.details()
    }
}
