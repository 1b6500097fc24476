//! The plugin under test.

use std::path::PathBuf;
use std::sync::Arc;

use byoc::Kind;
use mmar_loader::{Generation, Inspection, LoadCode, LoadError, Registry, SearchRoots};

use crate::given::GivenFile;
use crate::specimen::Specimen;
use crate::verdict::Verdict;

/// A plugin's file, and what the user gives for its components.
pub(crate) struct Plugin {
    /// The file.
    pub(crate) file: PathBuf,
    /// What random inputs are drawn with.
    pub(crate) seed: u64,
    given: GivenFile,
}

impl Plugin {
    pub(crate) fn new(file: PathBuf, given: GivenFile, seed: u64) -> Self {
        Self { file, seed, given }
    }

    /// What its bytes say.
    pub(crate) fn inspect(&self) -> Result<Inspection, Verdict> {
        mmar_loader::inspect(&self.file).map_err(|error| refused(&error))
    }

    /// Opens it.
    pub(crate) fn try_load(&self) -> Result<Arc<Generation>, LoadError> {
        Registry::with_roots(SearchRoots::default()).load_file(&self.file)
    }

    /// Opens it, for a test of something else.
    pub(crate) fn load(&self) -> Result<Arc<Generation>, Verdict> {
        self.try_load().map_err(|_| Verdict::skipped("the plugin does not load, see `loads`"))
    }

    /// A component of it.
    pub(crate) fn specimen(&self, kind: Kind, name: &str) -> Result<Specimen, Verdict> {
        let generation = self.load()?;
        let component = generation.components.iter().find(|(it, _)| it.kind == kind && it.name == name);
        let Some((descriptor, constructor)) = component else {
            return Err(Verdict::skipped(format!("the plugin has no {kind} `{name}` any more")));
        };
        Ok(Specimen::new(descriptor.clone(), constructor.clone(), self.given.of(name), self.seed))
    }
}

/// A plugin that the loader refuses, as a verdict.
pub(crate) fn refused(error: &LoadError) -> Verdict {
    let detail = error.detail.as_ref().map(|detail| format!("\n{detail}")).unwrap_or_default();
    let help = error.help.clone().unwrap_or_else(|| "build it again with `mmar plugin build`".to_owned());
    let found = format!("[{}] {}{detail}", error.code, error.message);
    match error.code {
        LoadCode::CrashesAtLoad | LoadCode::HangsAtLoad => Verdict::crashed(found, help),
        _ => Verdict::failed(found, help),
    }
}
