//! The registry's components as the check of configs wants to see them.

use std::cell::RefCell;

use byoc::Kind;
use mmar_config::{Catalog, ComponentId, Found, Lookup, Unknown, Unusable};
use mmar_loader::{Origin, Registry};

/// A registry that plugins are loaded into as configs name them.
pub(crate) struct RegistryCatalog {
    registry: RefCell<Registry>,
}

impl RegistryCatalog {
    pub(crate) fn new(registry: Registry) -> Self {
        Self { registry: RefCell::new(registry) }
    }
}

impl Catalog for RegistryCatalog {
    fn find(&self, kind: &str, id: &ComponentId) -> Lookup {
        let Some(kind) = Kind::from_name(kind) else {
            return Lookup::Unusable(Unusable {
                message: format!("components of the kind `{kind}` are not supported yet"),
                ..Unusable::default()
            });
        };
        match self.registry.borrow_mut().find(kind, id.lookup()) {
            Ok(entry) => {
                let (name, provider) = match &entry.origin {
                    Origin::BuiltIn => (entry.descriptor.name.clone(), None),
                    Origin::Plugin { module, .. } => (id.lookup().to_owned(), Some(format!("plugin `{module}`"))),
                };
                Lookup::Found(Found { name, provider, schema: entry.descriptor.schema })
            }
            Err(error) if error.code == "unknown-component" || error.code == "plugin-not-found" => {
                Lookup::Unknown(Unknown {
                    candidates: error.suggestions,
                    label: Some(error.message),
                    notes: error.notes,
                    helps: Vec::new(),
                })
            }
            Err(error) => Lookup::Unusable(Unusable { message: error.message, notes: error.notes, helps: Vec::new() }),
        }
    }
}
