//! What components there are: the built-in ones and those of the plugins.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use byoc::{Constructor, Descriptor, Kind, Registration};

use crate::inspect::inspect;
use crate::path::ComponentPath;
use crate::search::{self, SearchRoots};
use crate::suggest::closest;
use crate::{Generation, LoadCode, LoadError};

/// The components by kind and name. Plugins are loaded when a path names them, or all by [`Registry::load_all`].
#[derive(Default)]
pub struct Registry {
    roots: SearchRoots,
    built_ins: Vec<Entry>,
    /// The newest generation of each file.
    generations: Vec<Arc<Generation>>,
    /// How many builds of each module were loaded.
    loaded: BTreeMap<String, u32>,
    failures: BTreeMap<PathBuf, LoadError>,
}

/// A component that can be made.
#[derive(Clone)]
pub struct Entry {
    /// What it says about itself.
    pub descriptor: Descriptor,
    /// How to make it.
    pub constructor: Constructor,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a component comes from.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "origin", rename_all = "snake_case")]
pub enum Origin {
    /// The engine itself.
    BuiltIn,
    /// A plugin.
    Plugin {
        /// Its module.
        module: String,
        /// The file that was asked for.
        file: PathBuf,
        /// Identity of the build.
        sha256: String,
        /// Which build of the module in this process, from 1.
        generation: u32,
    },
}

/// What became of a library that [`Registry::load_all`] tried.
#[derive(Debug)]
pub struct LoadReport {
    /// The library.
    pub file: PathBuf,
    /// How many components it brought, or why it was refused.
    pub outcome: Result<usize, LoadError>,
}

/// Why a component was not found.
#[derive(Debug, Clone)]
pub struct FindError {
    /// `unknown-component`, `wrong-kind`, `bad-path`, `plugin-not-found`, or the name of the
    /// [`LoadCode`] if the plugin was refused.
    pub code: &'static str,
    /// What was asked for and what there is.
    pub message: String,
    /// Names that may have been meant, the likeliest first.
    pub suggestions: Vec<String>,
    /// What to do, and which plugins failed to load and why.
    pub notes: Vec<String>,
}

impl fmt::Display for FindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for FindError {}

impl Registry {
    /// The built-in components only.
    pub fn with_builtins() -> Self {
        let built_ins = Registration::all()
            .into_iter()
            .map(|it| Entry { descriptor: it.descriptor(), constructor: it.constructor(), origin: Origin::BuiltIn })
            .collect();
        Self { built_ins, ..Self::default() }
    }

    /// The built-in components, and the plugins of an archive: in it, in its `custom` folder, and in the folders that
    /// `MMAR_PLUGIN_PATH` names.
    pub fn open(mmar_root: &Path) -> Self {
        Self::with_roots(SearchRoots::of(mmar_root))
    }

    /// The built-in components, and the plugins below these roots.
    pub fn with_roots(roots: SearchRoots) -> Self {
        Self { roots, ..Self::with_builtins() }
    }

    /// The component of a kind that a name or dotted path of a config means; loads its plugin if need be.
    pub fn find(&mut self, kind: Kind, id: &str) -> Result<Entry, FindError> {
        let path = ComponentPath::parse(id).map_err(|message| FindError {
            code: "bad-path",
            message,
            suggestions: Vec::new(),
            notes: Vec::new(),
        })?;
        match path {
            ComponentPath::BuiltIn { package, name } => self.find_built_in(kind, &package, &name),
            ComponentPath::Plugin { folder, module, name } => {
                let generation = self.module(&folder, &module)?;
                Self::find_in(&generation, kind, &name, id)
            }
        }
    }

    /// Loads every plugin below the roots. Libraries that are no plugins are passed over; a plugin that cannot be
    /// loaded is reported, and remembered for the messages of [`Registry::find`].
    pub fn load_all(&mut self) -> Vec<LoadReport> {
        let mut reports = Vec::new();
        for file in self.roots.all_libraries() {
            let outcome = match self.load_file(&file) {
                Ok(generation) => Ok(generation.components.len()),
                Err(error) if error.code == LoadCode::NotAPlugin => {
                    tracing::debug!(file = %file.display(), "not a plugin, passed over");
                    self.failures.remove(&file);
                    continue;
                }
                Err(error) => Err(error),
            };
            reports.push(LoadReport { file, outcome });
        }
        reports
    }

    /// Loads one plugin file, wherever it lies; the same build again is a no-op, a changed file a new generation.
    pub fn load_file(&mut self, file: &Path) -> Result<Arc<Generation>, LoadError> {
        let outcome = self.try_load(file);
        match &outcome {
            Ok(_) => {
                self.failures.remove(file);
            }
            Err(error) => {
                self.failures.insert(file.to_owned(), error.clone());
            }
        }
        outcome
    }

    /// Puts an earlier build of a file back into the place of the newer one.
    pub fn reinstate(&mut self, generation: Arc<Generation>) {
        match self.generations.iter_mut().find(|it| it.file == generation.file) {
            Some(newer) => *newer = generation,
            None => self.generations.push(generation),
        }
    }

    /// Every component: the built-in ones by name, then those of the plugins, newest generations only.
    pub fn entries(&self) -> Vec<Entry> {
        let plugins = self.plugins().iter().flat_map(|generation| {
            generation.components.iter().map(|(descriptor, constructor)| Entry {
                descriptor: descriptor.clone(),
                constructor: constructor.clone(),
                origin: generation.origin(),
            })
        });
        self.built_ins.iter().cloned().chain(plugins).collect()
    }

    /// The paths by which a config names a plugin's component, the shortest first, under all its names; none for a
    /// built-in component.
    pub fn paths(&self, entry: &Entry) -> Vec<String> {
        let Origin::Plugin { file, .. } = &entry.origin else { return Vec::new() };
        let modules = self.roots.module_paths(file);
        spellings(&entry.descriptor)
            .flat_map(|name| modules.iter().map(move |module| format!("{module}.{name}")))
            .collect()
    }

    /// The newest generation of each loaded plugin, in the order of their first loading.
    pub fn plugins(&self) -> &[Arc<Generation>] {
        &self.generations
    }

    /// The plugins that were tried and refused.
    pub fn failures(&self) -> impl Iterator<Item = &LoadError> {
        self.failures.values()
    }

    fn try_load(&mut self, file: &Path) -> Result<Arc<Generation>, LoadError> {
        let plugin = inspect(file)?;
        // two files with the same bytes are one plugin
        if let Some(loaded) = self.generations.iter().find(|it| it.sha256 == plugin.sha256) {
            return Ok(Arc::clone(loaded));
        }
        for warning in plugin.check()? {
            tracing::warn!(file = %file.display(), "{warning}");
        }
        let module = &plugin.manifest.plugin.module;
        let number = 1 + self.loaded.get(module).copied().unwrap_or(0);
        let generation = Generation::load(&plugin, number)?;
        self.refuse_duplicates(&generation)?;
        // from here on nothing fails: the components are entered all at once
        self.loaded.insert(module.clone(), number);
        let generation = Arc::new(generation);
        match self.generations.iter_mut().find(|it| it.file == file) {
            Some(former) => *former = Arc::clone(&generation),
            None => self.generations.push(Arc::clone(&generation)),
        }
        Ok(generation)
    }

    /// A newer build of a file takes the place of the former one; anything else with the same ids is an error, because
    /// no rule of precedence would be seen by who reads a config.
    fn refuse_duplicates(&self, new: &Generation) -> Result<(), LoadError> {
        for other in self.generations.iter().filter(|it| it.module == new.module && it.file != new.file) {
            let twice = new.components.iter().find(|(it, _)| {
                let same_id =
                    |known: &Descriptor| known.kind == it.kind && spellings(it).any(|name| known.answers_to(name));
                other.components.iter().any(|(known, _)| same_id(known))
            });
            if let Some((descriptor, _)) = twice {
                let message = format!(
                    "it provides the {} `{}.{}`, which `{}` provides already",
                    descriptor.kind,
                    new.module,
                    descriptor.name,
                    other.file.display()
                );
                return Err(LoadError::new(LoadCode::Duplicate, &new.file, message)
                    .help("remove one of the two files, or give one of the plugins another `module`"));
            }
        }
        Ok(())
    }

    /// Built-ins are found by their names alone. Where two packages give a name to different things, the one whose names
    /// have its package before it, `monai.optimizers.LinearLR`, is meant by paths into that package.
    fn find_built_in(&self, kind: Kind, package: &str, name: &str) -> Result<Entry, FindError> {
        let of_kind = || self.built_ins.iter().filter(|it| it.descriptor.kind == kind);
        let of_package = of_kind().find(|it| spellings(&it.descriptor).any(|known| is_within(known, package, name)));
        if let Some(entry) = of_package.or_else(|| of_kind().find(|it| it.descriptor.answers_to(name))) {
            return Ok(entry.clone());
        }
        if let Some(other) = self.built_ins.iter().find(|it| it.descriptor.answers_to(name)) {
            return Err(Self::wrong_kind(name, other.descriptor.kind, kind));
        }
        let names: Vec<&str> = of_kind().flat_map(|it| spellings(&it.descriptor)).collect();
        let mut suggestions = closest(name, names.iter().copied());
        for generation in &self.generations {
            for (descriptor, _) in &generation.components {
                if descriptor.kind == kind && descriptor.answers_to(name) {
                    suggestions.insert(0, format!("{}.{}", generation.module, descriptor.name));
                }
            }
        }
        Err(FindError {
            code: "unknown-component",
            message: format!("there is no built-in {kind} `{name}`"),
            suggestions,
            notes: self.failure_notes(),
        })
    }

    fn find_in(generation: &Generation, kind: Kind, name: &str, id: &str) -> Result<Entry, FindError> {
        let found = generation.components.iter().find(|(it, _)| it.kind == kind && it.answers_to(name));
        if let Some((descriptor, constructor)) = found {
            return Ok(Entry {
                descriptor: descriptor.clone(),
                constructor: constructor.clone(),
                origin: generation.origin(),
            });
        }
        if let Some((other, _)) = generation.components.iter().find(|(it, _)| it.answers_to(name)) {
            return Err(Self::wrong_kind(id, other.kind, kind));
        }
        if let Some(other) = generation.passed_over.iter().find(|it| it.kind == kind && it.answers_to(name)) {
            return Err(FindError {
                code: "kind-not-from-plugins",
                message: format!("`{id}` is a {}, which this engine does not take from plugins", other.kind),
                suggestions: Vec::new(),
                notes: Vec::new(),
            });
        }
        let known: Vec<&str> = generation.components.iter().flat_map(|(it, _)| spellings(it)).collect();
        let prefix = id.strip_suffix(name).unwrap_or_default();
        let list: Vec<String> =
            generation.components.iter().map(|(it, _)| format!("`{}` ({})", it.name, it.kind)).collect();
        Err(FindError {
            code: "unknown-component",
            message: format!("the plugin `{}` has no {kind} `{name}`", generation.module),
            suggestions: closest(name, known).into_iter().map(|name| format!("{prefix}{name}")).collect(),
            notes: vec![format!("`{}` provides {}", generation.file.display(), list.join(", "))],
        })
    }

    fn module(&mut self, folder: &Path, module: &str) -> Result<Arc<Generation>, FindError> {
        let Some(file) = self.roots.file(folder, module) else {
            return self.removed_module(folder, module).ok_or_else(|| self.missing_module(folder, module));
        };
        if let Some(loaded) = self.generations.iter().find(|it| it.file == file) {
            return Ok(Arc::clone(loaded));
        }
        let generation = self.load_file(&file).map_err(|error| refused(&error))?;
        if generation.module == module {
            return Ok(generation);
        }
        let message = format!("it holds the module `{}`, not `{module}`", generation.module);
        let help = format!("name it `{}`: configs find a plugin by that", search::file_name(&generation.module));
        Err(refused(&LoadError::new(LoadCode::WrongModule, &file, message).help(help)))
    }

    /// A module that is loaded although its file is gone: the private copy works on.
    fn removed_module(&self, folder: &Path, module: &str) -> Option<Arc<Generation>> {
        let places: Vec<PathBuf> =
            self.roots.folders(folder).map(|folder| folder.join(search::file_name(module))).collect();
        let generation = self.generations.iter().find(|it| places.contains(&it.file))?;
        tracing::warn!(
            file = %generation.file.display(),
            "the plugin's file was removed; generation {} stays in use until the run ends",
            generation.number
        );
        Some(Arc::clone(generation))
    }

    fn missing_module(&self, folder: &Path, module: &str) -> FindError {
        let name = search::file_name(module);
        let mut places = Vec::new();
        let mut modules = Vec::new();
        let mut notes = Vec::new();
        for place in self.roots.folders(folder) {
            for file in search::libraries(&place) {
                // people rename files: what a file says about itself counts
                let Ok(plugin) = inspect(&file) else { continue };
                let found = plugin.manifest.plugin.module;
                if found == module {
                    notes.push(format!("`{}` holds the module `{module}`: name it `{name}`", file.display()));
                }
                modules.push(found);
            }
            places.push(format!("`{}`", place.display()));
        }
        modules.retain(|found| found != module);
        if places.is_empty() {
            notes.push("plugins need an archive: `-m MMAR`".to_owned());
        } else {
            notes.push(format!("looked in {}", places.join(", ")));
            notes.push(format!(
                "`mmar plugin install` puts it there; `{}` names further folders",
                search::PLUGIN_PATH_VARIABLE
            ));
        }
        notes.extend(self.failure_notes());
        FindError {
            code: "plugin-not-found",
            message: format!("there is no plugin `{module}`: no file `{name}`"),
            suggestions: closest(module, modules.iter().map(String::as_str)),
            notes,
        }
    }

    fn wrong_kind(id: &str, found: Kind, wanted: Kind) -> FindError {
        FindError {
            code: "wrong-kind",
            message: format!("`{id}` is a {found}, but a {wanted} is needed here"),
            suggestions: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn failure_notes(&self) -> Vec<String> {
        self.failures.values().map(|error| format!("a plugin could not be loaded: {error}")).collect()
    }
}

fn refused(error: &LoadError) -> FindError {
    let notes = error.help.iter().chain(&error.detail).cloned().collect();
    FindError { code: error.code.name(), message: error.to_string(), suggestions: Vec::new(), notes }
}

fn spellings(descriptor: &Descriptor) -> impl Iterator<Item = &str> {
    std::iter::once(descriptor.name.as_str()).chain(descriptor.aliases.iter().map(String::as_str))
}

/// Whether a component's name with its package before it, `monai.optimizers.LinearLR`, is meant by a path: the same
/// name, in that package or in a module of it.
fn is_within(known: &str, package: &str, name: &str) -> bool {
    known.rsplit_once('.').is_some_and(|(home, known)| {
        known == name && package.strip_prefix(home).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}
