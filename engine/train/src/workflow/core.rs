//! What trainer and evaluator have in common: batches, the forward pass, outputs, metrics, events.

use std::collections::BTreeMap;

use byoc::{EngineRole, EngineState, Event, Inferer, Result, Sample};
use mmar_data::{Batch, DataLoader};
use tch::{Kind, Tensor};

use super::guard::guarded;
use super::handlers::{HandlerFailure, View, fire};
use super::wording::{self, Position};
use super::{Context, Evaluator, HandlerSlot, MetricSlot, ModelHandle, Postprocessing, Precision};
use crate::Failure;

/// The parts that a config names for either engine.
pub(crate) struct Core {
    pub(crate) loader: DataLoader,
    pub(crate) inferer: Box<dyn Inferer>,
    pub(crate) inferer_label: String,
    pub(crate) postprocessing: Postprocessing,
    pub(crate) metrics: Vec<MetricSlot>,
    pub(crate) handlers: Vec<HandlerSlot>,
    pub(crate) precision: Precision,
    pub(crate) state: EngineState,
    /// The last step's output.
    pub(crate) outputs: Vec<Sample>,
}

impl Core {
    /// The state of an engine that has done nothing yet.
    pub(crate) fn initial_state(
        role: EngineRole,
        max_epochs: u64,
        epoch_length: u64,
        metrics: &[MetricSlot],
    ) -> EngineState {
        EngineState {
            role,
            epoch: 0,
            max_epochs,
            iteration: 0,
            epoch_length,
            loss: None,
            metrics: BTreeMap::new(),
            key_metric: metrics.iter().find(|slot| slot.is_key).map(|slot| slot.label.clone()),
            best_metric: None,
            is_new_best: false,
            learning_rates: Vec::new(),
        }
    }

    pub(crate) fn position(&self) -> Position {
        Position { epoch: self.state.epoch, iteration: self.state.iteration }
    }

    /// Calls the handlers, from the one at `first` on.
    pub(crate) fn fire(
        &mut self,
        event: Event,
        first: usize,
        context: &mut Context<'_>,
        validator: Option<&mut Evaluator>,
    ) -> Result<(), HandlerFailure> {
        let Self { handlers, state, outputs, metrics, .. } = self;
        fire(handlers, event, first, &mut View { state, outputs, metrics, context, validator })
    }

    /// Image and label of a batch on the run's device. Images become float32, which is what networks compute in.
    pub(crate) fn inputs(&self, batch: &Batch, context: &Context<'_>) -> Result<Sample, Failure> {
        let mut inputs = Sample::new();
        let moved = guarded(|| {
            let image = batch.sample.tensor("image")?;
            let floating = matches!(image.kind(), Kind::Float | Kind::Double | Kind::Half | Kind::BFloat16);
            let image = if floating { image.shallow_clone() } else { image.f_to_kind(Kind::Float)? };
            inputs.insert("image", image.f_to_device(context.device)?);
            if let Ok(label) = batch.sample.tensor("label") {
                inputs.insert("label", label.f_to_device(context.device)?);
            }
            Ok(())
        });
        moved.map_err(|error| wording::plain(&error).note(format!("the batch {}", self.position())))?;
        Ok(inputs)
    }

    /// The network's prediction.
    pub(crate) fn infer(
        &self,
        model: &ModelHandle,
        image: &Tensor,
        train: bool,
        go_on: &dyn Fn() -> Result<()>,
    ) -> Result<Tensor, Failure> {
        // the network's own error, which an inferer may have wrapped
        let mut from_network = None;
        let predicted = guarded(|| {
            self.inferer.infer(image, &mut |window| {
                go_on()?;
                let predicted = guarded(|| model.network.forward(window, train));
                if let Err(error) = &predicted {
                    let window = wording::tensors(&[("input", window)]);
                    from_network =
                        Some(wording::component(&model.label, "forward", self.position(), error).note(window));
                }
                predicted
            })
        });
        predicted.map_err(|error| {
            from_network.unwrap_or_else(|| {
                wording::component(&self.inferer_label, "infer", self.position(), &error)
                    .note(wording::tensors(&[("image", image)]))
            })
        })
    }

    /// Post transforms and metrics of a step.
    pub(crate) fn finish_step(&mut self, batch: &Batch, step: &Sample, first_item: usize) -> Result<(), Failure> {
        let outputs = guarded(|| self.postprocessing.apply(batch, step, self.state.epoch, first_item));
        self.outputs = outputs
            .map_err(|error| wording::plain(&error).note(format!("among the post transforms, {}", self.position())))?;
        let (position, batched) = (self.position(), !self.postprocessing.decollates);
        for slot in &mut self.metrics {
            slot.update(&self.outputs, batched, position)?;
        }
        Ok(())
    }

    pub(crate) fn reset_metrics(&mut self) {
        for slot in &mut self.metrics {
            slot.reset();
        }
    }

    /// Lets the metrics go on within the epoch of a run that is resumed.
    pub(crate) fn resume_metrics(&mut self) -> Result<(), Failure> {
        self.metrics.iter_mut().try_for_each(MetricSlot::resume)
    }

    /// Computes the metrics of the epoch that is over, and compares the key metric with its best.
    pub(crate) fn finish_epoch(&mut self) -> Result<(), Failure> {
        let position = self.position();
        self.state.metrics.clear();
        for slot in &self.metrics {
            let value = slot.compute(position)?;
            self.state.metrics.insert(slot.label.clone(), value);
        }
        let key = self.state.key_metric.as_ref().and_then(|label| self.state.metrics.get(label)).copied();
        let best = self.state.best_metric.map_or(f64::NEG_INFINITY, |(best, _)| best);
        // NaN is never better
        self.state.is_new_best = key.is_some_and(|value| value > best);
        if let (true, Some(value)) = (self.state.is_new_best, key) {
            self.state.best_metric = Some((value, self.state.epoch));
        }
        Ok(())
    }
}
