//! Average distance of the surfaces of masks.

use byoc::{Component, Metric, OneOrMany, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Tensor;

use super::accumulated::{Accumulated, MetricReduction};
use super::distance_transform::DistanceMetric;
use super::surface::SurfaceOptions;

byoc::register! { metrics: [SurfaceDistanceMetric = "SurfaceDistanceMetric" | "SurfaceDistance" | "compute_average_surface_distance"] }

/// Average distance of the surfaces of predicted and true masks (MONAI `SurfaceDistanceMetric`, as a handler `SurfaceDistance`).
///
/// Prediction and ground truth are one-hot masks (B, C, spatial…). One empty mask gives infinity, two give no number.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SurfaceDistanceMetricArgs {
    /// Distances in both directions; else from the prediction to the ground truth.
    #[serde(default)]
    symmetric: bool,
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

/// See [`SurfaceDistanceMetricArgs`].
#[derive(Debug)]
pub struct SurfaceDistanceMetric {
    args: SurfaceDistanceMetricArgs,
    options: SurfaceOptions,
    values: Accumulated,
}

impl Component for SurfaceDistanceMetric {
    type Args = SurfaceDistanceMetricArgs;

    fn new(args: SurfaceDistanceMetricArgs) -> Result<Self> {
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

impl Metric for SurfaceDistanceMetric {
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
        let values = self.options.per_item(y_pred, y, self.args.symmetric, |distances, _| {
            let all = || distances.to_truth.iter().chain(&distances.to_prediction).copied().map(f64::from);
            (all().sum::<f64>() / all().count() as f64) as f32
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

#[cfg(test)]
mod tests {
    use byoc::{Component, Metric};
    use serde_json::json;
    use tch::Tensor;

    use super::SurfaceDistanceMetric;

    #[test]
    fn distances_are_in_the_units_of_the_spacing() {
        let mask = |at: i64| {
            let mask = Tensor::zeros([1, 1, 8, 8], (tch::Kind::Float, tch::Device::Cpu));
            let _ = mask.narrow(2, at, 1).fill_(1.0);
            mask
        };
        let value = |args, a: &Tensor, b: &Tensor| {
            let mut metric = SurfaceDistanceMetric::new(byoc::args::parse(&args).unwrap()).unwrap();
            metric.update(a, b).unwrap();
            metric.details().unwrap().double_value(&[0, 0])
        };
        assert_eq!(value(json!({}), &mask(1), &mask(4)), 3.0);
        assert_eq!(value(json!({ "spacing": [0.5, 2.0], "symmetric": true }), &mask(1), &mask(4)), 1.5);
        let empty = mask(0).zeros_like();
        assert!(value(json!({}), &mask(1), &empty).is_infinite());
        assert!(value(json!({}), &empty, &empty).is_nan());
    }
}
