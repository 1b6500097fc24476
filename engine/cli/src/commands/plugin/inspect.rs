//! `mmar plugin inspect`

use std::path::Path;

use crate::exit::Exit;
use crate::printer::Printer;

/// Prints what the header of a plugin says; nothing of it is run.
pub(super) fn run(file: &Path, _json: bool, _printer: &mut Printer) -> Result<(), Exit> {
    if !file.is_file() {
        return Err(Exit::usage("no-such-file", format!("there is no file `{}`", file.display())));
    }
    Err(Exit::failed("unsupported", "plugin files cannot be inspected yet"))
}
