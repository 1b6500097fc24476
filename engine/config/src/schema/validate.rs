//! Arguments against JSON Schema: the part of it that `schemars` writes, and our own keywords.
//!
//! A validator of our own, because the words matter more than the coverage: each failure becomes a diagnostic with a
//! place, the declaration of the argument, and a cure.

use serde_json::Value as Json;

use super::accepts::{Property, accepts, best_branch, length_fits, properties, type_fits};
use super::declared_by;
use super::describe::{argument, constants, deref, expected, has_keyword, types};
use crate::catalog::Found;
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::document::{Node, Value, child_pointer, inline};
use crate::overrides::literal;
use crate::plan::Component;
use crate::settings::integer;
use crate::suggest::{did_you_mean, did_you_mean_help, list};

/// Keys that people put into `args` though they stand beside it.
const SIBLINGS: [&str; 6] =
    ["disabled", "rank", "log_label", "data_list_file_path", "data_file_base_dir", "data_list_key"];

/// Checks the arguments of a component.
pub(super) fn component(component: &Component, found: &Found, diagnostics: &mut Vec<Diagnostic>) {
    let root = &found.schema;
    let mut validator = Validator { found, root, diagnostics };
    let pointer = child_pointer(&component.pointer, "args");
    let no_arguments = Node::new(component.span, Value::Object(Vec::new()));
    let node = component.node.as_deref().unwrap_or(&no_arguments);
    if matches!(node.value, Value::Invalid) {
        return;
    }
    // an enum of argument structs: each alternative is a whole set of arguments
    let schema = best_branch(node, deref(root, root), root);
    validator.object(node, schema, &pointer, &Owner::Component(component));
}

/// Whose keys are checked.
enum Owner<'a> {
    Component(&'a Component),
    Argument(&'a str),
}

struct Validator<'a> {
    found: &'a Found,
    root: &'a Json,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl Validator<'_> {
    fn object(&mut self, node: &Node, schema: &Json, pointer: &str, owner: &Owner<'_>) {
        let properties = properties(schema, self.root);
        let mut given: Vec<(&str, &crate::document::Entry)> = Vec::new();
        for entry in node.entries() {
            let key = entry.key.as_str();
            let Some(property) =
                properties.iter().find(|property| property.name == key || property.aliases.contains(&key))
            else {
                self.unknown(entry, schema, &properties, pointer, owner);
                continue;
            };
            if let Some((_, first)) = given.iter().find(|(name, _)| *name == property.name) {
                self.diagnostics.push(
                    Diagnostic::new(
                        Code::DuplicateArg,
                        format!("`{}` and `{key}` are the same argument of {}", first.key, self.found.name),
                    )
                    .labelled(entry.key_span, "the same again")
                    .context(first.key_span, "first given here")
                    .pointer(child_pointer(pointer, key))
                    .help("keep one of them"),
                );
                continue;
            }
            given.push((property.name, entry));
            let declaration = Declaration { name: key, property: property.name, schema: property.schema };
            self.value(&entry.value, property.schema, &child_pointer(pointer, key), &declaration, key);
        }
        let required = schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
        for name in required.filter(|name| !given.iter().any(|(given, _)| given == name)) {
            let Some(property) = properties.iter().find(|property| property.name == name) else { continue };
            // a reference that the engine wires itself is optional in dialect 4.0
            if has_keyword(deref(property.schema, self.root), "x-wired") {
                continue;
            }
            self.missing(node, property, pointer, owner);
        }
    }

    fn unknown(
        &mut self,
        entry: &crate::document::Entry,
        schema: &Json,
        properties: &[Property<'_>],
        pointer: &str,
        owner: &Owner<'_>,
    ) {
        let key = entry.key.as_str();
        match schema.get("additionalProperties") {
            // arguments that are passed on, as `TorchVisiond` does
            Some(Json::Bool(true)) => return,
            Some(inner @ Json::Object(_)) => {
                let declaration = Declaration { name: key, property: key, schema: inner };
                self.value(&entry.value, inner, &child_pointer(pointer, key), &declaration, key);
                return;
            }
            // without `deny_unknown_fields` serde would ignore it: nobody wants that of a misspelt argument
            Some(_) | None => {}
        }
        let names: Vec<&str> = properties.iter().map(|property| property.name).collect();
        let spellings = properties.iter().flat_map(|property| property.aliases.iter().copied().chain([property.name]));
        let who = match owner {
            Owner::Component(_) => self.found.name.clone(),
            Owner::Argument(name) => format!("`{name}` of {}", self.found.name),
        };
        let mut diagnostic = Diagnostic::new(Code::UnknownArg, format!("{who} has no argument `{key}`"))
            .labelled(entry.key_span, "unknown argument")
            .pointer(child_pointer(pointer, key));
        diagnostic = if names.is_empty() {
            diagnostic.note(format!("{} takes no arguments", declared_by(self.found)))
        } else {
            diagnostic.note(format!("the arguments of {}: {}", declared_by(self.found), list(&names, "and")))
        };
        let help = if SIBLINGS.contains(&key) && matches!(owner, Owner::Component(_)) {
            Some(format!("`{key}` stands beside `args`, not in it"))
        } else {
            did_you_mean_help(key, spellings)
        };
        self.diagnostics.push(diagnostic.maybe_help(help));
    }

    fn missing(&mut self, node: &Node, property: &Property<'_>, pointer: &str, owner: &Owner<'_>) {
        let name = property.name;
        let (who, span) = match owner {
            Owner::Component(component) => (self.found.name.clone(), component.span),
            Owner::Argument(argument) => (format!("`{argument}` of {}", self.found.name), node.span),
        };
        // a misspelt one is there under another name
        let unknown: Vec<&str> = node.entries().iter().map(|entry| entry.key.as_str()).collect();
        if !did_you_mean(name, unknown.iter().copied()).is_empty()
            && self.diagnostics.iter().any(|diagnostic| {
                diagnostic.code == Code::UnknownArg
                    && diagnostic.helps.iter().any(|help| help.contains(&format!("`{name}`")))
            })
        {
            return;
        }
        let mut diagnostic = Diagnostic::new(Code::MissingArg, format!("{who} needs the argument `{name}`"))
            .labelled(span, format!("`{name}` is missing"))
            .pointer(child_pointer(pointer, name))
            .note(format!("declared by {}: {}", declared_by(self.found), argument(name, property.schema, self.root)));
        if matches!(owner, Owner::Component(component) if component.node.is_none()) {
            diagnostic = diagnostic.help(format!("add \"args\": {{\"{name}\": …}}"));
        }
        self.diagnostics.push(diagnostic);
    }

    /// Checks a value; `path` names it in the message: `spatial_size[2]`.
    fn value(&mut self, node: &Node, schema: &Json, pointer: &str, declaration: &Declaration<'_>, path: &str) {
        let schema = deref(schema, self.root);
        if matches!(node.value, Value::Invalid) || has_keyword(schema, "x-wired") || schema == &Json::Bool(true) {
            return;
        }
        if accepts(node, schema, self.root) {
            return;
        }
        let branch = best_branch(node, schema, self.root);
        match &node.value {
            // the list or object is right, something in it is not: say what
            Value::Array(items) if types(branch).contains(&"array") && length_fits(items.len(), branch) => {
                let prefix = branch.get("prefixItems").and_then(Json::as_array);
                for (index, item) in items.iter().enumerate() {
                    let item_schema = prefix.and_then(|prefix| prefix.get(index)).or_else(|| branch.get("items"));
                    if let Some(item_schema) = item_schema {
                        self.value(
                            item,
                            item_schema,
                            &child_pointer(pointer, index),
                            declaration,
                            &format!("{path}[{index}]"),
                        );
                    }
                }
            }
            Value::Object(_) if branch.get("properties").is_some() => {
                self.object(node, branch, pointer, &Owner::Argument(path));
            }
            Value::Object(entries) if branch.get("additionalProperties").is_some_and(Json::is_object) => {
                for entry in entries {
                    let inner = &branch["additionalProperties"];
                    self.value(
                        &entry.value,
                        inner,
                        &child_pointer(pointer, &entry.key),
                        declaration,
                        &format!("{path}.{}", entry.key),
                    );
                }
            }
            _ => self.wrong(node, schema, branch, pointer, declaration, path),
        }
    }

    fn wrong(
        &mut self,
        node: &Node,
        schema: &Json,
        branch: &Json,
        pointer: &str,
        declaration: &Declaration<'_>,
        path: &str,
    ) {
        // where only one alternative fits the type, the others are noise
        let fits_type = type_fits(node, branch) && !std::ptr::eq(schema, branch);
        let wanted =
            expected(if fits_type && constants(schema, self.root).is_empty() { branch } else { schema }, self.root);
        let mut found = node.described();
        if let (Value::Array(items), true) = (&node.value, types(branch).contains(&"array")) {
            found = format!("{found} of length {}", items.len());
        }
        let mut diagnostic = Diagnostic::new(Code::InvalidArg, format!("`{path}` must be {wanted}, found {found}"))
            .at(node.span)
            .pointer(pointer);
        if let Some(substituted) = &node.substituted {
            diagnostic = diagnostic.labelled(node.span, format!("`{}` is {}", substituted.variable, node.described()));
            diagnostic = diagnostic.context(substituted.defined, format!("`{}` is set here", substituted.variable));
        }
        let mut line = argument(declaration.property, declaration.schema, self.root);
        if declaration.name != declaration.property {
            line = format!("{line}; `{}` is another name of it", declaration.name);
        }
        diagnostic = diagnostic.note(format!("declared by {}: {line}", declared_by(self.found)));
        let key = pointer.rsplit('/').next().unwrap_or_default();
        diagnostic = diagnostic.maybe_help(self.cure(node, schema, key));
        self.diagnostics.push(diagnostic);
    }

    fn cure(&self, node: &Node, schema: &Json, key: &str) -> Option<String> {
        let written = |value: &Json| {
            if key.bytes().all(|byte| byte.is_ascii_digit()) {
                inline(value)
            } else {
                format!("\"{key}\": {}", inline(value))
            }
        };
        match &node.value {
            Value::String(text) => {
                if let Some(value) = literal(text) {
                    let unquoted = from_json(node, &value);
                    if !value.is_string() && accepts(&unquoted, schema, self.root) {
                        return Some(format!("remove the quotes: {}", written(&value)));
                    }
                }
                let known: Vec<&str> = constants(schema, self.root).into_iter().filter_map(Json::as_str).collect();
                // another case, or a typo
                did_you_mean_help(text, known.iter().copied())
            }
            Value::Number(_) => {
                let whole = integer(node).map(Json::from)?;
                let as_integer = from_json(node, &whole);
                if accepts(&as_integer, schema, self.root) {
                    return Some(format!("write it without a fraction: {}", written(&whole)));
                }
                let list = Json::Array(vec![node.to_json()]);
                accepts(&from_json(node, &list), schema, self.root).then(|| format!("write a list: {}", written(&list)))
            }
            Value::Null => Some("leave it out to use the default".into()),
            Value::Bool(_)
            | Value::Array(_)
            | Value::Object(_)
            | Value::Expression(_)
            | Value::Reference(_)
            | Value::Unresolved { .. }
            | Value::Invalid => None,
        }
    }
}

/// The argument that a value belongs to.
struct Declaration<'a> {
    /// As the config spells it.
    name: &'a str,
    /// As the component declares it.
    property: &'a str,
    schema: &'a Json,
}

/// A node without places of its own, to try another value.
fn from_json(at: &Node, json: &Json) -> Node {
    let value = match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => Value::Number(number.clone()),
        Json::String(text) => Value::String(text.clone()),
        Json::Array(items) => Value::Array(items.iter().map(|item| from_json(at, item)).collect()),
        Json::Object(map) => Value::Object(
            map.iter()
                .map(|(key, value)| crate::document::Entry {
                    key: key.clone(),
                    key_span: at.span,
                    value: from_json(at, value),
                })
                .collect(),
        ),
    };
    Node::new(at.span, value)
}
