//! Cargo's helpers: one on the path, or one of our own in the cache, which is built where it is missing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::process::{self, say};
use crate::workspace::Workspace;

/// A program that `cargo install` builds.
pub(crate) struct Tool {
    /// The program and its crate.
    pub(crate) name: &'static str,
    /// Exactly this version: newer ones may want a newer compiler.
    pub(crate) version: &'static str,
    /// How it is asked for its version, which is the last word of the answer.
    pub(crate) ask: &'static [&'static str],
}

/// Makes a crate from the plugin template.
pub(crate) const CARGO_GENERATE: Tool =
    Tool { name: "cargo-generate", version: "0.23.7", ask: &["generate", "--version"] };

/// Checks licences, bans and sources.
pub(crate) const CARGO_DENY: Tool = Tool { name: "cargo-deny", version: "0.20.2", ask: &["--version"] };

impl Tool {
    /// Where it is; builds it into the cache first where it is missing.
    pub(crate) fn find(&self, workspace: &Workspace) -> Result<PathBuf> {
        let tools = workspace.cache.join("tools");
        let own = tools.join("bin").join(self.name);
        for program in [Path::new(self.name), &own] {
            if self.is(program) {
                return Ok(program.to_owned());
            }
        }
        say(format!("building {} {} into {} (minutes, once)", self.name, self.version, tools.display()));
        let target = tools.join("target");
        fs::create_dir_all(&tools).with_context(|| format!("cannot make `{}`", tools.display()))?;
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["install", self.name, "--version", self.version, "--locked", "--quiet", "--root"]).arg(&tools);
        // outside the checkout, so that its cargo configuration does not count
        cargo.current_dir(&tools).env("CARGO_TARGET_DIR", &target).stdin(Stdio::null());
        let built = process::with_progress("built", &target, || process::run(&mut cargo));
        // nobody needs what lies between source and program again
        let _ = fs::remove_dir_all(&target);
        built?;
        anyhow::ensure!(self.is(&own), "`{}` does not run", own.display());
        Ok(own)
    }

    fn is(&self, program: &Path) -> bool {
        let output = Command::new(program).args(self.ask).stdin(Stdio::null()).stderr(Stdio::null()).output();
        output.is_ok_and(|output| self.is_version(&String::from_utf8_lossy(&output.stdout)))
    }

    /// `cargo-generate generate 0.23.7`
    fn is_version(&self, said: &str) -> bool {
        said.split_whitespace().last() == Some(self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::CARGO_GENERATE;

    #[test]
    fn the_version_is_the_last_word() {
        let version = CARGO_GENERATE.version;
        assert!(CARGO_GENERATE.is_version(&format!("cargo generate-generate {version}\n")));
        assert!(!CARGO_GENERATE.is_version(&format!("cargo generate-generate {version}0\n")));
        assert!(!CARGO_GENERATE.is_version(""));
    }
}
