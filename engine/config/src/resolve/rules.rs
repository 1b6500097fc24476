//! Rules between the parts of a config that need no component to be known.

use super::section::Draft;
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::document::{Node, Value, child_pointer};
use crate::plan::{Component, Role};
use crate::suggest::{did_you_mean_help, list};

/// Arguments of transforms that hold one value for each key when they are a list (MONAI's `ensure_tuple_rep`).
const PER_KEY: [(&str, &[&str]); 6] = [
    (
        "AsDiscrete",
        &[
            "argmax",
            "to_onehot",
            "threshold",
            "threshold_values",
            "rounding",
            "n_classes",
            "num_classes",
            "logit_thresh",
        ],
    ),
    ("Activations", &["sigmoid", "softmax", "other"]),
    ("Spacing", &["mode", "padding_mode", "align_corners", "dtype"]),
    ("Resize", &["mode", "align_corners"]),
    ("Invert", &["orig_keys", "meta_keys", "nearest_interp", "to_tensor"]),
    ("CastToType", &["dtype"]),
];

/// Checks a config as a whole.
pub(super) fn check(
    role: Role,
    root: &Node,
    train: Option<&Draft>,
    validate: Option<&Draft>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    for section in [train, validate].into_iter().flatten() {
        for transform in section.pre_transforms.iter().chain(&section.post_transforms) {
            per_key_lengths(transform, diagnostics);
        }
        metric_labels(section, diagnostics);
        no_handlers(section, root, diagnostics);
        schedule_handler(section, train, diagnostics);
    }
    if role == Role::Train
        && let Some(train) = train
    {
        validation(train, root, diagnostics);
    }
}

fn is_named(component: &Component, name: &str) -> bool {
    let lookup = component.id.lookup();
    lookup.rsplit('.').next().unwrap_or(lookup) == name
}

fn per_key_lengths(transform: &Component, diagnostics: &mut Vec<Diagnostic>) {
    let name = transform.id.lookup();
    let name = name.rsplit('.').next().unwrap_or(name);
    let stem = ["Dict", "D", "d"].into_iter().find_map(|suffix| name.strip_suffix(suffix));
    let Some((_, arguments)) = PER_KEY.iter().find(|(known, _)| Some(*known) == stem) else { return };
    let Some(args) = transform.node.as_deref() else { return };
    let Some(keys) = args.get("keys") else { return };
    let count = match &keys.value {
        Value::String(_) => 1,
        Value::Array(keys) => keys.len(),
        _ => return,
    };
    for entry in args.entries().iter().filter(|entry| arguments.contains(&entry.key.as_str())) {
        let Value::Array(values) = &entry.value.value else { continue };
        if values.len() == count || values.len() == 1 {
            continue;
        }
        let keys_of = if count == 1 { "there is 1 key" } else { &format!("there are {count} keys") };
        diagnostics.push(
            Diagnostic::new(
                Code::PerKeyLength,
                format!("`{}` of {name} has {} values, but {keys_of}", entry.key, values.len()),
            )
            .labelled(entry.value.span, format!("{} values", values.len()))
            .context(keys.span, keys_of)
            .pointer(child_pointer(&child_pointer(&transform.pointer, "args"), &entry.key))
            .help("give one value for each key, or one for all"),
        );
    }
}

/// `MetricsSaver` names metrics by their labels.
fn metric_labels(section: &Draft, diagnostics: &mut Vec<Diagnostic>) {
    let labels: Vec<&str> = section.metrics.iter().map(|metric| metric.log_label.as_str()).collect();
    for handler in section.handlers.iter().filter(|handler| is_named(handler, "MetricsSaver")) {
        let Some(args) = handler.node.as_deref() else { continue };
        for argument in ["metrics", "metric_details"] {
            let Some(node) = args.get(argument) else { continue };
            let names = if node.as_str().is_some() { std::slice::from_ref(node) } else { node.items() };
            for name_node in names {
                let Some(name) = name_node.as_str().filter(|name| *name != "*" && !labels.contains(name)) else {
                    continue;
                };
                let mut diagnostic = Diagnostic::new(
                    Code::UnknownMetricLabel,
                    format!("`{argument}` names `{name}`, which this section does not compute"),
                )
                .labelled(name_node.span, "no metric has this `log_label`")
                .pointer(child_pointer(&child_pointer(&handler.pointer, "args"), argument));
                diagnostic = match did_you_mean_help(name, labels.iter().copied()) {
                    Some(help) => diagnostic.help(help),
                    None if labels.is_empty() => diagnostic.note("the section has no metrics"),
                    None => diagnostic.note(format!("the section computes {}", list(&labels, "and"))),
                };
                diagnostics.push(diagnostic);
            }
        }
    }
}

fn no_handlers(section: &Draft, root: &Node, diagnostics: &mut Vec<Diagnostic>) {
    let node = if section.name.is_empty() { Some(root) } else { root.get(section.name) };
    let entry = node.and_then(|node| node.entry("handlers"));
    // a list whose components were not understood has been reported
    let empty = entry.is_none_or(|entry| matches!(&entry.value.value, Value::Array(items) if items.is_empty()));
    if !section.handlers.is_empty() || !empty {
        return;
    }
    let what = if section.name.is_empty() { "this config" } else { section.name };
    diagnostics.push(
        Diagnostic::warning(Code::NoHandlers, format!("`{what}` has no handlers: nothing is logged or saved"))
            .labelled(entry.map_or(section.span, |entry| entry.key_span), "no handlers")
            .pointer(if section.name.is_empty() { "/handlers".to_owned() } else { format!("/{}/handlers", section.name) })
            .help("add for example {\"name\": \"StatsHandler\", \"rank\": 0, \"args\": {\"output_transform\": \"lambda x: None\"}}"),
    );
}

/// A handler that steps a schedule needs one.
fn schedule_handler(section: &Draft, train: Option<&Draft>, diagnostics: &mut Vec<Diagnostic>) {
    if section.lr_scheduler.is_some() || train.is_some_and(|train| train.lr_scheduler.is_some()) {
        return;
    }
    for handler in section.handlers.iter().filter(|handler| is_named(handler, "LrScheduleHandler")) {
        // in dialect 4.1 the missing `@lr_scheduler` is reported already
        let names_it = handler.node.as_deref().is_some_and(|args| args.get("lr_scheduler").is_some());
        if !names_it {
            diagnostics.push(
                Diagnostic::new(
                    Code::MissingKey,
                    "`LrScheduleHandler` needs an `lr_scheduler` in `train`: it is missing",
                )
                .labelled(handler.span, "steps the schedule")
                .pointer("/train/lr_scheduler")
                .help("add one, or remove the handler"),
            );
        }
    }
}

/// `ValidationHandler` and the `validate` section need each other.
fn validation(train: &Draft, root: &Node, diagnostics: &mut Vec<Diagnostic>) {
    let validate = root.entry("validate");
    // what is no list of handlers has been reported
    let handlers = root.get("train").and_then(|train| train.get("handlers"));
    let is_list = handlers.is_none_or(|handlers| matches!(handlers.value, Value::Array(_) | Value::Null));
    let handler = train.handlers.iter().find(|handler| is_named(handler, "ValidationHandler"));
    match (handler, validate) {
        (Some(handler), None) => {
            let names_it = handler.node.as_deref().is_some_and(|args| args.get("validator").is_some());
            if !names_it {
                diagnostics.push(
                    Diagnostic::new(Code::NoValidation, "`ValidationHandler` has nothing to run: the config has no `validate` section")
                        .labelled(handler.span, "runs `validate`")
                        .pointer(handler.pointer.clone())
                        .help("add a `validate` section, or remove the handler"),
                );
            }
        }
        (None, Some(validate)) if is_list && !is_own_handler(&train.handlers) => diagnostics.push(
            Diagnostic::warning(Code::NoValidation, "`validate` never runs: `train` has no `ValidationHandler`")
                .labelled(validate.key_span, "never runs")
                .pointer("/validate")
                .help(
                    "add {\"name\": \"ValidationHandler\", \"args\": {\"validator\": \"@evaluator\", \"epoch_level\": true, \"interval\": 1}} \
                     to the handlers of `train`",
                ),
        ),
        _ => {}
    }
}

/// A handler of the user's own may run the validation itself.
fn is_own_handler(handlers: &[Component]) -> bool {
    handlers.iter().any(|handler| handler.id.path.is_some())
}
