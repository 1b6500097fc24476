//! How the program ends.

use std::panic;
use std::process::ExitCode;

use mmar_config::Diagnostics;
use mmar_train::Failure;

use crate::printer::Printer;

const FAILED: u8 = 1;
const WRONG_USAGE: u8 = 2;
/// What Rust itself exits with after a panic.
const BUG: u8 = 101;

/// Why a command did not come to its end.
#[derive(Debug)]
pub(crate) enum Exit {
    /// It says why itself.
    Failure(Box<Failure>),
    /// What had to be said has been printed as the command's result.
    Reported,
    /// Whoever reads our output has left: `mmar components | head`.
    OutputClosed,
}

impl Exit {
    /// The work failed.
    pub(crate) fn failed(code: &str, message: impl Into<String>) -> Self {
        Failure::new(code, message).into()
    }

    /// Wrong usage, or a file that is not there.
    pub(crate) fn usage(code: &str, message: impl Into<String>) -> Self {
        Failure::usage(code, message).into()
    }

    /// Prints it and gives the exit code.
    pub(crate) fn report(self, printer: &mut Printer) -> ExitCode {
        match self {
            Self::Failure(failure) => {
                printer.diagnostic(&failure.render(printer.colour()));
                ExitCode::from(failure.exit_code())
            }
            Self::Reported => ExitCode::from(FAILED),
            Self::OutputClosed => ExitCode::SUCCESS,
        }
    }
}

impl From<Failure> for Exit {
    fn from(failure: Failure) -> Self {
        Self::Failure(Box::new(failure))
    }
}

impl From<Diagnostics> for Exit {
    fn from(diagnostics: Diagnostics) -> Self {
        Failure::config(diagnostics).into()
    }
}

/// What the argument parser has to say: help and version are results, the rest is wrong usage.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    // Nothing can be done if the terminal is gone.
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(WRONG_USAGE) } else { ExitCode::SUCCESS }
}

/// A panic is our bug, and says so; the process ends with 101.
pub(crate) fn report_panics() {
    let default = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        default(info);
        // Panics of plugins and of data threads are caught and become errors with a message of their own.
        if std::thread::current().name() == Some("main") {
            let mut printer = Printer::new();
            printer.note(&format!(
                "if this is not followed by another error, mmar {} itself is at fault (exit code {BUG}): please report it \
                 with the lines above; RUST_BACKTRACE=1 shows more",
                env!("CARGO_PKG_VERSION")
            ));
        }
    }));
}
