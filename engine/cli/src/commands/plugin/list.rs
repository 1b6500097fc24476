//! `mmar plugin list`

use std::path::Path;

use mmar_loader::Registry;
use serde_json::{Value as Json, json};

use crate::exit::Exit;
use crate::printer::Printer;

/// Lists the plugins of an archive; fails if one is refused.
pub(super) fn run(mmar: &Path, as_json: bool, printer: &mut Printer) -> Result<(), Exit> {
    if !mmar.is_dir() {
        return Err(Exit::usage("no-such-file", format!("there is no archive `{}`", mmar.display())));
    }
    let mut registry = Registry::open(mmar);
    let reports = registry.load_all();
    let refused: Vec<_> = reports.iter().filter_map(|report| report.outcome.as_ref().err()).collect();
    if as_json {
        let plugins: Vec<Json> = registry
            .plugins()
            .iter()
            .map(|plugin| {
                let components: Vec<Json> = plugin
                    .components
                    .iter()
                    .map(|(it, _)| json!({ "kind": it.kind.to_string(), "name": it.name, "summary": it.summary }))
                    .collect();
                json!({
                    "module": plugin.module,
                    "file": plugin.file,
                    "sha256": plugin.sha256,
                    "components": components,
                })
            })
            .collect();
        printer.json(&json!({ "schema": 1, "plugins": plugins, "refused": refused }))?;
    } else {
        for plugin in registry.plugins() {
            let short = plugin.sha256.get(..8).unwrap_or_default();
            printer.result(format_args!("{}  {} (sha256 {short}…)", plugin.module, plugin.file.display()))?;
            for (descriptor, _) in &plugin.components {
                printer.result(format_args!("  {} ({}): {}", descriptor.name, descriptor.kind, descriptor.summary))?;
            }
        }
        if reports.is_empty() {
            printer.note(&format!("`{}` has no plugins", mmar.display()));
        }
        for error in &refused {
            printer.diagnostic(&super::failure(error).render(printer.colour()));
        }
    }
    if refused.is_empty() { Ok(()) } else { Err(Exit::Reported) }
}
