//! `mmar plugin build`: cargo does it; what is left is to find the library.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value as Json;

use crate::exit::Exit;
use crate::printer::Printer;

/// Builds a crate in its release profile and gives the library.
pub(super) fn library(folder: &Path, printer: &mut Printer) -> Result<PathBuf, Exit> {
    if !folder.join("Cargo.toml").is_file() {
        let message = format!("`{}` is no crate: it has no `Cargo.toml`", folder.display());
        return Err(Exit::usage("no-such-crate", message));
    }
    printer.note(&format!("building {}", folder.display()));
    let failed = |error: std::io::Error| Exit::failed("build-failed", format!("cannot run `cargo build`: {error}"));
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--release", "--message-format", "json-render-diagnostics"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let manifest = folder.join("Cargo.toml").canonicalize().map_err(failed)?;
    let mut library = None;
    if let Some(stdout) = cargo.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line.map_err(failed)?;
            library = library_of(&line, &manifest).or(library);
        }
    }
    if !cargo.wait().map_err(failed)?.success() {
        return Err(Exit::failed("build-failed", format!("`cargo build --release` failed in `{}`", folder.display())));
    }
    library.ok_or_else(|| {
        let message = format!("`{}` builds no library that can be loaded", folder.display());
        mmar_train::Failure::new("build-failed", message)
            .help("its Cargo.toml needs `[lib] crate-type = [\"cdylib\"]`")
            .into()
    })
}

/// The shared library in a message of cargo, if it is about this crate.
fn library_of(message: &str, manifest: &Path) -> Option<PathBuf> {
    let message: Json = serde_json::from_str(message).ok()?;
    if message["reason"] != "compiler-artifact" || Path::new(message["manifest_path"].as_str()?) != manifest {
        return None;
    }
    let files = message["filenames"].as_array()?.iter().filter_map(Json::as_str).map(PathBuf::from);
    files
        .into_iter()
        .find(|file| file.extension().is_some_and(|extension| extension == std::env::consts::DLL_EXTENSION))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_told_from_other_artifacts() {
        let manifest = Path::new("/a/Cargo.toml");
        let message = r#"{"reason":"compiler-artifact","manifest_path":"/a/Cargo.toml","filenames":["/t/libmyLoss.rlib","/t/libmyLoss.so"]}"#;
        assert_eq!(library_of(message, manifest), Some(PathBuf::from("/t/libmyLoss.so")));
        assert_eq!(library_of(message, Path::new("/b/Cargo.toml")), None);
        assert_eq!(library_of(r#"{"reason":"build-finished","success":true}"#, manifest), None);
    }
}
