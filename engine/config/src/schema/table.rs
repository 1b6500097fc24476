//! The arguments of a component as a table: for references and explanations.

use serde_json::Value as Json;

use super::accepts::properties;
use super::describe::{branches, deref, expected, has_keyword};
use crate::document::inline;

/// One argument of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// Other spellings of it.
    pub aliases: Vec<String>,
    /// What it accepts, in words: `a number greater than 0`.
    pub accepts: String,
    /// The fixed values that it knows, each with what it means.
    pub choices: Vec<(String, String)>,
    /// The value that it has if it is not given, as a config would spell it. `null` counts as none.
    pub default: Option<String>,
    /// Whether it must be given.
    pub is_required: bool,
    /// Whether the engine sets it.
    pub is_wired: bool,
    /// What it is for.
    pub description: String,
}

/// The arguments that a component's schema declares, those that must be given first, those that the engine sets last.
pub fn arguments(schema: &Json) -> Vec<Argument> {
    let mut arguments: Vec<Argument> = Vec::new();
    for alternative in branches(schema, schema) {
        let required = alternative.get("required").and_then(Json::as_array);
        let required: Vec<&str> = required.into_iter().flatten().filter_map(Json::as_str).collect();
        for property in properties(alternative, schema) {
            if arguments.iter().any(|known| known.name == property.name) {
                continue;
            }
            let value = deref(property.schema, schema);
            let text = |keyword: &str| {
                let own = property.schema.get(keyword).or_else(|| value.get(keyword));
                own.and_then(Json::as_str).unwrap_or_default().to_owned()
            };
            let default = property.schema.get("default").filter(|default| !default.is_null());
            let is_wired = has_keyword(value, "x-wired");
            arguments.push(Argument {
                name: property.name.to_owned(),
                aliases: property.aliases.iter().map(|&alias| alias.to_owned()).collect(),
                accepts: if is_wired { "set by the engine".to_owned() } else { expected(value, schema) },
                choices: choices(value, schema),
                default: default.map(inline),
                is_required: required.contains(&property.name) && !is_wired,
                is_wired,
                description: text("description"),
            });
        }
    }
    arguments.sort_by_key(|argument| (!argument.is_required, argument.is_wired));
    arguments
}

/// The fixed texts of a schema that say what they mean.
fn choices(schema: &Json, root: &Json) -> Vec<(String, String)> {
    let mut choices: Vec<(String, String)> = Vec::new();
    let mut lists = vec![schema];
    lists.extend(branches(schema, root));
    // one for all, or a list with one for each
    lists.extend(branches(schema, root).into_iter().filter_map(|branch| branch.get("items")));
    for branch in lists.into_iter().flat_map(|schema| branches(schema, root)) {
        let meaning = branch.get("description").and_then(Json::as_str);
        if let (Some(value), Some(meaning)) = (branch.get("const"), meaning) {
            let choice = (inline(value), meaning.lines().collect::<Vec<_>>().join(" "));
            if !choices.contains(&choice) {
                choices.push(choice);
            }
        }
    }
    choices
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arguments_are_told_in_words() {
        let mode = json!({ "oneOf": [
            { "const": "linear", "description": "Between\nneighbours." }, { "const": "nearest", "description": "The next." },
        ] });
        let schema = json!({
            "required": ["optimizer", "size"],
            "properties": {
                "optimizer": { "x-wired": true, "description": "The optimizer." },
                "mode": { "anyOf": [mode, { "type": "array", "items": mode }], "default": "linear", "description": "How." },
                "size": { "$ref": "#/$defs/Size", "x-aliases": ["width"] },
            },
            "$defs": { "Size": { "type": "integer", "minimum": 1, "description": "In voxels." } },
        });
        let [size, mode, optimizer] = arguments(&schema).try_into().expect("three");
        assert_eq!((size.name.as_str(), size.is_required, size.default), ("size", true, None));
        assert_eq!((size.accepts.as_str(), size.description.as_str()), ("a whole number from 1", "In voxels."));
        assert_eq!(size.aliases, ["width"]);
        assert_eq!((mode.is_required, mode.default.as_deref()), (false, Some("\"linear\"")));
        assert_eq!(
            mode.choices,
            [("\"linear\"", "Between neighbours."), ("\"nearest\"", "The next.")]
                .map(|(a, b)| (a.to_owned(), b.to_owned()))
        );
        assert!(optimizer.is_wired && !optimizer.is_required);
    }
}
