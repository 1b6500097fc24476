//! JSON Schema in words.

use serde_json::Value as Json;

use crate::document::inline;
use crate::suggest::list;

/// Follows `"$ref": "#/$defs/…"`.
pub(crate) fn deref<'a>(schema: &'a Json, root: &'a Json) -> &'a Json {
    let mut schema = schema;
    // a chain longer than this is a circle
    for _ in 0..16 {
        let Some(reference) = schema.get("$ref").and_then(Json::as_str) else { break };
        let Some(target) = reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer)) else { break };
        schema = target;
    }
    schema
}

/// Whether the schema carries one of our own keywords.
pub(crate) fn has_keyword(schema: &Json, keyword: &str) -> bool {
    schema.get(keyword).and_then(Json::as_bool).unwrap_or(false)
}

/// The alternatives of `anyOf` and `oneOf`, nested ones too; the schema itself if it has none.
pub(crate) fn branches<'a>(schema: &'a Json, root: &'a Json) -> Vec<&'a Json> {
    let schema = deref(schema, root);
    let alternatives =
        ["anyOf", "oneOf"].into_iter().filter_map(|keyword| schema.get(keyword).and_then(Json::as_array));
    let nested: Vec<&Json> = alternatives.flatten().flat_map(|branch| branches(branch, root)).collect();
    if nested.is_empty() { vec![schema] } else { nested }
}

/// The JSON types that a schema names; empty if it allows any.
pub(crate) fn types(schema: &Json) -> Vec<&str> {
    match schema.get("type") {
        Some(Json::String(name)) => vec![name.as_str()],
        Some(Json::Array(names)) => names.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    }
}

/// The fixed values of a schema: `enum`, `const`, and those of all its alternatives; empty if it has other values, too.
pub(super) fn constants<'a>(schema: &'a Json, root: &'a Json) -> Vec<&'a Json> {
    let mut constants = Vec::new();
    for branch in branches(schema, root) {
        match (branch.get("enum").and_then(Json::as_array), branch.get("const")) {
            (Some(values), _) => constants.extend(values),
            (None, Some(value)) => constants.push(value),
            (None, None) if types(branch) == ["null"] => {}
            (None, None) => return Vec::new(),
        }
    }
    constants
}

/// What a schema accepts, in words that follow "must be": `a list of 3 numbers`, `a number greater than 0 or null`.
pub(super) fn expected(schema: &Json, root: &Json) -> String {
    let schema = deref(schema, root);
    if has_keyword(schema, "x-reference") {
        return "an object of the run, such as \"@model\"".into();
    }
    if has_keyword(schema, "x-expression") {
        return "an expression, such as \"lambda x: x['loss']\"".into();
    }
    let fixed = constants(schema, root);
    if !fixed.is_empty() {
        let mut words: Vec<String> = Vec::new();
        for value in fixed.iter().filter(|value| !value.is_null()) {
            let word = value.as_str().map_or_else(|| inline(value), |text| format!("\"{text}\""));
            if !words.contains(&word) {
                words.push(word);
            }
        }
        return if words.len() == 1 { words.remove(0) } else { format!("one of {}", words.join(", ")) };
    }
    let mut alternatives: Vec<String> = Vec::new();
    for branch in branches(schema, root) {
        let words = if std::ptr::eq(branch, schema) { plain(branch, root) } else { expected(branch, root) };
        if !alternatives.contains(&words) {
            alternatives.push(words);
        }
    }
    // `true` or `false`, or a list of values that are `true` or `false`
    for index in 0..alternatives.len() {
        let repeated = format!("a list of values that are {}", alternatives[index]);
        if let Some(list) = alternatives.iter_mut().find(|words| **words == repeated) {
            *list = "a list of them".into();
        }
    }
    // `null` last: it means "leave it out"
    alternatives.sort_by_key(|words| words == "null");
    join(&alternatives)
}

fn join(alternatives: &[String]) -> String {
    match alternatives {
        [] => "anything".into(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

fn plain(schema: &Json, root: &Json) -> String {
    let types = types(schema);
    let words: Vec<String> = types
        .iter()
        .map(|name| match *name {
            "null" => "null".into(),
            "boolean" => "`true` or `false`".into(),
            "string" => "a text".into(),
            "integer" => format!("a whole number{}", range(schema)),
            "number" => format!("a number{}", range(schema)),
            "array" => array(schema, root),
            "object" => "an object".into(),
            other => other.to_owned(),
        })
        .collect();
    join(&words)
}

fn array(schema: &Json, root: &Json) -> String {
    let bound = |keyword| schema.get(keyword).and_then(Json::as_u64);
    let prefix = schema.get("prefixItems").and_then(Json::as_array);
    let count = match (bound("minItems"), bound("maxItems"), prefix) {
        (Some(min), Some(max), _) if min == max => format!("{min} "),
        (None, None, Some(prefix)) => format!("{} ", prefix.len()),
        _ => String::new(),
    };
    let item =
        schema.get("items").filter(|items| items.is_object()).or_else(|| prefix.and_then(|prefix| prefix.first()));
    let item = item.map_or_else(|| "values".into(), |item| plural(&expected(item, root)));
    let least = match (bound("minItems"), count.is_empty()) {
        (Some(min), true) if min > 0 => format!(", at least {min}"),
        _ => String::new(),
    };
    format!("a list of {count}{item}{least}")
}

/// `a number from 0` → `numbers from 0`
fn plural(words: &str) -> String {
    for (singular, plural) in [
        ("a whole number", "whole numbers"),
        ("a number", "numbers"),
        ("a text", "texts"),
        ("a list", "lists"),
        ("an object", "objects"),
    ] {
        if let Some(rest) = words.strip_prefix(singular) {
            return format!("{plural}{rest}");
        }
    }
    format!("values that are {words}")
}

fn range(schema: &Json) -> String {
    let bound = |keyword| schema.get(keyword).filter(|value| value.is_number()).map(tidy);
    let low = bound("minimum").map(|value| format!(" from {value}"));
    let low = low.or_else(|| bound("exclusiveMinimum").map(|value| format!(" greater than {value}")));
    let high = match (bound("maximum"), bound("exclusiveMaximum")) {
        (Some(value), _) if low.is_some() => Some(format!(" to {value}")),
        (Some(value), _) => Some(format!(" up to {value}")),
        (None, Some(value)) => Some(format!(" less than {value}")),
        (None, None) => None,
    };
    // the bounds of 32- and 64-bit integers tell a user nothing
    let high = high.filter(|_| schema.get("maximum").and_then(Json::as_f64).is_none_or(|value| value < 4e9));
    match (low, high) {
        (Some(low), Some(high)) if high.starts_with(" less") => format!("{low} and{high}"),
        (low, high) => format!("{}{}", low.unwrap_or_default(), high.unwrap_or_default()),
    }
}

/// `0.0` as `0`
fn tidy(number: &Json) -> String {
    match number.as_f64() {
        Some(value) if value.fract() == 0.0 && value.abs() < 1e15 => format!("{}", value as i64),
        _ => number.to_string(),
    }
}

/// A line about one argument: `` `smooth` (a number, default 1e-5): added to the numerator ``.
pub(super) fn argument(name: &str, schema: &Json, root: &Json) -> String {
    let mut facts = vec![expected(schema, root)];
    if let Some(default) = schema.get("default").filter(|default| !default.is_null()) {
        facts.push(format!("default {}", inline(default)));
    }
    if let Some(aliases) = schema.get("x-aliases").and_then(Json::as_array) {
        let aliases: Vec<&str> = aliases.iter().filter_map(Json::as_str).collect();
        facts.push(format!("also {}", list(&aliases, "or")));
    }
    let description =
        schema.get("description").or_else(|| deref(schema, root).get("description")).and_then(Json::as_str);
    let summary = description
        .and_then(|text| text.lines().next())
        .map(|line| format!(": {}", line.trim_end_matches('.')))
        .unwrap_or_default();
    format!("`{name}` ({}){summary}", facts.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn schemas_read_as_sentences() {
        let cases = [
            (json!({"type": "number", "exclusiveMinimum": 0.0}), "a number greater than 0"),
            (json!({"type": "number", "minimum": 0, "maximum": 1}), "a number from 0 to 1"),
            (json!({"type": "number", "minimum": 0, "exclusiveMaximum": 1}), "a number from 0 and less than 1"),
            (
                json!({"type": "integer", "format": "uint32", "minimum": 0, "maximum": 4_294_967_295u32}),
                "a whole number from 0",
            ),
            (json!({"type": ["string", "null"]}), "a text or null"),
            (json!({"type": "boolean"}), "`true` or `false`"),
            (
                json!({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
                "a text or a list of texts",
            ),
            (json!({"anyOf": [{"type": "null"}, {"type": "integer"}]}), "a whole number or null"),
            (
                json!({"type": "array", "items": {"type": "integer"}, "minItems": 3, "maxItems": 3}),
                "a list of 3 whole numbers",
            ),
            (json!({"type": "array", "items": {"type": "number"}, "minItems": 2}), "a list of numbers, at least 2"),
            (json!({"enum": ["mean", "sum"], "type": "string"}), "one of \"mean\", \"sum\""),
            (json!({"oneOf": [{"const": "a"}, {"const": "b"}]}), "one of \"a\", \"b\""),
            (json!({"anyOf": [{"oneOf": [{"const": "a"}, {"const": "b"}]}, {"type": "null"}]}), "one of \"a\", \"b\""),
            (
                json!({"anyOf": [{"type": "boolean"}, {"type": "array", "items": {"type": "boolean"}}]}),
                "`true` or `false` or a list of them",
            ),
            (json!({"x-expression": true}), "an expression, such as \"lambda x: x['loss']\""),
            (json!(true), "anything"),
            (json!({"type": "array", "items": {"type": "boolean"}}), "a list of values that are `true` or `false`"),
        ];
        for (schema, expected_words) in cases {
            assert_eq!(expected(&schema, &schema), expected_words, "{schema}");
        }
    }

    #[test]
    fn an_argument_has_type_default_aliases_and_summary() {
        let schema = json!({"type": "number", "default": 1e-5, "description": "Added to the numerator.\nMore.", "x-aliases": ["smooth"]});
        assert_eq!(
            argument("smooth_nr", &schema, &schema),
            "`smooth_nr` (a number, default 1e-5, also `smooth`): Added to the numerator"
        );
    }
}
