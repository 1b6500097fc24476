//! Metrics of an engine, updated after each step and computed when an epoch is over.

use byoc::{Error, ExpressionForm, Metric, Result, Sample, StateTree};
use tch::Tensor;

use super::guard::guarded;
use super::select;
use super::wording::{self, Position};
use crate::Failure;

/// A metric and its place in logs.
pub(crate) struct MetricSlot {
    /// The component's name in messages.
    pub(crate) component: String,
    /// The name in logs and files: `val_mean_dice`.
    pub(crate) label: String,
    /// Whether the best model is chosen by it.
    pub(crate) is_key: bool,
    /// What of the output it sees: prediction and label.
    pub(crate) output_transform: ExpressionForm,
    /// The metric.
    pub(crate) metric: Box<dyn Metric>,
    /// What it had taken in when the run that is resumed stopped within an epoch.
    pub(crate) saved: Option<Vec<(String, Tensor)>>,
}

impl MetricSlot {
    /// What a metric sees when the config says nothing.
    pub(crate) fn default_transform() -> ExpressionForm {
        ExpressionForm::FromEngine { keys: vec!["pred".into(), "label".into()], first: false }
    }

    pub(crate) fn reset(&mut self) {
        // a panic shows again at the first update, with a position
        let _ = guarded(|| {
            self.metric.reset();
            Ok(())
        });
    }

    /// What it took in since the epoch began.
    pub(crate) fn state(&self) -> Result<StateTree, Failure> {
        let state = guarded(|| self.metric.state()).map_err(|error| {
            Failure::new(error.code().name(), format!("`{}` failed in `state`: {error}", self.component))
        })?;
        Ok(StateTree::dict(state.into_iter().map(|(name, tensor)| (name, StateTree::Tensor(tensor)))))
    }

    /// Goes on within the epoch of a run that is resumed.
    pub(crate) fn resume(&mut self) -> Result<(), Failure> {
        let Some(saved) = self.saved.take() else { return Ok(()) };
        guarded(|| self.metric.load_state(&saved)).map_err(|error| {
            Failure::new("cannot-resume", format!("`{}` does not take over its state: {error}", self.component))
        })
    }

    /// Takes in an output: `batched` says whether its samples have a batch axis already.
    pub(crate) fn update(&mut self, outputs: &[Sample], batched: bool, position: Position) -> Result<(), Failure> {
        let pairs = select::tensors(&self.output_transform, outputs)
            .map_err(|error| self.failed("update", position, &error))?;
        for pair in pairs {
            let [prediction, label] = pair.as_slice() else {
                let error = Error::invalid_argument(
                    "a metric needs a prediction and a label, such as `#monai.handlers.from_engine(['pred', 'label'])`",
                );
                return Err(self.failed("update", position, &error));
            };
            let with_batch = |tensor: &Tensor| if batched { Ok(tensor.shallow_clone()) } else { tensor.f_unsqueeze(0) };
            let metric = &mut self.metric;
            guarded(|| metric.update(&with_batch(prediction)?, &with_batch(label)?)).map_err(|error| {
                self.failed("update", position, &error)
                    .note(wording::tensors(&[("prediction", prediction), ("label", label)]))
            })?;
        }
        Ok(())
    }

    pub(crate) fn compute(&self, position: Position) -> Result<f64, Failure> {
        guarded(|| self.metric.compute()).map_err(|error| self.failed("compute", position, &error))
    }

    fn failed(&self, call: &str, position: Position, error: &Error) -> Failure {
        wording::component(&self.component, call, position, error).note(format!("its label is `{}`", self.label))
    }
}
