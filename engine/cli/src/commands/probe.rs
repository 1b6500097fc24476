//! `mmar __probe`: opens a plugin in a process of its own, so that a crash while it is opened harms nobody.

use std::path::PathBuf;

use clap::Args;
use mmar_loader::probe;

use crate::exit::Exit;

/// Arguments of `mmar __probe`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The library
    file: PathBuf,
}

/// Opens it; the outcome is a line that the parent reads.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Exit> {
    if probe::main(&arguments.file) == 0 { Ok(()) } else { Err(Exit::Reported) }
}
