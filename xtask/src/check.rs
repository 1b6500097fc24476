//! What a change must satisfy besides its tests, cheapest first.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::process::{self, cargo, describe, say};
use crate::workspace::Workspace;
use crate::{libtorch, tidy, tools};

/// Runs every check, and fails at the end if one failed.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let mut failed = Vec::new();

    say("the rules of the house");
    let findings = tidy::check(&workspace.root)?;
    for finding in &findings {
        eprintln!("    {finding}");
    }
    if !findings.is_empty() {
        failed.push("the rules of the house".to_owned());
    }

    libtorch::set_up(workspace, false)?;
    let mut steps = vec![
        cargo(workspace, &["fmt", "--all", "--check"]),
        cargo(workspace, &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]),
    ];
    let mut docs = cargo(workspace, &["doc", "--workspace", "--no-deps", "--document-private-items", "--quiet"]);
    // Private items are documented, too, so links to them lead somewhere.
    docs.env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private_intra_doc_links");
    steps.push(docs);
    match tools::CARGO_DENY.find(workspace) {
        Ok(program) => {
            let mut deny = Command::new(program);
            deny.args(["--workspace", "check", "licenses", "bans", "sources"]);
            deny.current_dir(&workspace.root).stdin(Stdio::null());
            steps.push(deny);
        }
        Err(error) => {
            eprintln!("    {error:#}");
            failed.push("cargo-deny could not be built: licences, bans and sources are not checked".to_owned());
        }
    }
    for mut step in steps {
        say(describe(&step));
        if let Err(error) = process::run(&mut step) {
            eprintln!("    {error:#}");
            failed.push(describe(&step));
        }
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join("; "));
    }
    Ok(())
}
