//! `mmar plugin inspect`

use std::path::Path;

use mmar_loader::{Inspection, inspect};
use serde_json::json;

use super::failure;
use crate::exit::Exit;
use crate::printer::Printer;

/// Prints what the header of a plugin says; nothing of it is run. Fails if this engine cannot load it.
pub(super) fn run(file: &Path, as_json: bool, printer: &mut Printer) -> Result<(), Exit> {
    if !file.is_file() {
        return Err(Exit::usage("no-such-file", format!("there is no file `{}`", file.display())));
    }
    let plugin = inspect(file).map_err(|error| failure(&error))?;
    let verdict = plugin.check();
    if as_json {
        let (warnings, refused) = match &verdict {
            Ok(warnings) => (warnings.as_slice(), None),
            Err(error) => (&[][..], Some(error)),
        };
        printer.json(&json!({
            "schema": 1,
            "file": plugin.file,
            "size": plugin.size,
            "sha256": plugin.sha256,
            "manifest": plugin.manifest,
            "loadable": refused.is_none(),
            "warnings": warnings,
            "refused": refused,
        }))?;
    } else {
        printer.result(table(&plugin))?;
        for warning in verdict.iter().flatten() {
            printer.warn(warning);
        }
        if verdict.is_ok() {
            printer.result("loadable  yes")?;
        }
    }
    match verdict {
        Err(error) if !as_json => Err(failure(&error).into()),
        Err(_) => Err(Exit::Reported),
        Ok(_) => Ok(()),
    }
}

fn table(plugin: &Inspection) -> String {
    let manifest = &plugin.manifest;
    let rows = [
        ("plugin", format!("{} {} (crate {})", manifest.plugin.module, manifest.plugin.version, manifest.plugin.name)),
        ("file", format!("{} ({:.1} MB)", plugin.file.display(), plugin.size as f64 / 1e6)),
        ("sha256", plugin.sha256.clone()),
        ("ABI", format!("{} (byoc {})", manifest.abi, manifest.plugin_api)),
        ("libtorch", format!("{} {}, tch {}", manifest.libtorch, manifest.cuda, manifest.tch)),
        ("built", format!("{}, {}, {}", manifest.rustc, manifest.target, manifest.profile)),
    ];
    rows.map(|(name, value)| format!("{name:<9} {value}")).join("\n")
}
