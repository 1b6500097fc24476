//! The JSON Schema of a component's arguments, as an editor needs it: variables may stand for values, arguments have
//! their other spellings, and our own keywords are spelled out.

use serde_json::{Map, Value as Json, json};

use crate::schema::{branches, deref, has_keyword, properties, types};

/// A value that is a variable and nothing else.
pub(super) const VARIABLE: &str = r"^\{[A-Za-z_][A-Za-z0-9_]*\}$";
/// A text with a variable anywhere in it.
const TEXT_WITH_VARIABLE: &str = r"\{[A-Za-z_][A-Za-z0-9_]*\}";

/// What says something about a schema's place and not about the values.
const ANNOTATIONS: [&str; 4] = ["description", "default", "deprecated", "examples"];

/// The arguments of a component.
pub(super) struct Arguments<'a> {
    /// The schema that the component gives of itself.
    root: &'a Json,
    /// Where its counterpart stands in the document: `#/$defs/loss:DiceLoss/properties/args`.
    base: &'a str,
}

impl<'a> Arguments<'a> {
    pub(super) fn new(root: &'a Json, base: &'a str) -> Self {
        Self { root, base }
    }

    /// The schema of `args`, and whether there is an argument that must be given. `extra` are arguments that the
    /// engine takes out before the component sees them.
    pub(super) fn schema(&self, extra: &[(&str, Json)]) -> (Json, bool) {
        // an enum of argument structs: each alternative is a whole set of arguments
        let alternatives: Vec<Object> =
            branches(self.root, self.root).into_iter().map(|branch| self.object(branch, extra, false)).collect();
        let is_required = alternatives.iter().all(|object| object.is_required);
        let mut alternatives: Vec<Json> = alternatives.into_iter().map(|object| object.schema.into()).collect();
        let mut schema = match (alternatives.len(), alternatives.pop()) {
            (1, Some(Json::Object(only))) => only,
            (_, last) => {
                alternatives.extend(last);
                Map::from_iter([("anyOf".to_owned(), Json::Array(alternatives))])
            }
        };
        // `"{VAR}"` stands for all of them, `null` for none
        let types = if is_required { json!(["object", "string"]) } else { json!(["object", "string", "null"]) };
        schema.insert("type".to_owned(), types);
        schema.insert("pattern".to_owned(), VARIABLE.into());
        if let Some(description) = self.root.get("description") {
            schema.insert("description".to_owned(), description.clone());
        }
        if let Some(definitions) = self.root.get("$defs").and_then(Json::as_object) {
            let definitions = definitions.iter().map(|(name, schema)| (name.clone(), self.value(schema))).collect();
            schema.insert("$defs".to_owned(), Json::Object(definitions));
        }
        (Json::Object(schema), is_required)
    }

    /// A value, or a variable for it.
    fn value(&self, schema: &Json) -> Json {
        let Json::Object(map) = schema else { return schema.clone() };
        let core = self.core(schema);
        let mut opened = match &core {
            Json::Object(core) => or_variable(core),
            _ => Map::new(),
        };
        for keyword in ANNOTATIONS {
            if let Some(value) = map.get(keyword) {
                opened.insert(keyword.to_owned(), value.clone());
            }
        }
        Json::Object(opened)
    }

    /// What a schema says about values, variables allowed within them only.
    fn core(&self, schema: &Json) -> Json {
        let Json::Object(map) = schema else { return schema.clone() };
        if has_keyword(schema, "x-wired") {
            return json!({});
        }
        for (keyword, definition) in [("x-reference", "reference"), ("x-expression", "expression")] {
            if has_keyword(schema, keyword) {
                return json!({ "$ref": format!("#/$defs/{definition}") });
            }
        }
        if let Some(reference) = map.get("$ref").and_then(Json::as_str) {
            let path = reference.strip_prefix('#').unwrap_or(reference);
            return json!({ "$ref": format!("{}{path}", self.base) });
        }
        if let Some(branches) = map.get("anyOf").or_else(|| map.get("oneOf")).and_then(Json::as_array) {
            return json!({ "anyOf": branches.iter().map(|branch| self.branch(branch)).collect::<Vec<_>>() });
        }
        if map.contains_key("properties") || map.contains_key("allOf") {
            let mut object = self.object(schema, &[], true).schema;
            object.insert("type".to_owned(), map.get("type").cloned().unwrap_or_else(|| "object".into()));
            return Json::Object(object);
        }
        let mut core = Map::new();
        for (keyword, value) in map {
            let value = match keyword.as_str() {
                "items" | "additionalProperties" => self.value(value),
                "prefixItems" => value.as_array().into_iter().flatten().map(|item| self.value(item)).collect(),
                "type" | "enum" | "const" | "minItems" | "maxItems" | "minLength" | "maxLength" | "minimum"
                | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => value.clone(),
                _ => continue,
            };
            core.insert(keyword.clone(), value);
        }
        if core.contains_key("const") || core.contains_key("enum") {
            core.remove("type");
        }
        Json::Object(core)
    }

    /// One of several alternatives, with its description.
    fn branch(&self, schema: &Json) -> Json {
        let mut core = self.core(schema);
        let description = schema.get("description").filter(|_| core.get("const").is_some());
        if let (Json::Object(core), Some(description)) = (&mut core, description) {
            core.insert("description".to_owned(), description.clone());
        }
        core
    }

    /// Properties under all their spellings. Objects within arguments may be open, arguments never are unless they say
    /// so: nobody wants a misspelt one to be passed over.
    fn object(&self, schema: &Json, extra: &[(&str, Json)], is_inner: bool) -> Object {
        let known = properties(schema, self.root);
        let mut all: Map<String, Json> =
            extra.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
        let mut demands = Vec::new();
        let mut required = Vec::new();
        let mut is_required = false;
        let needed: Vec<&str> =
            schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).collect();
        for property in &known {
            let opened = self.value(property.schema);
            for alias in &property.aliases {
                let mut opened = opened.clone();
                if let Json::Object(opened) = &mut opened {
                    let text = opened.get("description").and_then(Json::as_str).unwrap_or_default();
                    let text = format!("Another name of `{}`. {text}", property.name);
                    opened.insert("description".to_owned(), text.trim_end().into());
                }
                all.insert((*alias).to_owned(), opened);
            }
            all.insert(property.name.to_owned(), opened);
            let is_needed =
                needed.contains(&property.name) && !has_keyword(deref(property.schema, self.root), "x-wired");
            is_required |= is_needed;
            if property.aliases.is_empty() {
                required.extend(is_needed.then_some(property.name));
                continue;
            }
            let spellings = std::iter::once(&property.name).chain(&property.aliases);
            let each: Vec<Json> = spellings.map(|name| json!({ "required": [name] })).collect();
            // given once, under whatever name
            demands.push(if is_needed { json!({ "oneOf": each }) } else { json!({ "not": both(&each) }) });
        }
        let mut object = Map::new();
        object.insert("properties".to_owned(), Json::Object(all));
        match schema.get("additionalProperties") {
            Some(inner) => object.insert("additionalProperties".to_owned(), self.value(inner)),
            None if is_inner => None,
            None => object.insert("additionalProperties".to_owned(), false.into()),
        };
        if !required.is_empty() {
            object.insert("required".to_owned(), required.into());
        }
        if !demands.is_empty() {
            // a variable for all of them has no keys
            object.insert("if".to_owned(), json!({ "type": "object" }));
            object.insert("then".to_owned(), json!({ "allOf": demands }));
        }
        Object { schema: object, is_required }
    }
}

/// The schema of an object, and whether something must be in it.
struct Object {
    schema: Map<String, Json>,
    is_required: bool,
}

/// Two of these at once.
fn both(each: &[Json]) -> Json {
    let pairs: Vec<Json> = each
        .iter()
        .enumerate()
        .flat_map(|(index, first)| each[index + 1..].iter().map(move |second| json!({ "allOf": [first, second] })))
        .collect();
    if let [only] = pairs.as_slice() { only.clone() } else { json!({ "anyOf": pairs }) }
}

/// The same values, or a variable.
fn or_variable(core: &Map<String, Json>) -> Map<String, Json> {
    let schema = Json::Object(core.clone());
    let either = |also: Json| {
        let mut branches = core.get("anyOf").and_then(Json::as_array).cloned().unwrap_or_else(|| vec![schema.clone()]);
        branches.push(also);
        Map::from_iter([("anyOf".to_owned(), Json::Array(branches))])
    };
    if let Some(branches) = core.get("anyOf").and_then(Json::as_array) {
        let has_fixed_texts = branches.iter().any(holds_fixed_text);
        return either(
            json!({ "$ref": if has_fixed_texts { "#/$defs/text-with-variable" } else { "#/$defs/variable" } }),
        );
    }
    if holds_fixed_text(&schema) || core.contains_key("minLength") || core.contains_key("maxLength") {
        return either(json!({ "$ref": "#/$defs/text-with-variable" }));
    }
    // what `$ref` leads to has no `type` here: it is opened in its own place
    let types = types(&schema);
    if types.is_empty() || types.contains(&"string") {
        return core.clone();
    }
    // other types have no use for `pattern`, so it says of texts alone that they must be a variable
    let types: Vec<&str> = types.into_iter().chain(["string"]).collect();
    let mut opened = core.clone();
    opened.insert("type".to_owned(), types.into());
    opened.insert("pattern".to_owned(), VARIABLE.into());
    opened
}

/// Whether a schema knows all its texts.
fn holds_fixed_text(schema: &Json) -> bool {
    schema.get("const").is_some_and(Json::is_string)
        || schema.get("enum").and_then(Json::as_array).is_some_and(|values| values.iter().any(Json::is_string))
}

/// The definitions that the arguments refer to.
pub(super) fn definitions(objects: &[&str], forms: &[&str]) -> [(&'static str, Json); 4] {
    let objects: Vec<String> = objects.iter().map(|object| format!("@{object}")).collect();
    [
        ("variable", json!({ "description": "A variable: its value is used.", "type": "string", "pattern": VARIABLE })),
        (
            "text-with-variable",
            json!({
                "description": "A text with a variable in it: its value is put in.",
                "type": "string",
                "pattern": TEXT_WITH_VARIABLE,
            }),
        ),
        (
            "reference",
            json!({
                "description": "An object of the run.",
                "anyOf": [{ "enum": objects }, { "$ref": "#/$defs/variable" }],
            }),
        ),
        (
            "expression",
            json!({
                "description": "What to take from the engine's output.",
                "type": "string",
                "pattern": r"^\s*(#|lambda[ \t:])|^\{[A-Za-z_][A-Za-z0-9_]*\}$",
                "examples": forms,
            }),
        ),
    ]
}
