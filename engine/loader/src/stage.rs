//! Private copies of plugins. Only a copy is ever mapped, so that whatever happens to the user's file (rebuilt, written
//! over, deleted) cannot reach the running code. The copy's path holds the hash of its content: glibc would answer a
//! second `dlopen` of one path with the first library.

use std::fs;
use std::path::PathBuf;

use crate::inspect::Inspection;
use crate::{LoadCode, LoadError, cache, search};

/// Copies a checked plugin to its place in the cache, if it is not there already.
pub(crate) fn stage(plugin: &Inspection) -> Result<PathBuf, LoadError> {
    place(plugin).map_err(|error| {
        LoadError::new(LoadCode::StagingFailed, &plugin.file, format!("no private copy of it could be made: {error}"))
            .help(format!("`{}` names a folder for such copies that you can write to", cache::CACHE_VARIABLE))
    })
}

fn place(plugin: &Inspection) -> std::io::Result<PathBuf> {
    let plugins = cache::folder()?.join("plugins");
    cache::private_folder(&plugins)?;
    let folder = plugins.join(&plugin.sha256[..16]);
    cache::private_folder(&folder)?;
    let copy = folder.join(search::file_name(&plugin.manifest.plugin.module));
    // an earlier copy counts only if it is what was checked just now
    if !fs::read(&copy).is_ok_and(|bytes| bytes == plugin.bytes()) {
        cache::write_whole(&copy, plugin.bytes(), 0o500)?;
    }
    copy.canonicalize()
}
