//! What to load.

use std::path::{Path, PathBuf};

/// A config with what the command line adds to it.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The MMAR; relative paths in the config are relative to it.
    pub mmar_root: PathBuf,
    /// The config file. A relative path is looked up in the MMAR, in the MMAR's `config` folder, then as it is: the
    /// MMAR comes first, as in Clara, so that the working folder never changes which config an MMAR runs.
    pub config: PathBuf,
    /// The environment file, found alike. Without one, the MMAR's `config/environment.json`, if there is one.
    pub environment: Option<PathBuf>,
    /// `--set`: `KEY=VALUE` each.
    pub overrides: Vec<String>,
}

impl Request {
    /// Where the config and the environment are, or every place that was tried.
    pub(crate) fn find(&self, file: &Path) -> Result<PathBuf, Vec<PathBuf>> {
        let places = if file.is_absolute() {
            vec![file.to_path_buf()]
        } else {
            vec![self.mmar_root.join(file), self.mmar_root.join("config").join(file), file.to_path_buf()]
        };
        places.iter().find(|place| place.is_file()).cloned().ok_or(places)
    }

    /// The environment file that applies.
    pub(crate) fn environment_file(&self) -> Option<PathBuf> {
        self.environment.clone().or_else(|| {
            let standard = self.mmar_root.join("config/environment.json");
            standard.is_file().then_some(standard)
        })
    }
}
