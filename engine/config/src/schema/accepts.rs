//! Whether a value satisfies a schema, and which of several alternatives was meant.

use serde_json::{Map, Value as Json};

use super::describe::{branches, deref, has_keyword, types};
use crate::document::{Node, Value};

/// A property with all its spellings.
pub(crate) struct Property<'a> {
    pub(crate) name: &'a str,
    pub(crate) schema: &'a Json,
    pub(crate) aliases: Vec<&'a str>,
}

pub(crate) fn properties<'a>(schema: &'a Json, root: &'a Json) -> Vec<Property<'a>> {
    let mut all = Vec::new();
    // `#[serde(flatten)]` gives an `allOf` or merged properties
    let parts = std::iter::once(schema)
        .chain(schema.get("allOf").and_then(Json::as_array).into_iter().flatten().map(|part| deref(part, root)));
    for (name, schema) in parts.filter_map(|part| part.get("properties").and_then(Json::as_object)).flatten() {
        let aliases = schema.get("x-aliases").or_else(|| deref(schema, root).get("x-aliases"));
        let aliases = aliases.and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).collect();
        all.push(Property { name, schema, aliases });
    }
    all
}

/// The alternative that was probably meant: one that accepts the value, else one of the right JSON type.
pub(super) fn best_branch<'a>(node: &Node, schema: &'a Json, root: &'a Json) -> &'a Json {
    let all = branches(schema, root);
    let accepting = all.iter().find(|branch| accepts(node, branch, root));
    // of several objects, the one that knows most of the keys
    let known_keys = |branch: &Json| {
        let known = branch.get("properties").and_then(Json::as_object);
        known.map_or(0, |known: &Map<String, Json>| {
            node.entries().iter().filter(|entry| known.contains_key(&entry.key)).count()
        })
    };
    let fitting = all.iter().filter(|branch| type_fits(node, branch)).rev().max_by_key(|branch| known_keys(branch));
    accepting.or(fitting).or(all.first()).copied().unwrap_or(schema)
}

pub(super) fn type_fits(node: &Node, schema: &Json) -> bool {
    let types = types(schema);
    if types.is_empty() {
        return !has_keyword(schema, "x-reference") && !has_keyword(schema, "x-expression");
    }
    let fits = |name: &&str| match (*name, &node.value) {
        ("null", Value::Null)
        | ("boolean", Value::Bool(_))
        | ("string", Value::String(_))
        | ("array", Value::Array(_))
        | ("object", Value::Object(_))
        | ("number", Value::Number(_)) => true,
        // serde takes `2.0` for no integer
        ("integer", Value::Number(number)) => number.is_i64() || number.is_u64(),
        _ => false,
    };
    types.iter().any(fits)
}

pub(super) fn length_fits(length: usize, schema: &Json) -> bool {
    let bound = |keyword| schema.get(keyword).and_then(Json::as_u64).map(|bound| bound as usize);
    bound("minItems").is_none_or(|min| length >= min) && bound("maxItems").is_none_or(|max| length <= max)
}

/// Whether a value satisfies a schema. What has been reported already satisfies everything.
pub(super) fn accepts(node: &Node, schema: &Json, root: &Json) -> bool {
    let schema = deref(schema, root);
    let Json::Object(map) = schema else { return schema != &Json::Bool(false) };
    if matches!(node.value, Value::Invalid) || has_keyword(schema, "x-wired") {
        return true;
    }
    let alternatives = |keyword: &str| map.get(keyword).and_then(Json::as_array);
    if alternatives("anyOf").is_some_and(|branches| !branches.iter().any(|branch| accepts(node, branch, root)))
        || alternatives("oneOf").is_some_and(|branches| !branches.iter().any(|branch| accepts(node, branch, root)))
        || alternatives("allOf").is_some_and(|branches| !branches.iter().all(|branch| accepts(node, branch, root)))
    {
        return false;
    }
    match &node.value {
        Value::Reference(_) => return has_keyword(schema, "x-reference") || is_open(map),
        Value::Expression(_) => return has_keyword(schema, "x-expression") || is_open(map),
        _ if has_keyword(schema, "x-reference") || has_keyword(schema, "x-expression") => return false,
        _ => {}
    }
    if !type_fits(node, schema) {
        return false;
    }
    let json = || node.to_json();
    if map.get("const").is_some_and(|value| !same(value, &json()))
        || alternatives("enum").is_some_and(|values| !values.iter().any(|value| same(value, &json())))
    {
        return false;
    }
    match &node.value {
        Value::Number(number) => number.as_f64().is_none_or(|value| in_range(value, map)),
        Value::String(text) => {
            let length = text.chars().count() as u64;
            let bound = |keyword: &str| map.get(keyword).and_then(Json::as_u64);
            bound("minLength").is_none_or(|min| length >= min) && bound("maxLength").is_none_or(|max| length <= max)
        }
        Value::Array(items) => {
            let prefix = alternatives("prefixItems").map_or(&[][..], Vec::as_slice);
            length_fits(items.len(), schema)
                && items.iter().enumerate().all(|(index, item)| {
                    prefix.get(index).or_else(|| map.get("items")).is_none_or(|schema| accepts(item, schema, root))
                })
        }
        Value::Object(_) => accepts_object(node, schema, root),
        _ => true,
    }
}

fn accepts_object(node: &Node, schema: &Json, root: &Json) -> bool {
    let properties = properties(schema, root);
    let of = |key: &str| properties.iter().find(|property| property.name == key || property.aliases.contains(&key));
    let required = schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
    let has =
        |name: &str| node.entries().iter().any(|entry| of(&entry.key).is_some_and(|property| property.name == name));
    let mut required = required;
    required.all(has)
        && node.entries().iter().all(|entry| match of(&entry.key) {
            Some(property) => accepts(&entry.value, property.schema, root),
            None => match schema.get("additionalProperties") {
                Some(inner) => accepts(&entry.value, inner, root),
                None => true,
            },
        })
}

/// A schema that says nothing about the value.
fn is_open(map: &Map<String, Json>) -> bool {
    const SAYS_SOMETHING: [&str; 6] = ["type", "enum", "const", "anyOf", "oneOf", "allOf"];
    let any_of = ["anyOf", "oneOf", "allOf"].into_iter().any(|keyword| map.contains_key(keyword));
    // alternatives have been tried by then, and one of them accepted
    any_of || !SAYS_SOMETHING.into_iter().any(|keyword| map.contains_key(keyword))
}

fn same(a: &Json, b: &Json) -> bool {
    a == b || matches!((a.as_f64(), b.as_f64()), (Some(a), Some(b)) if a == b)
}

fn in_range(value: f64, map: &Map<String, Json>) -> bool {
    let bound = |keyword: &str| map.get(keyword).and_then(Json::as_f64);
    bound("minimum").is_none_or(|min| value >= min)
        && bound("maximum").is_none_or(|max| value <= max)
        && bound("exclusiveMinimum").is_none_or(|min| value > min)
        && bound("exclusiveMaximum").is_none_or(|max| value < max)
}
