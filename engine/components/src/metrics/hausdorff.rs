//! Hausdorff distance of masks.

use byoc::{Component, Error, Metric, OneOrMany, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Tensor;

use super::accumulated::{Accumulated, MetricReduction};
use super::distance_transform::DistanceMetric;
use super::surface::SurfaceOptions;

byoc::register! { metrics: [HausdorffDistanceMetric = "HausdorffDistanceMetric" | "HausdorffDistance" | "compute_hausdorff_distance"] }

/// Largest distance of the surfaces of predicted and true masks (MONAI `HausdorffDistanceMetric`, as a handler `HausdorffDistance`).
///
/// Prediction and ground truth are one-hot masks (B, C, spatial…). One empty mask gives infinity, two give no number.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HausdorffDistanceMetricArgs {
    /// A percentile of the distances, 0 to 100, instead of the largest.
    #[serde(default)]
    percentile: Option<f64>,
    /// Only from the prediction to the ground truth.
    #[serde(default)]
    directed: bool,
    /// Whether channel 0, the background, counts; ignored for a single channel.
    #[serde(default)]
    include_background: bool,
    /// How distance is measured.
    #[serde(default)]
    distance_metric: DistanceMetric,
    /// Over what the values are put together.
    #[serde(default)]
    reduction: MetricReduction,
    /// Accepted as MONAI has it; the count is always among the results.
    #[serde(default)]
    get_not_nans: bool,
    /// Voxel size, one for all axes or one per axis; in voxels by default.
    #[serde(default)]
    spacing: Option<OneOrMany<f64>>,
    /// Voxels of this class, or of no class for any other value, do not count.
    #[serde(default)]
    ignore_index: Option<i64>,
    /// Accepted as MONAI has it; values per item are always kept.
    #[serde(default)]
    save_details: Option<bool>,
}

/// See [`HausdorffDistanceMetricArgs`].
#[derive(Debug)]
pub struct HausdorffDistanceMetric {
    args: HausdorffDistanceMetricArgs,
    options: SurfaceOptions,
    values: Accumulated,
}

impl Component for HausdorffDistanceMetric {
    type Args = HausdorffDistanceMetricArgs;

    fn new(args: HausdorffDistanceMetricArgs) -> Result<Self> {
        if let Some(percentile) = args.percentile.filter(|percentile| !(0.0..=100.0).contains(percentile)) {
            return Err(Error::invalid_argument(format!("`percentile` must be 0 to 100, found {percentile}")));
        }
        let _ = (args.get_not_nans, args.save_details);
        let options = SurfaceOptions {
            include_background: args.include_background,
            distance_metric: args.distance_metric,
            spacing: args.spacing.clone(),
            ignore_index: args.ignore_index,
            use_subvoxels: false,
        };
        Ok(Self { args, options, values: Accumulated::default() })
    }
}

impl Metric for HausdorffDistanceMetric {
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
        let (directed, percentile) = (self.args.directed, self.args.percentile);
        let values = self.options.per_item(y_pred, y, !directed, |distances, _| {
            let to_truth = of_surface(&distances.to_truth, percentile);
            if directed {
                return to_truth;
            }
            let to_prediction = of_surface(&distances.to_prediction, percentile);
            // `f32::max` would drop a value that is not a number
            if to_truth.is_nan() || to_prediction.is_nan() { f32::NAN } else { to_truth.max(to_prediction) }
        })?;
        self.values.push(&values)
    }

    fn compute(&self) -> Result<f64> {
        self.values.reduced(self.args.reduction)
    }

    fn details(&self) -> Option<Tensor> {
        self.values.details()
    }

    fn results(&self) -> Result<Vec<(String, Tensor)>> {
        self.values.results(self.args.reduction)
    }
}

/// The largest distance, or a percentile with linear interpolation between neighbours, as `torch.quantile` has it.
fn of_surface(distances: &[f32], percentile: Option<f64>) -> f32 {
    let mut sorted = distances.to_vec();
    sorted.sort_by(f32::total_cmp);
    let Some(largest) = sorted.last() else { return f32::NAN };
    let Some(percentile) = percentile.filter(|percentile| *percentile > 0.0) else { return *largest };
    let position = percentile / 100.0 * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[position.floor() as usize], sorted[position.ceil() as usize]);
    if below == above { below } else { below + (above - below) * position.fract() as f32 }
}

#[cfg(test)]
mod tests {
    use super::of_surface;

    #[test]
    fn percentiles_are_interpolated() {
        let distances = [3.0, 0.0, 1.0, 2.0];
        assert_eq!(of_surface(&distances, None), 3.0);
        assert_eq!(of_surface(&distances, Some(50.0)), 1.5);
        assert_eq!(of_surface(&distances, Some(100.0)), 3.0);
        assert!(of_surface(&[], Some(95.0)).is_nan());
        assert!(of_surface(&[f32::INFINITY; 2], Some(95.0)).is_infinite());
    }
}
