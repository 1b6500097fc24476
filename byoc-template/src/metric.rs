//! The metric and its arguments.

use byoc::{Component, Metric, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind, Tensor};

/// Fraction of voxels that prediction and ground truth agree on.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct {{component}}Args {
    /// How far two values may lie apart and still agree.
    #[schemars(range(min = 0.0))]
    pub tolerance: f64,
}

/// Agreement over everything since the last reset.
#[derive(Debug)]
pub struct {{component}} {
    tolerance: f64,
    agreeing: f64,
    voxels: f64,
}

impl Component for {{component}} {
    type Args = {{component}}Args;

    fn new(args: {{component}}Args) -> Result<Self> {
        byoc::ensure!(args.tolerance >= 0.0, "`tolerance` must not be negative, found {}", args.tolerance);
        Ok(Self { tolerance: args.tolerance, agreeing: 0.0, voxels: 0.0 })
    }
}

impl Metric for {{component}} {
    fn reset(&mut self) {
        self.agreeing = 0.0;
        self.voxels = 0.0;
    }

    /// Both (B, C, spatial…).
    fn update(&mut self, y_pred: &Tensor, y: &Tensor) -> Result<()> {
        let (predicted, expected) = (y_pred.size(), y.size());
        byoc::ensure!(predicted == expected, "prediction {predicted:?} and ground truth {expected:?} differ in size");
        let agreeing = y_pred.f_sub(y)?.f_abs()?.f_le(self.tolerance)?;
        self.agreeing += agreeing.f_sum(Kind::Double)?.f_double_value(&[])?;
        self.voxels += y.numel() as f64;
        Ok(())
    }

    /// NaN where nothing was seen.
    fn compute(&self) -> Result<f64> {
        Ok(self.agreeing / self.voxels)
    }

    /// For a run that is interrupted within an epoch.
    fn state(&self) -> Result<Vec<(String, Tensor)>> {
        Ok(vec![("sums".to_owned(), Tensor::from_slice(&[self.agreeing, self.voxels]))])
    }

    fn load_state(&mut self, state: &[(String, Tensor)]) -> Result<()> {
        for (name, sums) in state {
            byoc::ensure!(name == "sums" && sums.numel() == 2, "the state has no `{name}` of {} numbers", sums.numel());
            (self.agreeing, self.voxels) = (sums.f_double_value(&[0])?, sums.f_double_value(&[1])?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Component, Metric, {{component}}, {{component}}Args};
    use tch::Tensor;

    #[test]
    fn accumulates_over_batches_and_forgets_on_reset() {
        let mut metric = {{component}}::new({{component}}Args::default()).unwrap();
        let y = Tensor::from_slice(&[0f32, 1.0, 1.0, 0.0]).view([1, 1, 4]);
        metric.update(&y, &y).unwrap();
        metric.update(&(1.0 - &y), &y).unwrap();
        assert_eq!(metric.compute().unwrap(), 0.5);
        let kept = metric.state().unwrap();
        metric.reset();
        metric.update(&y, &y).unwrap();
        assert_eq!(metric.compute().unwrap(), 1.0);
        metric.reset();
        metric.load_state(&kept).unwrap();
        assert_eq!(metric.compute().unwrap(), 0.5);
    }
}
