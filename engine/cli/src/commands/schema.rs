//! `mmar schema`

use std::path::{Path, PathBuf};

use clap::Args;
use mmar_config::Named;
use mmar_loader::Registry;
use mmar_loader::path::BUILT_IN_PACKAGES;
use serde_json::Value as Json;

use super::components;
use crate::exit::Exit;
use crate::printer::Printer;

/// Arguments of `mmar schema`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// An archive whose plugins are in it, too; without one a path to any plugin is accepted
    #[arg(short, long, value_name = "MMAR")]
    mmar: Option<PathBuf>,
    /// Where to write it, instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Writes the JSON Schema of configs.
pub(crate) fn run(arguments: &Arguments, printer: &mut Printer) -> Result<(), Exit> {
    let registry = components::registry(arguments.mmar.as_deref(), printer)?;
    let text = mmar_config::json_schema_text(&schema(&registry, arguments.mmar.is_none()));
    let Some(file) = &arguments.output else { return printer.result(text.trim_end()) };
    write(file, &text)?;
    printer.note("a config that has its path under the key \"$schema\" is completed and checked by editors that know JSON Schema");
    printer.result(file.display())
}

fn write(file: &Path, text: &str) -> Result<(), Exit> {
    mmar_files::write(file, text.as_bytes())
        .map_err(|error| Exit::failed("cannot-write", format!("cannot write `{}`: {error}", file.display())))
}

/// The schema of configs that name the components of a registry.
fn schema(registry: &Registry, has_other_plugins: bool) -> Json {
    let mut components: Vec<Named> = registry
        .entries()
        .into_iter()
        .map(|entry| Named {
            paths: registry.paths(&entry),
            kind: entry.descriptor.kind.to_string(),
            name: entry.descriptor.name,
            aliases: entry.descriptor.aliases,
            summary: entry.descriptor.summary,
            schema: entry.descriptor.schema,
        })
        .collect();
    components.sort_by(|a, b| (&a.kind, &a.name).cmp(&(&b.kind, &b.name)));
    mmar_config::json_schema(&components, &BUILT_IN_PACKAGES, has_other_plugins)
}
