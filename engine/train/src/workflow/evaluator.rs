//! The evaluator: one pass over its data without gradients. MONAI: `SupervisedEvaluator`.

use std::time::Instant;

use byoc::{EngineState, Error, Event, Result, Sample};
use mmar_data::Batch;

use super::{Context, Core};
use crate::{Failure, Progress};

/// The evaluator of a run.
pub(crate) struct Evaluator {
    pub(crate) core: Core,
    /// `validation` inside a training run, else `evaluation`: the kind of its line in `metrics.jsonl`.
    pub(crate) kind: &'static str,
}

impl Evaluator {
    /// A validation inside a training run, under the trainer's epoch.
    pub(crate) fn validate(&mut self, context: &mut Context<'_>, trainer: &EngineState) -> Result<(), Failure> {
        self.core.state.max_epochs = trainer.max_epochs;
        self.run(context, trainer.epoch, trainer.iteration)
    }

    /// One epoch. `step` is what its line in `metrics.jsonl` says.
    pub(crate) fn run(&mut self, context: &mut Context<'_>, epoch: u64, step: u64) -> Result<(), Failure> {
        match self.run_epoch(context, epoch, step) {
            Err(failure) if !failure.is_interrupted() => {
                if let Err(second) = self.core.fire(Event::ExceptionRaised, 0, context, None) {
                    tracing::warn!("{}", second.failure);
                }
                Err(failure)
            }
            result => result,
        }
    }

    fn run_epoch(&mut self, context: &mut Context<'_>, epoch: u64, step: u64) -> Result<(), Failure> {
        let started = Instant::now();
        let core = &mut self.core;
        core.state.epoch = epoch;
        core.state.iteration = 0;
        let steps = core.state.epoch_length;
        fire(core, Event::Started, context)?;
        core.reset_metrics();
        context.observer.progress(&Progress::EpochStarted {
            role: core.state.role,
            epoch,
            max_epochs: core.state.max_epochs,
            steps,
            done: 0,
        });
        fire(core, Event::EpochStarted, context)?;
        let mut batches = core.loader.epoch(epoch, 0);
        let mut items = 0;
        loop {
            let step_started = Instant::now();
            let Some(batch) = batches.next() else { break };
            let waited = step_started.elapsed();
            core.state.iteration += 1;
            context.watch.at(epoch, core.state.iteration);
            let batch = batch.map_err(|error| super::wording::plain(&error))?;
            fire(core, Event::IterationStarted, context)?;
            step_of(core, &batch, items, context)?;
            items += batch.items.len();
            fire(core, Event::IterationCompleted, context)?;
            context.observer.progress(&Progress::Step {
                role: core.state.role,
                epoch,
                step: core.state.iteration,
                steps,
                iteration: core.state.iteration,
                loss: None,
                learning_rate: None,
                duration: step_started.elapsed(),
                waited,
            });
            stop_if_interrupted(context)?;
        }
        drop(batches);
        core.finish_epoch()?;
        let values = core.state.metrics.iter().map(|(label, value)| (label.as_str(), *value));
        context.recorder.line(self.kind, epoch, step, values).map_err(|error| not_recorded(&error))?;
        fire(core, Event::EpochCompleted, context)?;
        context.observer.progress(&Progress::EpochCompleted {
            role: core.state.role,
            epoch,
            max_epochs: core.state.max_epochs,
            metrics: core.state.metrics.clone(),
            key_metric: core.state.key_metric.clone(),
            is_new_best: core.state.is_new_best,
            duration: started.elapsed(),
        });
        fire(core, Event::Completed, context)?;
        // predictions of whole volumes are large
        core.outputs.clear();
        Ok(())
    }
}

/// The prediction for a batch, with post transforms and metrics.
pub(crate) fn step_of(
    core: &mut Core,
    batch: &Batch,
    first_item: usize,
    context: &mut Context<'_>,
) -> Result<Sample, Failure> {
    tch::no_grad(|| {
        let mut step = core.inputs(batch, context)?;
        let image = step.tensor("image").map_err(|error| super::wording::plain(&error))?.shallow_clone();
        let interrupt = context.interrupt;
        let go_on = || if interrupt.is_requested() { Err(Error::msg("interrupted")) } else { Ok(()) };
        let predicted = core.precision.run(|| core.infer(&context.objects.model, &image, false, &go_on));
        let prediction = predicted.map_err(|failure| if interrupt.is_requested() { interrupted() } else { failure })?;
        let prediction = super::output::full_precision(&prediction).map_err(|error| super::wording::plain(&error))?;
        step.insert("pred", prediction);
        core.finish_step(batch, &step, first_item)?;
        Ok(step)
    })
}

fn fire(core: &mut Core, event: Event, context: &mut Context<'_>) -> Result<(), Failure> {
    core.fire(event, 0, context, None).map_err(|error| error.failure)
}

fn stop_if_interrupted(context: &Context<'_>) -> Result<(), Failure> {
    if context.interrupt.is_requested() { Err(interrupted()) } else { Ok(()) }
}

fn interrupted() -> Failure {
    Failure::interrupted("interrupted during the evaluation")
}

pub(crate) fn not_recorded(error: &std::io::Error) -> Failure {
    Failure::new("cannot-write", format!("cannot write `metrics.jsonl`: {error}"))
}
