//! What many arguments have in common stands once: a dozen transforms with the same interpolation modes would make the
//! document twice as long.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::{Map, Value as Json, json};

/// What belongs to a place and stays there.
const ANNOTATIONS: [&str; 4] = ["description", "default", "deprecated", "examples"];
/// Shorter ones are not worth a reference.
const SHORTEST: usize = 40;

/// Moves what occurs more than once into definitions of its own, named after the argument that has it first.
pub(super) fn share(components: &mut Map<String, Json>) -> Vec<(String, Json)> {
    let mut counts = HashMap::new();
    for definition in components.values() {
        each(definition, "", &mut |name, schema| {
            if let Some(core) = core(name, schema) {
                *counts.entry(core.to_string()).or_insert(0) += 1;
            }
        });
    }
    let mut sharing = Sharing { counts, names: BTreeMap::new(), taken: HashSet::new(), definitions: Vec::new() };
    for definition in components.values_mut() {
        sharing.replace_inside(definition);
    }
    sharing.definitions
}

struct Sharing {
    counts: HashMap<String, usize>,
    /// From a schema to the name of its definition.
    names: BTreeMap<String, String>,
    taken: HashSet<String>,
    definitions: Vec<(String, Json)>,
}

impl Sharing {
    fn replace(&mut self, name: &str, schema: &mut Json) {
        let Some(core) = core(name, schema) else { return self.replace_inside(schema) };
        let key = core.to_string();
        if self.counts.get(&key).copied().unwrap_or_default() < 2 {
            return self.replace_inside(schema);
        }
        let definition = match self.names.get(&key) {
            Some(known) => known.clone(),
            None => self.define(name, key, core),
        };
        if let Json::Object(map) = schema {
            map.retain(|keyword, _| ANNOTATIONS.contains(&keyword.as_str()));
            map.insert("$ref".to_owned(), format!("#/$defs/{definition}").into());
        }
    }

    fn define(&mut self, name: &str, key: String, core: Json) -> String {
        let name = of_type(&core).unwrap_or_else(|| format!("values-of-{name}"));
        let numbered = (2..).map(|number| format!("{name}-{number}"));
        let definition = std::iter::once(name.clone())
            .chain(numbered)
            .find(|candidate| !self.taken.contains(candidate))
            .unwrap_or_default();
        self.taken.insert(definition.clone());
        self.names.insert(key, definition.clone());
        let place = self.definitions.len();
        self.definitions.push((definition.clone(), json!({})));
        let mut core = core;
        self.replace_inside(&mut core);
        self.definitions[place].1 = core;
        definition
    }

    fn replace_inside(&mut self, schema: &mut Json) {
        let Json::Object(map) = schema else { return };
        for (keyword, value) in map.iter_mut() {
            match (keyword.as_str(), value) {
                ("properties" | "patternProperties", Json::Object(properties)) => {
                    for (name, schema) in properties.iter_mut() {
                        self.replace(name, schema);
                    }
                }
                ("anyOf" | "prefixItems", Json::Array(branches)) => {
                    for branch in branches {
                        self.replace_inside(branch);
                    }
                }
                ("items" | "additionalProperties", inner) => self.replace_inside(inner),
                _ => {}
            }
        }
    }
}

/// `integer-or-null`, if a schema says nothing else.
fn of_type(core: &Json) -> Option<String> {
    let only_type = core.as_object()?.keys().all(|keyword| keyword == "type" || keyword == "pattern");
    // a text is there for the variable that it may be
    let types: Vec<&str> =
        core.get("type")?.as_array()?.iter().filter_map(Json::as_str).filter(|it| *it != "string").collect();
    only_type.then(|| types.join("-or-"))
}

/// Calls back with every property below a schema.
fn each(schema: &Json, name: &str, found: &mut dyn FnMut(&str, &Json)) {
    if !name.is_empty() {
        found(name, schema);
    }
    let Json::Object(map) = schema else { return };
    for (keyword, value) in map {
        match (keyword.as_str(), value) {
            ("properties" | "patternProperties", Json::Object(properties)) => {
                properties.iter().for_each(|(name, schema)| each(schema, name, found));
            }
            ("anyOf" | "prefixItems", Json::Array(branches)) => {
                for branch in branches {
                    each(branch, "", found);
                }
            }
            ("items" | "additionalProperties", inner) => each(inner, "", found),
            _ => {}
        }
    }
}

/// A property without what belongs to its place, if it is worth a definition. Whole sets of arguments stay where they
/// are: pointers lead into them.
fn core(name: &str, schema: &Json) -> Option<Json> {
    let Json::Object(map) = schema else { return None };
    if name == "args" || map.contains_key("$ref") || map.contains_key("$defs") {
        return None;
    }
    let core: Map<String, Json> = map
        .iter()
        .filter(|(keyword, _)| !ANNOTATIONS.contains(&keyword.as_str()))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    let core = Json::Object(core);
    (core.to_string().len() >= SHORTEST).then_some(core)
}
