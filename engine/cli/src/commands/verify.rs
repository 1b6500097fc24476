//! `mmar verify`

use std::path::PathBuf;

use clap::Args;
use mmar_loader::Registry;

use crate::exit::Exit;
use crate::printer::Printer;

/// Arguments of `mmar verify`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Folders with reference cases (`NAME.json` with `NAME.safetensors`), or single cases
    #[arg(required = true, value_name = "DIR")]
    cases: Vec<PathBuf>,
    /// An archive whose plugins take part
    #[arg(short, long, value_name = "MMAR")]
    mmar: Option<PathBuf>,
    /// JSON for a script
    #[arg(long)]
    json: bool,
}

/// Replays the cases; fails if one does not pass.
pub(crate) fn run(arguments: &Arguments, printer: &mut Printer) -> Result<(), Exit> {
    for path in &arguments.cases {
        if !path.exists() {
            return Err(Exit::usage("no-such-file", format!("there is no `{}`", path.display())));
        }
    }
    let mut registry = match &arguments.mmar {
        None => Registry::with_builtins(),
        Some(mmar) => {
            let mut registry = Registry::open(mmar);
            super::plugin::load_all(&mut registry, printer);
            registry
        }
    };
    let report = mmar_verify::run(&arguments.cases, &mut registry);
    if arguments.json {
        printer.json(&report.to_json())?;
    } else {
        printer.result(report.to_table().trim_end())?;
    }
    if report.all_passed() { Ok(()) } else { Err(Exit::Reported) }
}
