//! The engine and the first-party plugins.

use anyhow::Result;

use crate::libtorch;
use crate::process::{self, cargo, say};
use crate::workspace::Workspace;

/// Sets up and builds.
pub(crate) fn run(workspace: &Workspace, release: bool) -> Result<()> {
    libtorch::set_up(workspace, false)?;
    build(workspace, release)?;
    say(format!("the engine: {}", workspace.engine(release).display()));
    Ok(())
}

/// Builds the engine and, beside it, the first-party plugins. Cargo shows the progress.
pub(crate) fn build(workspace: &Workspace, release: bool) -> Result<()> {
    let plugins = workspace.plugins()?;
    say(format!("building mmar and the plugins {} (the first time takes minutes)", plugins.join(", ")));
    let mut arguments = vec!["build", "--package", "mmar"];
    for plugin in &plugins {
        arguments.extend(["--package", plugin]);
    }
    if release {
        arguments.push("--release");
    }
    process::run(&mut cargo(workspace, &arguments))
}
