//! Files that are written from the code, committed, and checked by a test.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::build;
use crate::libtorch;
use crate::process::{self, say};
use crate::workspace::Workspace;

/// Writes them, or compares only.
pub(crate) fn run(workspace: &Workspace, check: bool) -> Result<()> {
    libtorch::set_up(workspace, false)?;
    build::build(workspace, false)?;
    if check {
        return compare(workspace);
    }
    for (path, text) in files(workspace)? {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
        say(format!("wrote {}", path.display()));
    }
    Ok(())
}

/// Compares the files with what the built engine gives.
pub(crate) fn compare(workspace: &Workspace) -> Result<()> {
    let mut outdated = Vec::new();
    for (path, text) in files(workspace)? {
        let current = fs::read_to_string(&path).unwrap_or_default();
        if current == text {
            say(format!("{} is up to date", path.display()));
            continue;
        }
        let line = current.lines().zip(text.lines()).take_while(|(current, new)| current == new).count() + 1;
        outdated.push(format!("`{}` (from line {line})", path.display()));
    }
    if !outdated.is_empty() {
        bail!("out of date: {}; run `cargo xtask generate`", outdated.join(", "));
    }
    Ok(())
}

/// Every file, with its text.
fn files(workspace: &Workspace) -> Result<Vec<(PathBuf, String)>> {
    let docs = workspace.root.join("docs");
    Ok(vec![
        (docs.join("command-line.md"), command_line(workspace)?),
        (docs.join("config.schema.json"), engine(workspace, &["schema"])?),
    ])
}

/// What the engine writes to standard output.
fn engine(workspace: &Workspace, arguments: &[&str]) -> Result<String> {
    process::output(Command::new(workspace.engine(false)).args(arguments))
}

/// The reference of the command line: the help of every command, in the order of `mmar --help`.
fn command_line(workspace: &Workspace) -> Result<String> {
    let mut text = String::from(
        "# Command line\n\nWritten by `cargo xtask generate` from `mmar --help`. Results go to standard output, everything \
         else to standard\nerror. Exit codes: 0 done, 1 the work failed, 2 wrong usage or a missing file, 101 a bug of \
         ours, 130 interrupted.\n",
    );
    let mut commands = vec![Vec::new()];
    while let Some(command) = commands.pop() {
        let help = help(workspace, &command)?;
        let title = ["mmar"].into_iter().chain(command.iter().map(String::as_str)).collect::<Vec<_>>().join(" ");
        write!(text, "\n## `{title}`\n\n```text\n{}\n```\n", help.trim_end())?;
        for name in subcommands(&help).into_iter().rev() {
            let mut child = command.clone();
            child.push(name);
            commands.push(child);
        }
    }
    Ok(text)
}

fn help(workspace: &Workspace, command: &[String]) -> Result<String> {
    let mut engine = Command::new(workspace.engine(false));
    process::output(engine.args(command).arg("--help").env("COLUMNS", "100"))
}

/// The names in the `Commands:` part of a help text.
fn subcommands(help: &str) -> Vec<String> {
    help.lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}
