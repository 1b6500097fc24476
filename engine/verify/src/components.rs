//! Where the replayer gets components from.

use byoc::{Constructor, Kind, Registration};

/// A place to get components from.
pub trait Components {
    /// How to make the component of this kind and name (or dotted path); `None` if there is no such component, an
    /// error if it is there but cannot be used (a plugin that does not load).
    fn find(&mut self, kind: Kind, name: &str) -> Result<Option<Constructor>, String>;
}

/// The components that are linked into this binary, without plugins.
#[derive(Debug, Clone, Copy, Default)]
pub struct BuiltIns;

impl Components for BuiltIns {
    fn find(&mut self, kind: Kind, name: &str) -> Result<Option<Constructor>, String> {
        let found = Registration::all().into_iter().find(|registration| {
            let descriptor = registration.descriptor();
            descriptor.kind == kind && descriptor.answers_to(name)
        });
        Ok(found.map(Registration::constructor))
    }
}
