//! Private copies of plugins. Only a copy is ever mapped, so that whatever happens to the user's file (rebuilt, written
//! over, deleted) cannot reach the running code. The copy's path holds the hash of its content: glibc would answer a
//! second `dlopen` of one path with the first library.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

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
        cache::write_whole(&copy, plugin.bytes(), 0o700)?;
        prune(&plugins, &search::file_name(&plugin.manifest.plugin.module));
    } else if let Ok(file) = fs::File::open(&copy) {
        // so that pruning knows what is in use
        let _ = file.set_modified(SystemTime::now());
    }
    copy.canonicalize()
}

/// How many builds of a module are kept.
const KEPT: usize = 20;

/// Removes the oldest copies of a module: whoever rebuilds a plugin all day makes hundreds. A copy that some process has
/// mapped stays with it until it ends.
fn prune(plugins: &Path, name: &str) {
    let Ok(folders) = fs::read_dir(plugins) else { return };
    let modified = |folder: &Path| fs::metadata(folder.join(name)).and_then(|it| it.modified()).ok();
    let mut copies: Vec<(SystemTime, PathBuf)> =
        folders.flatten().map(|it| it.path()).filter_map(|folder| Some((modified(&folder)?, folder))).collect();
    copies.sort();
    let superfluous = copies.len().saturating_sub(KEPT);
    for (_, folder) in &copies[..superfluous] {
        if let Err(error) = fs::remove_dir_all(folder) {
            tracing::debug!("`{}` could not be removed: {error}", folder.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{KEPT, prune};
    use std::fs;
    use std::time::{Duration, SystemTime};

    #[test]
    fn the_newest_builds_of_a_module_are_kept() {
        let plugins = tempfile::tempdir().expect("a folder");
        for age in 0..KEPT as u64 + 5 {
            let folder = plugins.path().join(format!("{age:03}"));
            fs::create_dir(&folder).expect("made");
            let file = fs::File::create(folder.join("liba.so")).expect("made");
            file.set_modified(SystemTime::now() - Duration::from_secs(age)).expect("set");
        }
        fs::create_dir(plugins.path().join("other")).expect("made");
        fs::write(plugins.path().join("other/libb.so"), "").expect("written");
        prune(plugins.path(), "liba.so");
        let mut left: Vec<_> =
            fs::read_dir(plugins.path()).expect("listed").flatten().map(|it| it.file_name()).collect();
        left.sort();
        assert_eq!(left.len(), KEPT + 1);
        assert_eq!((left[0].to_str(), left[KEPT].to_str()), (Some("000"), Some("other")));
    }
}
