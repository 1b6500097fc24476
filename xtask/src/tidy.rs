//! The rules of the house that the compiler does not check: who may name what, who depends on whom, how long a file may
//! be. ARCHITECTURE.md gives the reasons. The test below runs them with the others.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Lines that a source file may have.
const LONGEST_FILE: usize = 600;

/// A word that only some folders may contain.
struct Reserved {
    word: &'static str,
    allowed: &'static [&'static str],
    reason: &'static str,
}

const RESERVED: &[Reserved] = &[
    Reserved {
        word: "abi_stable::",
        allowed: &["plugin-api/src/ffi"],
        reason: "only `plugin-api::ffi` names abi_stable, so that the boundary can change in one place",
    },
    Reserved {
        word: "libloading::",
        allowed: &["engine/loader", "engine/torch-ext"],
        reason: "only `loader` opens plugins, and `torch-ext` libtorch's own CUDA library",
    },
    Reserved {
        word: "unsafe_code",
        allowed: &["plugin-api/src/ffi", "engine/loader", "engine/torch-ext", "tests/fixtures", "byoc-template"],
        reason: "unsafe code lives in `plugin-api::ffi`, `loader` and `torch-ext`",
    },
    Reserved {
        word: "[allow(",
        // What abi_stable's derive macro expands to differs from type to type, so not all of it is always needed.
        allowed: &["plugin-api/src/ffi"],
        reason: "use `expect` with a reason, it tells when it is no longer needed",
    },
];

/// A dependency that a crate must not have.
const FORBIDDEN_DEPENDENCIES: &[(&str, &[&str], &str)] = &[
    ("engine/config", &["tch", "torch-ext", "byoc"], "`config` has no tensors"),
    ("engine/imaging", &["mmar-config", "byoc", "tch"], "`imaging` knows no config and no components"),
    ("engine/loader", &["mmar-components", "mmar-config"], "`loader` knows components by their registration only"),
    ("engine/components", &["mmar-config", "mmar-data", "mmar-train", "mmar-loader"], "imports point downwards"),
    ("engine/data", &["mmar-train", "mmar-loader", "mmar-components"], "imports point downwards"),
    ("engine/torch-ext", &["mmar-config", "mmar-data", "mmar-train", "mmar-loader"], "imports point downwards"),
    ("xtask", &["tch", "byoc", "torch-ext"], "xtask must build before libtorch is there"),
];

/// Crate prefixes that a plugin must not depend on: it sees the contract, never the engine.
const ENGINE_CRATES: &[&str] = &["mmar", "torch-ext"];

/// Something that breaks a rule.
#[derive(Debug)]
pub(crate) struct Finding {
    file: PathBuf,
    line: usize,
    message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}", self.file.display(), self.line, self.message)
    }
}

/// Checks every rule on a checkout.
pub(crate) fn check(root: &Path) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for folder in ["plugin-api", "engine", "plugins", "tests", "xtask", "byoc-template"] {
        let folder = root.join(folder);
        if folder.is_dir() {
            visit(root, &folder, &mut findings)?;
        }
    }
    Ok(findings)
}

fn visit(root: &Path, folder: &Path, findings: &mut Vec<Finding>) -> Result<()> {
    let mut entries: Vec<_> = folder.read_dir()?.collect::<std::io::Result<_>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() {
            if name != "target" {
                visit(root, &path, findings)?;
            }
            continue;
        }
        let relative = path.strip_prefix(root).unwrap_or(&path).to_owned();
        let is_source = path.extension().is_some_and(|extension| extension == "rs");
        if !is_source && name != "Cargo.toml" {
            continue;
        }
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        if is_source {
            check_source(&relative, &text, findings);
        } else {
            check_manifest(&relative, &text, findings);
        }
    }
    Ok(())
}

fn check_source(file: &Path, text: &str, findings: &mut Vec<Finding>) {
    let lines = text.lines().count();
    if lines > LONGEST_FILE {
        let message = format!("{lines} lines; a file has one subject and at most {LONGEST_FILE} lines");
        findings.push(Finding { file: file.to_owned(), line: lines, message });
    }
    if file.starts_with("xtask/src/tidy.rs") {
        return; // names what it forbids
    }
    for (index, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        for rule in RESERVED {
            if code.contains(rule.word) && !rule.allowed.iter().any(|folder| file.starts_with(folder)) {
                let message = format!("`{}`: {}", rule.word, rule.reason);
                findings.push(Finding { file: file.to_owned(), line: index + 1, message });
            }
        }
    }
}

fn check_manifest(file: &Path, text: &str, findings: &mut Vec<Finding>) {
    let Some(folder) = file.parent() else { return };
    let forbidden = FORBIDDEN_DEPENDENCIES.iter().find(|(name, ..)| folder == Path::new(name));
    let mut section = "";
    for (index, line) in text.lines().enumerate() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
            continue;
        }
        if section != "dependencies" {
            continue;
        }
        let dependency = line.split(['.', '=', ' ']).next().unwrap_or_default();
        let mut report = |message: String| findings.push(Finding { file: file.to_owned(), line: index + 1, message });
        if let Some((_, names, reason)) = forbidden
            && names.contains(&dependency)
        {
            report(format!("`{dependency}`: {reason}"));
        }
        if folder.starts_with("plugins") && ENGINE_CRATES.iter().any(|prefix| dependency.starts_with(prefix)) {
            report(format!("`{dependency}`: a plugin never depends on the engine"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Workspace;

    #[test]
    fn this_repository_keeps_its_rules() {
        let findings = check(&Workspace::find().unwrap().root).unwrap();
        let list: Vec<_> = findings.iter().map(ToString::to_string).collect();
        assert!(list.is_empty(), "{}", list.join("\n"));
    }

    #[test]
    fn rules_are_seen_broken() {
        let source = |file: &str, text: &str| {
            let mut findings = Vec::new();
            check_source(Path::new(file), text, &mut findings);
            findings.len()
        };
        assert_eq!(source("engine/train/src/a.rs", "use abi_stable::RRef;"), 1);
        assert_eq!(source("plugin-api/src/ffi/a.rs", "use abi_stable::RRef;"), 0);
        assert_eq!(source("engine/train/src/a.rs", "// not abi_stable::anything"), 0);
        assert_eq!(source("engine/train/src/a.rs", "#![expect(unsafe_code, reason = \"no\")]"), 1);
        assert_eq!(source("engine/train/src/a.rs", "#[allow(dead_code)]"), 1);
        assert_eq!(source("engine/train/src/a.rs", &"\n".repeat(LONGEST_FILE + 1)), 1);

        let manifest = |file: &str, text: &str| {
            let mut findings = Vec::new();
            check_manifest(Path::new(file), text, &mut findings);
            findings.len()
        };
        assert_eq!(manifest("engine/config/Cargo.toml", "[dependencies]\ntch.workspace = true"), 1);
        assert_eq!(manifest("engine/config/Cargo.toml", "[dev-dependencies]\ntch.workspace = true"), 0);
        assert_eq!(manifest("plugins/myLoss/Cargo.toml", "[dependencies]\nmmar-train = { path = \"x\" }"), 1);
        assert_eq!(manifest("plugins/myLoss/Cargo.toml", "[dependencies]\nbyoc.workspace = true"), 0);
    }
}
