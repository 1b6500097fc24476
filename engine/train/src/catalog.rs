//! What the config check asks about components, answered by the registry.

use std::cell::RefCell;

use byoc::Kind;
use mmar_config::{Catalog, ComponentId, Found, Lookup, Unknown, Unusable};
use mmar_loader::{Entry, FindError, Origin, Registry};

/// The registry as the config check sees it. Looking a component up may load its plugin.
pub(crate) struct RegistryCatalog<'r> {
    registry: &'r RefCell<Registry>,
}

impl<'r> RegistryCatalog<'r> {
    pub(crate) fn new(registry: &'r RefCell<Registry>) -> Self {
        Self { registry }
    }
}

impl Catalog for RegistryCatalog<'_> {
    fn find(&self, kind: &str, id: &ComponentId) -> Lookup {
        let Some(kind) = Kind::from_name(kind) else {
            return Lookup::Unusable(Unusable {
                message: format!("components of the kind `{kind}` do not exist in this version"),
                ..Unusable::default()
            });
        };
        let found = self.registry.borrow_mut().find(kind, id.lookup());
        match found {
            Ok(entry) => Lookup::Found(found_in(entry, id)),
            Err(error) => self.not_found(kind, error),
        }
    }
}

impl RegistryCatalog<'_> {
    fn not_found(&self, kind: Kind, error: FindError) -> Lookup {
        // a name that nobody has is the config's fault, a library that cannot be opened is not
        if matches!(error.code, "unknown-component" | "wrong-kind" | "bad-path") {
            let registry = self.registry.borrow();
            let others = registry.entries().into_iter().filter(|entry| entry.descriptor.kind == kind);
            let candidates = if error.suggestions.is_empty() {
                others
                    .flat_map(|entry| std::iter::once(entry.descriptor.name).chain(entry.descriptor.aliases))
                    .collect()
            } else {
                error.suggestions
            };
            return Lookup::Unknown(Unknown {
                candidates,
                label: Some(error.message),
                notes: error.notes,
                helps: Vec::new(),
            });
        }
        let helps = error.suggestions.iter().map(|name| format!("did you mean `{name}`?")).collect();
        Lookup::Unusable(Unusable { message: error.message, notes: error.notes, helps })
    }
}

fn found_in(entry: Entry, id: &ComponentId) -> Found {
    let provider = match &entry.origin {
        Origin::BuiltIn => None,
        Origin::Plugin { module, file, .. } => Some(format!("plugin `{module}` ({})", file.display())),
    };
    Found { name: id.lookup().to_owned(), provider, schema: entry.descriptor.schema }
}
