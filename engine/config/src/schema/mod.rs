//! Every component exists, and its arguments are what its JSON Schema says.

mod accepts;
mod describe;
mod table;
mod validate;

use std::sync::Arc;

pub(crate) use accepts::properties;
pub(crate) use describe::{branches, deref, has_keyword, types};
pub use table::{Argument, arguments};

use crate::catalog::{Catalog, Found, Lookup, Unknown, Unusable};
use crate::code::Code;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::plan::{Component, Plan};
use crate::suggest::did_you_mean_help;

/// Checks every component of a plan: that it exists, and its arguments against its schema. All errors at once.
pub fn check(plan: &Plan, catalog: &dyn Catalog) -> Diagnostics {
    let mut diagnostics = Vec::new();
    check_components(&plan.components, catalog, &mut diagnostics);
    Diagnostics::new(Arc::clone(&plan.sources), diagnostics)
}

pub(crate) fn check_components(
    components: &[(&'static str, Component)],
    catalog: &dyn Catalog,
    diagnostics: &mut Vec<Diagnostic>,
) {
    for (kind, component) in components {
        match catalog.find(kind, &component.id) {
            Lookup::Found(found) => validate::component(component, &found, diagnostics),
            Lookup::Unknown(unknown) => diagnostics.push(unknown_component(kind, component, unknown)),
            Lookup::Unusable(unusable) => diagnostics.push(unusable_component(component, unusable)),
        }
    }
}

fn unknown_component(kind: &str, component: &Component, unknown: Unknown) -> Diagnostic {
    let id = component.id.lookup();
    let label = unknown.label.unwrap_or_else(|| format!("no such {kind}"));
    let key = if component.id.path.is_some() { "path" } else { "name" };
    let mut diagnostic = Diagnostic::new(Code::UnknownComponent, format!("no {kind} named `{id}`"))
        .labelled(component.span, label)
        .pointer(format!("{}/{key}", component.pointer));
    diagnostic.notes.extend(unknown.notes);
    let near = did_you_mean_help(id, unknown.candidates.iter().map(String::as_str));
    if near.is_none() && unknown.helps.is_empty() {
        diagnostic = diagnostic.help(format!("`mmar components {kind}` lists what there is"));
    }
    diagnostic = diagnostic.maybe_help(near);
    diagnostic.helps.extend(unknown.helps);
    diagnostic
}

fn unusable_component(component: &Component, unusable: Unusable) -> Diagnostic {
    let mut diagnostic = Diagnostic::new(Code::UnusableComponent, unusable.message)
        .labelled(component.span, "needed here")
        .pointer(component.pointer.clone());
    diagnostic.notes.extend(unusable.notes);
    diagnostic.helps.extend(unusable.helps);
    diagnostic
}

/// How notes call the component: its name, and who provides it.
fn declared_by(found: &Found) -> String {
    match &found.provider {
        Some(provider) => format!("{} ({provider})", found.name),
        None => found.name.clone(),
    }
}
