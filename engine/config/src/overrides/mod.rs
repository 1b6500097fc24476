//! `--set KEY=VALUE`: variables and paths, set from the command line.
//!
//! Each override is a source of its own, so that a diagnostic can point into it. A key must name something: a typo
//! that is silently accepted costs a training run.

mod path;
mod value;

use std::collections::HashSet;

use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::document::{Entry, Node, Value};
use crate::settings::{SETTINGS, STANDARD_VARIABLES};
use crate::source::{SourceKind, Sources, Span};
use crate::suggest::{did_you_mean, did_you_mean_help};
use crate::variables::collect_names;

pub(crate) use value::literal;

/// One override, taken apart.
#[derive(Debug)]
pub(crate) struct Override {
    key: String,
    key_span: Span,
    value: Node,
}

/// Takes the overrides apart; what is no `KEY=VALUE` is reported.
pub(crate) fn parse(texts: &[String], sources: &mut Sources, errors: &mut Vec<Diagnostic>) -> Vec<Override> {
    let mut overrides = Vec::new();
    for text in texts {
        let source = sources.add(SourceKind::Override, "--set", text.as_str());
        let span = |start, end| Span { source, start, end };
        let Some(equals) = text.find('=').filter(|&equals| !text[..equals].trim().is_empty()) else {
            let message = if text.contains('=') { "`--set` has no key before `=`" } else { "`--set` needs KEY=VALUE" };
            errors.push(
                Diagnostic::new(Code::InvalidOverride, format!("{message}, found `{text}`"))
                    .labelled(span(0, text.len()), "expected KEY=VALUE")
                    .help("for example --set epochs=10 or --set train.optimizer.args.lr=1e-3"),
            );
            continue;
        };
        let key = text[..equals].trim().to_owned();
        let value = value::parse(source, text, equals + 1);
        overrides.push(Override { key, key_span: span(0, equals), value });
    }
    overrides
}

/// Puts the overrides that are paths into the config, and gives back those that set variables.
pub(crate) fn apply(
    overrides: Vec<Override>,
    config: &mut Node,
    environment: &[Entry],
    errors: &mut Vec<Diagnostic>,
) -> Vec<Entry> {
    let mut referenced = HashSet::new();
    collect_names(config, &mut referenced);
    let values = environment.iter().map(|entry| &entry.value).chain(overrides.iter().map(|item| &item.value));
    for value in values {
        collect_names(value, &mut referenced);
    }

    let mut variables: Vec<Entry> = Vec::new();
    for Override { key, key_span, value } in overrides {
        let segments = path::segments(&key);
        if let [name] = segments.as_slice() {
            let known = config.get(name).is_some()
                || environment.iter().any(|entry| entry.key == *name)
                || referenced.contains(name)
                || SETTINGS.contains(&name.as_str())
                || STANDARD_VARIABLES.contains(&name.as_str());
            if known {
                let entry = Entry { key: name.clone(), key_span, value };
                set_root(config, &entry);
                variables.push(entry);
            } else {
                errors.push(unknown_variable(name, key_span, config, environment, &referenced));
            }
        } else if let Err(error) = path::set(config, &segments, value) {
            errors.push(error.into_diagnostic(&key, key_span));
        }
    }
    variables
}

/// A variable that the config has at its root is replaced there, a setting that it lacks is added: the resolved config
/// shows what the run uses.
fn set_root(config: &mut Node, new: &Entry) {
    let Value::Object(entries) = &mut config.value else { return };
    if let Some(entry) = entries.iter_mut().find(|entry| entry.key == new.key) {
        entry.value = new.value.clone();
    } else if SETTINGS.contains(&new.key.as_str()) {
        entries.push(new.clone());
    }
}

fn unknown_variable(
    name: &str,
    span: Span,
    config: &Node,
    environment: &[Entry],
    referenced: &HashSet<String>,
) -> Diagnostic {
    let mut candidates: Vec<&str> =
        config.entries().iter().chain(environment).map(|entry| entry.key.as_str()).collect();
    candidates.extend(referenced.iter().map(String::as_str));
    candidates.extend(SETTINGS);
    candidates.sort_unstable();
    candidates.dedup();
    let diagnostic =
        Diagnostic::new(Code::UnknownOverride, format!("`{name}` names nothing in this config or its environment"))
            .labelled(span, "no variable, no setting, and nothing refers to it");
    if did_you_mean(name, candidates.iter().copied()).is_empty() {
        diagnostic.help(format!(
            "a variable must be referenced as \"{{{name}}}\" somewhere; to set an argument give its path, such as train.optimizer.args.lr"
        ))
    } else {
        diagnostic.maybe_help(did_you_mean_help(name, candidates))
    }
}
