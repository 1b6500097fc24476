//! The tests of the plugin template. They come last: they compile tch once more, as a plugin's author does, and compare
//! with the real cargo-generate, which may have to be built first.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::process::{self, say};
use crate::workspace::Workspace;

/// Newer ones want a newer compiler.
const VERSION: &str = "0.23.7";

/// What the tests look for.
pub(crate) const VARIABLES: [&str; 2] = ["MMAR_TEMPLATE_TESTS", "MMAR_CARGO_GENERATE"];

/// A cargo-generate to compare with: one on the path, or one of our own in the cache, which is built where it is missing.
pub(crate) fn cargo_generate(workspace: &Workspace) -> Result<PathBuf> {
    let tools = workspace.cache.join("tools");
    let own = tools.join("bin").join("cargo-generate");
    for program in [Path::new("cargo-generate"), &own] {
        if has_version(program) {
            return Ok(program.to_owned());
        }
    }
    say(format!("building cargo-generate {VERSION} into {} (minutes, once)", tools.display()));
    let target = tools.join("target");
    fs::create_dir_all(&tools).with_context(|| format!("cannot make `{}`", tools.display()))?;
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["install", "cargo-generate", "--version", VERSION, "--locked", "--quiet", "--root"]).arg(&tools);
    // outside the checkout, so that its cargo configuration does not count
    cargo.current_dir(&tools).env("CARGO_TARGET_DIR", &target).stdin(Stdio::null());
    let built = process::with_progress("built", &target, || process::run(&mut cargo));
    // nobody needs what lies between source and program again
    let _ = fs::remove_dir_all(&target);
    built?;
    anyhow::ensure!(has_version(&own), "`{}` does not run", own.display());
    Ok(own)
}

fn has_version(program: &Path) -> bool {
    let output =
        Command::new(program).args(["generate", "--version"]).stdin(Stdio::null()).stderr(Stdio::null()).output();
    output.is_ok_and(|output| is_version(&String::from_utf8_lossy(&output.stdout)))
}

/// `cargo-generate generate 0.23.7`
fn is_version(said: &str) -> bool {
    said.split_whitespace().last() == Some(VERSION)
}

#[cfg(test)]
mod tests {
    use super::{VERSION, is_version};

    #[test]
    fn the_version_is_the_last_word() {
        assert!(is_version(&format!("cargo generate-generate {VERSION}\n")));
        assert!(!is_version("cargo generate-generate 0.23.70\n"));
        assert!(!is_version(""));
    }
}
