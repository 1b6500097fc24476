//! The arguments of a component: references and expressions in place of their strings.

use super::root::report_unresolved;
use super::section::{Builder, Place};
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::document::{Entry, Node, Value, child_pointer};
use crate::expressions::{self, Expression, FORMS};
use crate::references::{self, OBJECTS};
use crate::source::Span;
use crate::suggest::{did_you_mean_help, list};

impl Builder<'_> {
    /// A copy of the arguments in which strings stand for nothing but themselves.
    pub(super) fn arguments(&mut self, node: &Node, pointer: &str) -> Node {
        let value = match &node.value {
            Value::String(text) => self.string(text, node.span, pointer),
            Value::Unresolved { .. } => {
                report_unresolved(node, pointer, self.variables, self.diagnostics);
                Value::Invalid
            }
            Value::Array(items) => Value::Array(
                items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| self.arguments(item, &child_pointer(pointer, index)))
                    .collect(),
            ),
            Value::Object(entries) => Value::Object(
                entries
                    .iter()
                    .map(|entry| Entry {
                        key: entry.key.clone(),
                        key_span: entry.key_span,
                        value: self.arguments(&entry.value, &child_pointer(pointer, &entry.key)),
                    })
                    .collect(),
            ),
            other => other.clone(),
        };
        Node { span: node.span, value, substituted: node.substituted.clone() }
    }

    fn string(&mut self, text: &str, span: Span, pointer: &str) -> Value {
        if expressions::is_expression(text) {
            return self.expression(text, span, pointer);
        }
        if let Some(name) = references::parse(text) {
            return if self.reference(name, span, pointer) {
                Value::Reference(name.to_owned())
            } else {
                Value::Invalid
            };
        }
        if let Ok(expression @ Expression::Parameters { .. }) = expressions::parse(&format!("#{text}")) {
            let Expression::Parameters { object } = &expression else { return Value::Invalid };
            self.diagnostics.push(
                Diagnostic::new(Code::UnsupportedExpression, format!("`{text}` is an expression without its `#`"))
                    .labelled(span, "read as a plain text")
                    .pointer(pointer)
                    .help(format!("write \"#@{object}.parameters()\"")),
            );
            return Value::Invalid;
        }
        Value::String(text.to_owned())
    }

    fn expression(&mut self, text: &str, span: Span, pointer: &str) -> Value {
        match expressions::parse(text) {
            Ok(Expression::Parameters { object }) if object != "model" => {
                if self.reference(&object, span, pointer) {
                    self.diagnostics.push(
                        Diagnostic::new(Code::UnsupportedExpression, format!("`@{object}` has no parameters"))
                            .labelled(span, "only the model has")
                            .pointer(pointer)
                            .help("write \"#@model.parameters()\""),
                    );
                }
                Value::Invalid
            }
            Ok(expression) => {
                if let Expression::Parameters { object } = &expression
                    && !self.reference(object, span, pointer)
                {
                    return Value::Invalid;
                }
                Value::Expression(expression)
            }
            Err(unsupported) => {
                let mut diagnostic = Diagnostic::new(
                    Code::UnsupportedExpression,
                    format!("the expression `{}` is not supported", shorten(text)),
                )
                .labelled(span, "configs hold no code")
                .pointer(pointer);
                diagnostic = match unsupported.replacement {
                    Some(replacement) => diagnostic.help(replacement),
                    None => diagnostic.note(format!("these forms work:\n{}", FORMS.join("\n"))),
                };
                self.diagnostics.push(diagnostic);
                Value::Invalid
            }
        }
    }

    /// Whether `@name` names an object that this run has; reports it if not.
    fn reference(&mut self, name: &str, span: Span, pointer: &str) -> bool {
        if name == "conf" || self.has_object(name) {
            return true;
        }
        let mut diagnostic = if OBJECTS.contains(&name) {
            let state = if self.is_disabled(name) { "is disabled" } else { "is missing" };
            Diagnostic::new(Code::UnknownReference, format!("`@{name}` names nothing: `{name}` {state} in this config"))
        } else {
            Diagnostic::new(Code::UnknownReference, format!("`@{name}` names nothing"))
        };
        diagnostic = diagnostic.labelled(span, "no such object").pointer(pointer);
        if name == "evaluator" && self.place == Place::Train && self.root.get("validate").is_none() {
            let help = "add a `validate` section with an `evaluator`, or remove what runs it";
            self.diagnostics.push(diagnostic.note("the config has no `validate` section").help(help));
            return false;
        }
        let known: Vec<String> = OBJECTS
            .iter()
            .filter(|object| **object == "conf" || self.has_object(object))
            .map(|object| format!("@{object}"))
            .collect();
        diagnostic = match did_you_mean_help(&format!("@{name}"), known.iter().map(String::as_str)) {
            Some(help) => diagnostic.help(help),
            None => diagnostic.note(format!("the objects of this section: {}", list(&known, "and"))),
        };
        self.diagnostics.push(diagnostic);
        false
    }
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= 70 { text.to_owned() } else { text.chars().take(69).chain(['…']).collect() }
}
