//! Where the replayer gets components from.

use byoc::{Constructor, Kind};
use mmar_loader::Registry;

/// A place to get components from.
pub trait Components {
    /// How to make the component of this kind and name (or dotted path); `None` if there is no such component, an
    /// error if it is there but cannot be used (a plugin that does not load).
    fn find(&mut self, kind: Kind, name: &str) -> Result<Option<Constructor>, String>;
}

impl Components for Registry {
    /// Cases name components as Python does, without the plugin that they were ported to: a bare name that is not
    /// built in is looked for in the plugins that are loaded.
    fn find(&mut self, kind: Kind, name: &str) -> Result<Option<Constructor>, String> {
        match Self::find(self, kind, name) {
            Ok(entry) => Ok(Some(entry.constructor)),
            Err(error)
                if matches!(error.code, "unknown-component" | "wrong-kind" | "plugin-not-found" | "bad-path") =>
            {
                let mut entries = self.entries().into_iter();
                let found = entries.find(|entry| entry.descriptor.kind == kind && entry.descriptor.answers_to(name));
                Ok(found.map(|entry| entry.constructor))
            }
            Err(error) => Err(error.to_string()),
        }
    }
}
