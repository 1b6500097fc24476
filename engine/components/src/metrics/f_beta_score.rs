//! F scores of masks.

use byoc::{Component, Error, Metric, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind, Tensor};

use super::accumulated::{Accumulated, MetricReduction, number};
use super::confusion_matrix::counts;
use super::pair::same_shape;

byoc::register! { metrics: [FBetaScore] }

/// Weighted harmonic mean of precision and recall of binary masks (MONAI `FBetaScore`).
///
/// Prediction and ground truth are one-hot, (B, C) or (B, C, spatial…). Counts are put together first, then the score is
/// made of them; a class without positives has no number. The values per item and class are the counts (N, C, 4): true
/// positives, false positives, true negatives, false negatives.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FBetaScoreArgs {
    /// How many times more recall counts than precision.
    beta: f64,
    /// Whether channel 0, the background, counts; ignored for a single channel.
    include_background: bool,
    /// Over what the counts are put together.
    reduction: MetricReduction,
    /// Whether the numbers of values come along, as MONAI numbers its results.
    get_not_nans: bool,
}

impl Default for FBetaScoreArgs {
    fn default() -> Self {
        Self { beta: 1.0, include_background: true, reduction: MetricReduction::Mean, get_not_nans: false }
    }
}

/// See [`FBetaScoreArgs`].
#[derive(Debug)]
pub struct FBetaScore {
    args: FBetaScoreArgs,
    counts: Accumulated,
}

impl Component for FBetaScore {
    type Args = FBetaScoreArgs;

    fn new(args: FBetaScoreArgs) -> Result<Self> {
        if !args.beta.is_finite() {
            return Err(Error::invalid_argument(format!("`beta` must be a number, found {}", args.beta)));
        }
        Ok(Self { args, counts: Accumulated::default() })
    }
}

impl Metric for FBetaScore {
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
        self.counts.push(&counts(y_pred, y, self.args.include_background, None)?)
    }

    fn compute(&self) -> Result<f64> {
        number(&self.aggregate()?.0)
    }

    fn details(&self) -> Option<Tensor> {
        self.counts.details()
    }

    fn results(&self) -> Result<Vec<(String, Tensor)>> {
        let (value, not_nans) = self.aggregate()?;
        // MONAI gives a list of one
        Ok(if self.args.get_not_nans {
            vec![("aggregate_0_0".to_owned(), value), ("aggregate_0_1".to_owned(), not_nans)]
        } else {
            vec![("aggregate_0".to_owned(), value)]
        })
    }
}

impl FBetaScore {
    fn aggregate(&self) -> Result<(Tensor, Tensor)> {
        let (counts, not_nans) = self.args.reduction.apply(&self.counts.all()?)?;
        let counts = counts.f_to_kind(Kind::Double)?;
        let counts = if counts.dim() == 1 { counts.f_unsqueeze(0)? } else { counts };
        let count = |which: i64| counts.f_select(-1, which);
        let square = self.args.beta * self.args.beta;
        let numerator = count(0)?.f_mul_scalar(1.0 + square)?;
        let denominator = numerator.f_add(&count(3)?.f_mul_scalar(square)?)?.f_add(&count(1)?)?;
        // 0 / 0 is no number
        Ok((numerator.f_div(&denominator)?.f_to_kind(Kind::Float)?, not_nans))
    }
}
