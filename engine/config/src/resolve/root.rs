//! The root of a config: what it is for, its dialect, its keys.

use super::keys::{EVALUATION_KEYS, TOLERATED_ROOT_KEYS, is_comment, is_section_key};
use crate::code::Code;
use crate::diagnostic::{Diagnostic, Label};
use crate::document::{Node, Value};
use crate::plan::{Dialect, Role};
use crate::settings::{SETTINGS, STANDARD_VARIABLES};
use crate::suggest::did_you_mean_help;
use crate::variables::Variables;

const TRAIN_SECTIONS: [&str; 2] = ["train", "validate"];

/// The root keys that hold components.
pub(super) fn section_keys(role: Role) -> &'static [&'static str] {
    match role {
        Role::Train => &TRAIN_SECTIONS,
        Role::Evaluate => &EVALUATION_KEYS,
    }
}

/// What the config is for.
pub(super) fn role(config: &Node, errors: &mut Vec<Diagnostic>) -> Option<Role> {
    if let Some(train) = config.get("train") {
        if matches!(train.value, Value::Object(_)) {
            return Some(Role::Train);
        }
        // everything else refers to it
        errors.push(
            Diagnostic::new(Code::UnexpectedType, format!("`train` must be an object, found {}", train.described()))
                .labelled(train.span, "expected an object")
                .pointer("/train"),
        );
        return None;
    }
    if let Some(validate) = config.entry("validate") {
        errors.push(
            Diagnostic::new(
                Code::MissingKey,
                "a training config needs a `train` section, this one has only `validate`",
            )
            .labelled(validate.key_span, "`validate` belongs to a training config")
            .pointer("/train")
            .maybe_help(near_root_key(config, "train")),
        );
        return None;
    }
    if ["model", "evaluator", "dataset", "pre_transforms"].into_iter().any(|key| config.get(key).is_some()) {
        return Some(Role::Evaluate);
    }
    let mut diagnostic = Diagnostic::new(
        Code::NotATrainingConfig,
        "this is neither a training config nor a validation or inference config",
    )
    .labelled(config.span, "expected `train`, or `model`, `dataset` and `evaluator`");
    if config.get("format_version").is_some() || config.get("servers").is_some() {
        diagnostic = diagnostic.note("it looks like a config of a federated server or client");
    } else if config.get("inference").is_some() || config.get("version").is_some() {
        diagnostic = diagnostic.note("it looks like a model config of the annotation server");
    }
    errors.push(diagnostic.maybe_help(near_root_key(config, "train")));
    None
}

/// A misspelt `train` among the keys of the root.
fn near_root_key(config: &Node, wanted: &str) -> Option<String> {
    let keys = config.entries().iter().map(|entry| entry.key.as_str());
    let near = *crate::suggest::did_you_mean(wanted, keys).first()?;
    Some(format!("`{near}` is near: did you mean `{wanted}`?"))
}

/// The dialect, from `CLARA_TRAIN_VERSION`.
pub(super) fn dialect(variables: &Variables, errors: &mut Vec<Diagnostic>) -> Dialect {
    let Some(node) = variables.value("CLARA_TRAIN_VERSION") else { return Dialect::V40 };
    let version = match &node.value {
        Value::Invalid | Value::Unresolved { .. } => return Dialect::V41,
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    let mut parts = version.split('.').map(str::parse::<u32>);
    match (parts.next(), parts.next()) {
        (Some(Ok(4)), None | Some(Ok(0))) => Dialect::V40,
        (Some(Ok(4)), Some(Ok(_))) => Dialect::V41,
        _ => {
            errors.push(
                Diagnostic::new(
                    Code::UnknownDialect,
                    format!("`CLARA_TRAIN_VERSION` is {}, known are 4.0 and 4.1", node.described()),
                )
                .labelled(node.span, "unknown version")
                .pointer("/CLARA_TRAIN_VERSION")
                .help("write \"4.1.0\", or remove the key for a config of Clara 4.0"),
            );
            Dialect::V41
        }
    }
}

/// Settings are used whatever else the config does: they must have a value.
pub(super) fn report_unresolved_settings(variables: &Variables, errors: &mut Vec<Diagnostic>) {
    for name in SETTINGS {
        if let Some(node) = variables.value(name) {
            report_unresolved(node, &format!("/{name}"), variables, errors);
        }
    }
}

/// Reports every string below a node whose variables have no value.
pub(super) fn report_unresolved(node: &Node, pointer: &str, variables: &Variables, errors: &mut Vec<Diagnostic>) {
    match &node.value {
        Value::Unresolved { missing, .. } => {
            for name in missing {
                unresolved(name, node, pointer, variables, errors);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                report_unresolved(item, &crate::document::child_pointer(pointer, index), variables, errors);
            }
        }
        Value::Object(entries) => {
            for entry in entries {
                report_unresolved(
                    &entry.value,
                    &crate::document::child_pointer(pointer, &entry.key),
                    variables,
                    errors,
                );
            }
        }
        _ => {}
    }
}

/// One error for each variable, however often it is used.
fn unresolved(name: &str, node: &Node, pointer: &str, variables: &Variables, errors: &mut Vec<Diagnostic>) {
    let message = format!("the variable `{name}` has no value");
    let known = errors.iter_mut().find(|error| error.code == Code::UnresolvedVariable && error.message == message);
    if let Some(known) = known {
        let is_new = known.primary.iter().chain(&known.context).all(|label| label.span != node.span);
        if is_new {
            known.context.push(Label { span: node.span, text: "and here".into() });
        }
        return;
    }
    let mut diagnostic = Diagnostic::new(Code::UnresolvedVariable, message)
        .labelled(node.span, "used here")
        .pointer(pointer)
        .maybe_help(did_you_mean_help(name, variables.names()));
    if let Some(substituted) = node.substituted.as_ref().filter(|substituted| substituted.variable != *name) {
        diagnostic =
            diagnostic.context(substituted.defined, format!("through the value of `{}`", substituted.variable));
    }
    errors.push(diagnostic.help(format!("give it one with `--set {name}=…` or in the environment file")));
}

/// Root keys that nothing reads.
pub(super) fn check_keys(root: &Node, role: Role, variables: &Variables, diagnostics: &mut Vec<Diagnostic>) {
    let sections = section_keys(role);
    for entry in root.entries() {
        let key = entry.key.as_str();
        let known = sections.contains(&key)
            || SETTINGS.contains(&key)
            || STANDARD_VARIABLES.contains(&key)
            || TOLERATED_ROOT_KEYS.contains(&key)
            || is_comment(key)
            || variables.is_used(key);
        if known {
            continue;
        }
        let candidates = || sections.iter().copied().chain(SETTINGS);
        let misplaced = is_section_key(key) || TRAIN_SECTIONS.contains(&key);
        let holds_component = ["name", "path", "args"].into_iter().any(|inner| entry.value.get(inner).is_some());
        let holds_components = entry.value.items().iter().any(|item| matches!(item.value, Value::Object(_)));
        let is_section = matches!(entry.value.value, Value::Object(_)) || holds_component || holds_components;
        if misplaced && role == Role::Train {
            diagnostics.push(
                Diagnostic::new(Code::UnknownKey, format!("`{key}` stands at the root of a training config"))
                    .labelled(entry.key_span, "not expected here")
                    .pointer(format!("/{key}"))
                    .help(format!("move `{key}` into `train` or `validate`")),
            );
        } else if is_section {
            diagnostics.push(
                Diagnostic::new(Code::UnknownKey, format!("the config has no section `{key}`"))
                    .labelled(entry.key_span, "unknown section")
                    .pointer(format!("/{key}"))
                    .maybe_help(did_you_mean_help(key, candidates())),
            );
        } else {
            let near = did_you_mean_help(key, candidates());
            let help = near.or_else(|| Some(format!("remove it, or use it somewhere as \"{{{key}}}\"")));
            diagnostics.push(
                Diagnostic::warning(Code::UnusedVariable, format!("the variable `{key}` is never used"))
                    .labelled(variables.key_span(key).unwrap_or(entry.key_span), "no setting, and nothing refers to it")
                    .pointer(format!("/{key}"))
                    .maybe_help(help),
            );
        }
    }
}
