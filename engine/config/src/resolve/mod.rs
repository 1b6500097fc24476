//! Files to plan: the stages in their order.

mod arguments;
mod component;
pub(crate) mod keys;
mod metrics;
mod model;
mod refs;
mod root;
mod rules;
mod section;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::code::Code;
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::document::{self, Entry, Node, Value};
use crate::plan::{Component, Dialect, Plan, Role};
use crate::request::Request;
use crate::settings::{SETTINGS, Settings};
use crate::source::{SourceKind, Sources};
use crate::suggest;
use crate::variables::Variables;
use crate::{environment, overrides};

use section::Draft;

/// What was understood of a config, with everything that is wrong with it.
pub(crate) struct Loaded {
    /// Errors and warnings so far.
    pub(crate) diagnostics: Vec<Diagnostic>,
    sources: Arc<Sources>,
    parts: Option<Parts>,
}

/// The plan while parts of it may be missing.
struct Parts {
    role: Role,
    dialect: Dialect,
    settings: Settings,
    train: Option<Draft>,
    validate: Option<Draft>,
    root: Node,
    variables: Variables,
    mmar_root: PathBuf,
    config_file: PathBuf,
    components: Vec<(&'static str, Component)>,
}

impl Loaded {
    /// The components that were understood, with their kinds.
    pub(crate) fn components(&self) -> &[(&'static str, Component)] {
        self.parts.as_ref().map_or(&[], |parts| &parts.components)
    }

    /// The plan, or the errors.
    pub(crate) fn into_plan(mut self) -> Result<Plan, Diagnostics> {
        let has_errors = self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
        let Some(mut parts) = self.parts.filter(|_| !has_errors) else {
            return Err(Diagnostics::new(self.sources, self.diagnostics));
        };
        let epochs = parts.settings.epochs.unwrap_or(1);
        let settings = parts.settings.clone();
        let mut finish = |draft: Option<Draft>, epochs| {
            let (name, span) = draft.as_ref().map(|draft| (draft.name, draft.span))?;
            let section = draft.and_then(|draft| draft.finish(&settings, epochs));
            if section.is_none() {
                // what is missing should have been reported where it is missing
                let message = format!("`{name}` lacks a part that it needs");
                self.diagnostics.push(Diagnostic::new(Code::MissingKey, message).at(span).pointer(format!("/{name}")));
            }
            section
        };
        let train = finish(parts.train.take(), epochs);
        let validate = finish(parts.validate.take(), 1);
        let diagnostics = Diagnostics::new(Arc::clone(&self.sources), self.diagnostics);
        if diagnostics.has_errors() {
            return Err(diagnostics);
        }
        Ok(Plan {
            role: parts.role,
            dialect: parts.dialect,
            settings: parts.settings,
            train,
            validate,
            conf: parts.root.to_json(),
            variables: parts.variables.list(&self.sources),
            mmar_root: parts.mmar_root,
            config_file: parts.config_file,
            warnings: diagnostics,
            root: Arc::new(parts.root),
            sources: self.sources,
            components: parts.components,
        })
    }
}

/// Loads a config as far as it can be understood.
pub(crate) fn load(request: &Request) -> Loaded {
    let mut sources = Sources::default();
    let mut diagnostics = Vec::new();
    let parts = load_parts(request, &mut sources, &mut diagnostics);
    Loaded { diagnostics, sources: Arc::new(sources), parts }
}

fn load_parts(request: &Request, sources: &mut Sources, diagnostics: &mut Vec<Diagnostic>) -> Option<Parts> {
    let config_file = read(request, &request.config, SourceKind::Config, sources, diagnostics);
    let environment = request
        .environment_file()
        .map(|file| read(request, &file, SourceKind::Environment, sources, diagnostics).and_then(|(_, node)| node))
        .map(|node| node.map(|node| environment::entries(&node, diagnostics)));
    let overrides = overrides::parse(&request.overrides, sources, diagnostics);
    let (config_file, config) = config_file?;
    let mut config = config?;
    // without the environment that was asked for every other variable would be reported as missing
    let environment_is_broken = matches!(environment, Some(None));
    let environment: Vec<Entry> = environment.flatten().unwrap_or_default();

    if !matches!(config.value, Value::Object(_)) {
        diagnostics.push(
            Diagnostic::new(Code::UnexpectedType, format!("a config must be an object, found {}", config.described()))
                .labelled(config.span, "expected an object"),
        );
        return None;
    }
    let set = overrides::apply(overrides, &mut config, &environment, diagnostics);
    let role = root::role(&config, diagnostics)?;
    let mut variables = define_variables(&config, role, &environment, &set, diagnostics);
    let dialect = root::dialect(&variables, diagnostics);
    root::report_unresolved_settings(&variables, diagnostics);
    let settings = Settings::read(&mut variables, diagnostics);
    let root = substitute(&config, &environment, &mut variables, diagnostics);
    root::check_keys(&root, role, &variables, diagnostics);

    let mut builder = section::Builder::new(&root, role, &request.mmar_root, &variables, diagnostics);
    let (train, validate) = builder.sections();
    let components = builder.into_components();
    rules::check(role, &root, train.as_ref(), validate.as_ref(), diagnostics);
    if environment_is_broken {
        diagnostics.retain(|diagnostic| diagnostic.code != Code::UnresolvedVariable);
    }
    Some(Parts {
        role,
        dialect,
        settings,
        train,
        validate,
        root,
        variables,
        mmar_root: request.mmar_root.clone(),
        config_file,
        components,
    })
}

/// Defines the variables: root first, then environment, then `--set`; the last one wins.
fn define_variables(
    config: &Node,
    role: Role,
    environment: &[Entry],
    set: &[Entry],
    diagnostics: &mut Vec<Diagnostic>,
) -> Variables {
    let mut variables = Variables::default();
    let sections = root::section_keys(role);
    let root_variables = config
        .entries()
        .iter()
        .filter(|entry| !sections.contains(&entry.key.as_str()) && !keys::is_comment(&entry.key));
    for entry in root_variables.chain(environment).chain(set) {
        variables.define(&entry.key, entry.key_span, entry.value.clone());
    }
    variables.resolve(diagnostics);
    variables
}

/// The config with the values of its variables.
fn substitute(
    config: &Node,
    environment: &[Entry],
    variables: &mut Variables,
    diagnostics: &mut Vec<Diagnostic>,
) -> Node {
    let mut root = variables.substitute(config, diagnostics);
    if let Value::Object(entries) = &mut root.value {
        // the resolved config shows what the run uses: the environment has the last word over the root …
        for entry in entries.iter_mut().filter(|entry| environment.iter().any(|other| other.key == entry.key)) {
            if let Some(value) = variables.value(&entry.key) {
                entry.value = value.clone();
            }
        }
        // … and may bring settings that the root lacks
        let present: HashSet<String> = entries.iter().map(|entry| entry.key.clone()).collect();
        for entry in
            environment.iter().filter(|entry| SETTINGS.contains(&entry.key.as_str()) && !present.contains(&entry.key))
        {
            if let Some(value) = variables.value(&entry.key) {
                entries.push(Entry { value: value.clone(), ..entry.clone() });
            }
        }
    }
    root
}

/// Reads and parses one file. `None` if there is no such file, an inner `None` if its structure is broken.
fn read(
    request: &Request,
    file: &Path,
    kind: SourceKind,
    sources: &mut Sources,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<(PathBuf, Option<Node>)> {
    let what = if kind == SourceKind::Config { "config" } else { "environment" };
    let found = match request.find(file) {
        Ok(found) => found,
        Err(places) => {
            let mut diagnostic = Diagnostic::new(Code::CannotRead, format!("there is no {what} `{}`", file.display()));
            for place in &places {
                diagnostic = diagnostic.note(format!("tried `{}`", place.display()));
            }
            let names = siblings(request, &places);
            let missing = file.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let near = suggest::did_you_mean(&missing, names.iter().map(String::as_str));
            let near: Vec<String> = near.iter().map(|name| format!("{name}.json")).collect();
            let help = (!near.is_empty()).then(|| format!("did you mean {}?", suggest::list(&near, "or")));
            diagnostics.push(diagnostic.maybe_help(help));
            return None;
        }
    };
    let text = std::fs::read(&found).map_err(|error| error.to_string()).and_then(|bytes| {
        String::from_utf8(bytes)
            .map_err(|error| format!("it is not UTF-8 text (byte {})", error.utf8_error().valid_up_to()))
    });
    let text = match text {
        Ok(text) => text,
        Err(reason) => {
            diagnostics.push(Diagnostic::new(
                Code::CannotRead,
                format!("the {what} `{}` cannot be read: {reason}", found.display()),
            ));
            return None;
        }
    };
    let source = sources.add(kind, found.display().to_string(), text.as_str());
    let mut errors = Vec::new();
    let node = document::parse(source, &text, 0, &mut errors);
    // a document that needed repairs is not resolved further: half of what follows would be about the repairs
    let sound = errors.iter().all(|error| error.severity == Severity::Warning || error.code == Code::DuplicateKey);
    diagnostics.extend(errors);
    Some((found, node.filter(|_| sound)))
}

/// The JSON files that stand where a missing one was looked for, without their extension.
fn siblings(request: &Request, places: &[PathBuf]) -> Vec<String> {
    let folders: HashSet<&Path> = places.iter().filter_map(|place| place.parent()).collect();
    let mut names: Vec<String> = folders
        .into_iter()
        .chain([request.mmar_root.as_path()])
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .filter_map(|name| name.strip_suffix(".json").map(str::to_owned))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}
