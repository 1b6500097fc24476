//! `mmar check`

use clap::{Args, ValueEnum};
use mmar_config::RenderOptions;
use mmar_train::{RunLog, Session};

use super::train::run_request;
use crate::arguments::ConfigArguments;
use crate::exit::Exit;
use crate::printer::Printer;

/// Arguments of `mmar check`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) config: ConfigArguments,
    /// How to print what is found
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For scripts
    Json,
}

/// Reports every error of a config; fails if there is one.
pub(crate) fn run(arguments: Arguments, printer: &mut Printer) -> Result<(), Exit> {
    let outcome = Session::open(&run_request(arguments.config, RunLog::new()));
    let (diagnostics, is_good) = match &outcome {
        Ok(session) => (&session.plan().warnings, true),
        Err(failure) => match failure.diagnostics() {
            Some(diagnostics) => (diagnostics, false),
            None => return Err(failure.clone().into()),
        },
    };
    match arguments.format {
        Format::Json => printer.json(&diagnostics.to_json())?,
        Format::Text => {
            let options = RenderOptions { color: printer.colour(), ..RenderOptions::default() };
            if !diagnostics.is_empty() {
                printer.diagnostic(&diagnostics.render(&options));
            }
            let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
            let sum = format!("{}, {}", count(diagnostics.errors(), "error"), count(diagnostics.warnings(), "warning"));
            printer.result(if is_good { format!("ok: {sum}") } else { sum })?;
        }
    }
    if is_good { Ok(()) } else { Err(Exit::Reported) }
}
