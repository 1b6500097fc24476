//! `mmar plugin install`

use std::path::Path;

use super::build;
use crate::exit::Exit;
use crate::printer::Printer;

/// Puts a library, or that of a crate, into an archive and prints where it went.
pub(super) fn run(source: &Path, mmar: &Path, folder: &Path, printer: &mut Printer) -> Result<(), Exit> {
    if !mmar.is_dir() {
        return Err(Exit::usage("no-such-file", format!("there is no archive `{}`", mmar.display())));
    }
    let library = if source.is_dir() {
        build::library(source, printer)?
    } else if source.is_file() {
        source.to_owned()
    } else {
        return Err(Exit::usage("no-such-file", format!("there is no file and no crate `{}`", source.display())));
    };
    let _ = (library, folder);
    Err(Exit::failed("unsupported", "plugins cannot be installed yet"))
}
