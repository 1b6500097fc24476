//! One component: its identity, its switches, its arguments.

use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::keys::is_comment;
use super::root::report_unresolved;
use super::section::Builder;
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::document::{Entry, Node, Value, child_pointer};
use crate::plan::{Component, ComponentId};
use crate::settings::integer;
use crate::suggest::{did_you_mean_help, list};

/// The keys that every component may have.
const COMMON_KEYS: [&str; 6] = ["name", "path", "args", "disabled", "search", "apply"];

/// What kind of component a place holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    /// The kind, as a [`crate::Catalog`] knows it.
    pub(super) kind: &'static str,
    /// How messages name it.
    pub(super) what: &'static str,
    /// Keys beside the common ones.
    pub(super) keys: &'static [&'static str],
}

impl Slot {
    pub(super) const fn new(kind: &'static str, what: &'static str, keys: &'static [&'static str]) -> Self {
        Self { kind, what, keys }
    }
}

impl Builder<'_> {
    /// Reads a component. `None` if it is disabled or cannot be used; the latter has been reported.
    pub(super) fn component(&mut self, node: &Node, pointer: &str, slot: Slot) -> Option<Component> {
        if !self.is_object(node, pointer, slot) || !self.is_enabled(node, pointer) {
            return None;
        }
        self.check_component_keys(node, pointer, slot);
        let name = self.text(node, "name", pointer);
        let path = self.text(node, "path", pointer);
        let given = |key| node.get(key).filter(|node| !matches!(node.value, Value::Null));
        let named = given("path").or_else(|| given("name"));
        let Some(named) = named else {
            self.push(
                Diagnostic::new(Code::MissingKey, format!("the {} has neither `name` nor `path`", slot.what))
                    .labelled(node.span, "which one?")
                    .pointer(pointer)
                    .help("name a built-in: \"name\": \"…\", or a component of your own: \"path\": \"BYOC.module.Component\""),
            );
            return None;
        };
        if name.is_none() && path.is_none() {
            return None;
        }
        let args = self.component_args(node, pointer);
        let rank = node.get("rank").and_then(|rank| {
            let value = integer(rank).and_then(|value| u32::try_from(value).ok());
            if value.is_none() {
                self.expected(rank, &child_pointer(pointer, "rank"), "`rank`", "a whole number from 0");
            }
            value
        });
        let component = Component {
            id: ComponentId { name, path },
            args: match args.as_ref().map(Node::to_json) {
                Some(Json::Object(args)) => Json::Object(args),
                _ => Json::Object(Map::new()),
            },
            rank,
            pointer: pointer.to_owned(),
            span: named.span,
            node: args.map(Arc::new),
        };
        Some(component)
    }

    /// Remembers a component that will be made, so that its arguments are checked.
    pub(super) fn keep(&mut self, slot: Slot, component: Component) -> Component {
        self.components.push((slot.kind, component.clone()));
        component
    }

    fn component_args(&mut self, node: &Node, pointer: &str) -> Option<Node> {
        let args = node.get("args")?;
        let pointer = child_pointer(pointer, "args");
        match &args.value {
            Value::Object(_) => Some(self.arguments(args, &pointer)),
            Value::Null => None,
            Value::Invalid => Some(args.clone()),
            Value::Unresolved { .. } => {
                report_unresolved(args, &pointer, self.variables, self.diagnostics);
                Some(Node::new(args.span, Value::Invalid))
            }
            _ => {
                self.expected(args, &pointer, "`args`", "an object of arguments");
                Some(Node::new(args.span, Value::Invalid))
            }
        }
    }

    fn is_object(&mut self, node: &Node, pointer: &str, slot: Slot) -> bool {
        match &node.value {
            Value::Object(_) => true,
            Value::Invalid => false,
            Value::Unresolved { .. } => {
                report_unresolved(node, pointer, self.variables, self.diagnostics);
                false
            }
            _ => {
                let mut diagnostic = Diagnostic::new(
                    Code::UnexpectedType,
                    format!("the {} must be an object with `name` or `path`, found {}", slot.what, node.described()),
                )
                .labelled(node.span, "expected an object")
                .pointer(pointer);
                if let Some(text) = node.as_str() {
                    let key = if text.contains('.') { "path" } else { "name" };
                    diagnostic = diagnostic.help(format!("write {{\"{key}\": \"{text}\"}}"));
                }
                self.push(diagnostic);
                false
            }
        }
    }

    /// Reads `disabled`. What cannot be read counts as disabled, so that nothing else is said about the component.
    pub(super) fn is_enabled(&mut self, node: &Node, pointer: &str) -> bool {
        let Some(disabled) = node.get("disabled") else { return true };
        let pointer = child_pointer(pointer, "disabled");
        match &disabled.value {
            Value::Bool(disabled) => !disabled,
            Value::Null => true,
            Value::Unresolved { .. } => {
                report_unresolved(disabled, &pointer, self.variables, self.diagnostics);
                false
            }
            _ => {
                self.expected(disabled, &pointer, "`disabled`", "`true` or `false`");
                false
            }
        }
    }

    fn check_component_keys(&mut self, node: &Node, pointer: &str, slot: Slot) {
        for entry in node.entries() {
            let key = entry.key.as_str();
            if is_comment(key) || COMMON_KEYS.contains(&key) || slot.keys.contains(&key) {
                continue;
            }
            let known: Vec<&str> = COMMON_KEYS.iter().chain(slot.keys).copied().collect();
            let help = match did_you_mean_help(key, known.iter().copied()) {
                Some(help) => help,
                None if node.get("args").is_some() => format!("if `{key}` is an argument, move it into `args`"),
                None => format!(
                    "if `{key}` is an argument, write \"args\": {{\"{key}\": …}}; other keys are {}",
                    list(&known, "and")
                ),
            };
            self.push(
                Diagnostic::new(Code::UnknownKey, format!("a {} has no key `{key}`", slot.what))
                    .labelled(entry.key_span, "unknown key")
                    .pointer(child_pointer(pointer, key))
                    .help(help),
            );
        }
    }

    /// A key that holds a text.
    pub(super) fn text(&mut self, node: &Node, key: &str, pointer: &str) -> Option<String> {
        let value = node.get(key)?;
        match &value.value {
            Value::String(text) if !text.trim().is_empty() => return Some(text.trim().to_owned()),
            Value::Null | Value::Invalid => {}
            Value::Unresolved { .. } => {
                report_unresolved(value, &child_pointer(pointer, key), self.variables, self.diagnostics);
            }
            _ => self.expected(value, &child_pointer(pointer, key), &format!("`{key}`"), "a text that is not empty"),
        }
        None
    }

    /// A key that holds `true` or `false`.
    pub(super) fn flag(&mut self, node: &Node, key: &str, pointer: &str) -> Option<bool> {
        let value = node.get(key)?;
        if let Value::Bool(flag) = value.value {
            return Some(flag);
        }
        self.expected(value, &child_pointer(pointer, key), &format!("`{key}`"), "`true` or `false`");
        None
    }

    /// Reports a value of the wrong type.
    pub(super) fn expected(&mut self, node: &Node, pointer: &str, what: &str, expected: &str) {
        if matches!(node.value, Value::Invalid) {
            return;
        }
        if matches!(node.value, Value::Unresolved { .. }) {
            report_unresolved(node, pointer, self.variables, self.diagnostics);
            return;
        }
        let mut diagnostic =
            Diagnostic::new(Code::UnexpectedType, format!("{what} must be {expected}, found {}", node.described()))
                .at(node.span)
                .pointer(pointer);
        if let Some(substituted) = &node.substituted {
            diagnostic = diagnostic.context(substituted.defined, format!("`{}` is set here", substituted.variable));
        }
        let unquoted = node.as_str().and_then(crate::overrides::literal).filter(|value| !value.is_string());
        self.push(
            diagnostic
                .maybe_help(unquoted.map(|value| format!("remove the quotes: {}", crate::document::inline(&value)))),
        );
    }

    pub(super) fn push(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Takes an entry out of a component's arguments: the engine reads it itself.
    pub(super) fn take_argument(component: &mut Component, name: &str) -> Option<Node> {
        if let Json::Object(args) = &mut component.args {
            args.shift_remove(name);
        }
        let mut node = component.node.as_deref()?.clone();
        let Value::Object(entries) = &mut node.value else { return None };
        let index = entries.iter().position(|entry: &Entry| entry.key == name)?;
        let taken = entries.remove(index).value;
        component.node = Some(Arc::new(node));
        Some(taken)
    }
}
