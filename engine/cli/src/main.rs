//! `mmar`: the command line. It parses, calls the crates below it, and prints; one file per command.
//!
//! Results go to standard output, everything else to standard error. Exit codes: 0 done, 1 the work failed, 2 wrong usage
//! or a missing file, 101 a bug of ours, 130 interrupted.

mod arguments;
mod codes;
mod commands;
mod exit;
mod logging;
mod printer;
mod progress;
mod reference;
mod signals;

// Linked for the components it registers.
use mmar_components as _;

use std::process::ExitCode;

use crate::printer::Printer;

fn main() -> ExitCode {
    exit::report_panics();
    let parsed = match arguments::parse(std::env::args_os()) {
        Ok(parsed) => parsed,
        Err(error) => return exit::usage(&error),
    };
    let mut printer = Printer::new();
    for warning in &parsed.warnings {
        printer.warn(warning);
    }
    match commands::run(parsed.command, &mut printer) {
        Ok(()) => ExitCode::SUCCESS,
        Err(exit) => exit.report(&mut printer),
    }
}
