//! Area under the receiver operating characteristic.

use byoc::{Component, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use super::scores::{Average, Scores, both_labels, metric_of_scores};

byoc::register! { metrics: [ROCAUCMetric = "ROCAUCMetric" | "ROCAUC" | "ROC_AUC" | "compute_roc_auc"] }

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

/// See [`ROCAUCMetricArgs`].
#[derive(Debug)]
pub struct ROCAUCMetric {
    average: Average,
    scores: Scores,
}

impl Component for ROCAUCMetric {
    type Args = ROCAUCMetricArgs;

    fn new(args: ROCAUCMetricArgs) -> Result<Self> {
        Ok(Self { average: args.average, scores: Scores::default() })
    }
}

metric_of_scores!(ROCAUCMetric, area);

/// The probability that a positive scores above a negative, ties counting half (Mann and Whitney).
fn area(scores: &[f64], labels: &[f64]) -> f64 {
    let Some((positives, negatives)) = both_labels(labels) else { return f64::NAN };
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
