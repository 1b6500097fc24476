//! `mmar demo-data`

use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use mmar_phantom::{Error, Recipe};

use crate::exit::Exit;
use crate::printer::Printer;

/// Arguments of `mmar demo-data`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Where to make it
    folder: PathBuf,
    /// CT volumes in all: one in five is for validation, one in five a test image without a label
    #[arg(long, value_name = "N", default_value_t = 12)]
    cases: usize,
    /// The same seed gives the same volumes
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
}

/// Makes a data set and prints its data list.
pub(crate) fn run(arguments: &Arguments, printer: &mut Printer) -> Result<(), Exit> {
    let recipe = Recipe { cases: arguments.cases, seed: arguments.seed };
    let bar = if printer.redraws() {
        printer.bars().add(ProgressBar::new(recipe.cases as u64))
    } else {
        ProgressBar::hidden()
    };
    if let Ok(style) = ProgressStyle::with_template("making CT volumes {bar:32} {pos}/{len}") {
        bar.set_style(style);
    }
    let written = recipe.write(&arguments.folder, |done| bar.set_position(done as u64));
    bar.finish_and_clear();
    let written = written.map_err(|error| match error {
        Error::Exists(_) => Exit::usage("data-exists", error.to_string()),
        Error::TooFew(_) => Exit::usage("too-few-cases", error.to_string()),
        error => Exit::failed("demo-data", error.to_string()),
    })?;
    printer.note(&format!(
        "{} CT volumes for training, {} for validation, {} for testing",
        written.training, written.validation, written.test
    ));
    printer.result(written.list.display())
}
