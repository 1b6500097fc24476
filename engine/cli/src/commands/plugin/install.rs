//! `mmar plugin install`

use std::path::{Path, PathBuf};

use super::{build, failure};
use crate::exit::Exit;
use crate::printer::Printer;

/// Puts a library, or that of a crate, into an archive and prints where it went.
pub(super) fn run(source: &Path, mmar: &Path, folder: &Path, printer: &mut Printer) -> Result<(), Exit> {
    check_archive(mmar)?;
    let library = if source.is_dir() {
        build::library(source, printer)?
    } else if source.is_file() {
        source.to_owned()
    } else {
        return Err(Exit::usage("no-such-file", format!("there is no file and no crate `{}`", source.display())));
    };
    let installed = install(&library, mmar, folder, printer)?;
    printer.result(installed.display())
}

/// An archive that is not there is told before anything is built for it.
pub(super) fn check_archive(mmar: &Path) -> Result<(), Exit> {
    if mmar.is_dir() {
        return Ok(());
    }
    Err(Exit::usage("no-such-file", format!("there is no archive `{}`", mmar.display())))
}

/// Puts a library into an archive and gives the file there.
pub(super) fn install(library: &Path, mmar: &Path, folder: &Path, printer: &mut Printer) -> Result<PathBuf, Exit> {
    let installed = mmar_loader::install(library, mmar, folder).map_err(|error| failure(&error))?;
    for warning in &installed.warnings {
        printer.warn(&format!("{}: {warning}", installed.manifest.plugin.module));
    }
    let plugin = &installed.manifest.plugin;
    let verb = if installed.replaced { "replaced" } else { "installed" };
    printer.note(&format!("{verb} {} {}: a config names its components `{}`", plugin.module, plugin.version, {
        // `custom` is a search root itself, other folders are part of the path.
        let folder = folder.to_string_lossy().replace('/', ".");
        if folder == "custom" { format!("{}.NAME", plugin.module) } else { format!("{folder}.{}.NAME", plugin.module) }
    }));
    Ok(installed.file)
}
