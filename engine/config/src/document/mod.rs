//! JSON with the span of every key and value.
//!
//! `serde_json` knows positions only of syntax errors and keeps the last of two equal keys; the [scanner] keeps both,
//! and goes on after an error where it can.

mod scanner;
pub(crate) mod text;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde_json::{Map, Number, Value as Json};

use crate::expressions::Expression;
use crate::source::Span;

pub(crate) use scanner::parse;

/// A value with its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Where it stands. For a substituted variable: where the variable is used.
    pub span: Span,
    /// The value.
    pub value: Value,
    /// For a substituted variable: which, and where it got the value.
    pub substituted: Option<Arc<Substituted>>,
}

/// How a node got its value from a variable.
#[derive(Debug)]
pub(crate) struct Substituted {
    /// The variable.
    pub variable: String,
    /// Where its value stands.
    pub defined: Span,
}

/// What a node holds: JSON, or what resolution made of a string.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(Number),
    String(String),
    Array(Vec<Node>),
    Object(Vec<Entry>),
    /// `"@model"`
    Reference(String),
    /// `"lambda x: None"` and its like.
    Expression(Expression),
    /// A string whose variables have no value; an error unless it is inside a disabled component.
    Unresolved {
        text: String,
        missing: Vec<String>,
    },
    /// An error was reported here: later checks leave it alone.
    Invalid,
}

/// A key and its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub key: String,
    pub key_span: Span,
    pub value: Node,
}

impl Node {
    pub(crate) fn new(span: Span, value: Value) -> Self {
        Self { span, value, substituted: None }
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Object(entries) => entries,
            _ => &[],
        }
    }

    pub(crate) fn items(&self) -> &[Self] {
        match &self.value {
            Value::Array(items) => items,
            _ => &[],
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.value)
    }

    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The value in words: ``the string "1e-5"``, `a list`.
    pub(crate) fn described(&self) -> String {
        match &self.value {
            Value::Null => "`null`".into(),
            Value::Bool(value) => format!("`{value}`"),
            Value::Number(value) => format!("the number {}", spell(value)),
            Value::String(text) if text.chars().count() > 60 => {
                format!("the string {:?}", text.chars().take(59).chain(['…']).collect::<String>())
            }
            Value::String(text) => format!("the string {}", Json::from(text.as_str())),
            Value::Array(items) if items.is_empty() => "an empty list".into(),
            Value::Array(items)
                if items.iter().all(|item| !matches!(item.value, Value::Array(_) | Value::Object(_)))
                    && items.len() <= 8 =>
            {
                format!("the list {}", inline(&self.to_json()))
            }
            Value::Array(_) => "a list".into(),
            Value::Object(_) => "an object".into(),
            Value::Reference(name) => format!("the object `@{name}`"),
            Value::Expression(_) => "an expression".into(),
            Value::Unresolved { text, .. } => format!("the string {text:?}"),
            Value::Invalid => "an invalid value".into(),
        }
    }

    /// Plain JSON; a reference is `{"$ref": …}`, an expression `{"$expression": …}`.
    pub(crate) fn to_json(&self) -> Json {
        match &self.value {
            Value::Null | Value::Invalid => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Number(value) => Json::Number(value.clone()),
            Value::String(text) | Value::Unresolved { text, .. } => Json::String(text.clone()),
            Value::Array(items) => items.iter().map(Self::to_json).collect(),
            Value::Object(entries) => {
                entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect::<Map<_, _>>().into()
            }
            Value::Reference(name) => serde_json::json!({ "$ref": name }),
            Value::Expression(expression) => expression.to_json(),
        }
    }
}

/// JSON on one line with spaces after commas, as people write it.
pub(crate) fn inline(json: &Json) -> String {
    match json {
        Json::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Json::Object(map) => {
            let entries: Vec<String> =
                map.iter().map(|(key, value)| format!("{}: {}", Json::from(key.as_str()), inline(value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
        Json::Number(number) => spell(number),
        scalar => scalar.to_string(),
    }
}

/// A number as people write it: `1e-5` for 0.00001.
fn spell(number: &Number) -> String {
    match number.as_f64() {
        Some(value) if value != 0.0 && value.abs() < 1e-3 => format!("{value:e}"),
        _ => number.to_string(),
    }
}

/// Appends a key to a JSON pointer, escaped as RFC 6901 says.
pub(crate) fn child_pointer(pointer: &str, key: impl std::fmt::Display) -> String {
    format!("{pointer}/{}", key.to_string().replace('~', "~0").replace('/', "~1"))
}
