//! What components say about themselves, laid out for people.

mod text;

pub(crate) use text::{page, paragraph};

use byoc::Descriptor;
use mmar_loader::{Entry, Origin, Registry};
use serde_json::Value as Json;

/// The documentation of a component: paragraphs, without the line breaks that the source has in them.
fn documentation(descriptor: &Descriptor) -> Vec<String> {
    let text = descriptor.schema.get("description").and_then(Json::as_str).unwrap_or(&descriptor.summary);
    text.split("\n\n").map(joined).filter(|paragraph| !paragraph.is_empty()).collect()
}

/// A text on one line.
fn joined(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Where it comes from.
fn origin(entry: &Entry) -> String {
    match &entry.origin {
        Origin::BuiltIn => "built in".to_owned(),
        Origin::Plugin { module, file, sha256, .. } => {
            format!("plugin `{module}`, {} (sha256 {sha256})", file.display())
        }
    }
}

/// How a config names it, with the arguments that must be given: `{"name": "StepLR", "args": {"step_size": …}}`.
fn example(entry: &Entry, registry: &Registry) -> String {
    let (key, id) = match registry.paths(entry).into_iter().next() {
        Some(path) => ("path", path),
        None => ("name", entry.descriptor.name.clone()),
    };
    let required: Vec<String> = mmar_config::arguments(&entry.descriptor.schema)
        .into_iter()
        .filter(|argument| argument.is_required)
        .map(|argument| format!("\"{}\": …", argument.name))
        .collect();
    if required.is_empty() {
        return format!("{{\"{key}\": \"{id}\"}}");
    }
    format!("{{\"{key}\": \"{id}\", \"args\": {{{}}}}}", required.join(", "))
}
