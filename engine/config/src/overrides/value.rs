//! The value of a `--set`: JSON, then Python's literals, then a text.

use serde_json::Value as Json;

use crate::document::text::python_number;
use crate::document::{Node, Value, parse as parse_json};
use crate::source::{SourceId, Span};

/// Reads what follows `=`.
pub(super) fn parse(source: SourceId, text: &str, from: usize) -> Node {
    let mut errors = Vec::new();
    if let Some(node) = parse_json(source, text, from, &mut errors).filter(|_| errors.is_empty()) {
        return node;
    }
    let raw = &text[from..];
    let spelled = raw.trim();
    let start = from + (raw.len() - raw.trim_start().len());
    let span = Span { source, start, end: start + spelled.len() };
    let value = match spelled {
        "True" => Value::Bool(true),
        "False" => Value::Bool(false),
        "None" => Value::Null,
        _ => match (python_number(spelled), quoted(spelled)) {
            (Some(number), _) => Value::Number(number),
            (None, Some(text)) => Value::String(text.to_owned()),
            (None, None) => Value::String(spelled.to_owned()),
        },
    };
    Node::new(span, value)
}

/// The inside of `'…'`.
fn quoted(text: &str) -> Option<&str> {
    text.strip_prefix('\'')?.strip_suffix('\'').filter(|inner| !inner.contains('\''))
}

/// What a text would be without its quotes: a number, a boolean, a list … `None` if only a text.
pub(crate) fn literal(text: &str) -> Option<Json> {
    let text = text.trim();
    match text {
        "True" | "TRUE" => Some(Json::Bool(true)),
        "False" | "FALSE" => Some(Json::Bool(false)),
        "None" => Some(Json::Null),
        _ => serde_json::from_str(text).ok().or_else(|| python_number(text).map(Json::Number)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::source::{SourceKind, Sources};

    #[test]
    fn values_are_json_then_python_then_text() {
        let cases = [
            ("1", json!(1)),
            ("1e-5", json!(1e-5)),
            ("true", json!(true)),
            ("True", json!(true)),
            ("False", json!(false)),
            ("None", json!(null)),
            ("null", json!(null)),
            ("[96, 96, 96]", json!([96, 96, 96])),
            ("{\"a\": 1}", json!({"a": 1})),
            ("\"1\"", json!("1")),
            ("'quoted path'", json!("quoted path")),
            (".5", json!(0.5)),
            ("5.", json!(5.0)),
            ("+3", json!(3)),
            ("1_000", json!(1000)),
            ("models/a=b", json!("models/a=b")),
            ("/data/1", json!("/data/1")),
            ("", json!("")),
            ("tRue", json!("tRue")),
            ("[1, 2", json!("[1, 2")),
            ("2024-01-01", json!("2024-01-01")),
            ("nan", json!("nan")),
        ];
        for (text, expected) in cases {
            let set = format!("key={text}");
            let mut sources = Sources::default();
            let source = sources.add(SourceKind::Override, "--set", set.as_str());
            let node = parse(source, &set, 4);
            assert_eq!(node.to_json(), expected, "{text}");
            assert_eq!(&set[node.span.range()], text, "the span of {text}");
        }
    }
}
