//! `mmar show`

use clap::Args;

use crate::arguments::ConfigArguments;
use crate::exit::Exit;
use crate::printer::Printer;

/// Arguments of `mmar show`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) config: ConfigArguments,
    /// Only this part of the config, as a JSON pointer: `/train/loss`
    #[arg(long, value_name = "POINTER")]
    at: Option<String>,
    /// JSON for a script
    #[arg(long)]
    json: bool,
}

/// Prints the resolved config.
pub(crate) fn run(arguments: Arguments, printer: &mut Printer) -> Result<(), Exit> {
    let plan = mmar_config::load(&arguments.config.request())?;
    let shown = match &arguments.at {
        None => plan.show(),
        Some(pointer) => plan.show_at(pointer).ok_or_else(|| {
            Exit::usage(
                "no-such-value",
                format!("the config has nothing at `{pointer}`; a pointer looks like `/train/loss`"),
            )
        })?,
    };
    if arguments.json { printer.json(&shown.to_json()) } else { printer.result(shown.to_string().trim_end()) }
}
