//! What a run of reference cases found, as a table for people and as JSON for scripts.

use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

/// The results of a run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// One per case, sorted.
    pub cases: Vec<CaseResult>,
}

/// What became of a case.
#[derive(Debug, Clone, Serialize)]
pub struct CaseResult {
    /// Path of the case below its folder, without an extension: `loss/DiceLoss_batch`.
    pub case: String,
    /// The kind of component.
    pub kind: String,
    /// The component.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Passed: the largest deviation. Else what is wrong: which output deviates by how much, what is missing.
    pub detail: String,
}

/// How a case ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Every expected value was reproduced.
    Passed,
    /// The component ran and gave something else.
    Failed,
    /// The component could not be made or gave an error, or the case cannot be read.
    Error,
    /// There is no such component.
    Missing,
}

impl Outcome {
    /// The word in tables and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Error => "error",
            Self::Missing => "missing",
        }
    }
}

impl CaseResult {
    pub(crate) fn error(path: &Path, detail: impl Into<String>) -> Self {
        Self {
            case: path.display().to_string(),
            kind: String::new(),
            name: String::new(),
            outcome: Outcome::Error,
            detail: detail.into(),
        }
    }
}

impl Report {
    /// How many cases ended so.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.cases.iter().filter(|case| case.outcome == outcome).count()
    }

    /// Whether every case passed.
    pub fn all_passed(&self) -> bool {
        self.cases.iter().all(|case| case.outcome == Outcome::Passed)
    }

    /// `{"schema": 1, "cases": […]}`
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({ "schema": 1, "cases": self.cases })
    }

    /// A line per case that did not pass, a line per kind, and the sum. Components that are not built are listed by
    /// name, not case by case.
    pub fn to_table(&self) -> String {
        let mut table = String::new();
        let width = self.cases.iter().map(|case| case.case.len()).max().unwrap_or_default();
        for case in self.cases.iter().filter(|case| matches!(case.outcome, Outcome::Failed | Outcome::Error)) {
            let _ = writeln!(table, "{:<7} {:<width$}  {}", case.outcome.name(), case.case, case.detail);
        }
        let missing = self.missing_components();
        if !missing.is_empty() {
            let _ = writeln!(table, "no such component: {}", missing.join(", "));
        }
        if !table.is_empty() {
            table.push('\n');
        }
        let mut kinds: Vec<&str> = self.cases.iter().map(|case| case.kind.as_str()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let _ = writeln!(table, "{:<14} {:>6} {:>6} {:>6} {:>7}", "kind", "passed", "failed", "error", "missing");
        for kind in kinds.into_iter().map(Some).chain([None]) {
            let count = |outcome| {
                let of_kind = |case: &&CaseResult| case.outcome == outcome && kind.is_none_or(|kind| case.kind == kind);
                self.cases.iter().filter(of_kind).count()
            };
            let name = match kind {
                Some("") => "unreadable",
                Some(kind) => kind,
                None => "total",
            };
            let [passed, failed, error, missing] =
                [Outcome::Passed, Outcome::Failed, Outcome::Error, Outcome::Missing].map(count);
            let _ = writeln!(table, "{name:<14} {passed:>6} {failed:>6} {error:>6} {missing:>7}");
        }
        table
    }

    /// What the missing cases lack, each once, sorted.
    pub fn missing_components(&self) -> Vec<String> {
        let missing = self.cases.iter().filter(|case| case.outcome == Outcome::Missing);
        let mut names: Vec<_> =
            missing.map(|case| case.detail.trim_start_matches("no such component: ").to_owned()).collect();
        names.sort();
        names.dedup();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::{CaseResult, Outcome, Report};

    fn report() -> Report {
        let case = |case: &str, outcome, detail: &str| CaseResult {
            case: format!("loss/{case}"),
            kind: "loss".into(),
            name: "L".into(),
            outcome,
            detail: detail.into(),
        };
        Report {
            cases: vec![
                case("a", Outcome::Passed, ""),
                case("b", Outcome::Failed, "`out.loss`: far off"),
                case("c", Outcome::Missing, "no such component: loss `L`"),
                case("d", Outcome::Missing, "no such component: loss `L`"),
            ],
        }
    }

    #[test]
    fn the_table_tells_failures_and_counts() {
        let table = report().to_table();
        assert!(table.contains("failed  loss/b  `out.loss`: far off"), "{table}");
        assert!(table.contains("no such component: loss `L`\n"), "{table}");
        assert!(table.contains("total               1      1      0       2"), "{table}");
    }

    #[test]
    fn json_is_versioned() {
        let json = report().to_json();
        assert_eq!(json["schema"], 1);
        assert_eq!(json["cases"][1]["outcome"], "failed");
    }
}
