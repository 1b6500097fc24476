//! Rates of true and false positives and negatives.

use byoc::{Component, Metric, OneOrMany, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind, Tensor};

use super::accumulated::{Accumulated, MetricReduction, number};
use super::confusion_rates::{ConfusionCounts, Rate};
use super::pair::{foreground, ignore_mask, same_shape};

byoc::register! {
    metrics: [ConfusionMatrixMetric = "ConfusionMatrixMetric" | "ConfusionMatrix" | "get_confusion_matrix"],
}

/// Sensitivity, precision and other rates of binary masks (MONAI `ConfusionMatrixMetric`, as a handler `ConfusionMatrix`).
///
/// Prediction and ground truth are one-hot, (B, C) or (B, C, spatial…). The values per item and class are the counts
/// (N, C, 4): true positives, false positives, true negatives, false negatives.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConfusionMatrixMetricArgs {
    /// Whether channel 0, the background, counts; ignored for a single channel.
    include_background: bool,
    /// One rate or several, by their usual names; the metric's value is the first.
    metric_name: OneOrMany<String>,
    /// Whether the rate is computed for each item and then put together; else the counts are.
    compute_sample: bool,
    /// Over what rates or counts are put together.
    reduction: MetricReduction,
    /// Whether the numbers of values come along, as MONAI numbers its results.
    get_not_nans: bool,
    /// Voxels of this class, or of no class for any other value, do not count.
    ignore_index: Option<i64>,
    /// Accepted as MONAI has it; values per item are always kept.
    save_details: bool,
}

impl Default for ConfusionMatrixMetricArgs {
    fn default() -> Self {
        Self {
            include_background: true,
            metric_name: OneOrMany::One("hit_rate".to_owned()),
            compute_sample: false,
            reduction: MetricReduction::Mean,
            get_not_nans: false,
            ignore_index: None,
            save_details: true,
        }
    }
}

/// See [`ConfusionMatrixMetricArgs`].
#[derive(Debug)]
pub struct ConfusionMatrixMetric {
    args: ConfusionMatrixMetricArgs,
    rates: Vec<(String, Rate)>,
    counts: Accumulated,
    /// Whether the data are masks; for classifications a rate per item means nothing.
    spatial: bool,
}

impl Component for ConfusionMatrixMetric {
    type Args = ConfusionMatrixMetricArgs;

    fn new(args: ConfusionMatrixMetricArgs) -> Result<Self> {
        let names = args.metric_name.clone().into_vec();
        let rates = names.into_iter().map(|name| Ok((name.clone(), Rate::from_name(&name)?))).collect::<Result<_>>()?;
        Ok(Self { args, rates, counts: Accumulated::default(), spatial: true })
    }
}

impl Metric for ConfusionMatrixMetric {
    fn reset(&mut self) {
        self.counts.reset();
    }

    fn state(&self) -> Result<Vec<(String, Tensor)>> {
        self.counts.state()
    }

    fn load_state(&mut self, state: &[(String, Tensor)]) -> Result<()> {
        self.counts.load_state(state);
        Ok(())
    }

    fn update(&mut self, y_pred: &Tensor, y: &Tensor) -> Result<()> {
        same_shape(y_pred, y, 2)?;
        let shape = y_pred.size();
        self.spatial = shape.len() > 3 || (shape.len() == 3 && shape[2] != 1);
        let counts = counts(y_pred, y, self.args.include_background, self.args.ignore_index)?;
        self.counts.push(&counts)
    }

    fn compute(&self) -> Result<f64> {
        match self.rates.first() {
            Some((_, rate)) => number(&self.aggregate(*rate)?.0),
            None => Ok(f64::NAN),
        }
    }

    fn details(&self) -> Option<Tensor> {
        self.counts.details()
    }

    fn results(&self) -> Result<Vec<(String, Tensor)>> {
        let counts = self.counts.all()?;
        let mut results = Vec::new();
        for (i, (name, rate)) in self.rates.iter().enumerate() {
            let (value, not_nans) = self.aggregate(*rate)?;
            if self.args.get_not_nans {
                results.push((format!("aggregate_{i}_0"), value));
                results.push((format!("aggregate_{i}_1"), not_nans));
            } else {
                results.push((format!("aggregate_{i}"), value));
            }
            results.push((name.clone(), rate_of(&counts, *rate)?));
        }
        Ok(results)
    }
}

impl ConfusionMatrixMetric {
    /// A rate over all items, and how many numbers it was made of.
    fn aggregate(&self, rate: Rate) -> Result<(Tensor, Tensor)> {
        let counts = self.counts.all()?;
        if self.args.compute_sample && self.spatial {
            return self.args.reduction.apply(&rate_of(&counts, rate)?);
        }
        let (counts, not_nans) = self.args.reduction.apply(&counts)?;
        let value = rate_of(&counts, rate)?;
        // a single class is still a list of one, as in MONAI
        Ok((if value.dim() == 0 { value.f_reshape([1])? } else { value }, not_nans))
    }
}

/// Counts (B, C, 4) of masks.
pub(super) fn counts(
    y_pred: &Tensor,
    y: &Tensor,
    include_background: bool,
    ignore_index: Option<i64>,
) -> Result<Tensor> {
    let original = y;
    let (mut y_pred, mut y) = foreground(y_pred, y, include_background)?;
    let (batch, classes) = (y_pred.size()[0], y_pred.size()[1]);
    // a class of the masks is left out as a channel; any other value means voxels without a class
    let channel = ignore_index.map(|index| index - i64::from(!include_background));
    let mut mask = None;
    match channel {
        Some(channel) if (0..classes).contains(&channel) => {
            for tensor in [&mut y_pred, &mut y] {
                *tensor = tensor.copy();
                let _ = tensor.f_select(1, channel)?.f_zero_()?;
            }
        }
        Some(-1) if !include_background && ignore_index == Some(0) => {}
        Some(_) => {
            mask = ignore_mask(original, ignore_index)?.map(|mask| mask.f_reshape([batch, 1, -1])).transpose()?;
        }
        None => {}
    }
    let flat = |tensor: Tensor| tensor.f_reshape([batch, classes, -1]);
    let (mut y_pred, mut y) = (flat(y_pred)?, flat(y)?);
    if let Some(mask) = &mask {
        y_pred = y_pred.f_mul(mask)?;
        y = y.f_mul(mask)?;
    }
    let sum = |tensor: Tensor| tensor.f_sum_dim_intlist([2].as_slice(), false, Kind::Double);
    let both = y_pred.f_add(&y)?;
    let mut negatives = both.f_eq(0)?;
    if let Some(mask) = &mask {
        negatives = negatives.f_logical_and(mask)?;
    }
    let (true_positives, true_negatives) = (sum(both.f_eq(2)?)?, sum(negatives)?);
    let positives = sum(y.shallow_clone())?;
    let voxels = match &mask {
        Some(mask) => sum(mask.shallow_clone())?,
        None => Tensor::from(y.size()[2] as f64),
    };
    let false_positives = voxels.f_to_device(positives.device())?.f_sub(&positives)?.f_sub(&true_negatives)?;
    let false_negatives = positives.f_sub(&true_positives)?;
    Ok(Tensor::f_stack(&[true_positives, false_positives, true_negatives, false_negatives], -1)?)
}

/// A rate of counts (…, 4).
fn rate_of(counts: &Tensor, rate: Rate) -> Result<Tensor> {
    let values = Vec::<f64>::try_from(counts.f_to_kind(Kind::Double)?.f_reshape([-1])?)?;
    let rates: Vec<f64> = values
        .chunks_exact(4)
        .map(|counts| {
            rate.of(ConfusionCounts {
                true_positives: counts[0],
                false_positives: counts[1],
                true_negatives: counts[2],
                false_negatives: counts[3],
            })
        })
        .collect();
    let shape = counts.size();
    Ok(Tensor::from_slice(&rates).f_to_kind(Kind::Float)?.f_reshape(&shape[..shape.len() - 1])?)
}

#[cfg(test)]
mod tests {
    use byoc::{Component, Metric};
    use serde_json::json;
    use tch::Tensor;

    use super::ConfusionMatrixMetric;

    #[test]
    fn counts_are_summed_before_the_rate_unless_it_is_asked_for_each_item() {
        let mask = |values: &[f32]| Tensor::from_slice(values).view([1, 1, 4]);
        let rate = |per_item: bool| {
            let args = json!({ "metric_name": "recall", "compute_sample": per_item });
            let mut metric = ConfusionMatrixMetric::new(byoc::args::parse(&args).unwrap()).unwrap();
            metric.update(&mask(&[1., 0., 0., 0.]), &mask(&[1., 0., 0., 0.])).unwrap();
            metric.update(&mask(&[1., 0., 0., 0.]), &mask(&[1., 1., 1., 0.])).unwrap();
            (metric.compute().unwrap(), metric.details().unwrap().size())
        };
        assert_eq!(rate(false), (0.5, vec![2, 1, 4]));
        assert!((rate(true).0 - f64::midpoint(1.0, 1.0 / 3.0)).abs() < 1e-6);
    }
}
