//! The one place that writes to the terminal.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use indicatif::MultiProgress;
use serde_json::Value as Json;

use crate::exit::Exit;

/// Writes results to standard output and everything else to standard error.
pub(crate) struct Printer {
    colour: bool,
    redraws: bool,
    out: io::Stdout,
    bars: MultiProgress,
}

impl Printer {
    pub(crate) fn new() -> Self {
        let is_terminal = io::stderr().is_terminal();
        let colour = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let redraws = is_terminal && std::env::var_os("MMAR_NO_PROGRESS").is_none();
        Self { colour, redraws, out: io::stdout(), bars: MultiProgress::new() }
    }

    /// Another one for the same terminal, for a thread of its own.
    pub(crate) fn another(&self) -> Self {
        Self { colour: self.colour, redraws: self.redraws, out: io::stdout(), bars: self.bars.clone() }
    }

    /// Whether standard error takes colours.
    pub(crate) fn colour(&self) -> bool {
        self.colour
    }

    /// Whether standard error can redraw a line.
    pub(crate) fn redraws(&self) -> bool {
        self.redraws
    }

    /// Where progress bars are drawn.
    pub(crate) fn bars(&self) -> &MultiProgress {
        &self.bars
    }

    /// A result.
    pub(crate) fn result(&mut self, text: impl Display) -> Result<(), Exit> {
        let mut out = self.out.lock();
        writeln!(out, "{text}").and_then(|()| out.flush()).map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Exit::OutputClosed,
            _ => Exit::failed("output", format!("cannot write the result: {error}")),
        })
    }

    /// A result for a script.
    pub(crate) fn json(&mut self, value: &Json) -> Result<(), Exit> {
        self.result(format_args!("{value:#}"))
    }

    /// Something good to know.
    pub(crate) fn note(&mut self, text: &str) {
        self.lines("", text);
    }

    /// Something that is not as it was asked for.
    pub(crate) fn warn(&mut self, text: &str) {
        let head = if self.colour { "\x1b[1;33mwarning\x1b[0m: " } else { "warning: " };
        self.lines(head, text);
    }

    /// A rendered error.
    pub(crate) fn diagnostic(&mut self, text: &str) {
        self.lines("", text.trim_end());
    }

    /// A line above the bars. Nothing can be done if standard error is gone.
    fn lines(&mut self, head: &str, text: &str) {
        self.bars.suspend(|| {
            let _ = writeln!(io::stderr().lock(), "{head}{text}");
        });
    }
}
