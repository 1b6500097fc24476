//! The scanner against `serde_json`: on what is JSON both agree, on what is not both refuse.

use serde_json::Value as Json;

use super::{Node, Value, parse};
use crate::diagnostic::Diagnostic;
use crate::source::{SourceKind, Sources};

/// A small generator (xorshift64*): the same texts on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % below
    }

    fn pick<'a>(&mut self, options: &[&'a str]) -> &'a str {
        options[self.next(options.len())]
    }

    fn space(&mut self, text: &mut String) {
        for _ in 0..self.next(3) {
            text.push_str(self.pick(&[" ", "\n", "\t", "\r\n", "  "]));
        }
    }

    fn string(&mut self, text: &mut String) {
        text.push('"');
        for _ in 0..self.next(6) {
            text.push_str(self.pick(&[
                "a",
                "Z",
                "0",
                " ",
                "ä",
                "𝄞",
                "{",
                "]",
                ",",
                ":",
                "#",
                "//",
                "'",
                "\\n",
                "\\\"",
                "\\\\",
                "\\/",
                "\\u00e4",
                "\\uD834\\uDD1E",
                "\\t",
            ]));
        }
        text.push('"');
    }

    fn value(&mut self, text: &mut String, depth: usize) {
        match self.next(if depth == 0 { 5 } else { 7 }) {
            0 => text.push_str(self.pick(&["true", "false", "null"])),
            1 | 2 => text.push_str(self.pick(&[
                "0",
                "-1",
                "17",
                "2.5",
                "-0.0",
                "1e-5",
                "2E+3",
                "123456789012345678901",
                "0.1",
                "9007199254740993",
                "-0",
            ])),
            3 | 4 => self.string(text),
            5 => {
                text.push('[');
                self.space(text);
                for index in 0..self.next(4) {
                    if index > 0 {
                        text.push(',');
                        self.space(text);
                    }
                    self.value(text, depth - 1);
                    self.space(text);
                }
                text.push(']');
            }
            _ => {
                text.push('{');
                self.space(text);
                for index in 0..self.next(4) {
                    if index > 0 {
                        text.push(',');
                        self.space(text);
                    }
                    // keys are distinct: duplicates are the one thing that serde_json lets pass
                    text.push_str("\"k");
                    text.push_str(&index.to_string());
                    text.push_str(self.pick(&["", "ä", " x", "\\n"]));
                    text.push('"');
                    self.space(text);
                    text.push(':');
                    self.space(text);
                    self.value(text, depth - 1);
                    self.space(text);
                }
                text.push('}');
            }
        }
    }
}

fn scan(text: &str) -> (Option<Node>, Vec<Diagnostic>) {
    let mut sources = Sources::default();
    let source = sources.add(SourceKind::Config, "test.json", text);
    let mut errors = Vec::new();
    let node = parse(source, text, 0, &mut errors);
    (node, errors)
}

/// Every span covers exactly the text of its value and key.
fn check_spans(node: &Node, text: &str) {
    let own = &text[node.span.range()];
    let read: Json = serde_json::from_str(own).unwrap_or_else(|error| panic!("{own:?} is no value: {error}"));
    assert_eq!(read, node.to_json());
    assert_eq!(own.trim(), own, "no white space in a span");
    for item in node.items() {
        check_spans(item, text);
    }
    for entry in node.entries() {
        let key: String = serde_json::from_str(&text[entry.key_span.range()]).expect("a key span covers the key");
        assert_eq!(key, entry.key);
        check_spans(&entry.value, text);
    }
}

#[test]
fn generated_json_reads_as_serde_json_reads_it() {
    let mut random = Random(0x5EED);
    for _ in 0..3000 {
        let mut text = String::new();
        random.space(&mut text);
        random.value(&mut text, 4);
        random.space(&mut text);
        let expected: Json = serde_json::from_str(&text).expect("the generator writes JSON");
        let (node, errors) = scan(&text);
        assert!(errors.is_empty(), "{text:?}: {}", errors[0].message);
        let node = node.expect("a value");
        assert_eq!(node.to_json(), expected, "{text:?}");
        check_spans(&node, &text);
    }
}

#[test]
fn damaged_json_is_refused_exactly_where_serde_json_refuses_it() {
    let mut random = Random(0xBAD);
    let mut refused = 0;
    for _ in 0..6000 {
        let mut text = String::new();
        random.value(&mut text, 3);
        let mut characters: Vec<char> = text.chars().collect();
        for _ in 0..=random.next(2) {
            let at = random.next(characters.len() + 1);
            match random.next(3) {
                0 if at < characters.len() => {
                    characters.remove(at);
                }
                1 if at < characters.len() => {
                    characters[at] = random
                        .pick(&["}", "]", ",", ":", "\"", "x", "0", "'", "\n", "\\"])
                        .chars()
                        .next()
                        .unwrap_or(' ');
                }
                _ => characters.insert(
                    at,
                    random
                        .pick(&["{", "[", ",", ":", "\"", "e", "-", ".", "/", "#", "\u{1}", "+"])
                        .chars()
                        .next()
                        .unwrap_or(' '),
                ),
            }
        }
        let text: String = characters.into_iter().collect();
        let theirs = serde_json::from_str::<Json>(&text);
        let (node, errors) = scan(&text);
        // `serde_json` keeps the last of two equal keys; we refuse
        let only_duplicates = !errors.is_empty() && errors.iter().all(|error| error.code == crate::Code::DuplicateKey);
        match theirs {
            Ok(expected) if !only_duplicates => {
                assert!(errors.is_empty(), "{text:?}: {}", errors[0].message);
                assert_eq!(node.map(|node| node.to_json()), Some(expected), "{text:?}");
            }
            Ok(_) => {}
            Err(_) => {
                refused += 1;
                assert!(!errors.is_empty(), "{text:?} is not JSON");
                for error in &errors {
                    let span = error.primary.as_ref().expect("an error of the text has a place").span;
                    assert!(span.start <= span.end && span.end <= text.len(), "{text:?}");
                    assert!(text.is_char_boundary(span.start) && text.is_char_boundary(span.end), "{text:?}");
                }
            }
        }
    }
    assert!(refused > 1000, "only {refused} texts were damaged");
}

#[test]
fn nesting_is_limited_as_in_serde_json() {
    for depth in [10, 127, 128, 129, 100_000] {
        let text = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let ours = scan(&text).1.is_empty();
        assert_eq!(ours, serde_json::from_str::<Json>(&text).is_ok(), "depth {depth}");
    }
}

#[test]
fn what_people_bring_from_python_is_reported_and_understood() {
    let text = "{'a': True, \"b\": None, \"c\": .5, // half\n \"d\": [1, 2,], \"e\": 1 \"f\": 2}";
    let (node, errors) = scan(text);
    let messages: Vec<&str> = errors.iter().map(|error| error.message.as_str()).collect();
    assert_eq!(messages.len(), 7, "{messages:#?}");
    let node = node.expect("understood");
    assert_eq!(node.to_json(), serde_json::json!({"a": true, "b": null, "c": 0.5, "d": [1, 2], "e": 1, "f": 2}));
}

#[test]
fn a_byte_order_mark_is_skipped() {
    let (node, errors) = scan("\u{feff}{\"a\": 1}");
    assert!(errors.is_empty());
    assert!(matches!(node.expect("a value").get("a").map(|node| &node.value), Some(Value::Number(_))));
}
