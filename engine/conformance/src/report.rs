//! What the tests found, as a table for people and as JSON for scripts.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;

use crate::verdict::{Outcome, Verdict};

/// The results of a plugin.
#[derive(Debug, Clone)]
pub struct Report {
    /// The file.
    pub file: PathBuf,
    /// Identity of the build, where the file could be read.
    pub sha256: Option<String>,
    /// The plugin's module, where its header could be read.
    pub module: Option<String>,
    /// What all random inputs were drawn with.
    pub seed: u64,
    /// One for each test that was asked for, in the order of the suite.
    pub results: Vec<TestResult>,
}

/// How a test of the file, or of one of its components, ended.
#[derive(Debug, Clone, Serialize)]
pub struct TestResult {
    /// The test: `loss-gradient`.
    pub test: &'static str,
    /// The component, or nothing where the test is about the file.
    pub component: Option<ComponentName>,
    /// What the test is about, one line.
    pub description: &'static str,
    /// How it ended.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// How long it took.
    pub seconds: f64,
}

/// A component of the plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ComponentName {
    /// `loss`, `network` …
    pub kind: String,
    /// The name in a config.
    pub name: String,
}

impl Report {
    /// How many tests ended so.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.results.iter().filter(|result| result.verdict.outcome == outcome).count()
    }

    /// Whether nothing failed or crashed.
    pub fn is_good(&self) -> bool {
        !self.results.iter().any(|result| result.verdict.outcome.is_bad())
    }

    /// `{"schema": 1, "file", "sha256", "module", "seed", "counts": {…}, "tests": […]}`
    pub fn to_json(&self) -> serde_json::Value {
        let counts: serde_json::Map<_, _> =
            Outcome::ALL.iter().map(|outcome| (outcome.name().to_owned(), self.count(*outcome).into())).collect();
        serde_json::json!({
            "schema": 1,
            "file": self.file,
            "sha256": self.sha256,
            "module": self.module,
            "seed": self.seed,
            "counts": counts,
            "tests": self.results,
        })
    }

    /// `31 succeeded, 2 warnings, 4 skipped, 1 failed, 0 crashed (seed 0)`
    pub fn summary(&self) -> String {
        let [success, warning, skipped, failed, crashed] = Outcome::ALL.map(|outcome| self.count(outcome));
        format!(
            "{success} succeeded, {warning} warnings, {skipped} skipped, {failed} failed, {crashed} crashed (seed {})",
            self.seed
        )
    }
}

impl TestResult {
    /// The lines of a table: outcome, test, what was found, and indented what to change.
    pub fn to_lines(&self) -> String {
        let Verdict { outcome, detail, help } = &self.verdict;
        let mut text = format!("{:<8} {}", outcome.name(), self.test);
        for (index, line) in detail.lines().enumerate() {
            let _ = if index == 0 { write!(text, "  {line}") } else { write!(text, "\n{:9}{line}", "") };
        }
        if let Some(help) = help {
            let _ = write!(text, "\n{:9}help: {help}", "");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{ComponentName, Report, TestResult};
    use crate::verdict::Verdict;

    #[test]
    fn the_table_says_what_to_change_and_json_is_versioned() {
        let result = TestResult {
            test: "loss-gradient",
            component: Some(ComponentName { kind: "loss".into(), name: "A".into() }),
            description: "the gradient reaches the input",
            verdict: Verdict::failed("no gradient", "leave out `detach`"),
            seconds: 0.5,
        };
        assert_eq!(result.to_lines(), "failed   loss-gradient  no gradient\n         help: leave out `detach`");
        let report =
            Report { file: "a.so".into(), sha256: None, module: Some("a".into()), seed: 3, results: vec![result] };
        assert!(!report.is_good());
        assert_eq!(report.summary(), "0 succeeded, 0 warnings, 0 skipped, 1 failed, 0 crashed (seed 3)");
        let json = report.to_json();
        assert_eq!((&json["schema"], &json["counts"]["failed"]), (&1.into(), &1.into()));
        assert_eq!(json["tests"][0]["component"]["name"], "A");
        assert_eq!(json["tests"][0]["outcome"], "failed");
    }
}
