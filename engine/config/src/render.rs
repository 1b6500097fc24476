//! Diagnostics as text: rustc's look, as `annotate-snippets` draws it.

use std::fmt::Write as _;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::diagnostic::{Diagnostic, Diagnostics, Label, Severity};
use crate::source::Sources;

/// How diagnostics are rendered.
#[derive(Debug, Clone, Copy)]
pub struct RenderOptions {
    /// With ANSI colours. The words are the same without.
    pub color: bool,
    /// At most so many diagnostics; the rest are counted.
    pub limit: usize,
    /// Columns of the terminal; longer lines of a config are cut around the place.
    pub width: usize,
}

impl Default for RenderOptions {
    fn default() -> Self {
        Self { color: false, limit: 20, width: 120 }
    }
}

/// All diagnostics, one after the other, with an empty line between them.
pub(crate) fn text(diagnostics: &Diagnostics, options: &RenderOptions) -> String {
    let renderer = if options.color { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.decor_style(DecorStyle::Ascii).term_width(options.width);
    // errors are what the user must act on: warnings never push one out of the shown part
    let mut shown: Vec<&Diagnostic> = diagnostics.iter().collect();
    let hidden = shown.len().saturating_sub(options.limit);
    if hidden > 0 {
        let errors = shown.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
        let mut warnings_left = options.limit.saturating_sub(errors);
        shown.retain(|diagnostic| match diagnostic.severity {
            Severity::Error => true,
            Severity::Warning => {
                let keep = warnings_left > 0;
                warnings_left = warnings_left.saturating_sub(1);
                keep
            }
        });
        shown.truncate(options.limit);
    }
    let rendered: Vec<String> =
        shown.into_iter().map(|diagnostic| one(diagnostic, diagnostics.sources(), &renderer, options.color)).collect();
    let mut text = rendered.join("\n");
    if hidden > 0 {
        let _ = write!(text, "\n…and {hidden} more\n");
    }
    text
}

fn one(diagnostic: &Diagnostic, sources: &Sources, renderer: &Renderer, color: bool) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(diagnostic.message.as_str()).id(diagnostic.code.as_str());
    let mut group = Group::with_title(title);
    if let Some(primary) = &diagnostic.primary {
        group = group.element(snippet(primary, AnnotationKind::Primary, &diagnostic.context, sources));
    }
    // places in other files (a variable's value in the environment) get frames of their own
    let elsewhere = diagnostic
        .context
        .iter()
        .filter(|label| Some(label.span.source) != diagnostic.primary.as_ref().map(|p| p.span.source));
    for label in elsewhere {
        group = group.element(snippet(label, AnnotationKind::Context, &[], sources));
    }
    if let Some(pointer) = &diagnostic.pointer {
        group = group.element(Level::NOTE.no_name().message(format!("at {pointer}")));
    }
    for note in &diagnostic.notes {
        group = group.element(Level::NOTE.message(note.as_str()));
    }
    let mut text = renderer.render(&[group]);
    text.push('\n');
    if !diagnostic.helps.is_empty() {
        text.push('\n');
    }
    for help in &diagnostic.helps {
        // annotate-snippets would glue it to the frame; an empty line lets the cure stand out
        let name = if color { "\u{1b}[1m\u{1b}[96mhelp\u{1b}[0m" } else { "help" };
        let _ = writeln!(text, "{name}: {}", help.replace('\n', "\n      "));
    }
    text
}

fn snippet<'a>(
    label: &'a Label,
    kind: AnnotationKind,
    context: &'a [Label],
    sources: &'a Sources,
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let source = sources.get(label.span.source);
    let annotate = |kind: AnnotationKind, label: &'a Label| {
        let annotation = kind.span(visible(label.span.range(), &source.text));
        if label.text.is_empty() { annotation } else { annotation.label(label.text.as_str()) }
    };
    let mut snippet =
        Snippet::source(source.text.as_ref()).path(source.name.as_str()).annotation(annotate(kind, label));
    for other in context.iter().filter(|other| other.span.source == label.span.source) {
        snippet = snippet.annotation(annotate(AnnotationKind::Context, other));
    }
    snippet
}

/// A value of several lines is marked where it begins: a frame around a whole section says nothing.
fn visible(range: std::ops::Range<usize>, text: &str) -> std::ops::Range<usize> {
    let end = range.end.min(text.len());
    let start = range.start.min(end);
    let first_line = text[start..end].find('\n').map_or(end, |at| start + at);
    // under a `\r\n` line end, too
    let trimmed = text[start..first_line].trim_end().len();
    start..(start + trimmed).max(start)
}
