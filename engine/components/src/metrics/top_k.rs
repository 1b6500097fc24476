//! How often the right class is among the likeliest ones.

use byoc::{Component, Error, Metric, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind, Tensor};

byoc::register! { metrics: [TopKCategoricalAccuracy] }

/// Fraction of items whose class is among those with the highest scores (ignite `TopKCategoricalAccuracy`).
///
/// Scores are (B, C), classes (B).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TopKCategoricalAccuracyArgs {
    /// How many classes count.
    k: i64,
}

impl Default for TopKCategoricalAccuracyArgs {
    fn default() -> Self {
        Self { k: 5 }
    }
}

/// See [`TopKCategoricalAccuracyArgs`].
#[derive(Debug)]
pub struct TopKCategoricalAccuracy {
    k: i64,
    correct: i64,
    examples: i64,
}

impl Component for TopKCategoricalAccuracy {
    type Args = TopKCategoricalAccuracyArgs;

    fn new(args: TopKCategoricalAccuracyArgs) -> Result<Self> {
        if args.k < 1 {
            return Err(Error::invalid_argument(format!("`k` must be positive, found {}", args.k)));
        }
        Ok(Self { k: args.k, correct: 0, examples: 0 })
    }
}

impl Metric for TopKCategoricalAccuracy {
    fn reset(&mut self) {
        (self.correct, self.examples) = (0, 0);
    }

    fn state(&self) -> Result<Vec<(String, Tensor)>> {
        Ok(vec![("counts".to_owned(), Tensor::from_slice(&[self.correct, self.examples]))])
    }

    fn load_state(&mut self, state: &[(String, Tensor)]) -> Result<()> {
        let Some((_, counts)) = state.iter().find(|(name, _)| name == "counts") else { return Ok(()) };
        if let [correct, examples] = Vec::<i64>::try_from(counts.f_to_kind(Kind::Int64)?)?[..] {
            (self.correct, self.examples) = (correct, examples);
        }
        Ok(())
    }

    fn update(&mut self, y_pred: &Tensor, y: &Tensor) -> Result<()> {
        let (scores, classes) = (y_pred.size(), y.size());
        if scores.len() != 2 || classes != scores[..1] || scores[1] < self.k {
            return Err(Error::data(format!(
                "expected scores (B, C) of at least {} classes and class numbers (B), found shapes {scores:?} and \
                 {classes:?}",
                self.k
            )));
        }
        let (_, likeliest) = y_pred.detach().f_topk(self.k, 1, true, true)?;
        let hits = likeliest.f_eq_tensor(&y.f_to_kind(Kind::Int64)?.f_unsqueeze(1)?)?;
        self.correct += hits.f_sum(Kind::Int64)?.f_int64_value(&[])?;
        self.examples += scores[0];
        Ok(())
    }

    fn compute(&self) -> Result<f64> {
        if self.examples == 0 {
            return Err(Error::data("the metric has seen no data since the epoch began"));
        }
        Ok(self.correct as f64 / self.examples as f64)
    }
}
