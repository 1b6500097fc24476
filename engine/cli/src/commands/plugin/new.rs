//! `mmar plugin new`

use std::path::{Path, PathBuf};

use clap::Args;
use mmar_scaffold::{Error, Names, Plugin, Source};
use mmar_train::Failure;

use crate::exit::Exit;
use crate::printer::Printer;

/// Arguments of `mmar plugin new`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// What the crate and its folder are called; a config finds the plugin under this name in `snake_case`
    name: String,
    /// What it provides: `loss`, `network`, `metric`, `transform`, `handler`
    #[arg(long)]
    kind: String,
    /// The component's name in a config; that of the crate in CamelCase if not given
    #[arg(long, value_name = "NAME")]
    component: Option<String>,
    /// Where the crate `byoc` comes from: its folder, the URL of a repository (`URL#TAG`), or a version; that of this
    /// engine if not given
    #[arg(long, value_name = "FOLDER|URL|VERSION")]
    byoc: Option<String>,
    /// The folder in which the new one is made
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    folder: PathBuf,
}

/// Makes a new plugin and prints its folder.
pub(super) fn run(arguments: &Arguments, printer: &mut Printer) -> Result<(), Exit> {
    let Arguments { name, kind, component, byoc, folder } = arguments;
    let names = Names::new(name, kind, component.as_deref()).map_err(|error| failure(&error))?;
    let byoc = match byoc {
        Some(text) => Source::parse(text).map_err(|error| failure(&error))?,
        None => own_byoc(),
    };
    let plugin = Plugin { names, kind: kind.clone(), byoc };
    let root = mmar_scaffold::create(&plugin, folder).map_err(|error| failure(&error))?;
    let Names { module, component, .. } = &plugin.names;
    let shown = root.display();
    printer.note(&format!("a config names it `BYOC.{module}.{component}`; `{shown}/README.md` says what to do next"));
    printer.note(&format!("`mmar plugin build {shown} --test` compiles and tests it"));
    printer.result(shown)
}

/// The crate that this engine was built with, if it is still there; else its version.
fn own_byoc() -> Source {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../plugin-api"));
    Source::folder(folder).unwrap_or_else(|_| Source::Version(env!("CARGO_PKG_VERSION").to_owned()))
}

fn failure(error: &Error) -> Failure {
    let message = error.to_string();
    match error {
        Error::Name { .. } => Failure::usage("invalid-name", message),
        Error::Kind { .. } => Failure::usage("unknown-kind", message),
        Error::Source(_) => Failure::usage("no-such-crate", message),
        Error::Exists(_) => Failure::new("exists", message).help("choose another name, or remove the folder yourself"),
        Error::Write { .. } => Failure::new("not-written", message),
        Error::Template(_) => Failure::new("template-broken", message),
    }
}
