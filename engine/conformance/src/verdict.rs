//! How a test ends.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The five ways in which a test can end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// As it should be.
    Success,
    /// It works, but somebody will stumble over it.
    Warning,
    /// The test does not apply, or nothing could be found to try it with.
    Skipped,
    /// The engine, or who uses the plugin, would get wrong results or an error.
    Failed,
    /// The process died, or did not come back in time.
    Crashed,
}

impl Outcome {
    /// All of them, the best first.
    pub const ALL: [Self; 5] = [Self::Success, Self::Warning, Self::Skipped, Self::Failed, Self::Crashed];

    /// The word in tables and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Warning => "warning",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Crashed => "crashed",
        }
    }

    /// Whether the plugin is at fault.
    pub const fn is_bad(self) -> bool {
        matches!(self, Self::Failed | Self::Crashed)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The end of one test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// How it ended.
    pub outcome: Outcome,
    /// What was found.
    pub detail: String,
    /// What to change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// What a test gives: an error of the component that no test expects is a verdict, too.
pub(crate) type Found = Result<Verdict, Verdict>;

impl Verdict {
    pub(crate) fn success(detail: impl Into<String>) -> Self {
        Self { outcome: Outcome::Success, detail: detail.into(), help: None }
    }

    pub(crate) fn skipped(reason: impl Into<String>) -> Self {
        Self { outcome: Outcome::Skipped, detail: reason.into(), help: None }
    }

    pub(crate) fn warning(detail: impl Into<String>, help: impl Into<String>) -> Self {
        Self { outcome: Outcome::Warning, detail: detail.into(), help: Some(help.into()) }
    }

    pub(crate) fn failed(detail: impl Into<String>, help: impl Into<String>) -> Self {
        Self { outcome: Outcome::Failed, detail: detail.into(), help: Some(help.into()) }
    }

    pub(crate) fn crashed(detail: impl Into<String>, help: impl Into<String>) -> Self {
        Self { outcome: Outcome::Crashed, detail: detail.into(), help: Some(help.into()) }
    }
}

impl From<byoc::Error> for Verdict {
    fn from(error: byoc::Error) -> Self {
        let place = error.location().map(|place| format!(" (at {place})")).unwrap_or_default();
        Self::failed(
            format!("an error where none was expected: {error}{place}"),
            "look at that place: what the test does there is what the engine does with the component",
        )
    }
}

impl From<tch::TchError> for Verdict {
    fn from(error: tch::TchError) -> Self {
        let said = byoc::torch_message(&error.to_string());
        Self::failed(
            format!("libtorch cannot work with what the component gave: {said}"),
            "give dense tensors of the shapes and dtypes that the trait documents",
        )
    }
}

/// An error in the words of a report: its text, and the place in the author's source.
pub(crate) fn said(error: &byoc::Error) -> String {
    match error.location() {
        Some(place) => format!("{error} (at {place})"),
        None => error.to_string(),
    }
}
