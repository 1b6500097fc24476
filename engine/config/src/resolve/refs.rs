//! `{"ref": "Spacingd"}`: a component of `train`, used again.

use super::component::Slot;
use super::keys::is_comment;
use super::section::Builder;
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::document::{Node, Value, child_pointer};
use crate::plan::{Component, ComponentId};
use crate::suggest::{did_you_mean_help, list};

impl Builder<'_> {
    /// `{"ref": "Spacingd"}`: the component of `train` with that name.
    pub(super) fn ref_component(
        &mut self,
        node: &Node,
        list_key: &str,
        pointer: &str,
        slot: Slot,
    ) -> Option<Component> {
        if !self.is_enabled(node, pointer) {
            return None;
        }
        for entry in node
            .entries()
            .iter()
            .filter(|entry| !matches!(entry.key.as_str(), "ref" | "disabled") && !is_comment(&entry.key))
        {
            self.push(
                Diagnostic::new(Code::UnknownKey, format!("a `ref` cannot have `{}`", entry.key))
                    .labelled(entry.key_span, "not used")
                    .pointer(child_pointer(pointer, &entry.key))
                    .help("write the whole component, or change the one in `train`"),
            );
        }
        if let Some(name) = node.get("ref").filter(|name| matches!(name.value, Value::Null)) {
            self.expected(name, &child_pointer(pointer, "ref"), "`ref`", "the name of a component of `train`");
        }
        let name = self.text(node, "ref", pointer)?;
        let train = self.root.get("train").unwrap_or(self.root);
        // the list of the same name comes first: `Activationsd` may stand in several
        let lists = [list_key, "pre_transforms", "post_transforms", "handlers"];
        let candidates: Vec<(String, &Node)> = lists
            .iter()
            .enumerate()
            .filter(|&(position, key)| position == 0 || *key != list_key)
            .flat_map(|(_, key)| {
                let items = train.get(key).map_or(&[][..], Node::items);
                items.iter().enumerate().map(move |(index, item)| (format!("/train/{key}/{index}"), item))
            })
            .filter(|(_, item)| item.get("ref").is_none())
            .collect();
        let id = |item: &Node| ComponentId {
            name: item.get("name").and_then(Node::as_str).map(str::to_owned),
            path: item.get("path").and_then(Node::as_str).map(str::to_owned),
        };
        let mut matching = candidates.iter().filter(|(_, item)| id(item).answers_to(&name));
        let first = matching.next();
        let is_off =
            |item: &Node| matches!(item.get("disabled").map(|disabled| &disabled.value), Some(Value::Bool(true)));
        let Some((target, item)) =
            first.filter(|(_, item)| !is_off(item)).or_else(|| matching.find(|(_, item)| !is_off(item))).or(first)
        else {
            // a list that is none has been reported
            if train.get(list_key).is_some_and(|list| !matches!(list.value, Value::Array(_) | Value::Null)) {
                return None;
            }
            let labels: Vec<String> = candidates.iter().map(|(_, item)| id(item).label().to_owned()).collect();
            let help = did_you_mean_help(&name, labels.iter().map(String::as_str));
            let span = node.get("ref").map_or(node.span, |node| node.span);
            let mut diagnostic =
                Diagnostic::new(Code::UnknownRef, format!("`ref` names no component of `train`: `{name}`"))
                    .labelled(span, "not in `train`")
                    .pointer(child_pointer(pointer, "ref"));
            if help.is_none() && !labels.is_empty() {
                diagnostic = diagnostic.note(format!("`train` has {}", list(&labels, "and")));
            }
            self.push(diagnostic.maybe_help(help));
            return None;
        };
        self.component(item, target, slot)
    }
}
