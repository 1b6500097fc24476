//! `mmar __check`: runs one test of a plugin in a process of its own, for `mmar plugin check`.

use std::path::PathBuf;

use byoc::Kind;
use clap::Args;
use mmar_conformance::child::{self, Order};

use crate::exit::Exit;

/// Arguments of `mmar __check`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The library, an absolute path
    file: PathBuf,
    /// The test
    #[arg(long)]
    test: String,
    /// The component: the number of its kind, and its name
    #[arg(long, value_parser = component)]
    component: Option<(Kind, String)>,
    /// What random inputs are drawn with
    #[arg(long)]
    seed: u64,
    /// The file with arguments and shapes, an absolute path
    #[arg(long)]
    args: Option<PathBuf>,
}

fn component(text: &str) -> Result<(Kind, String), String> {
    Order::parse_component(text).ok_or_else(|| "expected `KIND/NAME`".to_owned())
}

/// Runs it; the outcome is a line that the parent reads.
pub(crate) fn run(arguments: Arguments) -> Result<(), Exit> {
    let Arguments { file, test, component, seed, args } = arguments;
    child::main(&Order { file, test, component, seed, given: args })
        .map_err(|error| Exit::failed("check-failed", format!("the test could not be run: {error}")))
}
