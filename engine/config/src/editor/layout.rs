//! The document as text: a line for what fits into one and for every simple object, so that a change of one argument is a
//! change of one line.

use std::fmt::Write as _;

use serde_json::Value as Json;

/// Characters of a line.
const WIDTH: usize = 120;
/// Characters of a line that holds a simple object.
const LONGEST: usize = 600;

/// Lays a document out; ends with a line break.
pub(super) fn text(document: &Json) -> String {
    let mut text = String::new();
    write(document, 0, 0, &mut text);
    text.push('\n');
    text
}

/// `used` is what stands on the line already.
fn write(value: &Json, depth: usize, used: usize, text: &mut String) {
    let flat = flat(value);
    let length = used + flat.chars().count();
    let is_short = length < WIDTH || (is_simple(value) && length < LONGEST);
    match value {
        Json::Array(items) if !is_short && !items.is_empty() => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                begin(index, depth + 1, text);
                write(item, depth + 1, 2 * (depth + 1), text);
            }
            end(']', depth, text);
        }
        Json::Object(entries) if (!is_short || depth == 0) && !entries.is_empty() => {
            text.push('{');
            for (index, (key, value)) in entries.iter().enumerate() {
                begin(index, depth + 1, text);
                let key = Json::String(key.clone()).to_string();
                let _ = write!(text, "{key}: ");
                write(value, depth + 1, 2 * (depth + 1) + key.chars().count() + 2, text);
            }
            end('}', depth, text);
        }
        _ => text.push_str(&flat),
    }
}

/// Whether nothing in an object has parts of its own.
fn is_simple(value: &Json) -> bool {
    let has_parts = |value: &Json| matches!(value, Json::Array(_) | Json::Object(_));
    value.as_object().is_some_and(|entries| {
        entries.values().all(|value| match value {
            Json::Array(items) => !items.iter().any(has_parts),
            other => !has_parts(other),
        })
    })
}

fn begin(index: usize, depth: usize, text: &mut String) {
    text.push_str(if index == 0 { "\n" } else { ",\n" });
    text.extend(std::iter::repeat_n("  ", depth));
}

fn end(close: char, depth: usize, text: &mut String) {
    text.push('\n');
    text.extend(std::iter::repeat_n("  ", depth));
    text.push(close);
}

fn flat(value: &Json) -> String {
    match value {
        Json::Array(items) => format!("[{}]", items.iter().map(flat).collect::<Vec<_>>().join(", ")),
        Json::Object(entries) if entries.is_empty() => "{}".to_owned(),
        Json::Object(entries) => {
            let entry = |(key, value): (&String, &Json)| format!("{}: {}", Json::String(key.clone()), flat(value));
            format!("{{ {} }}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn what_fits_stands_on_one_line_and_the_rest_is_the_same_document() {
        let long = "a".repeat(100);
        let document = json!({ "a": { "b": [1, "x\"y"], "c": {} }, "list": [long, { "d": long }], "e": null });
        let text = super::text(&document);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).expect("JSON"), document);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], r#"  "a": { "b": [1, "x\"y"], "c": {} },"#);
        assert_eq!(lines[2], r#"  "list": ["#);
        assert_eq!(lines[4].trim(), format!(r#"{{ "d": "{long}" }}"#));
    }
}
