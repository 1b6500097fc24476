//! Intersection over union of masks.

use byoc::{Component, Metric, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Tensor;

use super::accumulated::{Accumulated, MetricReduction};
use super::pair::{foreground, ignore_mask, same_shape, spatial_sum};

byoc::register! { metrics: [MeanIoU = "MeanIoU" | "MeanIoUHandler" | "compute_iou" | "compute_meaniou"] }

/// Intersection over union per item and class (MONAI `MeanIoU`).
///
/// Prediction and ground truth are one-hot masks (B, C, spatial…). Where the ground truth of a class is empty there is
/// no number, and the item does not count for the class.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MeanIoUArgs {
    /// Whether channel 0, the background, counts; ignored for a single channel.
    include_background: bool,
    /// Over what the values are put together.
    reduction: MetricReduction,
    /// Accepted as MONAI has it; the count is always among the results.
    get_not_nans: bool,
    /// Whether an empty ground truth gives no number; else it is 1 if the prediction is empty, too.
    ignore_empty: bool,
    /// Voxels of this class, or of no class for any other value, do not count.
    ignore_index: Option<i64>,
    /// Accepted as MONAI has it; values per item are always kept.
    save_details: bool,
}

impl Default for MeanIoUArgs {
    fn default() -> Self {
        Self {
            include_background: true,
            reduction: MetricReduction::Mean,
            get_not_nans: false,
            ignore_empty: true,
            ignore_index: None,
            save_details: true,
        }
    }
}

/// See [`MeanIoUArgs`].
#[derive(Debug)]
pub struct MeanIoU {
    args: MeanIoUArgs,
    values: Accumulated,
}

impl Component for MeanIoU {
    type Args = MeanIoUArgs;

    fn new(args: MeanIoUArgs) -> Result<Self> {
        Ok(Self { args, values: Accumulated::default() })
    }
}

impl Metric for MeanIoU {
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
        same_shape(y_pred, y, 3)?;
        let mask = ignore_mask(y, self.args.ignore_index)?;
        let (mut y_pred, mut y) = foreground(y_pred, y, self.args.include_background)?;
        if let Some(mask) = mask {
            y_pred = y_pred.f_mul(&mask)?;
            y = y.f_mul(&mask)?;
        }
        let intersection = spatial_sum(&y.f_mul(&y_pred)?)?;
        let truth = spatial_sum(&y)?;
        let union = truth.f_add(&spatial_sum(&y_pred)?)?.f_sub(&intersection)?;
        let (defined, otherwise) =
            if self.args.ignore_empty { (truth.f_gt(0)?, f64::NAN) } else { (union.f_gt(0)?, 1.0) };
        let value = intersection.f_div(&union)?.f_where_scalarother(&defined, otherwise)?;
        self.values.push(&value)
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
    use tch::Tensor;

    use super::{MeanIoU, MeanIoUArgs};

    #[test]
    fn intersection_over_union() {
        let mut iou = MeanIoU::new(MeanIoUArgs::default()).unwrap();
        let mask = |values: &[f32]| Tensor::from_slice(values).view([1, 1, 4]);
        iou.update(&mask(&[1., 1., 0., 0.]), &mask(&[0., 1., 1., 0.])).unwrap();
        iou.update(&mask(&[1., 1., 0., 0.]), &mask(&[0., 0., 0., 0.])).unwrap();
        assert!((iou.compute().unwrap() - 1.0 / 3.0).abs() < 1e-6);
    }
}
