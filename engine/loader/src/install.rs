//! Bringing a plugin into an archive, and listing those that are there.

use std::fs;
use std::path::{Path, PathBuf};

use byoc::host::Manifest;
use serde::Serialize;

use crate::inspect::{Inspection, inspect};
use crate::search::{self, SearchRoots};
use crate::{LoadCode, LoadError, cache, probe, stage};

/// A plugin that was installed.
#[derive(Debug, Clone)]
pub struct Installed {
    /// Where it lies now.
    pub file: PathBuf,
    /// The manifest beside it.
    pub manifest_file: PathBuf,
    /// What it says about itself.
    pub manifest: Manifest,
    /// Identity of the build.
    pub sha256: String,
    /// Whether another build lay there before.
    pub replaced: bool,
    /// What the user should know although it can be loaded.
    pub warnings: Vec<String>,
}

/// What lies beside an installed plugin, for people and scripts: `libmyLoss.manifest.json`.
#[derive(Serialize)]
struct Sidecar<'a> {
    schema: u32,
    sha256: &'a str,
    #[serde(flatten)]
    manifest: &'a Manifest,
}

/// Checks and probes a plugin and copies it into a folder of an archive, under its module's name.
///
/// The copy appears whole or not at all, and a running engine that has the former build loaded is not disturbed: unlike
/// `cp`, which writes into the file that is there.
pub fn install(file: &Path, mmar_root: &Path, folder: &Path) -> Result<Installed, LoadError> {
    let plugin = inspect(file)?;
    let warnings = plugin.check()?;
    let failed = |what: &str, error: &dyn std::fmt::Display| {
        LoadError::new(LoadCode::InstallFailed, file, format!("{what}: {error}"))
    };
    if !mmar_root.is_dir() {
        return Err(failed("the archive is not there", &format!("`{}`", mmar_root.display())));
    }
    probe::probe(&plugin, &stage::stage(&plugin)?)?;
    let folder = mmar_root.join(folder);
    fs::create_dir_all(&folder).map_err(|error| failed(&format!("cannot make `{}`", folder.display()), &error))?;
    let module = &plugin.manifest.plugin.module;
    let target = folder.join(search::file_name(module));
    let replaced = target.exists();
    let write = |target: &Path, bytes: &[u8], mode: u32| {
        cache::write_whole(target, bytes, mode)
            .map_err(|error| failed(&format!("cannot write `{}`", target.display()), &error))
    };
    write(&target, plugin.bytes(), 0o755)?;
    let manifest_file = folder.join(format!("{}{module}.manifest.json", std::env::consts::DLL_PREFIX));
    let sidecar = Sidecar { schema: 1, sha256: &plugin.sha256, manifest: &plugin.manifest };
    let mut text = serde_json::to_vec_pretty(&sidecar).map_err(|error| failed("cannot write its manifest", &error))?;
    text.push(b'\n');
    write(&manifest_file, &text, 0o644)?;
    let Inspection { manifest, sha256, .. } = plugin;
    Ok(Installed { file: target, manifest_file, manifest, sha256, replaced, warnings })
}

/// The plugins of an archive as their files describe themselves; nothing is opened. Libraries that are no plugins are
/// left out, plugins that cannot be loaded come with the reason.
pub fn list(mmar_root: &Path) -> Vec<(PathBuf, Result<Inspection, LoadError>)> {
    let files = SearchRoots::of(mmar_root).all_libraries().into_iter();
    let inspected = files.map(|file| {
        let plugin = inspect(&file).and_then(|plugin| plugin.check().map(|_| plugin));
        (file, plugin)
    });
    inspected.filter(|(_, plugin)| !plugin.as_ref().is_err_and(|error| error.code == LoadCode::NotAPlugin)).collect()
}
