//! `mmar __probe`: opens a plugin in a process of its own, so that a crash while it is opened harms nobody.

use std::path::PathBuf;

use clap::Args;

use crate::exit::Exit;

/// Arguments of `mmar __probe`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The library
    file: PathBuf,
}

/// Opens it.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Exit> {
    let _ = &arguments.file;
    Err(Exit::failed("unsupported", "plugins cannot be probed yet"))
}
