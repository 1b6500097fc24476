//! Scores and labels of a classification, kept over an epoch.

use byoc::{Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Device, Kind, Tensor};

use super::accumulated::{restored, saved};

/// How classes are put together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum Average {
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

/// The scores and labels since the last reset, (N, C) each.
#[derive(Debug, Default)]
pub(super) struct Scores {
    scores: Vec<Tensor>,
    labels: Vec<Tensor>,
}

impl Scores {
    pub(super) fn reset(&mut self) {
        self.scores.clear();
        self.labels.clear();
    }

    pub(super) fn state(&self) -> Result<Vec<(String, Tensor)>> {
        let mut state = saved("scores", &self.scores)?;
        state.extend(saved("labels", &self.labels)?);
        Ok(state)
    }

    pub(super) fn load_state(&mut self, state: &[(String, Tensor)]) {
        self.scores = restored("scores", state);
        self.labels = restored("labels", state);
    }

    /// Keeps a batch, (B), (B, 1) or (B, C).
    #[track_caller]
    pub(super) fn push(&mut self, y_pred: &Tensor, y: &Tensor) -> Result<()> {
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

    /// What `of_class` makes of the scores and labels of each class, put together.
    #[track_caller]
    pub(super) fn value(&self, average: Average, of_class: fn(&[f64], &[f64]) -> f64) -> Result<Tensor> {
        if self.scores.is_empty() {
            return Err(Error::data("the metric has seen no data since the epoch began"));
        }
        let (mut scores, mut labels) = (Tensor::f_cat(&self.scores, 0)?, Tensor::f_cat(&self.labels, 0)?);
        if average == Average::Micro {
            scores = scores.f_reshape([-1, 1])?;
            labels = labels.f_reshape([-1, 1])?;
        }
        let classes = scores.size()[1];
        let mut values = Vec::new();
        let mut positives = Vec::new();
        for class in 0..classes {
            let scores = Vec::<f64>::try_from(scores.f_select(1, class)?.f_contiguous()?)?;
            let labels = Vec::<f64>::try_from(labels.f_select(1, class)?.f_contiguous()?)?;
            values.push(of_class(&scores, &labels));
            positives.push(labels.iter().sum::<f64>());
        }
        Ok(match average {
            _ if classes == 1 => Tensor::from(values[0]),
            Average::None => Tensor::from_slice(&values),
            Average::Weighted => {
                let weighted: f64 = values.iter().zip(&positives).map(|(value, weight)| value * weight).sum();
                Tensor::from(weighted / positives.iter().sum::<f64>())
            }
            Average::Macro | Average::Micro => Tensor::from(values.iter().sum::<f64>() / values.len() as f64),
        })
    }
}

/// As float64 (B, C) on the CPU.
#[track_caller]
fn columns(tensor: &Tensor) -> Result<Tensor> {
    let tensor = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?;
    match tensor.dim() {
        1 => Ok(tensor.f_unsqueeze(1)?),
        2 => Ok(tensor),
        _ => Err(Error::data(format!("scores and labels must be (B) or (B, C), found shape {:?}", tensor.size()))),
    }
}

/// How many labels are 1 and how many 0; nothing unless there are both and no others.
pub(super) fn both_labels(labels: &[f64]) -> Option<(f64, f64)> {
    let positives = labels.iter().filter(|label| **label == 1.0).count();
    let negatives = labels.iter().filter(|label| **label == 0.0).count();
    (positives > 0 && negatives > 0 && positives + negatives == labels.len())
        .then_some((positives as f64, negatives as f64))
}

/// The metric traits of a metric whose fields are `scores` and `average`, and whose value of a class is `of_class`.
macro_rules! metric_of_scores {
    ($metric:ident, $of_class:expr) => {
        impl byoc::Metric for $metric {
            fn reset(&mut self) {
                self.scores.reset();
            }

            fn state(&self) -> byoc::Result<Vec<(String, tch::Tensor)>> {
                self.scores.state()
            }

            fn load_state(&mut self, state: &[(String, tch::Tensor)]) -> byoc::Result<()> {
                self.scores.load_state(state);
                Ok(())
            }

            fn update(&mut self, y_pred: &tch::Tensor, y: &tch::Tensor) -> byoc::Result<()> {
                self.scores.push(y_pred, y)
            }

            fn compute(&self) -> byoc::Result<f64> {
                super::accumulated::number(&self.scores.value(self.average, $of_class)?)
            }

            fn results(&self) -> byoc::Result<Vec<(String, tch::Tensor)>> {
                let value = self.scores.value(self.average, $of_class)?;
                Ok(vec![("value".to_owned(), value.shallow_clone()), ("aggregate".to_owned(), value)])
            }
        }
    };
}

pub(super) use metric_of_scores;
