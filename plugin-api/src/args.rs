//! Types for arguments that configs spell in more than one way.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::{Error, ErrorCode, Result};

/// Turns the `args` of a config into a component's own struct; absent arguments are an empty object.
pub fn parse<A: DeserializeOwned>(args: &Json) -> Result<A> {
    let empty = Json::Object(serde_json::Map::new());
    let args = if args.is_null() { &empty } else { args };
    A::deserialize(args).map_err(|error| Error::new(ErrorCode::INVALID_ARGUMENT, error.to_string()))
}

/// Keys of a sample: `"image"` or `["image", "label"]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "OneOrMany<String>", into = "Vec<String>")]
#[schemars(with = "OneOrMany<String>", inline)]
pub struct Keys(pub Vec<String>);

impl Keys {
    /// The keys in their order.
    pub fn iter(&self) -> std::slice::Iter<'_, String> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<OneOrMany<String>> for Keys {
    fn from(keys: OneOrMany<String>) -> Self {
        Self(keys.into_vec())
    }
}

impl From<Keys> for Vec<String> {
    fn from(keys: Keys) -> Self {
        keys.0
    }
}

impl<'a> IntoIterator for &'a Keys {
    type Item = &'a String;
    type IntoIter = std::slice::Iter<'a, String>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// One value, or a list of them: MONAI's "sequence or single".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum OneOrMany<T> {
    /// A single value.
    One(T),
    /// A list.
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    /// The values as a list.
    pub fn into_vec(self) -> Vec<T> {
        match self {
            Self::One(value) => vec![value],
            Self::Many(values) => values,
        }
    }
}

impl<T: Clone> OneOrMany<T> {
    /// One value for each of `n` keys or axes: a single value is repeated, a list must have `n` values
    /// (MONAI's `ensure_tuple_rep`).
    #[track_caller]
    pub fn repeat(&self, n: usize, argument: &str) -> Result<Vec<T>> {
        match self {
            Self::One(value) => Ok(vec![value.clone(); n]),
            Self::Many(values) if values.len() == n => Ok(values.clone()),
            Self::Many(values) if values.len() == 1 => Ok(vec![values[0].clone(); n]),
            Self::Many(values) => Err(Error::invalid_argument(format!(
                "`{argument}` has {} values, but {n} are needed (or one for all)",
                values.len()
            ))),
        }
    }
}

impl<T: Default> Default for OneOrMany<T> {
    fn default() -> Self {
        Self::One(T::default())
    }
}

/// A reference to an object of the run, `"@model"` in a config. The engine hands it on as `{"$ref": "model"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// The object's name.
    #[serde(rename = "$ref")]
    pub object: String,
}

impl JsonSchema for Reference {
    fn schema_name() -> Cow<'static, str> {
        "Reference".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "x-reference": true, "description": "an object of the run: \"@model\"" })
    }
}

/// An argument that the engine wires itself, so that a component only has to tolerate it: `"dataset": "@dataset"`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Wired;

impl<'de> Deserialize<'de> for Wired {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

impl JsonSchema for Wired {
    fn schema_name() -> Cow<'static, str> {
        "Wired".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "x-wired": true, "description": "set by the engine; a config of dialect 4.1 names the object" })
    }
}

/// One of the expressions that stand for a Python function in a config. The engine hands it on as
/// `{"$expression": {"form": …}}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Expression {
    /// Which of the forms, with what it names.
    #[serde(rename = "$expression")]
    pub form: ExpressionForm,
}

/// The forms of an [`Expression`]; `research` for them: every one that a published Clara 4.x config uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "form", rename_all = "snake_case", deny_unknown_fields)]
pub enum ExpressionForm {
    /// `#@model.parameters()`
    Parameters {
        /// The object: `model`.
        object: String,
    },
    /// `#monai.handlers.from_engine(['pred', 'label'], first=False)`: per key the list over items, or with `first` the
    /// value of the first item.
    FromEngine {
        /// The keys.
        keys: Vec<String>,
        /// Only the first item.
        first: bool,
    },
    /// `lambda x: None`
    Nothing,
    /// `lambda x: x['loss']`
    Key {
        /// The key.
        key: String,
    },
    /// `lambda x: (x['pred'], x['label'])`
    Keys {
        /// The keys.
        keys: Vec<String>,
    },
    /// `lambda x: x[0]['loss']`
    FirstItemKey {
        /// The key.
        key: String,
    },
    /// `lambda x: ([i['pred'] for i in x], [i['label'] for i in x])`
    EachItemKeys {
        /// The keys.
        keys: Vec<String>,
    },
    /// `lambda engine: print(f'iter: …') if engine.state.iteration % 10 == 0 else None`
    PrintEvery {
        /// Print at every so many iterations.
        interval: u64,
        /// Whether the name of the first image is printed, too.
        image_name: bool,
    },
}

impl JsonSchema for Expression {
    fn schema_name() -> Cow<'static, str> {
        "Expression".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-expression": true,
            "description": "what to take from the engine's output: \"#monai.handlers.from_engine(['pred', 'label'])\", \"lambda x: x['loss']\", \"lambda x: None\" …"
        })
    }
}

/// `["model", "optimizer"]` (dialect 4.0) or `{"model": "@model"}` (4.1): objects under their keys in a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum ObjectMap {
    /// Names that are key and object at once.
    Names(Vec<String>),
    /// Key to object.
    Map(BTreeMap<String, Reference>),
}

impl ObjectMap {
    /// Pairs of key and object name.
    pub fn pairs(&self) -> Vec<(String, String)> {
        match self {
            Self::Names(names) => names.iter().map(|name| (name.clone(), name.clone())).collect(),
            Self::Map(map) => map.iter().map(|(key, reference)| (key.clone(), reference.object.clone())).collect(),
        }
    }
}
