//! Metrics.

use tch::Tensor;

use crate::Result;

/// A metric that is accumulated over an epoch.
///
/// The engine calls `reset` when an epoch starts, `update` once per batch (dialect 4.0) or per item (4.1, then with
/// B = 1), and `compute` when the epoch is over.
///
/// ```
/// use byoc::{Component, Metric, Result};
/// use schemars::JsonSchema;
/// use serde::Deserialize;
/// use tch::{Kind, Tensor};
///
/// /// Fraction of voxels that are predicted as foreground.
/// #[derive(Deserialize, JsonSchema)]
/// #[serde(deny_unknown_fields)]
/// struct ForegroundFractionArgs {}
///
/// #[derive(Default)]
/// struct ForegroundFraction {
///     foreground: f64,
///     voxels: f64,
/// }
///
/// impl Component for ForegroundFraction {
///     type Args = ForegroundFractionArgs;
///
///     fn new(_: ForegroundFractionArgs) -> Result<Self> {
///         Ok(Self::default())
///     }
/// }
///
/// impl Metric for ForegroundFraction {
///     fn reset(&mut self) {
///         *self = Self::default();
///     }
///
///     fn update(&mut self, y_pred: &Tensor, _y: &Tensor) -> Result<()> {
///         self.foreground += y_pred.gt(0.5).sum(Kind::Double).double_value(&[]);
///         self.voxels += y_pred.numel() as f64;
///         Ok(())
///     }
///
///     fn compute(&self) -> Result<f64> {
///         byoc::ensure!(self.voxels > 0.0, "no voxel was seen in this epoch");
///         Ok(self.foreground / self.voxels)
///     }
/// }
///
/// let mut metric = ForegroundFraction::default();
/// let prediction = Tensor::from_slice(&[1f32, 0.0, 0.0, 0.0]);
/// metric.update(&prediction, &prediction)?;
/// assert_eq!(metric.compute()?, 0.25);
/// # Ok::<(), byoc::Error>(())
/// ```
pub trait Metric: Send {
    /// Forgets everything seen so far.
    fn reset(&mut self);

    /// Takes in predictions and ground truth, both with the batch first: (B, C, spatial…).
    fn update(&mut self, y_pred: &Tensor, y: &Tensor) -> Result<()>;

    /// The value over everything since the last reset. NaN where the metric is not defined.
    fn compute(&self) -> Result<f64>;

    /// The values per item and class (N, C), if the metric has them: what `MetricsSaver` writes.
    fn details(&self) -> Option<Tensor> {
        None
    }

    /// Further results under their names: `aggregate` with its `not_nans`, the classes of a per-class metric …
    fn results(&self) -> Result<Vec<(String, Tensor)>> {
        Ok(Vec::new())
    }

    /// What was taken in since the last reset, as named tensors, for a run that is interrupted within an epoch or swaps
    /// the plugin there. A metric without it covers only the steps after that.
    fn state(&self) -> Result<Vec<(String, Tensor)>> {
        Ok(Vec::new())
    }

    /// Goes on from what [`Metric::state`] gave; called after a reset.
    fn load_state(&mut self, _state: &[(String, Tensor)]) -> Result<()> {
        Ok(())
    }
}
