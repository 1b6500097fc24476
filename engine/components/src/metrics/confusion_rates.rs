//! Rates that are made of true and false positives and negatives.

use byoc::{Error, Result};

/// The counts of one class.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConfusionCounts {
    pub(super) true_positives: f64,
    pub(super) false_positives: f64,
    pub(super) true_negatives: f64,
    pub(super) false_negatives: f64,
}

/// One of the rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate(&'static str);

/// Every rate: its short name, and its other names (MONAI `check_confusion_matrix_metric_name`).
const NAMES: [(&str, &[&str]); 17] = [
    ("tpr", &["sensitivity", "recall", "hit_rate", "true_positive_rate"]),
    ("tnr", &["specificity", "selectivity", "true_negative_rate"]),
    ("ppv", &["precision", "positive_predictive_value"]),
    ("npv", &["negative_predictive_value"]),
    ("fnr", &["miss_rate", "false_negative_rate"]),
    ("fpr", &["fall_out", "false_positive_rate"]),
    ("fdr", &["false_discovery_rate"]),
    ("for", &["false_omission_rate"]),
    ("pt", &["prevalence_threshold"]),
    ("ts", &["threat_score", "critical_success_index", "csi"]),
    ("acc", &["accuracy"]),
    ("ba", &["balanced_accuracy"]),
    ("f1", &["f1_score"]),
    ("mcc", &["matthews_correlation_coefficient"]),
    ("fm", &["fowlkes_mallows_index"]),
    ("bm", &["informedness", "bookmaker_informedness", "youden_index", "youden"]),
    ("mk", &["markedness", "deltap"]),
];

impl Rate {
    /// The rate of this name; spaces, underscores and case do not matter.
    pub(super) fn from_name(name: &str) -> Result<Self> {
        let wanted = name.replace(' ', "_").to_lowercase();
        let found = NAMES.iter().find(|(short, others)| *short == wanted || others.contains(&wanted.as_str()));
        found.map(|(short, _)| Self(short)).ok_or_else(|| {
            let known: Vec<_> =
                NAMES.iter().map(|(short, others)| format!("`{}`", others.first().unwrap_or(short))).collect();
            Error::invalid_argument(format!("there is no rate `{name}`; there are {}", known.join(", ")))
        })
    }

    /// The rate of these counts; not a number where its denominator is 0.
    pub(super) fn of(self, counts: ConfusionCounts) -> f64 {
        let ConfusionCounts { true_positives: tp, false_positives: fp, true_negatives: tn, false_negatives: fn_ } =
            counts;
        let (p, n) = (tp + fn_, fp + tn);
        let tpr = quotient(tp, p);
        let tnr = quotient(tn, n);
        let ppv = quotient(tp, tp + fp);
        let npv = quotient(tn, tn + fn_);
        match self.0 {
            "tpr" => tpr,
            "tnr" => tnr,
            "ppv" => ppv,
            "npv" => npv,
            "fnr" => quotient(fn_, p),
            "fpr" => quotient(fp, n),
            "fdr" => quotient(fp, fp + tp),
            "for" => quotient(fn_, fn_ + tn),
            "pt" => quotient((tpr * (1.0 - tnr)).sqrt() + tnr - 1.0, tpr + tnr - 1.0),
            "ts" => quotient(tp, tp + fn_ + fp),
            "acc" => quotient(tp + tn, p + n),
            "ba" => f64::midpoint(tpr, tnr),
            "f1" => quotient(2.0 * tp, 2.0 * tp + fn_ + fp),
            "mcc" => quotient(tp * tn - fp * fn_, ((tp + fp) * (tp + fn_) * (tn + fp) * (tn + fn_)).sqrt()),
            "fm" => (ppv * tpr).sqrt(),
            "bm" => tpr + tnr - 1.0,
            _ => ppv + npv - 1.0,
        }
    }
}

fn quotient(numerator: f64, denominator: f64) -> f64 {
    if denominator == 0.0 { f64::NAN } else { numerator / denominator }
}

#[cfg(test)]
mod tests {
    use super::{ConfusionCounts, NAMES, Rate};

    #[test]
    fn rates_of_a_worked_example() {
        let counts =
            ConfusionCounts { true_positives: 6.0, false_positives: 2.0, true_negatives: 9.0, false_negatives: 3.0 };
        for (name, expected) in [
            ("hit rate", 6.0 / 9.0),
            ("Specificity", 9.0 / 11.0),
            ("precision", 0.75),
            ("f1 score", 12.0 / 17.0),
            ("accuracy", 0.75),
            ("threat_score", 6.0 / 11.0),
        ] {
            assert!((Rate::from_name(name).unwrap().of(counts) - expected).abs() < 1e-12, "{name}");
        }
    }

    #[test]
    fn every_name_is_known_and_others_are_told() {
        for (short, others) in NAMES {
            assert!(others.iter().all(|name| Rate::from_name(name).unwrap() == Rate(short)));
        }
        assert!(Rate::from_name("sensibility").unwrap_err().to_string().contains("`sensitivity`"));
        let nothing =
            ConfusionCounts { true_positives: 0.0, false_positives: 0.0, true_negatives: 5.0, false_negatives: 0.0 };
        assert!(Rate::from_name("recall").unwrap().of(nothing).is_nan());
    }
}
