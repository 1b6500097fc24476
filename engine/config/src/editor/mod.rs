//! JSON Schema of a whole config, for editors: what may stand where, which components there are, and their arguments.
//!
//! It says what can be said without reading the environment: a variable may stand for any value, what a `ref` or `@name`
//! leads to is not followed, and a root key that is nothing else is a variable. What it refuses, the check of configs
//! refuses, too; the check says more.

mod arguments;
mod component;
mod layout;
mod sections;
mod settings;
mod share;

use serde_json::{Map, Value as Json, json};

use crate::expressions::FORMS;
use crate::references::OBJECTS;
use component::Spelling;

/// A component that a config can name.
#[derive(Debug, Clone)]
pub struct Named {
    /// Its kind, as a [`crate::Catalog`] knows it.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its other names.
    pub aliases: Vec<String>,
    /// The paths that a config can name it by; none for a built-in component.
    pub paths: Vec<String>,
    /// One line.
    pub summary: String,
    /// JSON Schema of its arguments.
    pub schema: Json,
}

impl Named {
    fn spellings(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.name.as_str()).chain(self.aliases.iter().map(String::as_str))
    }
}

/// The JSON Schema of configs that name these components.
///
/// `packages` are the first segments of paths that name built-in components. With `has_other_plugins` a path may name a
/// plugin that is not among the components, and nothing is said about its arguments.
pub fn json_schema(components: &[Named], packages: &[&str], has_other_plugins: bool) -> Json {
    let spelling = Spelling { packages, has_other_plugins };
    let mut definitions: Vec<(String, Json)> = arguments::definitions(&OBJECTS, &FORMS)
        .into_iter()
        .map(|(name, definition)| (name.to_owned(), definition))
        .chain(sections::definitions())
        .collect();
    let mut of_components = Map::new();
    for form in sections::forms() {
        for (id, definition) in component::definitions(&form, components, spelling) {
            if id == form.kind {
                definitions.push((id, definition));
            } else {
                of_components.insert(id, definition);
            }
        }
    }
    let shared = share::share(&mut of_components);
    let root = sections::root();
    let mut document = Map::from_iter([
        ("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into()),
        ("title".to_owned(), "mmar config".into()),
        ("description".to_owned(), "A training, validation or inference config of a Medical Model Archive.".into()),
    ]);
    document.extend(root);
    let definitions: Map<String, Json> = definitions.into_iter().chain(shared).chain(of_components).collect();
    document.insert("$defs".to_owned(), json!(definitions));
    Json::Object(document)
}

/// The text of [`json_schema`].
pub fn json_schema_text(schema: &Json) -> String {
    layout::text(schema)
}
