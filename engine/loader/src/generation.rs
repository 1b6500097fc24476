//! One loaded build of a plugin.

use std::path::{Path, PathBuf};

use byoc::{Constructor, Descriptor};

use crate::{LoadCode, LoadError};

/// A plugin build that passed every check and was opened. It stays open until the process ends.
pub struct Generation {
    /// The plugin's module.
    pub module: String,
    /// The file that was asked for; what is mapped is a private copy.
    pub file: PathBuf,
    /// Identity of the build.
    pub sha256: String,
    /// 1 for the first build of a module in this process, then counting up.
    pub number: u32,
    /// What it provides.
    pub components: Vec<(Descriptor, Constructor)>,
}

impl Generation {
    pub(crate) fn load(file: &Path) -> Result<Self, LoadError> {
        Err(LoadError::new(LoadCode::ProbeFailed, file, "plugins cannot be loaded yet"))
    }
}
