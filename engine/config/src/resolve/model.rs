//! The model: a component, or a list of alternatives of which the first enabled one is used.

use super::component::Slot;
use super::keys::is_comment;
use super::section::{Builder, Place};
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::document::{Node, Value, child_pointer};
use crate::plan::{Model, ModelFile};

const NETWORK: Slot = Slot::new("network", "model", &[]);

impl Builder<'_> {
    /// The enabled alternatives.
    pub(super) fn model(&mut self, section: &Node, pointer: &str) -> Vec<Model> {
        let Some(entry) = section.entry("model") else { return Vec::new() };
        let pointer = child_pointer(pointer, "model");
        let before = self.diagnostics.len();
        let (models, count): (Vec<Model>, usize) = match &entry.value.value {
            Value::Array(items) => {
                let models = items
                    .iter()
                    .enumerate()
                    .filter_map(|(index, item)| self.one_model(item, &child_pointer(&pointer, index)))
                    .collect();
                (models, items.len())
            }
            _ => (self.one_model(&entry.value, &pointer).into_iter().collect(), 1),
        };
        if models.is_empty() && before == self.diagnostics.len() && self.place != Place::Validate {
            let message = match count {
                0 => "`model` is an empty list",
                1 => "the model is disabled",
                _ => "every alternative of the model is disabled",
            };
            let mut diagnostic =
                Diagnostic::new(Code::NoModel, message).labelled(entry.key_span, "no model is left").pointer(pointer);
            for name in ["dont_load_ckpt_model", "dont_load_ts_model"] {
                if self.variables.is_used(name) {
                    diagnostic = diagnostic.help(format!("enable one: --set {name}=False"));
                }
            }
            self.push(diagnostic);
        }
        models
    }

    fn one_model(&mut self, node: &Node, pointer: &str) -> Option<Model> {
        let key = ["ts_path", "ckpt_path"].into_iter().find(|key| node.get(key).is_some());
        let Some(key) = key else {
            let component = self.component(node, pointer, NETWORK)?;
            return Some(Model::Component(self.keep(NETWORK, component)));
        };
        if !self.is_enabled(node, pointer) {
            return None;
        }
        for entry in
            node.entries().iter().filter(|entry| entry.key != key && entry.key != "disabled" && !is_comment(&entry.key))
        {
            self.push(
                Diagnostic::new(Code::UnknownKey, format!("a model with `{key}` cannot have `{}`", entry.key))
                    .labelled(entry.key_span, "unknown key")
                    .pointer(child_pointer(pointer, &entry.key))
                    .help("a file and a component are two alternatives: write \"model\": [{…}, {…}]"),
            );
        }
        let path = self.text(node, key, pointer)?;
        let span = node.get(key).map_or(node.span, |node| node.span);
        let file = ModelFile { path: self.path(&path), pointer: child_pointer(pointer, key), span };
        Some(if key == "ts_path" { Model::TorchScript(file) } else { Model::Checkpoint(file) })
    }
}
