//! Where things are: the checkout, its target folder, the cache that outlives both.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The version that tch 0.24 is made for.
pub(crate) const LIBTORCH_VERSION: &str = "2.11.0";

/// The folders of this checkout.
pub(crate) struct Workspace {
    /// The workspace root.
    pub(crate) root: PathBuf,
    /// Cargo's target folder.
    pub(crate) target: PathBuf,
    /// What is fetched once for all checkouts: libtorch and the Python packages of the tests.
    pub(crate) cache: PathBuf,
}

impl Workspace {
    /// The workspace this program was built in.
    pub(crate) fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask is not in a workspace")?.to_owned();
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir));
        Ok(Self { root, target, cache: cache()? })
    }

    /// The link to libtorch that `.cargo/config.toml` names.
    pub(crate) fn libtorch_link(&self) -> PathBuf {
        self.root.join(".libtorch")
    }

    /// The built engine.
    pub(crate) fn engine(&self, release: bool) -> PathBuf {
        self.target.join(if release { "release" } else { "debug" }).join("mmar")
    }

    /// The first-party plugins: every crate in `plugins/`.
    pub(crate) fn plugins(&self) -> Result<Vec<String>> {
        let folder = self.root.join("plugins");
        let mut names = Vec::new();
        for entry in folder.read_dir().with_context(|| format!("cannot list `{}`", folder.display()))? {
            let entry = entry?;
            if entry.path().join("Cargo.toml").is_file() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort();
        Ok(names)
    }
}

fn cache() -> Result<PathBuf> {
    let variable = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let absolute =
        |path: PathBuf| std::path::absolute(&path).with_context(|| format!("cannot use `{}`", path.display()));
    if let Some(dir) = variable("MMAR_CACHE") {
        return absolute(dir);
    }
    if let Some(dir) = variable("XDG_CACHE_HOME") {
        return Ok(absolute(dir)?.join("mmar"));
    }
    let home = variable("HOME").context("no folder for the cache: set MMAR_CACHE, XDG_CACHE_HOME or HOME")?;
    Ok(absolute(home)?.join(".cache").join("mmar"))
}
