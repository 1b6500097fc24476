//! How much of the surfaces of masks agrees within a tolerance.

use byoc::{Component, Error, Metric, OneOrMany, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Tensor;

use super::accumulated::{Accumulated, MetricReduction};
use super::distance_transform::DistanceMetric;
use super::surface::SurfaceOptions;

byoc::register! { metrics: [SurfaceDiceMetric = "SurfaceDiceMetric" | "SurfaceDice" | "compute_surface_dice"] }

/// Fraction of the surfaces that lie within a tolerance of each other (MONAI `SurfaceDiceMetric`; Nikolov et al. 2018).
///
/// Prediction and ground truth are one-hot masks (B, C, spatial…). Two empty masks give no number.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SurfaceDiceMetricArgs {
    /// The tolerance of each class, in the units of the spacing.
    class_thresholds: Vec<f64>,
    /// Whether surfaces run between the voxels and count by their length or area; else each voxel at a border counts 1.
    #[serde(default)]
    use_subvoxels: bool,
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

/// See [`SurfaceDiceMetricArgs`].
#[derive(Debug)]
pub struct SurfaceDiceMetric {
    args: SurfaceDiceMetricArgs,
    options: SurfaceOptions,
    values: Accumulated,
}

impl Component for SurfaceDiceMetric {
    type Args = SurfaceDiceMetricArgs;

    fn new(args: SurfaceDiceMetricArgs) -> Result<Self> {
        if let Some(threshold) =
            args.class_thresholds.iter().find(|threshold| !threshold.is_finite() || **threshold < 0.0)
        {
            return Err(Error::invalid_argument(format!("`class_thresholds` must not be negative, found {threshold}")));
        }
        let _ = (args.get_not_nans, args.save_details);
        let options = SurfaceOptions {
            include_background: args.include_background,
            distance_metric: args.distance_metric,
            spacing: args.spacing.clone(),
            ignore_index: args.ignore_index,
            use_subvoxels: args.use_subvoxels,
        };
        Ok(Self { args, options, values: Accumulated::default() })
    }
}

impl Metric for SurfaceDiceMetric {
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
        let thresholds = &self.args.class_thresholds;
        let channels = y_pred.size().get(1).copied().unwrap_or_default() as usize;
        let classes = if self.args.include_background || channels == 1 { channels } else { channels.saturating_sub(1) };
        if classes != thresholds.len() {
            return Err(Error::invalid_argument(format!(
                "`class_thresholds` has {} values for {classes} classes",
                thresholds.len()
            )));
        }
        let values = self.options.per_item(y_pred, y, true, |distances, class| {
            let agreeing = |distances: &[f32], sizes: &[f64]| -> f64 {
                let near =
                    distances.iter().zip(sizes).filter(|(distance, _)| f64::from(**distance) <= thresholds[class]);
                near.map(|(_, size)| size).sum()
            };
            let (prediction, truth) = (&distances.prediction_sizes, &distances.truth_sizes);
            let right = agreeing(&distances.to_truth, prediction) + agreeing(&distances.to_prediction, truth);
            // 0 / 0 is no number
            (right / (prediction.iter().sum::<f64>() + truth.iter().sum::<f64>())) as f32
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

    use super::SurfaceDiceMetric;

    #[test]
    fn the_tolerance_decides() {
        let mask = |at: i64| {
            let mask = Tensor::zeros([1, 1, 8, 8], (tch::Kind::Float, tch::Device::Cpu));
            let _ = mask.narrow(2, at, 1).fill_(1.0);
            mask
        };
        let value = |threshold: f64| {
            let args = byoc::args::parse(&json!({ "class_thresholds": [threshold] })).unwrap();
            let mut metric = SurfaceDiceMetric::new(args).unwrap();
            metric.update(&mask(1), &mask(3)).unwrap();
            metric.compute().unwrap()
        };
        assert_eq!((value(1.9), value(2.0)), (0.0, 1.0));
        let args = byoc::args::parse(&json!({ "class_thresholds": [1.0, 1.0] })).unwrap();
        let error = SurfaceDiceMetric::new(args).unwrap().update(&mask(1), &mask(3)).unwrap_err();
        assert!(error.to_string().contains("2 values for 1 classes"), "{error}");
    }
}
