//! What components exist: asked of the engine, which knows its own and the plugins'.

use serde_json::Value as Json;

use crate::plan::ComponentId;

/// The components that a config can name. The engine implements it over its registry.
pub trait Catalog {
    /// Looks a component up. `kind` is one of `network`, `loss`, `metric`, `transform`, `handler`, `inferer`,
    /// `optimizer`, `lr_scheduler`, `dataset`, `dataloader`, `trainer`, `evaluator`, `iteration`.
    fn find(&self, kind: &str, id: &ComponentId) -> Lookup;
}

/// The answer of a [`Catalog`].
#[derive(Debug, Clone)]
pub enum Lookup {
    /// It exists.
    Found(Found),
    /// Nothing of that kind has the name.
    Unknown(Unknown),
    /// What should provide it cannot be used: a plugin that is broken or was built for something else.
    Unusable(Unusable),
}

/// A component that exists.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its full name in messages: `BYOC.myLoss.MyDiceLoss`.
    pub name: String,
    /// Who provides it, if it is not built in: ``plugin `myLoss` 0.2.0``.
    pub provider: Option<String>,
    /// JSON Schema of its arguments.
    pub schema: Json,
}

/// Nothing of that kind has the name.
#[derive(Debug, Clone, Default)]
pub struct Unknown {
    /// Everything it could have been; the nearest are suggested.
    pub candidates: Vec<String>,
    /// The words beside the carets: ``not provided by plugin `myLoss` 0.2.0``.
    pub label: Option<String>,
    /// More facts, a line each.
    pub notes: Vec<String>,
    /// What to do, a line each.
    pub helps: Vec<String>,
}

/// What should provide the component cannot be used.
#[derive(Debug, Clone, Default)]
pub struct Unusable {
    /// What is wrong, as one sentence.
    pub message: String,
    /// More facts, a line each.
    pub notes: Vec<String>,
    /// What to do, a line each.
    pub helps: Vec<String>,
}
