//! The Python side: a torch that may already be there, and the packages that the tests compare with.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::process::{self, say};
use crate::workspace::{LIBTORCH_VERSION, Workspace};

/// What the tests read our files with and compare our numbers with.
const PACKAGES: [(&str, &str); 5] = [
    ("torch", LIBTORCH_VERSION),
    ("monai", "1.6.1"),
    ("nibabel", "5.4.2"),
    ("safetensors", "0.8.0"),
    ("tensorboard", "2.21.0"),
];

/// Prints the folder of the torch package if it has the wanted version; imports nothing, which would take seconds.
const FIND_TORCH: &str = "
import importlib.metadata, importlib.util, sys
try:
    version = importlib.metadata.version('torch')
except importlib.metadata.PackageNotFoundError:
    sys.exit()
if version.split('+')[0] == sys.argv[1]:
    print(importlib.util.find_spec('torch').submodule_search_locations[0])
";

/// Prints the packages of the arguments (`name==version`) that are not installed in this version.
const FIND_MISSING: &str = "
import importlib.metadata, sys
for wanted in sys.argv[1:]:
    name, version = wanted.split('==')
    try:
        found = importlib.metadata.version(name).split('+')[0]
    except importlib.metadata.PackageNotFoundError:
        found = None
    if found != version:
        print(wanted)
";

/// The folder of torch in the Python that `python3` starts.
pub(crate) fn active_torch() -> Option<PathBuf> {
    torch_of(Path::new("python3"))
}

/// The folder of torch in the Python of the tests.
pub(crate) fn torch_of_tests(workspace: &Workspace) -> Option<PathBuf> {
    torch_of(&interpreter(workspace))
}

fn torch_of(python: &Path) -> Option<PathBuf> {
    let mut command = Command::new(python);
    let path = process::output(command.args(["-c", FIND_TORCH, LIBTORCH_VERSION])).ok()?;
    Some(PathBuf::from(path.trim())).filter(|path| path.is_dir())
}

/// The Python of the tests.
pub(crate) fn interpreter(workspace: &Workspace) -> PathBuf {
    folder(workspace).join("bin").join("python")
}

fn folder(workspace: &Workspace) -> PathBuf {
    workspace.cache.join("python")
}

/// Makes the Python of the tests, or completes it.
pub(crate) fn set_up(workspace: &Workspace) -> Result<()> {
    let python = interpreter(workspace);
    let wanted: Vec<String> = PACKAGES.iter().map(|(name, version)| format!("{name}=={version}")).collect();
    if python.exists() && missing(&python, &wanted).is_ok_and(|missing| missing.is_empty()) {
        say(format!("Python of the tests: {}", python.display()));
        return Ok(());
    }

    let folder = folder(workspace);
    fs::create_dir_all(&workspace.cache).with_context(|| format!("cannot make `{}`", workspace.cache.display()))?;
    if !python.exists() {
        say(format!("making a Python environment in {}", folder.display()));
        process::run(Command::new("python3").args(["-m", "venv"]).arg(&folder).stdin(Stdio::null()))
            .context("cannot make a Python environment (Debian: install python3-venv)")?;
    }
    say("installing torch, MONAI, nibabel, safetensors and TensorBoard into it (5 GB, once)");
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-cache-dir"])
        .args(&wanted)
        .stdin(Stdio::null());
    process::with_progress("installed", &folder, || process::run(&mut pip))?;
    let missing = missing(&python, &wanted)?;
    anyhow::ensure!(missing.is_empty(), "still not there after the installation: {}", missing.join(", "));
    Ok(())
}

fn missing(python: &Path, wanted: &[String]) -> Result<Vec<String>> {
    let found = process::output(Command::new(python).args(["-c", FIND_MISSING]).args(wanted))?;
    Ok(found.lines().map(str::to_owned).collect())
}
