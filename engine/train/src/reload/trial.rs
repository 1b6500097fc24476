//! New components are tried on the data of the last step before they take over: most mistakes show at the first call.

use byoc::{LossInput, Result, Sample};
use mmar_data::Batch;
use tch::Tensor;

use super::replacement::{Parts, Replacement};
use crate::Failure;
use crate::workflow::guard::guarded;
use crate::workflow::{Context, Core, Evaluator, Trainer, wording};

impl Replacement {
    /// Calls each new component once. The run's own objects and generators are as before afterwards: each step seeds
    /// libtorch's generator anew.
    pub(super) fn tried(
        &self,
        trainer: &Trainer,
        evaluator: Option<&Evaluator>,
        context: &Context<'_>,
    ) -> Result<(), Failure> {
        self.trainer.tried(&trainer.core)?;
        if let Some(evaluator) = evaluator {
            self.evaluator.tried(&evaluator.core)?;
        }
        let Some(batch) = &trainer.last_batch else { return Ok(()) };
        let inputs = trainer.core.inputs(batch, context)?;
        let image = inputs.tensor("image").map_err(|error| wording::plain(&error))?;
        let model = self.network.as_ref().map_or(&context.objects.model, |network| &network.model);
        let position = trainer.core.position();
        // in evaluation mode, which changes no running mean
        let prediction = tch::no_grad(|| guarded(|| model.network.forward(image, false)));
        let prediction = prediction.map_err(|error| {
            wording::component(&model.label, "forward", position, &error).note(wording::tensors(&[("input", image)]))
        })?;
        if self.loss.is_none() {
            return Ok(());
        }
        guarded(|| self.gradient(&prediction, &inputs, batch)).map_err(|error| {
            wording::component(&trainer.loss_label, "forward", position, &error)
                .note(wording::tensors(&[("pred", &prediction)]))
        })
    }

    /// The loss of a prediction must lead back to it.
    fn gradient(&self, prediction: &Tensor, inputs: &Sample, batch: &Batch) -> Result<()> {
        let Some(loss) = &self.loss else { return Ok(()) };
        let prediction = prediction.f_detach()?.f_to_kind(tch::Kind::Float)?.set_requires_grad(true);
        let value = loss.forward_full(&LossInput {
            inputs: std::slice::from_ref(&prediction),
            target: inputs.tensor("label").ok(),
            mask: batch.sample.tensor("mask").ok(),
            batch: Some(&batch.sample),
        })?;
        let value = if value.dim() > 0 { value.f_mean(None)? } else { value };
        byoc::ensure!(
            value.requires_grad(),
            "the loss does not depend on the prediction any more: `detach`, `double_value`, `argmax` and comparisons cut \
             the gradient"
        );
        Ok(value.f_backward()?)
    }
}

impl Parts {
    fn tried(&self, core: &Core) -> Result<(), Failure> {
        if let Some(loader) = &self.loader {
            let dataset = loader.dataset();
            let first = guarded(|| dataset.get(0, core.state.epoch, &dataset.chain()?));
            first.map_err(|error| wording::plain(&error))?;
        }
        for (index, metric) in &self.metrics {
            guarded(|| metric.state()).map_err(|error| {
                wording::component(&core.metrics[*index].component, "state", core.position(), &error)
            })?;
        }
        Ok(())
    }
}
