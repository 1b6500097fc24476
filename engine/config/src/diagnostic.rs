//! Diagnostics: what is wrong, where, and what to do.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use serde_json::{Value as Json, json};

use crate::code::Code;
use crate::render::{self, RenderOptions};
use crate::source::{SourceKind, Sources, Span};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The config cannot be used.
    Error,
    /// It can, but probably does not do what was meant.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// A place in a source, with the words beside it.
#[derive(Debug, Clone)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// The words; may be empty.
    pub text: String,
}

/// One problem.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What kind of problem.
    pub code: Code,
    /// One line: what was found, what was expected.
    pub message: String,
    /// Where; a problem with a whole file has no place in it.
    pub primary: Option<Label>,
    /// Other places that explain it: where a variable was set, where the first of two keys is.
    pub context: Vec<Label>,
    /// JSON pointer into the config.
    pub pointer: Option<String>,
    /// More facts.
    pub notes: Vec<String>,
    /// What to do.
    pub helps: Vec<String>,
}

impl Diagnostic {
    /// An error.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            message: message.into(),
            primary: None,
            context: Vec::new(),
            pointer: None,
            notes: Vec::new(),
            helps: Vec::new(),
        }
    }

    /// A warning.
    pub fn warning(code: Code, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::new(code, message) }
    }

    /// Sets the place.
    #[must_use]
    pub fn at(self, span: Span) -> Self {
        self.labelled(span, "")
    }

    /// Sets the place and the words beside it.
    #[must_use]
    pub fn labelled(mut self, span: Span, text: impl Into<String>) -> Self {
        self.primary = Some(Label { span, text: text.into() });
        self
    }

    /// Adds another place.
    #[must_use]
    pub fn context(mut self, span: Span, text: impl Into<String>) -> Self {
        self.context.push(Label { span, text: text.into() });
        self
    }

    /// Sets the JSON pointer.
    #[must_use]
    pub fn pointer(mut self, pointer: impl Into<String>) -> Self {
        self.pointer = Some(pointer.into());
        self
    }

    /// Adds a fact.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.helps.push(help.into());
        self
    }

    /// Adds what to do, if there is something.
    #[must_use]
    pub fn maybe_help(mut self, help: Option<String>) -> Self {
        self.helps.extend(help);
        self
    }
}

/// Problems, with the texts they are in.
#[derive(Debug, Clone, Default)]
pub struct Diagnostics {
    sources: Arc<Sources>,
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Sorts by position (problems without one first) and leaves out what is said twice.
    pub fn new(sources: Arc<Sources>, mut list: Vec<Diagnostic>) -> Self {
        list.sort_by_key(|diagnostic| diagnostic.primary.as_ref().map(|label| label.span));
        let mut seen = HashSet::new();
        list.retain(|diagnostic| {
            let span = diagnostic.primary.as_ref().map(|label| label.span);
            seen.insert((diagnostic.code, span, diagnostic.message.clone()))
        });
        Self { sources, list }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// All of them, sorted by position.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.list.iter()
    }

    /// Whether one of them is an error.
    pub fn has_errors(&self) -> bool {
        self.errors() > 0
    }

    /// How many errors there are.
    pub fn errors(&self) -> usize {
        self.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count()
    }

    /// How many warnings there are.
    pub fn warnings(&self) -> usize {
        self.len() - self.errors()
    }

    /// The texts.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// For a terminal or a log.
    pub fn render(&self, options: &RenderOptions) -> String {
        render::text(self, options)
    }

    /// For a script: `{"schema": 1, "errors": n, "warnings": n, "diagnostics": […]}`, all of them.
    pub fn to_json(&self) -> Json {
        let diagnostics: Vec<Json> = self.list.iter().map(|diagnostic| self.diagnostic_json(diagnostic)).collect();
        json!({ "schema": 1, "errors": self.errors(), "warnings": self.warnings(), "diagnostics": diagnostics })
    }

    fn diagnostic_json(&self, diagnostic: &Diagnostic) -> Json {
        let place = |label: &Label| {
            let source = self.sources.get(label.span.source);
            let (line, column) = self.sources.position(label.span);
            let end = Span { start: label.span.end, ..label.span };
            let (end_line, end_column) = self.sources.position(end);
            let mut place = json!({
                "file": source.name, "line": line, "column": column, "end_line": end_line, "end_column": end_column,
            });
            if source.kind == SourceKind::Override {
                place["override"] = source.text.as_ref().into();
            }
            if !label.text.is_empty() {
                place["label"] = label.text.as_str().into();
            }
            place
        };
        json!({
            "severity": diagnostic.severity.to_string(),
            "code": diagnostic.code.as_str(),
            "message": diagnostic.message,
            "location": diagnostic.primary.as_ref().map(place),
            "pointer": diagnostic.pointer,
            "related": diagnostic.context.iter().map(place).collect::<Vec<_>>(),
            "notes": diagnostic.notes,
            "help": diagnostic.helps,
        })
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(&RenderOptions::default()))
    }
}

impl std::error::Error for Diagnostics {}
