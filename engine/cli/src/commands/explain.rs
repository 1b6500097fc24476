//! `mmar explain`

use std::path::PathBuf;

use byoc::Kind;
use clap::Args;
use mmar_loader::{Entry, Registry};
use mmar_train::Failure;
use serde_json::{Value as Json, json};

use super::components;
use crate::exit::Exit;
use crate::printer::Printer;
use crate::{codes, reference};

/// Arguments of `mmar explain`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A component, by the name or path that a config has for it, or the code of an error or a warning:
    /// `DiceLoss`, `BYOC.myLoss.MyDiceLoss`, `unknown-component`
    #[arg(value_name = "ID|CODE")]
    what: String,
    /// An archive whose plugins are known, too
    #[arg(short, long, value_name = "MMAR")]
    mmar: Option<PathBuf>,
    /// JSON for a script
    #[arg(long)]
    json: bool,
}

/// Explains a component or a code.
pub(crate) fn run(arguments: &Arguments, printer: &mut Printer) -> Result<(), Exit> {
    let what = arguments.what.as_str();
    if let Some(explanation) = codes::explanation(what) {
        if arguments.json {
            return printer.json(&json!({ "schema": 1, "code": what, "explanation": explanation }));
        }
        return printer.result(reference::paragraph(what, explanation).trim_end());
    }
    let mut registry = components::registry(arguments.mmar.as_deref(), printer)?;
    let entries = entries(&mut registry, what);
    if entries.is_empty() {
        return Err(unknown(what, &registry, arguments.mmar.is_some()));
    }
    if arguments.json {
        let components: Vec<Json> = entries.iter().map(components::to_json).collect();
        return printer.json(&json!({ "schema": 1, "components": components }));
    }
    let pages: Vec<String> = entries.iter().map(|entry| reference::page(entry, &registry)).collect();
    printer.result(pages.join("\n").trim_end())
}

/// What a config may mean by a name, of every kind; a component of a plugin by its name alone, too.
fn entries(registry: &mut Registry, what: &str) -> Vec<Entry> {
    let found: Vec<Entry> = Kind::ALL.iter().filter_map(|(kind, _)| registry.find(*kind, what).ok()).collect();
    if !found.is_empty() {
        return found;
    }
    registry.entries().into_iter().filter(|entry| entry.descriptor.answers_to(what)).collect()
}

fn unknown(what: &str, registry: &Registry, has_archive: bool) -> Exit {
    let mut names: Vec<String> = codes::all().map(|(code, _)| code.to_owned()).collect();
    for entry in registry.entries() {
        let paths = registry.paths(&entry);
        if paths.is_empty() {
            names.push(entry.descriptor.name);
            names.extend(entry.descriptor.aliases);
        }
        names.extend(paths);
    }
    let near = mmar_config::did_you_mean(what, names.iter().map(String::as_str));
    let mut failure =
        Failure::usage("nothing-to-explain", format!("`{what}` is neither a component nor the code of an error"));
    if near.is_empty() {
        failure = failure.help("`mmar components` lists the components");
    } else {
        let near: Vec<String> = near.iter().map(|name| format!("`{name}`")).collect();
        failure = failure.help(format!("did you mean {}?", near.join(" or ")));
    }
    if what.contains('.') && !has_archive {
        failure = failure.help("plugins are known only with their archive: `-m MMAR`");
    }
    failure.into()
}
