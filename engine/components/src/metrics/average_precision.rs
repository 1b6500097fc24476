//! Area under the curve of precision over recall.

use byoc::{Component, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use super::scores::{Average, Scores, both_labels, metric_of_scores};

byoc::register! {
    metrics: [AveragePrecisionMetric = "AveragePrecisionMetric" | "AveragePrecision" | "compute_average_precision"],
}

/// Mean of the precisions at each threshold, weighted by how much recall grows there (MONAI `AveragePrecisionMetric`, as
/// a handler `AveragePrecision`; also ignite's).
///
/// Scores and labels of zeros and ones are (B), (B, 1) or (B, C). A class with one kind of label only has no number, as
/// in MONAI.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AveragePrecisionMetricArgs {
    /// How the classes are put together.
    average: Average,
}

/// See [`AveragePrecisionMetricArgs`].
#[derive(Debug)]
pub struct AveragePrecisionMetric {
    average: Average,
    scores: Scores,
}

impl Component for AveragePrecisionMetric {
    type Args = AveragePrecisionMetricArgs;

    fn new(args: AveragePrecisionMetricArgs) -> Result<Self> {
        Ok(Self { average: args.average, scores: Scores::default() })
    }
}

metric_of_scores!(AveragePrecisionMetric, precision);

fn precision(scores: &[f64], labels: &[f64]) -> f64 {
    let Some((positives, _)) = both_labels(labels) else { return f64::NAN };
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    let (mut above, mut found, mut sum) = (0.0, 0.0, 0.0);
    for tied in order.chunk_by(|a, b| scores[*a] == scores[*b]) {
        let new = tied.iter().filter(|i| labels[**i] == 1.0).count() as f64;
        above += tied.len() as f64;
        found += new;
        sum += new * found / above;
    }
    sum / positives
}

#[cfg(test)]
mod tests {
    use super::precision;

    #[test]
    fn precisions_count_where_recall_grows() {
        // scikit-learn's `average_precision_score` gives 0.8333… and 0.5
        assert!((precision(&[0.1, 0.4, 0.35, 0.8], &[0., 0., 1., 1.]) - 5.0 / 6.0).abs() < 1e-12);
        assert_eq!(precision(&[0.5, 0.5], &[0., 1.]), 0.5);
        assert!(precision(&[0.5, 0.6], &[0., 0.]).is_nan());
    }
}
