//! The benchmarks.

use anyhow::Result;

use crate::libtorch;
use crate::process::{self, cargo, say};
use crate::workspace::Workspace;

/// Sets up and runs them, in the bench profile.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    libtorch::set_up(workspace, false)?;
    say("running the benchmarks");
    let mut all = vec!["bench", "--workspace", "--benches"];
    all.extend(arguments.iter().map(String::as_str));
    process::run(&mut cargo(workspace, &all))
}
