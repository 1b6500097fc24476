//! `{VAR}`: values given once and used by name.
//!
//! A variable is a key of the config's root, of the environment, or of a `--set`; later ones win. A string that is
//! nothing but `{VAR}` takes the value with its JSON type; inside a longer string its text is put in.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value as Json;

use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::document::{Node, Substituted, Value};
use crate::expressions;
use crate::show::Origin;
use crate::source::{Sources, Span};

/// A variable, its value after all substitution, and where it comes from.
#[derive(Debug, Clone)]
pub struct Variable {
    /// The name.
    pub name: String,
    /// The value.
    pub value: Json,
    /// Where the value stands.
    pub origin: Origin,
    /// Whether the config uses it.
    pub used: bool,
}

/// A part of a string.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    Variable(&'a str),
}

/// Splits `a{B}c`. Braces around anything but a name are text.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut searched = 0;
    while let Some(open) = rest[searched..].find('{').map(|at| searched + at) {
        let after = &rest[open + 1..];
        let name_length = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
        let is_variable =
            after[name_length..].starts_with('}') && after.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !is_variable {
            searched = open + 1;
            continue;
        }
        if open > 0 {
            pieces.push(Piece::Text(&rest[..open]));
        }
        pieces.push(Piece::Variable(&after[..name_length]));
        rest = &after[name_length + 1..];
        searched = 0;
    }
    if !rest.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    pieces
}

/// Adds the names of all variables that strings below a node name.
pub(crate) fn collect_names(node: &Node, names: &mut HashSet<String>) {
    match &node.value {
        Value::String(text) if !expressions::is_expression(text) => {
            names.extend(pieces(text).into_iter().filter_map(|piece| match piece {
                Piece::Variable(name) => Some(name.to_owned()),
                Piece::Text(_) => None,
            }));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_names(item, names)),
        Value::Object(entries) => entries.iter().for_each(|entry| collect_names(&entry.value, names)),
        _ => {}
    }
}

#[derive(Debug)]
enum State {
    Raw,
    Resolving,
    Resolved(Node),
}

#[derive(Debug)]
struct Definition {
    name: String,
    key_span: Span,
    raw: Node,
    state: State,
    used: bool,
}

/// All variables of a config.
#[derive(Debug, Default)]
pub(crate) struct Variables {
    definitions: Vec<Definition>,
    by_name: HashMap<String, usize>,
}

impl Variables {
    /// Defines a variable; a later definition of the same name wins.
    pub(crate) fn define(&mut self, name: &str, key_span: Span, value: Node) {
        let definition = Definition { name: name.to_owned(), key_span, raw: value, state: State::Raw, used: false };
        if let Some(&index) = self.by_name.get(name) {
            self.definitions[index] = definition;
        } else {
            self.by_name.insert(name.to_owned(), self.definitions.len());
            self.definitions.push(definition);
        }
    }

    /// Resolves the variables themselves: they may name each other.
    pub(crate) fn resolve(&mut self, errors: &mut Vec<Diagnostic>) {
        for index in 0..self.definitions.len() {
            self.resolve_one(index, &mut Vec::new(), errors);
        }
    }

    fn resolve_one(&mut self, index: usize, chain: &mut Vec<usize>, errors: &mut Vec<Diagnostic>) {
        match self.definitions[index].state {
            State::Resolved(_) => return,
            State::Resolving => {
                let start = chain.iter().position(|&other| other == index).unwrap_or_default();
                errors.push(self.cycle(&chain[start..]));
                for &member in &chain[start..] {
                    let span = self.definitions[member].raw.span;
                    self.definitions[member].state = State::Resolved(Node::new(span, Value::Invalid));
                }
                return;
            }
            State::Raw => {}
        }
        self.definitions[index].state = State::Resolving;
        chain.push(index);
        let raw = self.definitions[index].raw.clone();
        let mut names = HashSet::new();
        collect_names(&raw, &mut names);
        let mut needed: Vec<usize> = names.iter().filter_map(|name| self.by_name.get(name).copied()).collect();
        needed.sort_unstable();
        for other in needed {
            self.resolve_one(other, chain, errors);
        }
        chain.pop();
        // a member of a cycle is resolved by now, to nothing
        if matches!(self.definitions[index].state, State::Resolving) {
            let resolved = self.substitute(&raw, errors);
            self.definitions[index].state = State::Resolved(resolved);
        }
    }

    fn cycle(&self, members: &[usize]) -> Diagnostic {
        let names: Vec<&str> = members.iter().map(|&member| self.definitions[member].name.as_str()).collect();
        let first = &self.definitions[members[0]];
        let way = names.iter().chain(names.first()).map(|name| format!("{{{name}}}")).collect::<Vec<_>>().join(" → ");
        let message = if let [only] = names.as_slice() {
            format!("the variable `{only}` is defined by itself")
        } else {
            format!("the variables {} are defined by each other", crate::suggest::list(&names, "and"))
        };
        let mut diagnostic = Diagnostic::new(Code::VariableCycle, message)
            .labelled(first.raw.span, way)
            .pointer(format!("/{}", first.name));
        for &member in &members[1..] {
            diagnostic = diagnostic.context(self.definitions[member].raw.span, "part of the circle");
        }
        diagnostic.help("give one of them a value of its own")
    }

    /// The value of a variable, after substitution.
    pub(crate) fn value(&self, name: &str) -> Option<&Node> {
        let definition = &self.definitions[*self.by_name.get(name)?];
        match &definition.state {
            State::Resolved(node) => Some(node),
            State::Raw | State::Resolving => None,
        }
    }

    /// Marks a variable whose value was reported as wrong.
    pub(crate) fn invalidate(&mut self, name: &str) {
        if let Some(&index) = self.by_name.get(name) {
            let span = self.definitions[index].raw.span;
            self.definitions[index].state = State::Resolved(Node::new(span, Value::Invalid));
        }
    }

    /// The names of all variables.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.definitions.iter().map(|definition| definition.name.as_str())
    }

    /// Where the name of a variable stands where it is defined.
    pub(crate) fn key_span(&self, name: &str) -> Option<Span> {
        self.by_name.get(name).map(|&index| self.definitions[index].key_span)
    }

    /// Whether something names the variable.
    pub(crate) fn is_used(&self, name: &str) -> bool {
        self.by_name.get(name).is_some_and(|&index| self.definitions[index].used)
    }

    /// A copy of a value with all variables below it put in.
    pub(crate) fn substitute(&mut self, node: &Node, errors: &mut Vec<Diagnostic>) -> Node {
        let value = match &node.value {
            Value::String(text) if text.contains('{') && !expressions::is_expression(text) => {
                return self.substitute_text(node, text, errors);
            }
            Value::Array(items) => Value::Array(items.iter().map(|item| self.substitute(item, errors)).collect()),
            Value::Object(entries) => Value::Object(
                entries
                    .iter()
                    .map(|entry| crate::document::Entry {
                        key: entry.key.clone(),
                        key_span: entry.key_span,
                        value: self.substitute(&entry.value, errors),
                    })
                    .collect(),
            ),
            other => other.clone(),
        };
        Node { span: node.span, value, substituted: node.substituted.clone() }
    }

    fn substitute_text(&mut self, node: &Node, text: &str, errors: &mut Vec<Diagnostic>) -> Node {
        let pieces = pieces(text);
        let whole = matches!(pieces.as_slice(), [Piece::Variable(_)]);
        let mut missing: Vec<String> = Vec::new();
        let mut joined = String::new();
        let mut substituted = None;
        for piece in pieces {
            let name = match piece {
                Piece::Text(text) => {
                    joined.push_str(text);
                    continue;
                }
                Piece::Variable(name) => name,
            };
            let Some(&index) = self.by_name.get(name) else {
                missing.push(name.to_owned());
                joined.extend(["{", name, "}"]);
                continue;
            };
            self.definitions[index].used = true;
            let State::Resolved(value) = &self.definitions[index].state else { continue };
            let origin = Arc::new(Substituted { variable: name.to_owned(), defined: value.span });
            if whole {
                return Node { span: node.span, value: value.value.clone(), substituted: Some(origin) };
            }
            match &value.value {
                Value::String(text) => joined.push_str(text),
                Value::Unresolved { text, missing: inner } => {
                    joined.push_str(text);
                    missing.extend(inner.iter().cloned());
                }
                Value::Invalid => return Node::new(node.span, Value::Invalid),
                Value::Number(_) | Value::Bool(_) => joined.push_str(&value.to_json().to_string()),
                _ => {
                    let found = value.described();
                    errors.push(
                        Diagnostic::new(
                            Code::VariableInText,
                            format!("`{{{name}}}` is {found} and cannot be put into a longer string"),
                        )
                        .labelled(node.span, "used in this string")
                        .context(value.span, format!("`{name}` is set here"))
                        .help(format!("use it as a whole value: \"{{{name}}}\"")),
                    );
                    return Node::new(node.span, Value::Invalid);
                }
            }
            substituted = Some(origin);
        }
        let value =
            if missing.is_empty() { Value::String(joined) } else { Value::Unresolved { text: joined, missing } };
        Node { span: node.span, value, substituted }
    }

    /// The variables for `mmar show`.
    pub(crate) fn list(&self, sources: &Sources) -> Vec<Variable> {
        self.definitions
            .iter()
            .filter_map(|definition| {
                let value = self.value(&definition.name)?;
                Some(Variable {
                    name: definition.name.clone(),
                    value: value.to_json(),
                    origin: Origin::of(definition.raw.span, sources),
                    used: definition.used,
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_braces_are_found_and_other_braces_are_text() {
        use Piece::{Text, Variable};
        let cases: [(&str, Vec<Piece<'_>>); 8] = [
            ("{A}", vec![Variable("A")]),
            ("{A}/segs", vec![Variable("A"), Text("/segs")]),
            ("x{A_1}{b}y", vec![Text("x"), Variable("A_1"), Variable("b"), Text("y")]),
            ("", vec![Text("")]),
            ("{}", vec![Text("{}")]),
            ("\\d{3}", vec![Text("\\d{3}")]),
            ("{a.b}{c", vec![Text("{a.b}{c")]),
            ("{{A}", vec![Text("{"), Variable("A")]),
        ];
        for (text, expected) in cases {
            assert_eq!(pieces(text), expected, "{text}");
        }
    }
}
