//! Running other programs: say what is run, show that it lives, explain how it failed.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;

/// Says what happens next.
pub(crate) fn say(message: impl AsRef<str>) {
    println!("==> {}", message.as_ref());
}

/// A cargo command in the workspace, with libtorch on the library path for what cargo runs itself: doc tests are
/// built into a temporary folder, where no relative rpath reaches.
pub(crate) fn cargo(workspace: &Workspace, arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(&workspace.root).stdin(Stdio::null());
    prepend_path(&mut command, "LD_LIBRARY_PATH", &workspace.libtorch_link().join("lib"));
    command
}

/// Puts a folder in front of a list of folders in the environment of a command.
fn prepend_path(command: &mut Command, variable: &str, folder: &Path) {
    let mut folders = vec![folder.to_owned()];
    if let Some(present) = std::env::var_os(variable) {
        folders.extend(std::env::split_paths(&present).filter(|path| !path.as_os_str().is_empty()));
    }
    if let Ok(joined) = std::env::join_paths(folders) {
        command.env(variable, joined);
    }
}

/// Runs a command and fails if it fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = describe(command);
    let status = command.status().with_context(|| format!("cannot start `{line}`"))?;
    if !status.success() {
        bail!("`{line}` failed ({status})");
    }
    Ok(())
}

/// Runs a command whose output is a value.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let line = describe(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{line}`"))?;
    if !output.status.success() {
        bail!("`{line}` failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{line}` printed something that is not UTF-8"))
}

/// Runs a command, hands over each line of its standard output, and gives whether it succeeded.
pub(crate) fn each_line(command: &mut Command, mut take: impl FnMut(&str)) -> Result<bool> {
    let line = describe(command);
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start `{line}`"))?;
    if let Some(stdout) = child.stdout.take() {
        for text in BufReader::new(stdout).split(b'\n') {
            take(&String::from_utf8_lossy(&text?));
        }
    }
    Ok(child.wait()?.success())
}

/// Does something slow, and says every ten seconds how big the folder it fills has become.
pub(crate) fn with_progress<T>(what: &str, folder: &Path, work: impl FnOnce() -> T) -> T {
    let (done, waiting) = mpsc::channel::<()>();
    let start = Instant::now();
    thread::scope(|scope| {
        scope.spawn(move || {
            while waiting.recv_timeout(Duration::from_secs(10)) == Err(RecvTimeoutError::Timeout) {
                println!("    {what}: {} MB after {} s", size(folder) / 1_000_000, start.elapsed().as_secs());
            }
        });
        let result = work();
        drop(done);
        result
    })
}

/// The bytes in a folder. What vanishes meanwhile does not count.
pub(crate) fn size(folder: &Path) -> u64 {
    let Ok(entries) = folder.read_dir() else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

/// A command as one would type it.
pub(crate) fn describe(command: &Command) -> String {
    let mut words = vec![Path::new(command.get_program()).file_name().unwrap_or_else(|| OsStr::new("?"))];
    words.extend(command.get_args());
    words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
