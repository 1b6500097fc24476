//! A loss as a metric.

use byoc::{Component, Loss, Metric, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Tensor;

use super::accumulated::{Accumulated, MetricReduction};
use crate::losses::NestedLoss;

byoc::register! { metrics: [LossMetric] }

/// The values of a loss (MONAI `LossMetric`): per batch, or per item and class with its `reduction: none`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LossMetricArgs {
    /// The loss: its name, or `{"name": "DiceLoss", "args": {"sigmoid": true}}`.
    loss_fn: NestedLoss,
    /// Over what the values are put together.
    #[serde(default)]
    reduction: MetricReduction,
    /// Accepted as MONAI has it; the count is always among the results.
    #[serde(default)]
    get_not_nans: bool,
}

/// See [`LossMetricArgs`].
pub struct LossMetric {
    loss: Box<dyn Loss>,
    reduction: MetricReduction,
    values: Accumulated,
}

impl Component for LossMetric {
    type Args = LossMetricArgs;

    fn new(args: LossMetricArgs) -> Result<Self> {
        let _ = args.get_not_nans;
        Ok(Self { loss: args.loss_fn.build()?, reduction: args.reduction, values: Accumulated::default() })
    }
}

impl Metric for LossMetric {
    fn reset(&mut self) {
        self.values.reset();
    }

    fn state(&self) -> Result<Vec<(String, Tensor)>> {
        self.values.state()
    }

    fn load_state(&mut self, state: &[(String, Tensor)]) -> Result<()> {
        self.values.load_state(state);
        Ok(())
    }

    fn update(&mut self, y_pred: &Tensor, y: &Tensor) -> Result<()> {
        let mut value = tch::no_grad(|| self.loss.forward(y_pred, y))?;
        while value.dim() < 2 {
            value = value.f_unsqueeze(0)?;
        }
        self.values.push(&value)
    }

    fn compute(&self) -> Result<f64> {
        self.values.reduced(self.reduction)
    }

    fn details(&self) -> Option<Tensor> {
        self.values.details()
    }

    fn results(&self) -> Result<Vec<(String, Tensor)>> {
        self.values.results(self.reduction)
    }
}
