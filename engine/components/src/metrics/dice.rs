//! Dice overlap of predicted and true masks.

use byoc::{Component, Error, Metric, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind, Tensor};

use super::accumulated::{Accumulated, MetricReduction, named};
use super::pair::ignore_mask;

byoc::register! {
    metrics: [DiceMetric = "DiceMetric" | "MeanDice" | "compute_dice" | "compute_meandice"],
}

/// Dice overlap per item and class (MONAI `DiceMetric`, as a handler `MeanDice`).
///
/// Prediction and ground truth are masks, (B, C, spatial…) one-hot or (B, 1, spatial…) with class numbers. Where the
/// ground truth of a class is empty there is no number, and the item does not count for the class.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DiceMetricArgs {
    /// Whether channel 0, the background, counts; ignored for a single channel.
    include_background: bool,
    /// Over what the values are put together.
    reduction: MetricReduction,
    /// Accepted as MONAI has it; the count is always among the results.
    get_not_nans: bool,
    /// Whether an empty ground truth gives no number; else 1 for an empty prediction and 0 for any other.
    ignore_empty: bool,
    /// Number of classes, for predictions of class numbers.
    num_classes: Option<i64>,
    /// With `reduction: mean_batch`, a result for each class: true for `label_1`…, or names.
    return_with_label: Labels,
    /// Voxels of this class, or of no class for any other value, do not count.
    ignore_index: Option<i64>,
    /// Accepted as MONAI has it; values per item are always kept.
    save_details: bool,
}

/// Names for the classes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
enum Labels {
    Numbered(bool),
    Named(Vec<String>),
}

impl Default for DiceMetricArgs {
    fn default() -> Self {
        Self {
            include_background: true,
            reduction: MetricReduction::Mean,
            get_not_nans: false,
            ignore_empty: true,
            num_classes: None,
            return_with_label: Labels::Numbered(false),
            ignore_index: None,
            save_details: true,
        }
    }
}

/// See [`DiceMetricArgs`].
#[derive(Debug)]
pub struct DiceMetric {
    args: DiceMetricArgs,
    values: Accumulated,
}

impl Component for DiceMetric {
    type Args = DiceMetricArgs;

    fn new(args: DiceMetricArgs) -> Result<Self> {
        Ok(Self { args, values: Accumulated::default() })
    }
}

impl Metric for DiceMetric {
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
        let values = self.per_item(y_pred, y)?;
        self.values.push(&values)
    }

    fn compute(&self) -> Result<f64> {
        self.values.reduced(self.args.reduction)
    }

    fn details(&self) -> Option<Tensor> {
        self.values.details()
    }

    fn results(&self) -> Result<Vec<(String, Tensor)>> {
        let (value, not_nans) = self.args.reduction.apply(&self.values.all()?)?;
        let first = i64::from(!self.args.include_background);
        let labels = match &self.args.return_with_label {
            _ if self.args.reduction != MetricReduction::MeanBatch => Vec::new(),
            Labels::Numbered(false) => Vec::new(),
            Labels::Numbered(true) => (first..).take(value.numel()).map(|i| format!("label_{i}")).collect(),
            Labels::Named(names) => names.clone(),
        };
        named(value, not_nans, &labels)
    }
}

impl DiceMetric {
    /// The overlap of each item and class, (B, C).
    fn per_item(&self, y_pred: &Tensor, y: &Tensor) -> Result<Tensor> {
        let (prediction, truth) = (y_pred.size(), y.size());
        if prediction.len() < 3 {
            return Err(Error::data(format!("the prediction must be (B, C, spatial…), found shape {prediction:?}")));
        }
        let classes = self.args.num_classes.unwrap_or(prediction[1]);
        let comparable = prediction.len() == truth.len()
            && prediction[0] == truth[0]
            && prediction[2..] == truth[2..]
            && [prediction[1], truth[1]].iter().all(|channels| [1, classes].contains(channels));
        if !comparable {
            return Err(Error::data(format!(
                "the ground truth's shape {truth:?} does not fit the prediction's, {prediction:?}, for {classes} classes: \
                 each must be (B, 1 or C, spatial…)"
            )));
        }
        let mask = ignore_mask(y, self.args.ignore_index)?;
        let first = if classes > 1 { i64::from(!self.args.include_background) } else { 1 };
        let mut values = Vec::new();
        for item in 0..prediction[0] {
            let mask = mask.as_ref().map(|mask| mask.f_select(0, item)?.f_select(0, 0)).transpose()?;
            // one class at a time: a temporary of the whole one-hot volume would be as large as the prediction
            for class in first..classes.max(2) {
                let predicted = of_class(&y_pred.f_select(0, item)?, class, classes)?;
                let truth = of_class(&y.f_select(0, item)?, class, classes)?;
                values.push(self.overlap(&predicted.f_ne(0)?, &truth, mask.as_ref())?);
            }
        }
        let columns = values.len() as i64 / prediction[0].max(1);
        Ok(Tensor::from_slice(&values).f_reshape([prediction[0], columns])?)
    }

    fn overlap(&self, predicted: &Tensor, truth: &Tensor, mask: Option<&Tensor>) -> Result<f64> {
        let (predicted, truth) = match mask {
            Some(mask) => (predicted.f_logical_and(mask)?, truth.f_mul(mask)?),
            None => (predicted.shallow_clone(), truth.shallow_clone()),
        };
        let sum = |tensor: &Tensor| tensor.f_sum(Kind::Double)?.f_double_value(&[]);
        let (volume, predicted_volume) = (sum(&truth)?, sum(&predicted)?);
        if volume > 0.0 {
            return Ok(2.0 * sum(&truth.f_mul(&predicted)?)? / (volume + predicted_volume));
        }
        Ok(match self.args.ignore_empty {
            true => f64::NAN,
            false if volume + predicted_volume <= 0.0 => 1.0,
            false => 0.0,
        })
    }
}

/// One class of an item (C, spatial…): its channel, or the voxels that hold its number.
fn of_class(item: &Tensor, class: i64, classes: i64) -> Result<Tensor> {
    if item.size()[0] == 1 {
        return Ok(item.f_select(0, 0)?.f_eq(class)?);
    }
    Ok(item.f_select(0, if classes == 1 { 0 } else { class })?)
}

#[cfg(test)]
mod tests {
    use byoc::{Component, Metric};
    use serde_json::{Value, json};
    use tch::Tensor;

    use super::DiceMetric;

    fn metric(args: Value) -> DiceMetric {
        DiceMetric::new(byoc::args::parse(&args).unwrap()).unwrap()
    }

    fn mask(values: &[f32], shape: &[i64]) -> Tensor {
        Tensor::from_slice(values).view(shape)
    }

    #[test]
    fn an_item_without_the_class_does_not_count() {
        let mut dice = metric(json!({ "include_background": false }));
        let one_hot = |label: &[f32]| {
            let label = mask(label, &[1, 1, 4]);
            Tensor::cat(&[1.0 - &label, label], 1)
        };
        dice.update(&one_hot(&[0., 1., 1., 0.]), &one_hot(&[0., 0., 1., 0.])).unwrap();
        dice.update(&one_hot(&[0., 1., 1., 0.]), &one_hot(&[0., 0., 0., 0.])).unwrap();
        assert!((dice.compute().unwrap() - 2.0 / 3.0).abs() < 1e-6);
        let details = dice.details().unwrap();
        assert_eq!(details.size(), [2, 1]);
        assert!(details.double_value(&[1, 0]).is_nan());
        dice.reset();
        assert!(dice.compute().is_err());
    }

    #[test]
    fn empty_masks_may_count() {
        let empty = mask(&[0., 0.], &[1, 1, 2]);
        let value = |args: Value, prediction: &Tensor| {
            let mut dice = metric(args);
            dice.update(prediction, &empty).unwrap();
            dice.details().unwrap().double_value(&[0, 0])
        };
        assert!(value(json!({}), &empty).is_nan());
        assert_eq!(value(json!({ "ignore_empty": false }), &empty), 1.0);
        assert_eq!(value(json!({ "ignore_empty": false }), &mask(&[0., 1.], &[1, 1, 2])), 0.0);
    }

    #[test]
    fn class_numbers_and_one_hot_masks_agree() {
        let numbers = mask(&[0., 1., 2., 2.], &[1, 1, 4]);
        let truth = mask(&[0., 1., 1., 2.], &[1, 1, 4]);
        let mut by_number = metric(json!({ "num_classes": 3, "reduction": "mean_batch", "return_with_label": true }));
        by_number.update(&numbers, &truth).unwrap();
        let one_hot =
            |label: &Tensor| Tensor::cat(&[label.eq(0), label.eq(1), label.eq(2)], 1).to_kind(tch::Kind::Float);
        let mut by_channel = metric(json!({}));
        by_channel.update(&one_hot(&numbers), &one_hot(&truth)).unwrap();
        assert_eq!(by_number.details(), by_channel.details());
        let names: Vec<_> = by_number.results().unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["label_0", "label_1", "label_2", "aggregate", "not_nans"]);
    }

    #[test]
    fn other_shapes_are_told() {
        let error = metric(json!({})).update(&mask(&[0.; 6], &[1, 2, 3]), &mask(&[0.; 4], &[1, 2, 2])).unwrap_err();
        assert!(error.to_string().contains("[1, 2, 2] does not fit the prediction's, [1, 2, 3]"), "{error}");
    }
}
