//! Area under the receiver operating characteristic.

use byoc::{Component, Error, Metric, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Device, Kind, Tensor};

use super::accumulated::{number, restored, saved};

byoc::register! { metrics: [ROCAUCMetric = "ROCAUCMetric" | "ROCAUC" | "compute_roc_auc"] }

/// Area under the receiver operating characteristic (MONAI `ROCAUCMetric`, as a handler `ROCAUC`).
///
/// Scores and labels of zeros and ones are (B), (B, 1) or (B, C). A class with one kind of label only has no area: not
/// a number.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ROCAUCMetricArgs {
    /// How the classes are put together.
    average: Average,
}

/// How classes are put together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Average {
    /// Their mean.
    #[default]
    Macro,
    /// Their mean, weighted by the number of positives.
    Weighted,
    /// All scores are one class.
    Micro,
    /// Not at all: (C).
    None,
}

/// See [`ROCAUCMetricArgs`].
#[derive(Debug)]
pub struct ROCAUCMetric {
    average: Average,
    scores: Vec<Tensor>,
    labels: Vec<Tensor>,
}

impl Component for ROCAUCMetric {
    type Args = ROCAUCMetricArgs;

    fn new(args: ROCAUCMetricArgs) -> Result<Self> {
        Ok(Self { average: args.average, scores: Vec::new(), labels: Vec::new() })
    }
}

impl Metric for ROCAUCMetric {
    fn reset(&mut self) {
        self.scores.clear();
        self.labels.clear();
    }

    fn state(&self) -> Result<Vec<(String, Tensor)>> {
        let mut state = saved("scores", &self.scores)?;
        state.extend(saved("labels", &self.labels)?);
        Ok(state)
    }

    fn load_state(&mut self, state: &[(String, Tensor)]) -> Result<()> {
        self.scores = restored("scores", state);
        self.labels = restored("labels", state);
        Ok(())
    }

    fn update(&mut self, y_pred: &Tensor, y: &Tensor) -> Result<()> {
        let (scores, labels) = (columns(y_pred)?, columns(y)?);
        if scores.size() != labels.size() {
            return Err(Error::data(format!(
                "scores and labels must have the same shape, (B) or (B, C), found {:?} and {:?}",
                y_pred.size(),
                y.size()
            )));
        }
        self.scores.push(scores);
        self.labels.push(labels);
        Ok(())
    }

    fn compute(&self) -> Result<f64> {
        number(&self.value()?)
    }

    fn results(&self) -> Result<Vec<(String, Tensor)>> {
        let value = self.value()?;
        Ok(vec![("value".to_owned(), value.shallow_clone()), ("aggregate".to_owned(), value)])
    }
}

/// As float64 (B, C) on the CPU.
fn columns(tensor: &Tensor) -> Result<Tensor> {
    let tensor = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?;
    match tensor.dim() {
        1 => Ok(tensor.f_unsqueeze(1)?),
        2 => Ok(tensor),
        _ => Err(Error::data(format!("scores and labels must be (B) or (B, C), found shape {:?}", tensor.size()))),
    }
}

impl ROCAUCMetric {
    fn value(&self) -> Result<Tensor> {
        if self.scores.is_empty() {
            return Err(Error::data("the metric has seen no data since the epoch began"));
        }
        let (mut scores, mut labels) = (Tensor::f_cat(&self.scores, 0)?, Tensor::f_cat(&self.labels, 0)?);
        if self.average == Average::Micro {
            scores = scores.f_reshape([-1, 1])?;
            labels = labels.f_reshape([-1, 1])?;
        }
        let classes = scores.size()[1];
        let mut areas = Vec::new();
        let mut positives = Vec::new();
        for class in 0..classes {
            let scores = Vec::<f64>::try_from(scores.f_select(1, class)?.f_contiguous()?)?;
            let labels = Vec::<f64>::try_from(labels.f_select(1, class)?.f_contiguous()?)?;
            areas.push(area(&scores, &labels));
            positives.push(labels.iter().sum::<f64>());
        }
        Ok(match self.average {
            _ if classes == 1 => Tensor::from(areas[0]),
            Average::None => Tensor::from_slice(&areas),
            Average::Weighted => {
                let weighted: f64 = areas.iter().zip(&positives).map(|(area, weight)| area * weight).sum();
                Tensor::from(weighted / positives.iter().sum::<f64>())
            }
            Average::Macro | Average::Micro => Tensor::from(areas.iter().sum::<f64>() / areas.len() as f64),
        })
    }
}

/// The probability that a positive scores above a negative, ties counting half (Mann and Whitney).
fn area(scores: &[f64], labels: &[f64]) -> f64 {
    let positives = labels.iter().filter(|label| **label == 1.0).count() as f64;
    let negatives = labels.iter().filter(|label| **label == 0.0).count() as f64;
    if positives == 0.0 || negatives == 0.0 || positives + negatives != labels.len() as f64 {
        return f64::NAN;
    }
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    let (mut below, mut pairs) = (0.0, 0.0);
    for tied in order.chunk_by(|a, b| scores[*a] == scores[*b]) {
        let positive = tied.iter().filter(|i| labels[**i] == 1.0).count() as f64;
        let negative = tied.len() as f64 - positive;
        pairs += positive * (below + negative / 2.0);
        below += negative;
    }
    pairs / (positives * negatives)
}

#[cfg(test)]
mod tests {
    use super::area;

    #[test]
    fn ties_count_half_and_a_constant_class_has_no_area() {
        assert_eq!(area(&[0.1, 0.4, 0.35, 0.8], &[0., 0., 1., 1.]), 0.75);
        assert_eq!(area(&[0.5, 0.5], &[0., 1.]), 0.5);
        assert!(area(&[0.5, 0.6], &[1., 1.]).is_nan());
        assert!(area(&[0.5, 0.6], &[1., 2.]).is_nan());
    }
}
