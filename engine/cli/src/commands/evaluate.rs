//! `mmar evaluate`

use std::path::PathBuf;

use clap::Args;
use mmar_train::{RunLog, RunRequest};

use super::train::run_request;
use crate::arguments::ConfigArguments;
use crate::exit::Exit;
use crate::printer::Printer;
use crate::progress::Display;
use crate::{logging, signals};

/// Arguments of `mmar evaluate`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) config: ConfigArguments,
    /// Fail if there is no GPU instead of running on the CPU
    #[arg(long)]
    require_gpu: bool,
    /// The folder of this run, which must be empty or not exist; the next free `run-NNNN` if not given
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// More of the log on the terminal; twice for more still
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

/// Evaluates.
pub(crate) fn run(arguments: Arguments, printer: &mut Printer) -> Result<(), Exit> {
    let log = RunLog::new();
    logging::start(&log, arguments.verbose);
    let request = RunRequest {
        require_gpu: arguments.require_gpu,
        output: arguments.output,
        ..run_request(arguments.config, log)
    };
    let interrupt = signals::catch()?;
    let mut display = Display::new(printer, arguments.verbose > 0);
    let outcome = mmar_train::evaluate(&request, &mut display, &interrupt);
    display.finish();
    let summary = outcome?;
    for (label, value) in &summary.metrics {
        printer.result(format_args!("{label} {value:.6}"))?;
    }
    for file in &summary.files {
        printer.result(file.display())?;
    }
    Ok(())
}
