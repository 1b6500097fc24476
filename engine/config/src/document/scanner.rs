//! The JSON scanner: strict JSON (RFC 8259), with spans, duplicate keys as errors, and recovery.
//!
//! What people bring along from Python and JavaScript (comments, single quotes, `True`, a last comma) is read as what it
//! means and reported, so that one run shows every mistake. Where the structure itself is broken the scanner stops.

use std::collections::HashMap;

use serde_json::Number;

use super::text;
use super::{Entry, Node, Value};
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::source::{SourceId, Span};

/// Deeper nesting is refused: the walk over a config is recursive. `serde_json` has the same limit.
const MAX_DEPTH: usize = 127;

/// Parses the part of a source that starts at `from`. `None` when the structure is broken; the errors say where.
pub(crate) fn parse(source: SourceId, text: &str, from: usize, errors: &mut Vec<Diagnostic>) -> Option<Node> {
    let start = if from == 0 && text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { from };
    let mut scanner = Scanner { source, text, at: start, errors, depth: 0, suspect: None };
    scanner.document().ok()
}

/// The structure is broken; the error has been reported.
struct Broken;

type Parsed<T> = Result<T, Broken>;

struct Scanner<'a> {
    source: SourceId,
    text: &'a str,
    at: usize,
    errors: &'a mut Vec<Diagnostic>,
    depth: usize,
    /// The first bracket whose end is indented differently than its line: where an end is missing, it is the likely one.
    suspect: Option<(usize, usize)>,
}

impl Scanner<'_> {
    fn document(&mut self) -> Parsed<Node> {
        self.skip_space();
        if self.at == self.text.len() {
            return Err(self.broken(self.at..self.at, "the text is empty", "a JSON value is expected"));
        }
        let node = self.value()?;
        self.skip_space();
        if self.at < self.text.len() {
            let range = self.at..self.at + self.word_length();
            return Err(self.broken(
                range,
                "there is more text after the end of the JSON value",
                "nothing is expected here",
            ));
        }
        Ok(node)
    }

    fn value(&mut self) -> Parsed<Node> {
        let start = self.at;
        let value = match self.peek() {
            Some(b'{') => self.object()?,
            Some(b'[') => self.array()?,
            Some(b'"' | b'\'') => Value::String(self.string()?),
            Some(b'-' | b'+' | b'.' | b'0'..=b'9') => self.number(),
            Some(byte) if byte.is_ascii_alphabetic() => self.word()?,
            Some(_) => {
                let range = start..start + self.word_length();
                let found = &self.text[range.clone()];
                let message = format!("a value is expected, found `{found}`");
                return Err(self.broken(range, message, "expected a value"));
            }
            None => {
                return Err(self.broken(start..start, "the text ends where a value is expected", "expected a value"));
            }
        };
        Ok(Node::new(self.span(start..self.at), value))
    }

    fn object(&mut self) -> Parsed<Value> {
        let open = self.open()?;
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen: HashMap<String, usize> = HashMap::new();
        loop {
            self.skip_space();
            match self.peek() {
                Some(b'}') => break,
                Some(b'"' | b'\'') => {}
                None => return Err(self.unclosed(open, "object", '}')),
                Some(_) => {
                    let range = self.at..self.at + self.word_length();
                    let message = format!("a key in double quotes is expected, found `{}`", &self.text[range.clone()]);
                    return Err(self.broken(range, message, "expected a key"));
                }
            }
            let key_start = self.at;
            let key = self.string()?;
            let key_span = self.span(key_start..self.at);
            self.skip_space();
            if self.peek() != Some(b':') {
                let message = format!("`:` is expected after the key `{key}`");
                return Err(self.broken(self.at..self.at + self.word_length(), message, "expected `:`"));
            }
            self.at += 1;
            self.skip_space();
            let value = self.value()?;
            if let Some(&first) = seen.get(&key) {
                self.errors.push(
                    Diagnostic::new(Code::DuplicateKey, format!("the key `{key}` is given twice in one object"))
                        .labelled(key_span, "given again here")
                        .context(entries[first].key_span, "first given here")
                        .help("remove one of them"),
                );
            } else {
                seen.insert(key.clone(), entries.len());
                entries.push(Entry { key, key_span, value });
            }
            if !self.comma(open, "object", b'}')? {
                break;
            }
        }
        self.close(open);
        Ok(Value::Object(entries))
    }

    fn array(&mut self) -> Parsed<Value> {
        let open = self.open()?;
        let mut items = Vec::new();
        loop {
            self.skip_space();
            match self.peek() {
                Some(b']') => break,
                None => return Err(self.unclosed(open, "list", ']')),
                Some(_) => {}
            }
            items.push(self.value()?);
            if !self.comma(open, "list", b']')? {
                break;
            }
        }
        self.close(open);
        Ok(Value::Array(items))
    }

    /// After a value: whether another one may follow. Reports a last comma and a forgotten one.
    fn comma(&mut self, open: usize, what: &str, end: u8) -> Parsed<bool> {
        let value_end = self.at;
        self.skip_space();
        match self.peek() {
            Some(b',') => {
                let comma = self.at;
                self.at += 1;
                self.skip_space();
                if self.peek() == Some(end) {
                    self.error(
                        comma..comma + 1,
                        format!("there is a comma after the last element of the {what}"),
                        "remove it",
                    );
                    return Ok(false);
                }
                if self.peek() == Some(b',') {
                    return Err(self.broken(self.at..self.at + 1, "there are two commas in a row", "expected a value"));
                }
                Ok(true)
            }
            Some(byte) if byte == end => Ok(false),
            // only where the next element begins unmistakably: anything else is a structure that we cannot guess
            Some(b'"' | b'{' | b'[') if what == "list" || self.peek() == Some(b'"') => {
                self.error(
                    value_end..value_end,
                    format!("a comma is missing between two elements of the {what}"),
                    "expected `,`",
                );
                Ok(true)
            }
            Some(_) => {
                let range = self.at..self.at + self.word_length();
                let message = format!("`,` or `{}` is expected, found `{}`", end as char, &self.text[range.clone()]);
                let span = self.span(range);
                let opened = self.span(open..open + 1);
                self.errors.push(
                    Diagnostic::new(Code::InvalidJson, message)
                        .labelled(span, "not expected here")
                        .context(opened, format!("the {what} that begins here is not closed yet")),
                );
                Err(Broken)
            }
            None => Err(self.unclosed(open, what, end as char)),
        }
    }

    fn string(&mut self) -> Parsed<String> {
        let start = self.at;
        let quote = self.text.as_bytes()[start];
        let mut bytes = self.text.as_bytes()[start + 1..].iter().enumerate();
        let mut end = None;
        while let Some((offset, &byte)) = bytes.next() {
            match byte {
                b'\\' => {
                    bytes.next();
                }
                b'\n' => break,
                _ if byte == quote => {
                    end = Some(start + 1 + offset);
                    break;
                }
                _ => {}
            }
        }
        let Some(end) = end else {
            let line_end = self.text[start..].find('\n').map_or(self.text.len(), |at| start + at);
            self.at = line_end;
            return Err(self.broken(start..line_end, "the string is not closed on its line", "the string begins here"));
        };
        self.at = end + 1;
        if quote == b'\'' {
            self.error(start..end + 1, "strings stand in double quotes in JSON", "single quotes");
        }
        match text::unescape(&self.text[start + 1..end]) {
            Ok(text) => Ok(text),
            Err(problem) => {
                let at = start + 1 + problem.at;
                self.error(at..at + problem.length, problem.message, "in this string");
                Ok(problem.recovered)
            }
        }
    }

    fn number(&mut self) -> Value {
        let start = self.at;
        let length = self.text[start..]
            .bytes()
            .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b'_'))
            .count();
        self.at += length;
        let spelled = &self.text[start..self.at];
        // serde_json's own grammar and rounding, so that a config means the same to every JSON reader
        if let Ok(number) = serde_json::from_str::<Number>(spelled) {
            return Value::Number(number);
        }
        let cured = text::python_number(spelled);
        let message = if spelled.parse::<f64>().is_ok_and(|number| !number.is_finite()) {
            format!("the number `{spelled}` is too large, or not finite")
        } else {
            format!("`{spelled}` is not a JSON number")
        };
        let span = self.span(start..self.at);
        let help = cured.as_ref().map(|number| format!("write `{number}`"));
        self.errors.push(Diagnostic::new(Code::InvalidJson, message).at(span).maybe_help(help));
        cured.map_or(Value::Invalid, Value::Number)
    }

    fn word(&mut self) -> Parsed<Value> {
        let range = self.at..self.at + self.word_length();
        let word = &self.text[range.clone()];
        let (value, spelled) = match word.to_ascii_lowercase().as_str() {
            "true" => (Value::Bool(true), "true"),
            "false" => (Value::Bool(false), "false"),
            "null" | "none" => (Value::Null, "null"),
            _ => {
                let message = format!("a value is expected, found `{word}`; a text needs double quotes");
                return Err(self.broken(range, message, "expected a value"));
            }
        };
        if word != spelled {
            let span = self.span(range.clone());
            self.errors.push(
                Diagnostic::new(Code::InvalidJson, format!("`{word}` is not JSON"))
                    .at(span)
                    .help(format!("write `{spelled}`")),
            );
        }
        self.at = range.end;
        Ok(value)
    }

    /// White space, and comments, which are reported.
    fn skip_space(&mut self) {
        loop {
            let rest = &self.text[self.at..];
            self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
            let rest = &self.text[self.at..];
            let length = if rest.starts_with("//") || rest.starts_with('#') {
                rest.find('\n').unwrap_or(rest.len())
            } else if rest.starts_with("/*") {
                rest.find("*/").map_or(rest.len(), |end| end + 2)
            } else {
                return;
            };
            let span = self.span(self.at..self.at + length);
            self.errors.push(
                Diagnostic::new(Code::InvalidJson, "comments are not allowed in JSON")
                    .at(span)
                    .help("keep a remark in a key that starts with an underscore: \"_comment\": \"…\""),
            );
            self.at += length;
        }
    }

    fn open(&mut self) -> Parsed<usize> {
        let open = self.at;
        if self.depth == MAX_DEPTH {
            let message = format!("values are nested deeper than {MAX_DEPTH} levels");
            return Err(self.broken(open..open + 1, message, "the level that is too deep"));
        }
        self.depth += 1;
        self.at += 1;
        Ok(open)
    }

    fn close(&mut self, open: usize) {
        let (open_line, close_line) = (self.line_start(open), self.line_start(self.at));
        let is_alone = self.text[close_line..self.at].trim_start().is_empty();
        if open_line != close_line && is_alone && self.indentation(open_line) != self.indentation(close_line) {
            self.suspect.get_or_insert((open, self.at));
        }
        self.depth -= 1;
        self.at += 1;
    }

    fn line_start(&self, at: usize) -> usize {
        self.text[..at].rfind('\n').map_or(0, |newline| newline + 1)
    }

    fn indentation(&self, line_start: usize) -> &str {
        let line = &self.text[line_start..];
        &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Length of the word here, for carets: letters and digits, or one character.
    fn word_length(&self) -> usize {
        let rest = &self.text[self.at..];
        let word: usize = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').map(char::len_utf8).sum();
        if word > 0 { word } else { rest.chars().next().map_or(0, char::len_utf8) }
    }

    fn span(&self, range: std::ops::Range<usize>) -> Span {
        Span { source: self.source, start: range.start, end: range.end }
    }

    fn error(&mut self, range: std::ops::Range<usize>, message: impl Into<String>, label: &str) {
        let span = self.span(range);
        self.errors.push(Diagnostic::new(Code::InvalidJson, message).labelled(span, label));
    }

    fn broken(&mut self, range: std::ops::Range<usize>, message: impl Into<String>, label: &str) -> Broken {
        self.error(range, message, label);
        Broken
    }

    fn unclosed(&mut self, open: usize, what: &str, end: char) -> Broken {
        let message = format!("this {what} is not closed: `{end}` is missing at the end of the text");
        let mut diagnostic =
            Diagnostic::new(Code::InvalidJson, message).labelled(self.span(open..open + 1), "begins here");
        if let Some((open, close)) = self.suspect {
            diagnostic = diagnostic
                .context(self.span(open..open + 1), "what begins here …")
                .context(self.span(close..close + 1), "… ends here, indented differently: is its own end missing?");
        }
        self.errors.push(diagnostic);
        Broken
    }
}
