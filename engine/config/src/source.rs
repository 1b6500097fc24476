//! The texts that diagnostics point into: config, environment, and one pseudo-file per `--set`.

use std::ops::Range;
use std::sync::Arc;

/// Which of the [`Sources`] a span lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(usize);

/// A range of bytes in one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The source.
    pub source: SourceId,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// The range of bytes.
    pub fn range(self) -> Range<usize> {
        self.start..self.end
    }
}

/// What a source is, for the origin of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceKind {
    /// The config file.
    Config,
    /// The environment file.
    Environment,
    /// One `--set KEY=VALUE`.
    Override,
}

/// A text with its name in frames.
#[derive(Debug, Clone)]
pub struct Source {
    /// What it is.
    pub kind: SourceKind,
    /// The path as the user gave it, or `--set`.
    pub name: String,
    /// The text.
    pub text: Arc<str>,
}

/// Every text that was read.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    sources: Vec<Source>,
}

impl Sources {
    /// Adds a text.
    pub fn add(&mut self, kind: SourceKind, name: impl Into<String>, text: impl Into<Arc<str>>) -> SourceId {
        self.sources.push(Source { kind, name: name.into(), text: text.into() });
        SourceId(self.sources.len() - 1)
    }

    /// The source of this id.
    pub fn get(&self, id: SourceId) -> &Source {
        &self.sources[id.0]
    }

    /// Line and column where a span starts, both from 1; columns count characters.
    pub fn position(&self, span: Span) -> (usize, usize) {
        let text = &self.get(span.source).text;
        let before = &text[..span.start.min(text.len())];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    /// `config/config_train.json:14:15`; an override is named by what it sets: `--set epochs`.
    pub fn location(&self, span: Span) -> String {
        let source = self.get(span.source);
        if source.kind == SourceKind::Override {
            let key = source.text.split('=').next().unwrap_or_default();
            return format!("{} {key}", source.name);
        }
        let (line, column) = self.position(span);
        format!("{}:{line}:{column}", source.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters() {
        let mut sources = Sources::default();
        let source = sources.add(SourceKind::Config, "c.json", "{\n \"ä\": 1\n}");
        let at = |start| sources.position(Span { source, start, end: start });
        assert_eq!(at(0), (1, 1));
        assert_eq!(at(3), (2, 2));
        assert_eq!(at(8), (2, 6), "the two bytes of ä are one column");
        assert_eq!(sources.location(Span { source, start: 3, end: 4 }), "c.json:2:2");
    }

    #[test]
    fn an_override_is_named_by_its_key() {
        let mut sources = Sources::default();
        let source = sources.add(SourceKind::Override, "--set", "epochs=3");
        assert_eq!(sources.location(Span { source, start: 7, end: 8 }), "--set epochs");
    }
}
