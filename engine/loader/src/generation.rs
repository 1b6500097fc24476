//! One loaded build of a plugin.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use byoc::host::Manifest;
use byoc::{Constructor, Descriptor};

use crate::inspect::Inspection;
use crate::registry::Origin;
use crate::{LoadError, open, probe, stage};

/// A plugin build that passed every check and was opened. It stays open until the process ends; a component made from it
/// works on when a newer generation takes its place in the registry.
pub struct Generation {
    /// The plugin's module.
    pub module: String,
    /// The file that was asked for; what is mapped is a private copy.
    pub file: PathBuf,
    /// The private copy that is mapped.
    pub staged: PathBuf,
    /// Identity of the build.
    pub sha256: String,
    /// 1 for the first build of a module in this process, then counting up.
    pub number: u32,
    /// What it was built from and with.
    pub manifest: Manifest,
    /// How long it took to open the private copy, compare its layout, initialise it and let it describe itself.
    pub opened_in: Duration,
    /// What it provides, by kind and name.
    pub components: Vec<(Descriptor, Constructor)>,
    /// What it provides beside that, of kinds that this engine does not take from plugins.
    pub passed_over: Vec<Descriptor>,
}

impl Generation {
    /// Stages, probes and opens a plugin that was inspected and checked.
    pub(crate) fn load(plugin: &Inspection, number: u32) -> Result<Self, LoadError> {
        let staged = stage::stage(plugin)?;
        probe::probe(plugin, &staged)?;
        let start = Instant::now();
        let library = open::open(&staged, &plugin.manifest, &plugin.file)?;
        let generation = Self {
            module: plugin.manifest.plugin.module.clone(),
            file: plugin.file.clone(),
            staged,
            sha256: plugin.sha256.clone(),
            number,
            manifest: plugin.manifest.clone(),
            opened_in: start.elapsed(),
            components: library.components,
            passed_over: library.passed_over,
        };
        for descriptor in &generation.passed_over {
            tracing::warn!(
                plugin = generation.module,
                "this engine takes no {} from a plugin: `{}` is left out",
                descriptor.kind,
                descriptor.name
            );
        }
        tracing::info!(
            plugin = generation.module,
            file = %generation.file.display(),
            sha256 = generation.sha256,
            generation = number,
            components = generation.components.len(),
            "plugin loaded"
        );
        Ok(generation)
    }

    /// Where this generation's components come from.
    pub fn origin(&self) -> Origin {
        Origin::Plugin {
            module: self.module.clone(),
            file: self.file.clone(),
            sha256: self.sha256.clone(),
            generation: self.number,
        }
    }
}

impl fmt::Debug for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.components.iter().map(|(descriptor, _)| descriptor.name.as_str()).collect();
        f.debug_struct("Generation")
            .field("module", &self.module)
            .field("file", &self.file)
            .field("number", &self.number)
            .field("components", &names)
            .finish_non_exhaustive()
    }
}
