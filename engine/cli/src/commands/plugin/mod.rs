//! `mmar plugin`

mod build;
mod check;
mod inspect;
mod install;
mod list;
mod new;
pub(crate) mod source;

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
    /// Make the crate of a new plugin from a template
    New(new::Arguments),
    /// Build a plugin crate with the engine's libtorch, test and install it
    Build(build::Arguments),
    /// Test a plugin for everything that the engine relies on
    Check(check::Arguments),
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
    /// Load the plugins of an archive and say what they provide
    List {
        /// The archive
        #[arg(short, long, value_name = "MMAR")]
        mmar: PathBuf,
        /// JSON for a script
        #[arg(long)]
        json: bool,
    },
    /// Say what a plugin file is, without running any of it
    Inspect {
        /// The library
        file: PathBuf,
        /// JSON for a script
        #[arg(long)]
        json: bool,
    },
}

/// Runs one of them.
pub(crate) fn run(arguments: Arguments, printer: &mut Printer) -> Result<(), Exit> {
    match arguments.action {
        Action::Inspect { file, json } => inspect::run(&file, json, printer),
        Action::List { mmar, json } => list::run(&mmar, json, printer),
        Action::Install { source, mmar, folder } => install::run(&source, &mmar, &folder, printer),
        Action::Check(arguments) => check::run(arguments, printer),
        Action::New(arguments) => new::run(&arguments, printer),
        Action::Build(arguments) => build::run(&arguments, printer),
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
