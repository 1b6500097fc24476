//! Where libtorch comes from.
//!
//! Used as it is, in this order: `LIBTORCH`; what an earlier set-up left in the cache; a Python with torch of the right
//! version, active or the one of the tests. Otherwise the wheel of PyPI is fetched once, and of its 2 GB only what a CPU
//! needs is unpacked. The checkout gets a link to it, `.libtorch`, which `.cargo/config.toml` names: plain cargo commands
//! and rust-analyzer work from then on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::process::{self, say};
use crate::python;
use crate::wheel;
use crate::workspace::{LIBTORCH_VERSION, Workspace};

/// What to fetch: torch itself, and the two wheels that its `libtorch_cpu.so` names libraries of. The versions are those
/// that torch's own metadata asks for (through `cuda-toolkit` 13.0.2).
const WHEELS: [&str; 3] = ["torch==2.11.0", "nvidia-cuda-runtime==13.0.96", "nvidia-cuda-cupti==13.0.85"];

/// The platform tags of these wheels: given one, pip does not look for older ones by itself.
const PLATFORMS: [&str; 4] =
    ["manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_25_x86_64", "manylinux_2_17_x86_64"];

/// The libraries that link and run a CPU program.
const LIBRARIES: [&str; 6] =
    ["libtorch_cpu.so", "libtorch.so", "libc10.so", "libgomp.so.1", "libcudart.so.13", "libcupti.so.13"];

/// Finds or fetches libtorch and links it into the checkout.
pub(crate) fn set_up(workspace: &Workspace, cuda: bool) -> Result<()> {
    let (folder, origin) = if cuda { with_cuda(workspace)? } else { for_cpu(workspace)? };
    link(workspace, &folder)?;
    say(format!("libtorch {LIBTORCH_VERSION}: {} ({origin})", folder.display()));
    Ok(())
}

fn for_cpu(workspace: &Workspace) -> Result<(PathBuf, &'static str)> {
    if let Some(found) = from_environment(workspace)? {
        return Ok(found);
    }
    // A set-up with CUDA stays what it is when a later command sets up again.
    if let Ok(present) = workspace.libtorch_link().canonicalize()
        && check(&present).is_ok()
    {
        return Ok((present, "already linked"));
    }
    let cached = workspace.cache.join(format!("libtorch-{LIBTORCH_VERSION}-cpu"));
    if check(&cached).is_ok() {
        return Ok((cached, "from the cache"));
    }
    if let Some(folder) = python::active_torch().filter(|folder| check(folder).is_ok()) {
        return Ok((folder, "of the active Python"));
    }
    if let Some(folder) = python::torch_of_tests(workspace).filter(|folder| check(folder).is_ok()) {
        return Ok((folder, "of the Python of the tests"));
    }
    fetch(workspace, &cached)?;
    Ok((cached, "fetched"))
}

fn with_cuda(workspace: &Workspace) -> Result<(PathBuf, &'static str)> {
    let has_cuda = |folder: &Path| folder.join("lib/libtorch_cuda.so").is_file();
    if let Some((folder, origin)) = from_environment(workspace)? {
        ensure!(has_cuda(&folder), "`{}` ({origin}) has no libtorch_cuda.so; unset LIBTORCH", folder.display());
        return Ok((folder, origin));
    }
    if let Some(folder) = python::active_torch().filter(|folder| check(folder).is_ok() && has_cuda(folder)) {
        return Ok((folder, "of the active Python"));
    }
    // The CUDA libraries are ten wheels that find each other by their place beside torch: a Python folder is the layout
    // they are made for.
    python::set_up(workspace)?;
    let folder = python::torch_of_tests(workspace).context("the Python in the cache has no torch")?;
    check(&folder)?;
    Ok((folder, "of the Python in the cache"))
}

/// The user's own libtorch. Cargo sets the variable to our link where the user has not.
fn from_environment(workspace: &Workspace) -> Result<Option<(PathBuf, &'static str)>> {
    let Some(folder) = std::env::var_os("LIBTORCH").map(PathBuf::from) else { return Ok(None) };
    if folder.as_os_str().is_empty() || folder == workspace.libtorch_link() {
        return Ok(None);
    }
    check(&folder).with_context(|| format!("LIBTORCH is `{}`, which cannot be used", folder.display()))?;
    Ok(Some((folder, "from LIBTORCH")))
}

/// Whether a folder holds libtorch of the right version, libraries and headers.
fn check(folder: &Path) -> Result<()> {
    for part in ["lib/libtorch_cpu.so", "lib/libc10.so", "include/torch/csrc/api/include/torch/torch.h"] {
        ensure!(folder.join(part).is_file(), "`{}` is missing", folder.join(part).display());
    }
    let version = version(folder).with_context(|| format!("`{}` does not say its version", folder.display()))?;
    ensure!(
        version == LIBTORCH_VERSION,
        "`{}` is libtorch {version}; {LIBTORCH_VERSION} is needed, it goes with tch 0.24",
        folder.display()
    );
    Ok(())
}

/// The version that a libtorch folder (`build-version`) or a Python's torch (`version.py`) states, without its suffix.
fn version(folder: &Path) -> Option<String> {
    let text = fs::read_to_string(folder.join("build-version")).ok().or_else(|| {
        let text = fs::read_to_string(folder.join("version.py")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("__version__ = "))?;
        Some(line.trim_matches(['\'', '"', ' ']).to_owned())
    })?;
    Some(text.trim().split('+').next()?.to_owned())
}

fn fetch(workspace: &Workspace, destination: &Path) -> Result<()> {
    ensure!(
        cfg!(all(target_os = "linux", target_arch = "x86_64")),
        "libtorch {LIBTORCH_VERSION} can be fetched for x86-64 Linux only; set LIBTORCH to one of yours"
    );
    fs::create_dir_all(&workspace.cache).with_context(|| {
        format!("cannot make the cache folder `{}`; MMAR_CACHE names another", workspace.cache.display())
    })?;
    let partial = workspace.cache.join(format!("fetching-{}", std::process::id()));
    let result = fetch_into(&partial, destination);
    // The wheels are 540 MB that nobody needs again.
    if partial.exists() {
        fs::remove_dir_all(&partial).with_context(|| format!("cannot remove `{}`", partial.display()))?;
    }
    result
}

fn fetch_into(partial: &Path, destination: &Path) -> Result<()> {
    let wheels = partial.join("wheels");
    let temporary = partial.join("temporary");
    fs::create_dir_all(&wheels)?;
    fs::create_dir_all(&temporary)?;

    say(format!("fetching libtorch {LIBTORCH_VERSION} from PyPI (540 MB, once; 0.5 GB are kept)"));
    let mut pip = Command::new("python3");
    // The wheel's Python version does not matter to us, but pip insists on one: any that torch is published for.
    pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input", "--no-cache-dir"])
        .args(["--no-deps", "--only-binary=:all:", "--python-version", "3.11", "--implementation", "cp"])
        .args(PLATFORMS.iter().flat_map(|platform| ["--platform", platform]))
        .arg("--dest")
        .arg(&wheels)
        .args(WHEELS)
        .env("TMPDIR", &temporary)
        .stdin(Stdio::null());
    process::with_progress("downloaded", partial, || process::run(&mut pip)).context(
        "cannot fetch libtorch: this needs `python3 -m pip` (Debian: python3-pip) and a way to PyPI; or set LIBTORCH",
    )?;

    let folder = partial.join("libtorch");
    fs::create_dir_all(folder.join("lib"))?;
    for wheel in wheels.read_dir()? {
        let wheel = wheel?.path();
        say(format!("unpacking {}", wheel.file_name().unwrap_or_default().to_string_lossy()));
        wheel::unpack(&wheel, |name| place(name).map(|place| folder.join(place)))?;
    }
    fs::write(folder.join("build-version"), format!("{LIBTORCH_VERSION}+cpu\n"))?;
    for library in LIBRARIES {
        ensure!(folder.join("lib").join(library).is_file(), "the wheels hold no `{library}`");
    }
    check(&folder)?;
    if let Err(error) = fs::rename(&folder, destination)
        && check(destination).is_err()
    {
        bail!("cannot put libtorch at `{}`: {error}", destination.display());
    }
    Ok(())
}

/// Where a file of a wheel belongs in the libtorch folder; `None` if it is not needed.
fn place(name: &str) -> Option<PathBuf> {
    if let Some(header) = name.strip_prefix("torch/include/") {
        return Some(Path::new("include").join(header));
    }
    if name == "torch/version.py" {
        return Some("version.py".into());
    }
    let (folder, file) = name.rsplit_once('/')?;
    (folder.ends_with("/lib") && LIBRARIES.contains(&file)).then(|| Path::new("lib").join(file))
}

fn link(workspace: &Workspace, folder: &Path) -> Result<()> {
    let link = workspace.libtorch_link();
    let folder = folder.canonicalize()?;
    if link.canonicalize().is_ok_and(|present| present == folder) {
        return Ok(());
    }
    if link.is_symlink() {
        fs::remove_file(&link)?;
    } else if link.exists() {
        bail!("`{}` is no link; move it away, set-up wants to make one there", link.display());
    }
    std::os::unix::fs::symlink(&folder, &link).with_context(|| format!("cannot make the link `{}`", link.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_cpu_needs_is_unpacked() {
        let cases = [
            ("torch/lib/libtorch_cpu.so", Some("lib/libtorch_cpu.so")),
            ("torch/lib/libtorch_cuda.so", None),
            ("torch/lib/libtorch_python.so", None),
            ("nvidia/cu13/lib/libcudart.so.13", Some("lib/libcudart.so.13")),
            ("nvidia/cu13/include/cuda.h", None),
            ("torch/include/ATen/Tensor.h", Some("include/ATen/Tensor.h")),
            ("torch/version.py", Some("version.py")),
            ("torch/nn/functional.py", None),
        ];
        for (name, expected) in cases {
            assert_eq!(place(name), expected.map(PathBuf::from), "{name}");
        }
    }

    #[test]
    fn versions_are_read_from_either_layout() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(version(folder.path()), None);
        fs::write(folder.path().join("version.py"), "debug = False\n__version__ = '2.12.0+cu130'\n").unwrap();
        assert_eq!(version(folder.path()).as_deref(), Some("2.12.0"));
        fs::write(folder.path().join("build-version"), "2.11.0+cpu\n").unwrap();
        assert_eq!(version(folder.path()).as_deref(), Some("2.11.0"));
    }

    #[test]
    fn a_folder_without_headers_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("lib")).unwrap();
        for library in LIBRARIES {
            fs::write(folder.path().join("lib").join(library), "").unwrap();
        }
        let error = check(folder.path()).unwrap_err().to_string();
        assert!(error.contains("torch.h") && error.contains("missing"), "{error}");
    }
}
