//! Why a run ended before its end, in words for its user.

use std::fmt::{self, Write as _};

use mmar_config::{Code, Diagnostics, RenderOptions};

/// A failed or interrupted run.
///
/// Renders as `error[code]: message`, then `= note: …` lines and `help: …` lines.
#[derive(Debug, Clone)]
pub struct Failure {
    code: String,
    message: String,
    notes: Vec<String>,
    help: Vec<String>,
    exit_code: u8,
    diagnostics: Option<Box<Diagnostics>>,
}

impl Failure {
    /// The work failed.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            notes: Vec::new(),
            help: Vec::new(),
            exit_code: 1,
            diagnostics: None,
        }
    }

    /// Wrong usage, or a file that is not there.
    pub fn usage(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { exit_code: 2, ..Self::new(code, message) }
    }

    /// Errors in a config, each with its place.
    pub fn config(diagnostics: Diagnostics) -> Self {
        let unreadable = diagnostics.iter().any(|diagnostic| diagnostic.code == Code::CannotRead);
        let errors = diagnostics.errors();
        let message = format!("the config has {errors} error{}", if errors == 1 { "" } else { "s" });
        Self {
            exit_code: if unreadable { 2 } else { 1 },
            diagnostics: Some(Box::new(diagnostics)),
            ..Self::new("invalid-config", message)
        }
    }

    /// Interrupted by the user.
    pub fn interrupted(message: impl Into<String>) -> Self {
        Self { exit_code: 130, ..Self::new("interrupted", message) }
    }

    /// The engine itself is wrong.
    pub(crate) fn bug(message: impl Into<String>) -> Self {
        Self { exit_code: 101, ..Self::new("internal-error", message) }
            .help("this is a bug of mmar: please report it with the run's log")
    }

    /// Adds a fact.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Adds facts.
    #[must_use]
    pub fn notes_from(mut self, notes: impl IntoIterator<Item = String>) -> Self {
        self.notes.extend(notes);
        self
    }

    /// Adds what the user can do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// The process's exit code: 1 the work failed, 2 wrong usage or missing file, 101 a
    /// bug of ours, 130 interrupted.
    pub fn exit_code(&self) -> u8 {
        self.exit_code
    }

    /// Whether the user stopped the run, rather than an error.
    pub fn is_interrupted(&self) -> bool {
        self.exit_code == 130
    }

    /// Whether a component panicked.
    pub(crate) fn is_panic(&self) -> bool {
        [byoc::ErrorCode::PANICKED, byoc::ErrorCode::POISONED].iter().any(|code| self.code == code.name())
    }

    /// The kind of failure, in kebab case: `non-finite-loss`.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The sentence.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The facts around it.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The errors in the config, if that is what it is.
    pub fn diagnostics(&self) -> Option<&Diagnostics> {
        self.diagnostics.as_deref()
    }

    /// The text for a terminal, with ANSI colours if asked for; ends with a line break.
    pub fn render(&self, colour: bool) -> String {
        if let Some(diagnostics) = &self.diagnostics {
            let mut text = diagnostics.render(&RenderOptions { color: colour, ..RenderOptions::default() });
            if !text.ends_with('\n') {
                text.push('\n');
            }
            return text;
        }
        let (red, bold, blue, green, reset) = if colour {
            ("\x1b[1;31m", "\x1b[1m", "\x1b[1;34m", "\x1b[1;32m", "\x1b[0m")
        } else {
            ("", "", "", "", "")
        };
        let mut text = format!("{red}error[{}]{reset}{bold}: {}{reset}\n", self.code, self.message);
        for note in &self.notes {
            let _ = writeln!(text, "   {blue}={reset} {bold}note{reset}: {}", note.replace('\n', "\n           "));
        }
        if !self.help.is_empty() {
            text.push('\n');
        }
        for help in &self.help {
            let _ = writeln!(text, "{green}help{reset}: {help}");
        }
        text
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(false).trim_end())
    }
}

impl std::error::Error for Failure {}
