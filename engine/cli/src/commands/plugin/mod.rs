//! `mmar plugin`

mod build;
mod inspect;
mod install;
mod list;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use mmar_loader::{LoadError, Registry};
use mmar_train::Failure;

use crate::exit::Exit;
use crate::printer::Printer;

/// Arguments of `mmar plugin`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Say what a plugin file is, without running any of it
    Inspect {
        /// The library
        file: PathBuf,
        /// JSON for a script
        #[arg(long)]
        json: bool,
    },
    /// Load the plugins of an archive and say what they provide
    List {
        /// The archive
        #[arg(short, long, value_name = "MMAR")]
        mmar: PathBuf,
        /// JSON for a script
        #[arg(long)]
        json: bool,
    },
    /// Put a plugin into an archive
    Install {
        /// The library, or the folder of a crate, which is built first
        #[arg(value_name = "FILE|CRATE")]
        source: PathBuf,
        /// The archive
        #[arg(short, long, value_name = "MMAR")]
        mmar: PathBuf,
        /// The folder in it: `BYOC` for paths like `BYOC.myLoss.MyDiceLoss`, `custom` for `myLoss.MyDiceLoss`
        #[arg(long, value_name = "FOLDER", default_value = "BYOC")]
        folder: PathBuf,
    },
    /// Build a plugin crate and print where its library is
    Build {
        /// The folder of the crate
        #[arg(value_name = "CRATE")]
        folder: PathBuf,
    },
}

/// Runs one of them.
pub(crate) fn run(arguments: Arguments, printer: &mut Printer) -> Result<(), Exit> {
    match arguments.action {
        Action::Inspect { file, json } => inspect::run(&file, json, printer),
        Action::List { mmar, json } => list::run(&mmar, json, printer),
        Action::Install { source, mmar, folder } => install::run(&source, &mmar, &folder, printer),
        Action::Build { folder } => {
            let library = build::library(&folder, printer)?;
            printer.result(library.display())
        }
    }
}

/// Loads every plugin of a registry; those that are refused become warnings.
pub(crate) fn load_all(registry: &mut Registry, printer: &mut Printer) {
    for report in registry.load_all() {
        if let Err(error) = report.outcome {
            printer.warn(&failure(&error).to_string());
        }
    }
}

/// A refused plugin as a failure of the command.
fn failure(error: &LoadError) -> Failure {
    let mut failure = Failure::new(error.code.name(), error.to_string());
    if let Some(note) = &error.detail {
        failure = failure.note(note.clone());
    }
    if let Some(help) = &error.help {
        failure = failure.help(help.clone());
    }
    failure
}
