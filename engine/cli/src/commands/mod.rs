//! The commands, one file each: call what does the work, print what it says.

pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod components;
pub(crate) mod conformance;
pub(crate) mod demo_data;
pub(crate) mod doctor;
pub(crate) mod evaluate;
pub(crate) mod explain;
pub(crate) mod plot;
pub(crate) mod plugin;
pub(crate) mod probe;
pub(crate) mod schema;
pub(crate) mod show;
pub(crate) mod train;
pub(crate) mod verify;

use crate::arguments::Command;
use crate::exit::Exit;
use crate::printer::Printer;

/// Runs a command.
pub(crate) fn run(command: Command, printer: &mut Printer) -> Result<(), Exit> {
    match command {
        Command::Train(arguments) => train::run(arguments, printer),
        Command::Evaluate(arguments) => evaluate::run(arguments, printer),
        Command::Check(arguments) => check::run(arguments, printer),
        Command::Show(arguments) => show::run(arguments, printer),
        Command::Components(arguments) => components::run(&arguments, printer),
        Command::Explain(arguments) => explain::run(&arguments, printer),
        Command::Completions(arguments) => completions::run(&arguments, printer),
        Command::Schema(arguments) => schema::run(&arguments, printer),
        Command::Verify(arguments) => verify::run(&arguments, printer),
        Command::Plugin(arguments) => plugin::run(arguments, printer),
        Command::Plot(arguments) => plot::run(arguments, printer),
        Command::DemoData(arguments) => demo_data::run(&arguments, printer),
        Command::Doctor => doctor::run(printer),
        Command::Probe(arguments) => probe::run(&arguments),
        Command::Conformance(arguments) => conformance::run(arguments),
    }
}
