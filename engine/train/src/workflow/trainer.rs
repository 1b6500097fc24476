//! The trainer: epochs of steps. MONAI: `SupervisedTrainer`.
//!
//! A step: forward pass and loss (under autocast with `amp`), checks, backward pass, optimizer, post transforms,
//! metrics, handlers. Before each step libtorch's generator is seeded from the run's seed and the number of the step,
//! so that dropout draws the same whether a run was interrupted or not, and whatever ran in between.

use std::time::{Duration, Instant};

use byoc::{Event, Loss, LossInput, Optimizer, Random, Result, Sample};
use mmar_data::Batch;
use tch::{Kind, Tensor};

use super::evaluator::not_recorded;
use super::guard::guarded;
use super::handlers::HandlerFailure;
use super::wording;
use super::{Context, Core, Evaluator};
use crate::checkpoint::last::{self, Progressed};
use crate::{Failure, Progress, SafePoint};

/// Told apart from the generators of transforms, which derive from the same seed.
const STEP_STREAM: u64 = 0x5354_4550;

/// How long a run may go on without a `last.pt`: writing one costs about as much as a few steps.
const SAVE_EVERY: Duration = Duration::from_mins(1);

/// The trainer of a run.
pub(crate) struct Trainer {
    pub(crate) core: Core,
    pub(crate) loss: Box<dyn Loss>,
    pub(crate) loss_label: String,
    pub(crate) optimizer_label: String,
    /// How far it is.
    pub(crate) progressed: Progressed,
    pub(crate) saved: Instant,
    /// The last step's batch, kept to try new components on if plugins may be exchanged.
    pub(crate) last_batch: Option<Batch>,
}

/// Why the epochs ended early, and the handler that has to run again when the run is resumed.
struct Halt {
    failure: Box<Failure>,
    pending: Option<(Event, usize)>,
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self { failure: Box::new(failure), pending: None }
    }
}

impl Trainer {
    /// All epochs that are left. A failed or interrupted run leaves a `last.pt`.
    pub(crate) fn run(
        &mut self,
        context: &mut Context<'_>,
        mut evaluator: Option<&mut Evaluator>,
        resume: Option<&last::Point>,
    ) -> Result<(), Failure> {
        match self.run_epochs(context, evaluator.as_deref_mut(), resume) {
            Ok(()) => Ok(()),
            Err(halt) => Err(self.wind_up(halt, context, evaluator)),
        }
    }

    fn run_epochs(
        &mut self,
        context: &mut Context<'_>,
        mut evaluator: Option<&mut Evaluator>,
        resume: Option<&last::Point>,
    ) -> Result<(), Halt> {
        if let Some(point) = resume {
            // handlers can tell a resumed run by its steps
            self.core.state.epoch = point.progressed.epoch;
            self.core.state.iteration = point.progressed.iteration;
        }
        self.fire(Event::Started, 0, context, evaluator.as_deref_mut())?;
        if let Some(point) = resume {
            point.restore(self, evaluator.as_deref_mut(), context)?;
            self.finish_pending(context, evaluator.as_deref_mut())?;
        }
        self.saved = Instant::now();
        let max_epochs = self.core.state.max_epochs;
        while context.stop.is_none() && self.progressed.next_epoch() <= max_epochs {
            self.run_epoch(context, evaluator.as_deref_mut())?;
            self.reload(SafePoint::Epoch, context, evaluator.as_deref_mut())?;
        }
        self.fire(Event::Completed, 0, context, evaluator.as_deref_mut())?;
        self.save_last(context, evaluator.as_deref(), None)?;
        Ok(())
    }

    /// Handlers of an event that an interrupted run had not come to.
    fn finish_pending(&mut self, context: &mut Context<'_>, evaluator: Option<&mut Evaluator>) -> Result<(), Halt> {
        let Some((event, handler)) = self.progressed.pending.take() else { return Ok(()) };
        self.fire(event, handler, context, evaluator)?;
        if event == Event::EpochCompleted {
            self.progressed.close_epoch();
        }
        Ok(())
    }

    fn run_epoch(&mut self, context: &mut Context<'_>, mut evaluator: Option<&mut Evaluator>) -> Result<(), Halt> {
        let started = Instant::now();
        let resumed = self.progressed.open_epoch();
        let epoch = self.progressed.epoch;
        self.core.state.epoch = epoch;
        context.observer.progress(&Progress::EpochStarted {
            role: self.core.state.role,
            epoch,
            max_epochs: self.core.state.max_epochs,
            steps: self.core.state.epoch_length,
            done: self.progressed.step,
        });
        self.core.reset_metrics();
        if resumed {
            self.core.resume_metrics()?;
        } else {
            self.fire(Event::EpochStarted, 0, context, evaluator.as_deref_mut())?;
        }
        let mut batches = self.core.loader.epoch(epoch, self.progressed.step as usize);
        while context.stop.is_none() {
            let step_started = Instant::now();
            let Some(batch) = batches.next() else { break };
            let waited = step_started.elapsed();
            self.core.state.iteration = self.progressed.iteration + 1;
            context.watch.at(epoch, self.core.state.iteration);
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => {
                    let failure = wording::plain(&error);
                    if !self.roll_back(&failure, context, evaluator.as_deref_mut())? {
                        return Err(failure.into());
                    }
                    batches = self.core.loader.epoch(epoch, self.progressed.step as usize);
                    continue;
                }
            };
            self.fire(Event::IterationStarted, 0, context, evaluator.as_deref_mut()).map_err(|halt| *halt.failure)?;
            let step = match self.step(&batch, context) {
                Err(failure) if self.roll_back(&failure, context, evaluator.as_deref_mut())? => {
                    self.step(&batch, context)?
                }
                result => result?,
            };
            let first_item = self.progressed.items as usize;
            tch::no_grad(|| self.core.finish_step(&batch, &step, first_item))?;
            self.record_step(context)?;
            self.progressed.finish_step(batch.items.len(), self.core.state.loss.unwrap_or(f64::NAN));
            drop(step);
            self.last_batch = context.reloader.is_some().then_some(batch);
            self.fire(Event::IterationCompleted, 0, context, evaluator.as_deref_mut())?;
            context.observer.progress(&Progress::Step {
                role: self.core.state.role,
                epoch,
                step: self.progressed.step,
                steps: self.core.state.epoch_length,
                iteration: self.core.state.iteration,
                loss: self.core.state.loss,
                learning_rate: self.core.state.learning_rates.first().copied(),
                duration: step_started.elapsed(),
                waited,
            });
            // After the last step the epoch is computed first: a resumed run could not do it from no step at all.
            if context.interrupt.is_requested() && self.progressed.step < self.core.state.epoch_length {
                return Err(self.interrupted().into());
            }
            if self.saved.elapsed() >= SAVE_EVERY {
                self.save_last(context, evaluator.as_deref(), None)?;
            }
            self.reload(SafePoint::Step, context, evaluator.as_deref_mut())?;
        }
        drop(batches);
        self.core.finish_epoch()?;
        self.record_epoch(context)?;
        if context.interrupt.is_requested() {
            return Err(Halt { failure: Box::new(self.interrupted()), pending: Some((Event::EpochCompleted, 0)) });
        }
        self.fire(Event::EpochCompleted, 0, context, evaluator)?;
        self.progressed.close_epoch();
        let mut metrics = self.core.state.metrics.clone();
        metrics.insert("train_loss_mean".into(), self.progressed.mean_loss);
        context.observer.progress(&Progress::EpochCompleted {
            role: self.core.state.role,
            epoch,
            max_epochs: self.core.state.max_epochs,
            metrics,
            key_metric: self.core.state.key_metric.clone(),
            is_new_best: self.core.state.is_new_best,
            duration: started.elapsed(),
        });
        Ok(())
    }

    /// Forward pass, loss, backward pass, update. The output has `image`, `label`, `pred` and `loss`.
    pub(crate) fn step(&mut self, batch: &Batch, context: &mut Context<'_>) -> Result<Sample, Failure> {
        let seed = Random::derive_seed(&[context.seed, STEP_STREAM, self.core.state.iteration]);
        tch::manual_seed(seed as i64);
        let position = self.core.position();
        let mut step = self.core.inputs(batch, context)?;
        let optimizer = optimizer(context)?;
        guarded(|| optimizer.zero_grad())
            .map_err(|error| wording::component(&self.optimizer_label, "zero_grad", position, &error))?;
        let (prediction, loss) = self.core.precision.run(|| {
            let image = step.tensor("image").map_err(|error| wording::plain(&error))?;
            let prediction = self.core.infer(&context.objects.model, image, true, &|| Ok(()))?;
            let loss = self.loss_of(&prediction, &step, batch)?;
            Ok::<_, Failure>((prediction, loss))
        })?;
        let value = self.checked(&loss, &prediction, batch, context)?;
        self.update(&loss, context)?;
        self.core.state.loss = Some(value);
        self.core.state.learning_rates = optimizer_rates(context);
        step.insert(
            "pred",
            super::output::full_precision(&prediction.detach()).map_err(|error| wording::plain(&error))?,
        );
        step.insert("loss", serde_json::json!(value));
        Ok(step)
    }

    fn loss_of(&self, prediction: &Tensor, step: &Sample, batch: &Batch) -> Result<Tensor, Failure> {
        let label = step.tensor("label").ok();
        let call = LossInput {
            inputs: std::slice::from_ref(prediction),
            target: label,
            mask: batch.sample.tensor("mask").ok(),
            batch: Some(&batch.sample),
        };
        let loss = guarded(|| {
            let loss = self.loss.forward_full(&call)?;
            // with `reduction: none` the trainer averages, as MONAI's does
            if loss.dim() > 0 { Ok(loss.f_mean(None)?) } else { Ok(loss) }
        });
        loss.map_err(|error| {
            let failure = wording::component(&self.loss_label, "forward", self.core.position(), &error);
            let mut named = vec![("pred", prediction)];
            named.extend(label.map(|label| ("label", label)));
            explain_sizes(failure.note(wording::tensors(&named)), prediction, step, batch)
        })
    }

    /// The loss as a number, if a network can learn from it.
    fn checked(
        &self,
        loss: &Tensor,
        prediction: &Tensor,
        batch: &Batch,
        context: &Context<'_>,
    ) -> Result<f64, Failure> {
        let position = self.core.position();
        if !loss.requires_grad() {
            return Err(Failure::new("loss-detached", format!("`{}` gave a loss without a gradient {position}", self.loss_label))
                .note("the loss does not depend on the network's parameters any more, so nothing can be learnt from it")
                .help("compose the loss of tensor operations: `detach`, `double_value`, `argmax`, comparisons and `no_grad` cut the gradient"));
        }
        let value = loss.detach().f_to_kind(Kind::Double).and_then(|loss| loss.f_double_value(&[]));
        let value = value.map_err(|error| wording::component(&self.loss_label, "forward", position, &error.into()))?;
        if value.is_finite() {
            return Ok(value);
        }
        let mut failure =
            Failure::new("non-finite-loss", format!("the loss of `{}` is {value} {position}", self.loss_label));
        let diverged = context.objects.model.non_finite();
        let finite = |tensor: &Tensor| {
            tch::no_grad(|| tensor.f_isfinite()?.f_all()?.f_int64_value(&[])).map_or(true, |all| all != 0)
        };
        if let Some(first) = diverged.first() {
            failure = failure
                .note(format!(
                    "{} of the network's parameters hold values that are no finite numbers, `{first}` among them",
                    diverged.len()
                ))
                .help("the training diverged: lower the learning rate, or switch `amp` off");
        } else if batch.sample.tensor("image").is_ok_and(|image| !finite(image)) {
            failure = failure.note("the image of this batch holds values that are no finite numbers");
        } else if finite(prediction) {
            failure = failure.note("the network's prediction is finite: the loss itself is the cause");
        } else {
            failure = failure
                .note("the network's prediction holds values that are no finite numbers, its parameters do not")
                .help("lower the learning rate, or switch `amp` off");
        }
        for file in wording::files(&batch.items, "image") {
            failure = failure.note(format!("in this batch: `{file}`"));
        }
        Err(failure)
    }

    fn update(&mut self, loss: &Tensor, context: &mut Context<'_>) -> Result<(), Failure> {
        let position = self.core.position();
        let scaler = &mut context.objects.scaler;
        guarded(|| Ok(scaler.scale(loss)?.f_backward()?))
            .map_err(|error| wording::component(&self.loss_label, "backward", position, &error))?;
        let parameters: Vec<Tensor> =
            context.objects.model.parameters().map(|named| named.tensor.shallow_clone()).collect();
        let Some(optimizer) = &mut context.objects.optimizer else { return Ok(()) };
        guarded(|| {
            if scaler.unscale_and_check(&parameters)? {
                optimizer.step()?;
            }
            scaler.update()
        })
        .map_err(|error| wording::component(&self.optimizer_label, "step", position, &error))
    }

    fn record_step(&self, context: &mut Context<'_>) -> Result<(), Failure> {
        let state = &self.core.state;
        let values = [("train_loss", state.loss), ("learning_rate", state.learning_rates.first().copied())];
        let values = values.into_iter().filter_map(|(label, value)| Some((label, value?)));
        context.recorder.line("train_step", state.epoch, state.iteration, values).map_err(|error| not_recorded(&error))
    }

    fn record_epoch(&self, context: &mut Context<'_>) -> Result<(), Failure> {
        let state = &self.core.state;
        let mean = [("train_loss_mean", self.progressed.mean_loss)];
        let values = state.metrics.iter().map(|(label, value)| (label.as_str(), *value)).chain(mean);
        context.recorder.line("train_epoch", state.epoch, state.iteration, values).map_err(|error| not_recorded(&error))
    }

    fn interrupted(&self) -> Failure {
        Failure::interrupted(format!("interrupted after {}", self.where_it_is()))
    }

    fn fire(
        &mut self,
        event: Event,
        first: usize,
        context: &mut Context<'_>,
        evaluator: Option<&mut Evaluator>,
    ) -> Result<(), Halt> {
        self.core.fire(event, first, context, evaluator).map_err(|HandlerFailure { index, failure }| Halt {
            failure: Box::new(failure),
            pending: matches!(event, Event::IterationCompleted | Event::EpochCompleted).then_some((event, index)),
        })
    }

    /// Tells the handlers of a failure, saves what there is, and says so.
    fn wind_up(&mut self, halt: Halt, context: &mut Context<'_>, mut evaluator: Option<&mut Evaluator>) -> Failure {
        let Halt { failure, pending } = halt;
        let mut failure = *failure;
        if !failure.is_interrupted()
            && let Err(second) = self.core.fire(Event::ExceptionRaised, 0, context, evaluator.as_deref_mut())
        {
            failure = failure.note(format!("besides, {}", second.failure.message()));
        }
        if self.progressed.iteration == 0 {
            return failure.note("no step was completed, so there is nothing to save");
        }
        if !context.objects.model.non_finite().is_empty() {
            return failure.note("no checkpoint was written: the parameters are no finite numbers any more");
        }
        match self.save_last(context, evaluator.as_deref(), pending) {
            Ok(()) => failure
                .note(format!(
                    "checkpoint written: {}, {}",
                    context.folder.last_checkpoint().display(),
                    self.where_it_is()
                ))
                .help(format!("go on with `--resume {}`", context.folder.path().display())),
            Err(second) => failure.note(second.message()),
        }
    }

    fn save_last(
        &mut self,
        context: &mut Context<'_>,
        evaluator: Option<&Evaluator>,
        pending: Option<(Event, usize)>,
    ) -> Result<(), Failure> {
        self.progressed.pending = pending;
        last::save(self, evaluator, context)?;
        self.saved = Instant::now();
        Ok(())
    }

    fn where_it_is(&self) -> String {
        format!("step {} (epoch {})", self.progressed.iteration, self.progressed.epoch)
    }
}

fn optimizer<'c>(context: &'c mut Context<'_>) -> Result<&'c mut Box<dyn Optimizer>, Failure> {
    context.objects.optimizer.as_mut().ok_or_else(|| Failure::bug("a trainer without an optimizer"))
}

fn optimizer_rates(context: &Context<'_>) -> Vec<f64> {
    context.objects.optimizer.as_ref().map(|optimizer| optimizer.learning_rates()).unwrap_or_default()
}

/// What most often lies behind a loss that fails: a label of another size than its image, or other channels.
fn explain_sizes(failure: Failure, prediction: &Tensor, step: &Sample, batch: &Batch) -> Failure {
    let (Ok(image), Ok(label)) = (step.tensor("image"), step.tensor("label")) else {
        let keys: Vec<String> = batch.sample.keys().map(|key| format!("`{key}`")).collect();
        return failure.help(format!(
            "the batch has no `label`, only {}: check the data list and the keys of the transforms",
            keys.join(", ")
        ));
    };
    let (image, label, prediction) = (image.size(), label.size(), prediction.size());
    if image.len() == label.len() && image.len() > 2 && image[2..] != label[2..] {
        let files = wording::files(&batch.items, "image").into_iter().zip(wording::files(&batch.items, "label"));
        let failure = files.fold(failure, |failure, (image, label)| failure.note(format!("`{image}` with `{label}`")));
        return failure.help(format!(
            "the label must have the size of its image: `image` is {:?}, `label` is {:?} (without batch and channels); \
             list `label` in the keys of every spatial transform",
            &image[2..],
            &label[2..]
        ));
    }
    if prediction.len() == label.len() && prediction.len() > 2 && prediction[1] != label[1] && label[1] != 1 {
        return failure.help(format!(
            "the network gives {} channels, the label has {}: set the network's `out_channels` or the loss's `to_onehot_y`",
            prediction[1], label[1]
        ));
    }
    if prediction.len() == label.len() && prediction.len() > 2 && prediction[2..] != label[2..] {
        return failure.help(format!(
            "the network's output is {:?}, the label {:?} (without batch and channels): sizes must be such that the \
             network gives back the size of its input, often a multiple of 16 or 32",
            &prediction[2..],
            &label[2..]
        ));
    }
    failure
}
