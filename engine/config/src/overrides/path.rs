//! Paths into a config: `train.loss.args.smooth_nr`, `/train/pre_transforms/2/args/pixdim`,
//! `train.pre_transforms.Spacingd.args.pixdim`.

use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::document::{Entry, Node, Value, child_pointer};
use crate::resolve::keys::{COMPONENT_KEYS, is_section_key};
use crate::source::Span;
use crate::suggest::{did_you_mean_help, list};

/// The steps of a key.
pub(super) fn segments(key: &str) -> Vec<String> {
    if let Some(pointer) = key.strip_prefix('/') {
        return pointer.split('/').map(|step| step.replace("~1", "/").replace("~0", "~")).collect();
    }
    key.split('.').map(str::to_owned).collect()
}

/// A step that leads nowhere.
#[derive(Debug)]
pub(super) struct NoSuchPath {
    step: String,
    /// What stands before the step, as a pointer.
    parent: String,
    /// Why, if not simply missing.
    reason: Option<String>,
    candidates: Vec<String>,
    parent_span: Span,
}

impl NoSuchPath {
    pub(super) fn into_diagnostic(self, key: &str, span: Span) -> Diagnostic {
        let place = if self.parent.is_empty() { "the config".to_owned() } else { format!("`{}`", self.parent) };
        let message = format!(
            "`{key}` names nothing: {}",
            self.reason.unwrap_or_else(|| format!("{place} has no `{}`", self.step))
        );
        let diagnostic = Diagnostic::new(Code::UnknownOverride, message)
            .labelled(span, format!("no `{}` there", self.step))
            .context(self.parent_span, "looked for it here");
        match did_you_mean_help(&self.step, self.candidates.iter().map(String::as_str)) {
            Some(help) => diagnostic.help(help),
            None if self.candidates.is_empty() || self.candidates.len() > 12 => diagnostic,
            None => diagnostic.help(format!("it has {}", list(&self.candidates, "and"))),
        }
    }
}

/// Sets the value at a path of two or more steps.
pub(super) fn set(root: &mut Node, segments: &[String], value: Node) -> Result<(), NoSuchPath> {
    let mut node = root;
    let mut pointer = String::new();
    for (depth, step) in segments.iter().enumerate() {
        let last = depth + 1 == segments.len();
        let here = pointer.clone();
        pointer = child_pointer(&pointer, step);
        let inside_args = here.ends_with("/args");
        let span = node.span;
        let described = node.described();
        let fail = |reason: Option<String>, candidates: Vec<String>| NoSuchPath {
            step: step.clone(),
            parent: here.clone(),
            reason,
            candidates,
            parent_span: span,
        };
        match &mut node.value {
            Value::Object(entries) => {
                let index = entries.iter().position(|entry| entry.key == *step);
                let index = match index {
                    Some(index) => index,
                    None if may_be_new(entries, step, &here, depth, last, inside_args) => {
                        let new = Node::new(value.span, Value::Object(Vec::new()));
                        entries.push(Entry { key: step.clone(), key_span: value.span, value: new });
                        entries.len() - 1
                    }
                    None => {
                        let is_reference = entries.iter().any(|entry| entry.key == "ref");
                        let reason = is_reference
                            .then(|| format!("`{here}` is a `ref`: set it where the component is defined, in `train`"));
                        let keys = entries.iter().map(|entry| entry.key.clone()).collect();
                        return Err(fail(reason, keys));
                    }
                };
                node = &mut entries[index].value;
            }
            Value::Array(items) => {
                let count = items.len();
                let labels: Vec<String> = items.iter().filter_map(label).collect();
                let index = match step.parse::<usize>() {
                    Ok(index) if index < count => index,
                    Ok(_) => {
                        let reason = format!("`{here}` has {count} elements, 0 to {}", count.saturating_sub(1));
                        return Err(fail(Some(reason), Vec::new()));
                    }
                    Err(_) => match items.iter().position(|item| label(item).as_deref() == Some(step.as_str())) {
                        Some(index) => index,
                        None => return Err(fail(None, labels)),
                    },
                };
                node = &mut items[index];
            }
            _ => {
                let reason = format!("`{here}` is {described} and has nothing inside");
                return Err(fail(Some(reason), Vec::new()));
            }
        }
        if last {
            *node = value;
            return Ok(());
        }
    }
    Ok(())
}

/// A key that is not there yet may be set where the engine knows what it means, or a schema decides later.
fn may_be_new(entries: &[Entry], step: &str, parent: &str, depth: usize, last: bool, inside_args: bool) -> bool {
    let has = |key: &str| entries.iter().any(|entry| entry.key == key);
    let is_component = !has("ref") && ["name", "path", "ts_path", "ckpt_path"].into_iter().any(has);
    match step {
        "args" if is_component => true,
        "determinism" if depth == 0 => true,
        "random_seed" if parent == "/determinism" => true,
        _ if !last => false,
        _ if inside_args => true,
        _ if is_component => COMPONENT_KEYS.contains(&step),
        _ => matches!(parent, "/train" | "/validate") && is_section_key(step),
    }
}

/// The name of a component in a list.
fn label(node: &Node) -> Option<String> {
    let named = node.get("name").or_else(|| node.get("ref")).and_then(Node::as_str);
    let path = || node.get("path").and_then(Node::as_str).and_then(|path| path.rsplit('.').next());
    named.or_else(path).map(str::to_owned)
}
