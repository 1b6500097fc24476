//! From a plan to objects. Everything is asked of the registry; nothing here knows a component by its name but the
//! datasets and the loader, which the engine makes itself.

mod args;
mod data;
pub(crate) mod device;
mod engines;
mod model;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use byoc::{Constructor, Error, Kind};
use mmar_config::{Component, Diagnostics, Plan};
use mmar_loader::{Entry, Generation, LoadError, Origin};
use serde_json::Value as Json;
use tch::Device;

use crate::workflow::guard::guarded;
use crate::{Failure, PluginUse, Session};

/// Makes the objects of a plan.
pub(crate) struct Builder<'s> {
    session: &'s Session,
    pub(crate) device: Device,
    pub(crate) seed: u64,
    /// Where output folders of components are put in a dry run, in place of those of the config.
    scratch: Option<PathBuf>,
    /// Cut everything down to the first batch.
    dry_run: bool,
    /// The archive, absolute: a path that was joined to it can be joined again and stays the same.
    pub(crate) root: PathBuf,
    plugins: RefCell<Vec<PluginUse>>,
}

impl<'s> Builder<'s> {
    pub(crate) fn new(session: &'s Session, device: Device, seed: u64, scratch: Option<PathBuf>) -> Self {
        let given = &session.plan().mmar_root;
        // only an empty path has no absolute form
        let root = std::path::absolute(given).unwrap_or_else(|_| given.clone());
        Self { session, device, seed, dry_run: scratch.is_some(), scratch, root, plugins: RefCell::default() }
    }

    pub(crate) fn plan(&self) -> &'s Plan {
        self.session.plan()
    }

    /// The plugins that took part so far.
    pub(crate) fn plugins(&self) -> Vec<PluginUse> {
        self.plugins.borrow().clone()
    }

    /// Checks the config against the components there are by now.
    pub(crate) fn check(&self) -> Diagnostics {
        self.session.check()
    }

    /// The build of a plugin file that is in use.
    pub(crate) fn generation(&self, file: &Path) -> Option<Arc<Generation>> {
        self.session.registry().plugins().iter().find(|generation| generation.file == file).cloned()
    }

    /// Opens a new build of a plugin file; from now on components are made from it.
    pub(crate) fn load(&self, file: &Path) -> Result<Arc<Generation>, LoadError> {
        self.session.registry_mut().load_file(file)
    }

    /// Makes components from an earlier build again.
    pub(crate) fn reinstate(&self, generation: Arc<Generation>) {
        self.session.registry_mut().reinstate(generation);
    }

    /// Whether a component comes from a plugin file.
    pub(crate) fn is_from(&self, plugin: &Path, kind: Kind, component: &Component) -> bool {
        let found = self.session.registry_mut().find(kind, component.id.lookup());
        matches!(found, Ok(Entry { origin: Origin::Plugin { file, .. }, .. }) if file == plugin)
    }

    /// Whether transforms of the data come from a plugin file.
    pub(crate) fn reads_data_with(&self, plugin: &Path) -> bool {
        let section = self.plan().train.as_ref();
        section.is_some_and(|it| it.pre_transforms.iter().any(|it| self.is_from(plugin, Kind::TRANSFORM, it)))
    }

    /// The registry's entry of a component, and its arguments as the component gets them.
    fn look_up(&self, kind: Kind, component: &Component) -> Result<(Entry, Json), Failure> {
        let entry = self.find(kind, component.id.lookup());
        let entry =
            entry.map_err(|message| Failure::config(self.plan().component_error(component, message, Vec::new())))?;
        let args = args::prepare(&component.args, &self.root, self.device, self.scratch.as_deref());
        Ok((entry, args))
    }

    fn find(&self, kind: Kind, id: &str) -> Result<Entry, String> {
        let found = self.session.registry_mut().find(kind, id);
        let entry = found.map_err(|error| error.to_string())?;
        self.note_origin(&entry.origin);
        Ok(entry)
    }

    /// Counts a build among the plugins that took part, and gives it.
    pub(crate) fn note_generation(&self, generation: &Generation) -> Option<PluginUse> {
        self.note_origin(&generation.origin());
        self.plugins.borrow().iter().find(|known| known.sha256 == generation.sha256).cloned()
    }

    fn note_origin(&self, origin: &Origin) {
        let Origin::Plugin { module, file, sha256, generation } = origin else { return };
        let registry = self.session.registry();
        let staged = registry.plugins().iter().find(|it| it.sha256 == *sha256).map(|it| it.staged.clone());
        let mut plugins = self.plugins.borrow_mut();
        if !plugins.iter().any(|known| known.sha256 == *sha256) {
            plugins.push(PluginUse {
                name: module.clone(),
                file: file.clone(),
                sha256: sha256.clone(),
                generation: u64::from(*generation),
                staged: staged.unwrap_or_default(),
            });
        }
    }

    /// Calls a constructor; its error is shown at the component's place in the config.
    fn made<T>(&self, component: &Component, make: impl FnOnce() -> byoc::Result<T>) -> Result<T, Failure> {
        guarded(make).map_err(|error| self.not_made(component, &error))
    }

    fn not_made(&self, component: &Component, error: &Error) -> Failure {
        let message = format!("`{}` cannot be made: {}", component.id, error.message());
        let mut notes = error.chain().to_vec();
        notes.extend(error.location().map(|place| format!("it says so in {place}")));
        Failure::config(self.plan().component_error(component, message, notes))
    }

    /// A constructor of another kind than was asked for: the registry never gives one.
    fn wrong_constructor(kind: Kind) -> Failure {
        Failure::bug(format!("the registry gave something else for a {kind}"))
    }
}

/// One function per kind that is made from arguments alone.
macro_rules! makers {
    ($($function:ident: $variant:ident, $kind:ident -> $object:ty;)*) => {
        impl Builder<'_> {
            $(
                pub(crate) fn $function(&self, component: &Component) -> Result<$object, Failure> {
                    let (entry, args) = self.look_up(Kind::$kind, component)?;
                    let Constructor::$variant(create) = &entry.constructor else {
                        return Err(Self::wrong_constructor(Kind::$kind));
                    };
                    self.made(component, || create(&args))
                }
            )*
        }
    };
}

makers! {
    loss: Loss, LOSS -> Box<dyn byoc::Loss>;
    metric: Metric, METRIC -> Box<dyn byoc::Metric>;
    handler: Handler, HANDLER -> Box<dyn byoc::Handler>;
    inferer: Inferer, INFERER -> Box<dyn byoc::Inferer>;
}
