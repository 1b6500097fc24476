//! `mmar components`

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use byoc::Kind;
use clap::Args;
use mmar_loader::{Entry, Origin, Registry};
use serde_json::{Value as Json, json};

use crate::exit::Exit;
use crate::printer::Printer;

/// Arguments of `mmar components`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only this kind: `network`, `loss`, `metric`, `transform`, `handler`, `inferer`, `optimizer`, `lr_scheduler` …
    kind: Option<String>,
    /// An archive whose plugins are listed, too
    #[arg(short, long, value_name = "MMAR")]
    mmar: Option<PathBuf>,
    /// JSON for a script, with the schema of the arguments
    #[arg(long)]
    json: bool,
}

/// Lists components.
pub(crate) fn run(arguments: &Arguments, printer: &mut Printer) -> Result<(), Exit> {
    let kind = arguments.kind.as_deref().map(parse_kind).transpose()?;
    let mut entries = registry(arguments.mmar.as_deref(), printer)?.entries();
    entries.retain(|entry| kind.is_none_or(|kind| entry.descriptor.kind == kind));
    entries.sort_by(|a, b| (a.descriptor.kind, &a.descriptor.name).cmp(&(b.descriptor.kind, &b.descriptor.name)));
    if arguments.json {
        let components: Vec<Json> = entries.iter().map(to_json).collect();
        printer.json(&json!({ "schema": 1, "components": components }))
    } else {
        printer.result(table(&entries).trim_end())
    }
}

/// The built-in components, and those of an archive's plugins.
pub(crate) fn registry(mmar: Option<&Path>, printer: &mut Printer) -> Result<Registry, Exit> {
    let mut registry = match mmar {
        None => Registry::with_builtins(),
        Some(mmar) if !mmar.is_dir() => {
            return Err(Exit::usage("no-such-file", format!("there is no archive `{}`", mmar.display())));
        }
        Some(mmar) => Registry::open(mmar),
    };
    super::plugin::load_all(&mut registry, printer);
    Ok(registry)
}

pub(crate) fn parse_kind(name: &str) -> Result<Kind, Exit> {
    // `losses` and `networks` are what one types first.
    let singular = name.strip_suffix("es").filter(|stem| stem.ends_with('s')).or_else(|| name.strip_suffix('s'));
    Kind::from_name(name).or_else(|| singular.and_then(Kind::from_name)).ok_or_else(|| {
        let known: Vec<_> = Kind::ALL.iter().map(|(_, name)| format!("`{name}`")).collect();
        Exit::usage("unknown-kind", format!("there is no kind `{name}`; there are {}", known.join(", ")))
    })
}

pub(crate) fn to_json(entry: &Entry) -> Json {
    let descriptor = &entry.descriptor;
    json!({
        "kind": descriptor.kind.to_string(),
        "name": descriptor.name,
        "aliases": descriptor.aliases,
        "summary": descriptor.summary,
        "origin": entry.origin,
        "args": descriptor.schema,
    })
}

/// A paragraph for each kind, a line for each component, and indented lines for its arguments.
fn table(entries: &[Entry]) -> String {
    let mut text = String::new();
    let mut kind = None;
    for entry in entries {
        let descriptor = &entry.descriptor;
        if kind != Some(descriptor.kind) {
            let _ = writeln!(text, "{}{}", if kind.is_some() { "\n" } else { "" }, descriptor.kind);
            kind = Some(descriptor.kind);
        }
        let _ = write!(text, "  {}", id(entry));
        if !descriptor.summary.is_empty() {
            let _ = write!(text, ": {}", descriptor.summary);
        }
        text.push('\n');
        for argument in arguments(&descriptor.schema) {
            let _ = writeln!(text, "      {argument}");
        }
    }
    text
}

/// What a config writes: the name, or for a plugin's component module and name.
fn id(entry: &Entry) -> String {
    match &entry.origin {
        Origin::BuiltIn => entry.descriptor.name.clone(),
        Origin::Plugin { module, .. } => format!("{module}.{}", entry.descriptor.name),
    }
}

/// `smooth: number = 1e-5`, a line for each argument.
fn arguments(schema: &Json) -> Vec<String> {
    let Some(properties) = schema.get("properties").and_then(Json::as_object) else { return Vec::new() };
    let required: Vec<&str> =
        schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).collect();
    let line = |(name, property): (&String, &Json)| {
        let default = match property.get("default") {
            Some(default) => format!(" = {default}"),
            None if required.contains(&name.as_str()) => String::new(),
            None => "?".to_owned(),
        };
        format!("{name}: {}{default}", type_of(property))
    };
    properties.iter().map(line).collect()
}

/// The type in a few words.
fn type_of(property: &Json) -> String {
    let either = |list: &Json| {
        let mut names: Vec<String> =
            list.as_array().into_iter().flatten().map(type_of).filter(|name| name != "null").collect();
        names.dedup();
        names.join(" or ")
    };
    if let Some(values) = property.get("enum").and_then(Json::as_array) {
        return values.iter().map(Json::to_string).collect::<Vec<_>>().join(" | ");
    }
    if let Some(value) = property.get("const") {
        return value.to_string();
    }
    if let Some(list) = property.get("anyOf").or_else(|| property.get("oneOf")) {
        return either(list);
    }
    match property.get("type") {
        Some(Json::String(name)) if name == "array" => {
            format!("[{}]", property.get("items").map_or_else(|| "any".to_owned(), type_of))
        }
        Some(Json::String(name)) => name.clone(),
        Some(Json::Array(names)) => {
            names.iter().filter_map(Json::as_str).filter(|name| *name != "null").collect::<Vec<_>>().join(" or ")
        }
        _ => "any".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_found_in_singular_and_plural() {
        for (name, kind) in [("loss", Kind::LOSS), ("losses", Kind::LOSS), ("networks", Kind::NETWORK)] {
            assert_eq!(parse_kind(name).ok(), Some(kind), "{name}");
        }
        assert!(parse_kind("lottery").is_err());
    }

    #[test]
    fn arguments_are_told_in_a_line_each() {
        let schema = json!({
            "required": ["features"],
            "properties": {
                "features": { "type": "array", "items": { "type": "integer" } },
                "smooth": { "type": "number", "default": 1e-5 },
                "act": { "anyOf": [{ "type": "string" }, { "type": "null" }] },
                "reduction": { "enum": ["mean", "sum"], "default": "mean" },
            }
        });
        let expected = [
            "features: [integer]",
            "smooth: number = 0.00001",
            "act: string?",
            "reduction: \"mean\" | \"sum\" = \"mean\"",
        ];
        assert_eq!(arguments(&schema), expected);
    }
}
