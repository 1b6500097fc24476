//! Config text to resolved plan.
//!
//! A value's way: `document` (text with spans) → `overrides` and `environment` → `variables` → `resolve`
//! (sections, components, references, expressions) → [`Plan`]. `schema` then checks the arguments of every component
//! against what a [`Catalog`] says about it. Each stage reports every error it finds and goes on with what is sound, so
//! that a user sees all errors at once, each with its place in the file.
//!
//! ```
//! use mmar_config::{Request, load};
//!
//! let folder = tempfile::tempdir()?;
//! std::fs::write(folder.path().join("config_train.json"), r#"{"epochs": 2, "train": {"lss": {"name": "DiceLoss"}}}"#)?;
//! let request = Request {
//!     mmar_root: folder.path().into(),
//!     config: "config_train.json".into(),
//!     overrides: vec!["epochs=10".into()],
//!     ..Request::default()
//! };
//! let problems = load(&request).expect_err("`loss` is misspelt, and more is missing");
//! assert!(problems.to_string().contains("did you mean `loss`?"));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! No tensors here, and no input or output but reading the two files.

mod catalog;
mod code;
mod diagnostic;
mod document;
mod editor;
mod environment;
mod expressions;
mod overrides;
mod plan;
mod references;
mod render;
mod request;
mod resolve;
mod schema;
mod settings;
mod show;
mod source;
mod suggest;
mod variables;

pub use catalog::{Catalog, Found, Lookup, Unknown, Unusable};
pub use code::Code;
pub use diagnostic::{Diagnostic, Diagnostics, Label, Severity};
pub use editor::{Named, json_schema, json_schema_text};
pub use expressions::Expression;
pub use plan::{Component, ComponentId, Dataset, Dialect, Metric, Model, ModelFile, Plan, Role, Section};
pub use render::RenderOptions;
pub use request::Request;
pub use schema::{Argument, arguments, check};
pub use settings::Settings;
pub use show::{Origin, Shown, ShownValue};
pub use source::{Source, SourceId, SourceKind, Sources, Span};
pub use suggest::did_you_mean;
pub use variables::Variable;

/// Reads a config with its environment and overrides: syntax, variables, references, the shape of sections.
///
/// Arguments are not checked yet: [`check`] does that, and [`load_checked`] both at once.
pub fn load(request: &Request) -> Result<Plan, Diagnostics> {
    resolve::load(request).into_plan()
}

/// [`load`] and [`check`] in one: the errors of both are reported together.
pub fn load_checked(request: &Request, catalog: &dyn Catalog) -> Result<Plan, Diagnostics> {
    let mut loaded = resolve::load(request);
    let mut diagnostics = Vec::new();
    schema::check_components(loaded.components(), catalog, &mut diagnostics);
    loaded.diagnostics.append(&mut diagnostics);
    loaded.into_plan()
}
