//! How configs name a layer: `"batch"`, or `["group", {"num_groups": 4}]`.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::{Error, Result};

/// A layer by name, with arguments: MONAI's "string or tuple". The case of the name does not matter.
///
/// As an argument of a network: `"PRELU"`, `["LeakyReLU", {"negative_slope": 0.1}]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Spelling", into = "Spelling")]
pub struct LayerSpec {
    /// The name as it was written.
    pub name: String,
    /// The arguments.
    pub args: Map<String, Json>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Spelling {
    Name(String),
    NameOnly([String; 1]),
    NameAndArgs(String, Map<String, Json>),
    Other(Json),
}

impl LayerSpec {
    /// A layer with its default arguments.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), args: Map::new() }
    }

    /// The same with one more argument.
    #[must_use]
    pub fn with(mut self, argument: &str, value: impl Into<Json>) -> Self {
        self.args.insert(argument.to_owned(), value.into());
        self
    }

    /// The name in lower case.
    pub fn key(&self) -> String {
        self.name.to_lowercase()
    }

    /// The arguments as a struct; errors name the layer.
    #[track_caller]
    pub(super) fn parse<A: DeserializeOwned>(&self) -> Result<A> {
        serde_json::from_value(Json::Object(self.args.clone())).map_err(|error| {
            Error::invalid_argument(format!("the arguments of layer `{}` are wrong: {error}", self.name))
        })
    }

    /// The error for a name that no layer of this kind has.
    #[track_caller]
    pub(super) fn unknown(&self, kind: &str, known: &[&str]) -> Error {
        let known: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
        Error::invalid_argument(format!("there is no {kind} `{}`; known are {}", self.name, known.join(", ")))
    }
}

impl TryFrom<Spelling> for LayerSpec {
    type Error = String;

    fn try_from(spelling: Spelling) -> Result<Self, String> {
        match spelling {
            Spelling::Name(name) | Spelling::NameOnly([name]) => Ok(Self { name, args: Map::new() }),
            Spelling::NameAndArgs(name, args) => Ok(Self { name, args }),
            Spelling::Other(found) => {
                Err(format!("expected a layer, `\"batch\"` or `[\"group\", {{\"num_groups\": 4}}]`, found `{found}`"))
            }
        }
    }
}

impl From<LayerSpec> for Spelling {
    fn from(spec: LayerSpec) -> Self {
        if spec.args.is_empty() { Self::Name(spec.name) } else { Self::NameAndArgs(spec.name, spec.args) }
    }
}

impl From<&str> for LayerSpec {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl JsonSchema for LayerSpec {
    fn schema_name() -> Cow<'static, str> {
        "LayerSpec".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "string" },
                { "type": "array", "minItems": 1, "maxItems": 2, "prefixItems": [{ "type": "string" }, { "type": "object" }] }
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_come_with_and_without_arguments() {
        for (written, key, arguments) in [
            (json!("PRELU"), "prelu", json!({})),
            (json!(["Batch"]), "batch", json!({})),
            (json!(["LeakyReLU", {"negative_slope": 0.1}]), "leakyrelu", json!({"negative_slope": 0.1})),
        ] {
            let spec: LayerSpec = serde_json::from_value(written).unwrap();
            assert_eq!((spec.key().as_str(), Json::Object(spec.args)), (key, arguments));
        }
        let error = serde_json::from_value::<LayerSpec>(json!(["batch", 3])).unwrap_err();
        assert!(error.to_string().contains("found `[\"batch\",3]`"), "{error}");
    }
}
