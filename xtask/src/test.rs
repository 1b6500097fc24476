//! Every test of the repository.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::process::{self, cargo, say};
use crate::workspace::Workspace;
use crate::{build, generate, libtorch, python, tools};

/// What the tests of the plugin template look for. They come last: they compile tch once more, as a plugin's author does,
/// and compare with the real cargo-generate, which may have to be built first.
const TEMPLATE_VARIABLES: [&str; 2] = ["MMAR_TEMPLATE_TESTS", "MMAR_CARGO_GENERATE"];

/// Sets up, builds what the end-to-end tests run, runs the tests and adds up their results.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    // First, because on a fresh machine its torch is the libtorch to link with, and nothing is fetched twice.
    let has_python = match python::set_up(workspace) {
        Ok(()) => true,
        Err(error) => {
            eprintln!("warning: no Python packages to compare with, the tests leave those checks out: {error:#}");
            false
        }
    };
    libtorch::set_up(workspace, false)?;
    build::build(workspace, false)?;

    let python = has_python.then(|| python::interpreter(workspace));
    say("testing");
    let mut total = Counts::default();
    let mut command = tests(workspace, arguments, python.as_deref());
    let mut succeeded = count(&mut command, &mut total)?;
    if arguments.is_empty() {
        say("testing the plugin template: it is built as an author builds it (the first time takes minutes)");
        let mut command = tests(workspace, &["--test", "e2e", "--", "template"].map(str::to_owned), python.as_deref());
        let [asked, cargo_generate] = TEMPLATE_VARIABLES;
        command.env(asked, "1");
        match tools::CARGO_GENERATE.find(workspace) {
            Ok(program) => {
                command.env(cargo_generate, program);
            }
            Err(error) => eprintln!("warning: no cargo-generate, the comparison with it is left out: {error:#}"),
        }
        succeeded &= count(&mut command, &mut total)?;
    }
    say(format!("{} tests passed, {} failed, {} ignored", total.passed, total.failed, total.ignored));
    if !succeeded {
        bail!("not all tests passed");
    }
    generate::compare(workspace)
}

/// `cargo test` on the whole workspace: always with the same features, or libtorch's bindings are compiled again.
fn tests(workspace: &Workspace, arguments: &[String], python: Option<&Path>) -> Command {
    let mut all = vec!["test", "--workspace", "--no-fail-fast"];
    all.extend(arguments.iter().map(String::as_str));
    let mut command = cargo(workspace, &all);
    if let Some(python) = python {
        command.env("MMAR_PYTHON", python);
    }
    command
}

/// Runs tests, shows what they say, and adds their results up.
fn count(command: &mut Command, total: &mut Counts) -> Result<bool> {
    process::each_line(command, |line| {
        println!("{line}");
        if let Some(counts) = Counts::parse(line) {
            total.add(&counts);
        }
    })
}

/// The numbers of a `test result:` line.
#[derive(Default, Debug, PartialEq)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Counts {
    fn parse(line: &str) -> Option<Self> {
        let results = line.strip_prefix("test result: ")?;
        let mut counts = Self::default();
        for part in results.split([';', '.']) {
            let mut words = part.split_whitespace();
            let (Some(number), Some(what)) = (words.next(), words.next()) else { continue };
            let Ok(number) = number.parse() else { continue };
            match what {
                "passed" => counts.passed = number,
                "failed" => counts.failed = number,
                "ignored" => counts.ignored = number,
                _ => {}
            }
        }
        Some(counts)
    }

    fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_added_up() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 4 filtered out; finished in 1.20s";
        let mut total = Counts::default();
        total.add(&Counts::parse(line).unwrap());
        total.add(&Counts::parse("test result: ok. 1 passed; 0 failed; 0 ignored").unwrap());
        assert_eq!(total, Counts { passed: 13, failed: 3, ignored: 1 });
        assert_eq!(Counts::parse("test result_lines_are_added_up ... ok"), None);
    }
}
