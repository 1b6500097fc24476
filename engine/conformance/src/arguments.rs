//! Arguments to make a component with, guessed from its schema.

use serde_json::{Map, Value as Json, json};

/// Arguments that satisfy the schema: what is required and has no default, by its name or by its type.
pub(crate) fn example(schema: &Json) -> Json {
    let mut args = required(schema);
    // a random transform that leaves most samples alone shows little of itself
    if schema.pointer("/properties/prob").is_some_and(|prob| has_type(prob, "number")) {
        args.insert("prob".to_owned(), json!(1.0));
    }
    Json::Object(args)
}

fn required(schema: &Json) -> Map<String, Json> {
    let names = schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
    let property = |name: &str| schema.get("properties").and_then(|all| all.get(name)).unwrap_or(&Json::Bool(true));
    names.map(|name| (name.to_owned(), value(name, property(name)))).collect()
}

/// A value for an argument.
fn value(name: &str, schema: &Json) -> Json {
    let has = |keyword: &str| schema.get(keyword).is_some();
    if has("x-reference") {
        return json!({ "$ref": name });
    }
    if has("x-expression") {
        return json!({ "$expression": { "form": "nothing" } });
    }
    if has("x-wired") {
        return Json::Null;
    }
    if let Some(value) = schema.get("default").or_else(|| schema.get("const")) {
        return value.clone();
    }
    if let Some(value) = schema.get("enum").and_then(Json::as_array).and_then(|values| values.first()) {
        return value.clone();
    }
    for alternatives in ["anyOf", "oneOf"] {
        if let Some(branches) = schema.get(alternatives).and_then(Json::as_array) {
            let something = branches.iter().find(|branch| !has_type(branch, "null"));
            return something.map_or(Json::Null, |branch| value(name, branch));
        }
    }
    match first_type(schema) {
        Some("boolean") => json!(false),
        Some("integer") => json!(integer(name, schema)),
        Some("number") => json!(number(schema)),
        Some("string") => json!(text(name)),
        Some("array") => array(name, schema),
        Some("object") => Json::Object(required(schema)),
        _ => Json::Null,
    }
}

fn integer(name: &str, schema: &Json) -> i64 {
    let guess = match name {
        "spatial_dims" | "dimensions" => 3,
        "out_channels" | "num_classes" | "n_classes" | "classes" => 2,
        "spatial_size" | "roi_size" | "size" => 8,
        _ => 1,
    };
    let bound = |keyword: &str| schema.get(keyword).and_then(Json::as_i64);
    let lowest = bound("minimum").max(bound("exclusiveMinimum").map(|bound| bound + 1)).unwrap_or(i64::MIN);
    let highest = bound("maximum").unwrap_or(i64::MAX).min(bound("exclusiveMaximum").map_or(i64::MAX, |it| it - 1));
    guess.clamp(lowest, highest.max(lowest))
}

fn number(schema: &Json) -> f64 {
    let bound = |keyword: &str| schema.get(keyword).and_then(Json::as_f64);
    let lowest = bound("minimum").or_else(|| bound("exclusiveMinimum"));
    let highest = bound("maximum").or_else(|| bound("exclusiveMaximum"));
    match (lowest, highest) {
        (Some(lowest), Some(highest)) => f64::midpoint(lowest, highest),
        (Some(lowest), None) => lowest + 0.5,
        (None, Some(highest)) => highest - 0.5,
        (None, None) => 0.5,
    }
}

fn text(name: &str) -> &'static str {
    if name.contains("key") {
        "image"
    } else if ["file", "path", "dir", "folder"].iter().any(|part| name.contains(part)) {
        "."
    } else {
        "a"
    }
}

fn array(name: &str, schema: &Json) -> Json {
    if let Some(items) = schema.get("prefixItems").and_then(Json::as_array) {
        return items.iter().map(|item| value(name, item)).collect();
    }
    let item = schema.get("items").map_or(Json::Null, |item| value(name, item));
    // sizes have one entry for each axis
    let wanted = if name.contains("size") { 3 } else { 1 };
    let bound = |keyword: &str| schema.get(keyword).and_then(Json::as_u64);
    let count = wanted.clamp(bound("minItems").unwrap_or(0), bound("maxItems").unwrap_or(u64::MAX));
    vec![item; count as usize].into()
}

/// A value of another JSON type than the schema wants, if it wants one.
pub(crate) fn of_wrong_type(schema: &Json) -> Option<Json> {
    let validator = jsonschema::validator_for(schema).ok()?;
    let candidates = [json!({ "no": "such" }), json!("no such value"), json!([[["no"]]]), json!(true), json!(-0.5)];
    let open = ["x-wired", "x-reference", "x-expression"].iter().any(|keyword| schema.get(keyword).is_some());
    candidates.into_iter().find(|value| !open && !validator.is_valid(value))
}

fn first_type(schema: &Json) -> Option<&str> {
    match schema.get("type")? {
        Json::String(name) => Some(name),
        Json::Array(names) => names.iter().filter_map(Json::as_str).find(|name| *name != "null"),
        _ => None,
    }
}

fn has_type(schema: &Json, name: &str) -> bool {
    match schema.get("type") {
        Some(Json::String(only)) => only == name,
        Some(Json::Array(names)) => names.iter().any(|it| it == name),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use byoc::{Descriptor, Keys, Kind, OneOrMany};
    use serde_json::json;

    use super::{example, of_wrong_type};

    #[derive(serde::Deserialize, schemars::JsonSchema)]
    #[expect(dead_code, reason = "only the schema is looked at")]
    struct Args {
        keys: Keys,
        spatial_size: OneOrMany<i64>,
        spatial_dims: usize,
        features: [i64; 2],
        #[schemars(range(min = 3, max = 9))]
        levels: i64,
        mode: Mode,
        scale: f64,
        #[serde(default)]
        prob: f64,
        #[serde(default)]
        left_out: bool,
    }

    #[derive(serde::Deserialize, schemars::JsonSchema)]
    #[serde(rename_all = "snake_case")]
    enum Mode {
        Nearest,
        Linear,
    }

    #[test]
    fn a_guess_has_what_is_required_and_satisfies_the_schema() {
        let schema = Descriptor::of::<Args>(Kind::TRANSFORM, "A", &[]).schema;
        let args = example(&schema);
        let expected = json!({
            "keys": "image", "spatial_size": 8, "spatial_dims": 3, "features": [1, 1], "levels": 3, "mode": "nearest",
            "scale": 0.5, "prob": 1.0,
        });
        assert_eq!(args, expected);
        assert!(jsonschema::is_valid(&schema, &args));
    }

    #[test]
    fn a_wrong_type_is_one_that_the_schema_refuses() {
        assert_eq!(of_wrong_type(&json!({ "type": "number" })), Some(json!({ "no": "such" })));
        assert_eq!(of_wrong_type(&json!({ "type": "object" })), Some(json!("no such value")));
        assert_eq!(of_wrong_type(&json!(true)), None);
        assert_eq!(of_wrong_type(&json!({ "x-wired": true })), None);
    }
}
