//! Where plugins are looked for.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::path::is_identifier;

/// The variable with further search roots, separated like `PATH`.
pub const PLUGIN_PATH_VARIABLE: &str = "MMAR_PLUGIN_PATH";

/// The folders that the folder of a plugin's path is relative to, in the order in which they are searched.
#[derive(Debug, Clone, Default)]
pub struct SearchRoots {
    roots: Vec<PathBuf>,
}

impl SearchRoots {
    /// The archive, its `custom` folder, then each entry of `plugin_path`.
    pub fn new(mmar_root: &Path, plugin_path: Option<&OsStr>) -> Self {
        let mut roots = vec![mmar_root.to_owned(), mmar_root.join("custom")];
        if let Some(plugin_path) = plugin_path {
            roots.extend(std::env::split_paths(plugin_path).filter(|root| !root.as_os_str().is_empty()));
        }
        Self { roots }
    }

    /// The roots, as [`SearchRoots::new`] with the value of [`PLUGIN_PATH_VARIABLE`].
    pub fn of(mmar_root: &Path) -> Self {
        Self::new(mmar_root, std::env::var_os(PLUGIN_PATH_VARIABLE).as_deref())
    }

    /// The folders in which a plugin may lie whose path starts with `folder`.
    pub fn folders(&self, folder: &Path) -> impl Iterator<Item = PathBuf> {
        self.roots.iter().map(move |root| root.join(folder))
    }

    /// The file of a module, if one has its name.
    pub fn file(&self, folder: &Path, module: &str) -> Option<PathBuf> {
        let name = file_name(module);
        self.folders(folder).map(|folder| folder.join(&name)).find(|file| file.is_file())
    }

    /// The paths by which a config names the module in a file, the shortest first: `BYOC.myLoss`, or `myLoss` and
    /// `custom.myLoss`.
    pub fn module_paths(&self, file: &Path) -> Vec<String> {
        let Some((parent, name)) = file.parent().zip(file.file_name()) else { return Vec::new() };
        let name = name.to_string_lossy();
        let module = name.strip_prefix(std::env::consts::DLL_PREFIX).unwrap_or(&name);
        let module = module.strip_suffix(std::env::consts::DLL_SUFFIX).unwrap_or(module);
        let folders = self.roots.iter().filter_map(|root| parent.strip_prefix(root).ok());
        // a file of the same name in an earlier root would be found in its place
        let folders = folders.filter(|folder| self.file(folder, module).is_some_and(|found| found == file));
        let mut paths: Vec<String> = folders
            .map(|folder| folder.iter().map(|part| part.to_string_lossy().into_owned()).chain([module.to_owned()]))
            .map(|segments| segments.collect::<Vec<_>>().join("."))
            .filter(|path| path.split('.').all(is_identifier))
            .collect();
        paths.sort_by_cached_key(|path| (path.matches('.').count(), path.clone()));
        paths.dedup();
        paths
    }

    /// All libraries in the roots and one folder below the archive and each root, sorted within a folder: what `load_all` tries.
    pub fn all_libraries(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for root in &self.roots {
            collect(root, &mut files);
            let mut folders = children(root, Path::is_dir);
            // results and data are large and hold no plugins
            folders.retain(|folder| {
                !folder.file_name().is_some_and(|name| name == "custom" || name == "models" || name == "eval")
            });
            for folder in folders {
                collect(&folder, &mut files);
            }
        }
        files
    }
}

/// The file name of a module's library: `libmyLoss.so`.
pub(crate) fn file_name(module: &str) -> String {
    format!("{}{module}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX)
}

/// The libraries in a folder, sorted by name.
pub(crate) fn libraries(folder: &Path) -> Vec<PathBuf> {
    children(folder, |path| path.is_file() && path.extension().is_some_and(|it| it == std::env::consts::DLL_EXTENSION))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for file in libraries(folder) {
        if !files.contains(&file) {
            files.push(file);
        }
    }
}

fn children(folder: &Path, keep: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    // a root that is not there is no fault: most archives have no `custom`
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| keep(path)).collect();
    paths.retain(|path| !path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")));
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use super::{SearchRoots, file_name};
    use std::path::Path;

    #[test]
    fn the_archive_comes_before_custom_and_both_before_the_variable() {
        let mmar = tempfile::tempdir().expect("a folder");
        let elsewhere = tempfile::tempdir().expect("a folder");
        let roots = SearchRoots::new(mmar.path(), Some(elsewhere.path().as_os_str()));
        let name = file_name("myLoss");
        for folder in [mmar.path().join("custom"), mmar.path().join("BYOC"), elsewhere.path().join("BYOC")] {
            std::fs::create_dir_all(&folder).expect("created");
            std::fs::write(folder.join(&name), "").expect("written");
        }
        assert_eq!(roots.file(Path::new(""), "myLoss"), Some(mmar.path().join("custom").join(&name)));
        assert_eq!(roots.file(Path::new("BYOC"), "myLoss"), Some(mmar.path().join("BYOC").join(&name)));
        assert_eq!(roots.file(Path::new("BYOC"), "other"), None);
        let paths = |folder: &Path| roots.module_paths(&folder.join(&name));
        assert_eq!(paths(&mmar.path().join("custom")), ["myLoss", "custom.myLoss"]);
        assert_eq!(paths(&mmar.path().join("BYOC")), ["BYOC.myLoss"]);
        assert_eq!(paths(&elsewhere.path().join("BYOC")), [""; 0], "the archive's own comes first");
        assert_eq!(paths(Path::new("/elsewhere")), [""; 0]);
        std::fs::remove_file(mmar.path().join("BYOC").join(&name)).expect("removed");
        assert_eq!(roots.file(Path::new("BYOC"), "myLoss"), Some(elsewhere.path().join("BYOC").join(&name)));
        assert_eq!(roots.all_libraries().len(), 2);
    }
}
