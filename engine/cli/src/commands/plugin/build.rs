//! `mmar plugin build`: cargo does it, with the engine's libtorch and a target folder that all plugins share. What is left
//! is to find the library and to install it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::Args;
use mmar_train::Failure;
use serde_json::Value as Json;

use super::install;
use crate::exit::Exit;
use crate::printer::Printer;

/// Arguments of `mmar plugin build`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The folder of the crate
    #[arg(value_name = "CRATE")]
    folder: PathBuf,
    /// Install it into this archive when it is built
    #[arg(short, long, value_name = "MMAR")]
    mmar: Option<PathBuf>,
    /// The folder in it: `BYOC` for paths like `BYOC.myLoss.MyDiceLoss`, `custom` for `myLoss.MyDiceLoss`
    #[arg(long = "folder", value_name = "FOLDER", default_value = "BYOC")]
    archive_folder: PathBuf,
    /// Run the crate's own tests first; nothing is installed if one fails
    #[arg(long)]
    test: bool,
}

/// Builds a crate and prints where its library is, in the archive if it was installed there.
pub(super) fn run(arguments: &Arguments, printer: &mut Printer) -> Result<(), Exit> {
    let start = Instant::now();
    if let Some(mmar) = &arguments.mmar {
        install::check_archive(mmar)?;
    }
    let mut cargo = Cargo::of(&arguments.folder)?;
    if arguments.test {
        cargo.test(printer)?;
    }
    let library = cargo.build(printer)?;
    let library = match &arguments.mmar {
        None => library,
        Some(mmar) => install::install(&library, mmar, &arguments.archive_folder, printer)?,
    };
    let rest = start.elapsed().saturating_sub(cargo.spent);
    printer.note(&format!("cargo took {:.1} s, the rest {:.1} s", cargo.spent.as_secs_f64(), rest.as_secs_f64()));
    printer.result(library.display())
}

/// Builds a crate in its release profile and gives the library.
pub(super) fn library(folder: &Path, printer: &mut Printer) -> Result<PathBuf, Exit> {
    Cargo::of(folder)?.build(printer)
}

/// Cargo in the folder of a plugin's crate.
pub(super) struct Cargo {
    folder: PathBuf,
    libtorch: PathBuf,
    target: PathBuf,
    /// What cargo has taken so far.
    spent: Duration,
}

impl Cargo {
    pub(super) fn of(folder: &Path) -> Result<Self, Exit> {
        if !folder.join("Cargo.toml").is_file() {
            let message = format!("`{}` is no crate: it has no `Cargo.toml`", folder.display());
            return Err(Exit::usage("no-such-crate", message));
        }
        let libtorch = libtorch()?;
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        link_libtorch(&folder, &libtorch);
        Ok(Self { folder, libtorch, target: target_folder()?, spent: Duration::ZERO })
    }

    /// A command that sees the engine's libtorch and the shared target folder.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(arguments).current_dir(&self.folder).stdin(Stdio::null());
        command.env("LIBTORCH", &self.libtorch).env("CARGO_TARGET_DIR", &self.target);
        // they would win over LIBTORCH
        for variable in ["LIBTORCH_USE_PYTORCH", "LIBTORCH_INCLUDE", "LIBTORCH_LIB"] {
            command.env_remove(variable);
        }
        command
    }

    /// Runs the crate's tests; cargo shows how they end.
    fn test(&mut self, printer: &mut Printer) -> Result<(), Exit> {
        printer.note(&format!("testing {}", self.folder.display()));
        // the profile of the build, so that nothing is compiled twice
        let mut command = self.command(&["test", "--release"]);
        let mut folders = vec![self.libtorch.join("lib")];
        folders.extend(std::env::var_os("LD_LIBRARY_PATH").iter().flat_map(std::env::split_paths));
        if let Ok(folders) = std::env::join_paths(folders) {
            command.env("LD_LIBRARY_PATH", folders);
        }
        // standard output is for the result
        command.stdout(std::io::stderr());
        let start = Instant::now();
        let status = command.status().map_err(failed)?;
        self.spent += start.elapsed();
        if status.success() {
            return Ok(());
        }
        Err(Exit::failed("tests-failed", format!("`cargo test --release` failed in `{}`", self.folder.display())))
    }

    /// Builds the crate and gives the library.
    pub(super) fn build(&mut self, printer: &mut Printer) -> Result<PathBuf, Exit> {
        printer.note(&format!("building {}", self.folder.display()));
        let start = Instant::now();
        let mut cargo = self
            .command(&["build", "--release", "--message-format", "json-render-diagnostics"])
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let manifest = self.folder.join("Cargo.toml");
        let mut library = None;
        if let Some(stdout) = cargo.stdout.take() {
            for line in BufReader::new(stdout).lines() {
                let line = line.map_err(failed)?;
                library = library_of(&line, &manifest).or(library);
            }
        }
        let status = cargo.wait().map_err(failed)?;
        self.spent += start.elapsed();
        if !status.success() {
            let message = format!("`cargo build --release` failed in `{}`", self.folder.display());
            return Err(Exit::failed("build-failed", message));
        }
        library.ok_or_else(|| {
            let message = format!("`{}` builds no library that can be loaded", self.folder.display());
            Failure::new("build-failed", message).help("its Cargo.toml needs `[lib] crate-type = [\"cdylib\"]`").into()
        })
    }
}

fn failed(error: std::io::Error) -> Exit {
    Failure::new("build-failed", format!("cannot run `cargo`: {error}")).help("install Rust: https://rustup.rs").into()
}

/// The libtorch that this process runs on: its folder with `lib` and `include`.
fn libtorch() -> Result<PathBuf, Exit> {
    let libraries = torch_ext::cuda::libtorch_directory().unwrap_or_default();
    match libraries.parent() {
        Some(root) if root.join("include").is_dir() => Ok(root.to_owned()),
        _ => {
            let message =
                format!("the engine's libtorch in `{}` has no headers to build a plugin with", libraries.display());
            let help = "take a whole libtorch: `cargo xtask setup` fetches one and rebuilds the engine with it";
            Err(Failure::new("no-libtorch-headers", message).help(help).into())
        }
    }
}

/// The target folder of all plugins, in which tch is compiled once; a `CARGO_TARGET_DIR` of the user's wins.
fn target_folder() -> Result<PathBuf, Exit> {
    if let Some(folder) = std::env::var_os("CARGO_TARGET_DIR").filter(|folder| !folder.is_empty()) {
        return std::path::absolute(folder).map_err(failed);
    }
    let cache = mmar_loader::cache_folder()
        .map_err(|error| Exit::failed("no-cache-folder", format!("there is no folder to build in: {error}")))?;
    Ok(cache.join("target"))
}

/// Makes `.libtorch` of a crate whose cargo configuration names it, so that plain cargo and rust-analyzer work there.
fn link_libtorch(folder: &Path, libtorch: &Path) {
    let config = std::fs::read_to_string(folder.join(".cargo").join("config.toml")).unwrap_or_default();
    let link = folder.join(".libtorch");
    // a link that leads nowhere any more is made anew; a folder of the user's is left alone
    if !config.contains("\".libtorch\"") || link.exists() {
        return;
    }
    if link.is_symlink() {
        let _ = std::fs::remove_file(&link);
    }
    if let Err(error) = std::os::unix::fs::symlink(libtorch, &link) {
        tracing::debug!("`{}` could not be made: {error}", link.display());
    }
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

    #[test]
    fn a_crate_that_names_the_link_gets_it_and_keeps_what_it_has() {
        let folder = tempfile::tempdir().unwrap();
        let libtorch = tempfile::tempdir().unwrap();
        let link = folder.path().join(".libtorch");
        link_libtorch(folder.path(), libtorch.path());
        assert!(!link.is_symlink());
        std::fs::create_dir(folder.path().join(".cargo")).unwrap();
        let config = "[env]\nLIBTORCH = { value = \".libtorch\", relative = true }\n";
        std::fs::write(folder.path().join(".cargo/config.toml"), config).unwrap();
        link_libtorch(folder.path(), libtorch.path());
        assert_eq!(link.read_link().unwrap(), libtorch.path());
        // it leads somewhere: whoever made it wants it so
        link_libtorch(folder.path(), Path::new("/elsewhere"));
        assert_eq!(link.read_link().unwrap(), libtorch.path());
        drop(libtorch);
        link_libtorch(folder.path(), Path::new("/elsewhere"));
        assert_eq!(link.read_link().unwrap(), Path::new("/elsewhere"));
    }
}
