//! From a plan to objects. Everything is asked of the registry; nothing here knows a component by its name but the
//! datasets and the loader, which the engine makes itself.

mod args;
mod data;
pub(crate) mod device;
mod engines;
mod model;

use std::cell::RefCell;
use std::path::PathBuf;

use byoc::{Constructor, Error, Kind};
use mmar_config::{Component, Plan};
use mmar_loader::{Entry, Origin};
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
        self.note_plugin(&entry);
        Ok(entry)
    }

    fn note_plugin(&self, entry: &Entry) {
        let Origin::Plugin { module, file, sha256, generation } = &entry.origin else { return };
        let mut plugins = self.plugins.borrow_mut();
        if !plugins.iter().any(|known| known.sha256 == *sha256) {
            plugins.push(PluginUse {
                name: module.clone(),
                file: file.clone(),
                sha256: sha256.clone(),
                generation: u64::from(*generation),
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
                fn $function(&self, component: &Component) -> Result<$object, Failure> {
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
