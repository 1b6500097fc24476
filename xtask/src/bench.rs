//! The benchmarks.

use anyhow::Result;

use crate::process::{self, cargo, say};
use crate::workspace::Workspace;
use crate::{libtorch, python};

/// Sets up and runs them, in the bench profile; the comparison with MONAI needs the Python of the tests.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let has_python = match python::set_up(workspace) {
        Ok(()) => true,
        Err(error) => {
            eprintln!("warning: no MONAI to compare with, the benchmarks leave that out: {error:#}");
            false
        }
    };
    libtorch::set_up(workspace, false)?;
    say("running the benchmarks");
    let mut all = vec!["bench", "--workspace", "--benches"];
    all.extend(arguments.iter().map(String::as_str));
    let mut command = cargo(workspace, &all);
    if has_python {
        command.env("MMAR_PYTHON", python::interpreter(workspace));
    }
    process::run(&mut command)
}
