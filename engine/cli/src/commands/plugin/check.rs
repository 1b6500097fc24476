//! `mmar plugin check`

use std::path::PathBuf;
use std::time::Duration;

use byoc::Kind;
use clap::Args;
use mmar_conformance::{ComponentName, Request, TestResult};

use crate::exit::Exit;
use crate::printer::Printer;

/// Arguments of `mmar plugin check`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The library
    #[arg(required_unless_present = "list")]
    file: Option<PathBuf>,
    /// Only components of this kind: `network`, `loss`, `metric`, `transform`, `handler`
    #[arg(long)]
    kind: Option<String>,
    /// Only tests whose `COMPONENT/TEST` contains this; `file/TEST` for those of the file
    #[arg(long, value_name = "NAME")]
    filter: Vec<String>,
    /// Arguments and shapes to test with, as `{"args": {…}, "shapes": {"input": [2, 1, 8, 8, 8]}}`, or that under the name
    /// of each component; guessed if not given
    #[arg(long, value_name = "FILE")]
    args: Option<PathBuf>,
    /// Another seed draws other inputs
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// How long a test may take
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    time_limit: f64,
    /// Run the tests in this process, for a debugger; what crashes ends it
    #[arg(long)]
    in_process: bool,
    /// List the tests instead of running them
    #[arg(long)]
    list: bool,
    /// JSON for a script
    #[arg(long)]
    json: bool,
}

/// Tests a plugin and prints a line for each test; fails if one fails or crashes.
pub(super) fn run(arguments: Arguments, printer: &mut Printer) -> Result<(), Exit> {
    if arguments.list {
        return list(&arguments, printer);
    }
    let Some(file) = arguments.file.clone() else { return list(&arguments, printer) };
    if !file.is_file() {
        return Err(Exit::usage("no-such-file", format!("there is no file `{}`", file.display())));
    }
    let request = Request {
        file,
        kind: kind(&arguments)?,
        filter: arguments.filter,
        given: arguments.args,
        seed: arguments.seed,
        in_process: arguments.in_process,
        time_limit: Duration::try_from_secs_f64(arguments.time_limit)
            .map_err(|_| Exit::usage("invalid-time", format!("`{}` is no time in seconds", arguments.time_limit)))?,
        program: std::env::current_exe()
            .map_err(|error| Exit::failed("check-failed", format!("cannot find this program: {error}")))?,
    };
    let mut heading = Heading::default();
    let mut closed = Ok(());
    let report = mmar_conformance::run(&request, &mut |result| {
        if !arguments.json && closed.is_ok() {
            closed = heading.print(result, printer);
        }
    });
    closed?;
    let report = report.map_err(|error| Exit::usage("invalid-arguments", error))?;
    if report.results.is_empty() {
        return Err(Exit::usage("no-such-test", "no test was chosen: `mmar plugin check --list` lists them"));
    }
    if arguments.json {
        printer.json(&report.to_json())?;
    } else {
        printer.result(format_args!("\n{}", report.summary()))?;
    }
    if report.is_good() { Ok(()) } else { Err(Exit::Reported) }
}

fn kind(arguments: &Arguments) -> Result<Option<Kind>, Exit> {
    arguments.kind.as_deref().map(crate::commands::components::parse_kind).transpose()
}

fn list(arguments: &Arguments, printer: &mut Printer) -> Result<(), Exit> {
    let kind = kind(arguments)?;
    let tests: Vec<_> = mmar_conformance::suite::tests()
        .filter(|test| kind.is_none_or(|kind| test.is_of(kind)))
        .filter(|test| {
            arguments.filter.is_empty() || arguments.filter.iter().any(|part| test.name.contains(part.as_str()))
        })
        .collect();
    if arguments.json {
        let tests: Vec<_> =
            tests.iter().map(|it| serde_json::json!({ "test": it.name, "description": it.description })).collect();
        return printer.json(&serde_json::json!({ "schema": 1, "tests": tests }));
    }
    for test in tests {
        printer.result(format_args!("{:<22} {}", test.name, test.description))?;
    }
    Ok(())
}

/// Says of which component the following lines are.
#[derive(Default)]
struct Heading {
    has_begun: bool,
    last: Option<ComponentName>,
}

impl Heading {
    fn print(&mut self, result: &TestResult, printer: &mut Printer) -> Result<(), Exit> {
        if !self.has_begun || self.last != result.component {
            let blank = if self.has_begun { "\n" } else { "" };
            match &result.component {
                None => printer.result(format_args!("{blank}the file"))?,
                Some(ComponentName { kind, name }) => printer.result(format_args!("{blank}{kind} {name}"))?,
            }
            self.has_begun = true;
            self.last.clone_from(&result.component);
        }
        let lines = result.to_lines().replace('\n', "\n  ");
        printer.result(format_args!("  {lines}"))
    }
}
