//! A section: `train`, `validate`, or the root of an evaluation config.

use std::path::{Path, PathBuf};

use super::component::Slot;
use super::keys::{EVALUATION_KEYS, TRAIN_KEYS, is_comment, is_section_key};
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::document::{Node, Value, child_pointer};
use crate::plan::{Component, ComponentId, Dataset, Metric, Model, Role, Section};
use crate::settings::{SETTINGS, Settings, integer};
use crate::source::Span;
use crate::suggest::{did_you_mean_help, list};
use crate::variables::Variables;

const LOSS: Slot = Slot::new("loss", "loss", &[]);
const OPTIMIZER: Slot = Slot::new("optimizer", "optimizer", &[]);
const LR_SCHEDULER: Slot = Slot::new("lr_scheduler", "learning-rate schedule", &[]);
const TRANSFORM: Slot = Slot::new("transform", "transform", &[]);
const DATASET: Slot = Slot::new("dataset", "dataset", &["data_list_file_path", "data_file_base_dir", "data_list_key"]);
const DATALOADER: Slot = Slot::new("dataloader", "data loader", &[]);
const INFERER: Slot = Slot::new("inferer", "inferer", &[]);
const ITERATION: Slot = Slot::new("iteration", "iteration", &[]);
const HANDLER: Slot = Slot::new("handler", "handler", &["rank"]);
const TRAINER: Slot = Slot::new("trainer", "trainer", &[]);
const EVALUATOR: Slot = Slot::new("evaluator", "evaluator", &[]);

/// Keys that hold lists of objects; a list under any other key holds alternatives.
const LISTS: [&str; 6] =
    ["pre_transforms", "post_transforms", "handlers", "metrics", "key_metric", "additional_metrics"];

/// A section of which parts may be missing.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) loss: Option<Component>,
    pub(super) optimizer: Option<Component>,
    pub(super) lr_scheduler: Option<Component>,
    pub(super) model: Vec<Model>,
    pub(super) pre_transforms: Vec<Component>,
    pub(super) dataset: Option<Dataset>,
    pub(super) dataloader: Option<Component>,
    pub(super) inferer: Option<Component>,
    pub(super) iteration: Option<Component>,
    pub(super) handlers: Vec<Component>,
    pub(super) post_transforms: Vec<Component>,
    pub(super) metrics: Vec<Metric>,
    pub(super) engine: Option<Component>,
    pub(super) amp: Option<bool>,
    pub(super) max_epochs: Option<u64>,
    pub(super) device: Option<String>,
    /// `train`, `validate`, or empty for the root.
    pub(super) name: &'static str,
    /// Where its name stands, or the whole config.
    pub(super) span: Span,
}

impl Draft {
    /// The section, if nothing is missing.
    pub(super) fn finish(self, settings: &Settings, max_epochs: u64) -> Option<Section> {
        Some(Section {
            loss: self.loss,
            optimizer: self.optimizer,
            lr_scheduler: self.lr_scheduler,
            model: self.model,
            pre_transforms: self.pre_transforms,
            dataset: self.dataset?,
            dataloader: self.dataloader?,
            inferer: self.inferer?,
            iteration: self.iteration,
            handlers: self.handlers,
            post_transforms: self.post_transforms,
            metrics: self.metrics,
            engine: self.engine?,
            amp: self.amp.unwrap_or(settings.amp),
            max_epochs: self.max_epochs.unwrap_or(max_epochs),
            device: self.device,
        })
    }
}

/// Which section is being read: it decides what `@name` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Train,
    Validate,
    Root,
}

/// Reads sections out of the substituted config.
pub(super) struct Builder<'a> {
    pub(super) root: &'a Node,
    pub(super) role: Role,
    pub(super) mmar_root: &'a Path,
    pub(super) variables: &'a Variables,
    pub(super) diagnostics: &'a mut Vec<Diagnostic>,
    pub(super) components: Vec<(&'static str, Component)>,
    pub(super) place: Place,
}

impl<'a> Builder<'a> {
    pub(super) fn new(
        root: &'a Node,
        role: Role,
        mmar_root: &'a Path,
        variables: &'a Variables,
        diagnostics: &'a mut Vec<Diagnostic>,
    ) -> Self {
        Self { root, role, mmar_root, variables, diagnostics, components: Vec::new(), place: Place::Root }
    }

    pub(super) fn into_components(self) -> Vec<(&'static str, Component)> {
        self.components
    }

    /// `train` and `validate`; an evaluation config is the latter.
    pub(super) fn sections(&mut self) -> (Option<Draft>, Option<Draft>) {
        if self.role == Role::Evaluate {
            return (None, self.section(self.root, Place::Root, "", self.root.span));
        }
        let read = |builder: &mut Self, key: &'static str, place| {
            let entry = builder.root.entry(key)?;
            builder.section(&entry.value, place, key, entry.key_span)
        };
        (read(self, "train", Place::Train), read(self, "validate", Place::Validate))
    }

    fn section(&mut self, node: &Node, place: Place, name: &'static str, span: Span) -> Option<Draft> {
        let pointer = if name.is_empty() { String::new() } else { format!("/{name}") };
        if !matches!(node.value, Value::Object(_)) {
            self.expected(node, &pointer, &format!("`{name}`"), "an object");
            return None;
        }
        self.place = place;
        if place != Place::Root {
            self.check_section_keys(node, place, &pointer, name);
        }
        let train = place == Place::Train;
        let loss = self.alternative(node, "loss", &pointer, LOSS);
        let optimizer = self.alternative(node, "optimizer", &pointer, OPTIMIZER);
        let lr_scheduler = self.alternative(node, "lr_scheduler", &pointer, LR_SCHEDULER);
        let model = self.model(node, &pointer);
        let pre_transforms = self.list(node, "pre_transforms", &pointer, TRANSFORM);
        let dataset = self.dataset(node, &pointer);
        let dataloader = self.alternative(node, "dataloader", &pointer, DATALOADER);
        // where the config has one that cannot be used there is an error already
        let inferer =
            self.alternative(node, "inferer", &pointer, INFERER).or_else(|| Some(simple_inferer(&pointer, span)));
        let iteration = self.alternative(node, "iteration", &pointer, ITERATION);
        let handlers = self.list(node, "handlers", &pointer, HANDLER);
        let post_transforms = self.list(node, "post_transforms", &pointer, TRANSFORM);
        let metrics = self.metrics(node, &pointer);
        let (engine_key, engine_slot) = if train { ("trainer", TRAINER) } else { ("evaluator", EVALUATOR) };
        let engine = self.alternative(node, engine_key, &pointer, engine_slot);
        let (amp, max_epochs, device) = engine_switches(engine.as_ref());

        let mut required = vec!["dataset", "dataloader", engine_key];
        match place {
            Place::Train => required.extend(["loss", "optimizer", "model"]),
            Place::Root => required.push("model"),
            Place::Validate => {}
        }
        self.require(node, &required, &pointer, name, span);
        Some(Draft {
            loss,
            optimizer,
            lr_scheduler,
            model,
            pre_transforms,
            dataset,
            dataloader,
            inferer,
            iteration,
            handlers,
            post_transforms,
            metrics,
            engine,
            amp,
            max_epochs,
            device,
            name,
            span,
        })
    }

    fn check_section_keys(&mut self, node: &Node, place: Place, pointer: &str, name: &str) {
        let known: &[&str] = if place == Place::Train { &TRAIN_KEYS } else { &EVALUATION_KEYS };
        for entry in node.entries() {
            let key = entry.key.as_str();
            if known.contains(&key) || is_comment(key) || key == "search" {
                continue;
            }
            let help = if SETTINGS.contains(&key) {
                Some(format!("`{key}` is a setting of the root: move it out of `{name}`"))
            } else if is_section_key(key) {
                Some(format!("`{key}` belongs into the other section"))
            } else {
                did_you_mean_help(key, known.iter().copied())
                    .or_else(|| Some(format!("its keys are {}", list(known, "and"))))
            };
            self.push(
                Diagnostic::new(Code::UnknownKey, format!("`{name}` has no key `{key}`"))
                    .labelled(entry.key_span, "unknown key")
                    .pointer(child_pointer(pointer, key))
                    .maybe_help(help),
            );
        }
    }

    fn require(&mut self, node: &Node, required: &[&str], pointer: &str, name: &str, span: Span) {
        let where_ = if name.is_empty() { "an evaluation config".to_owned() } else { format!("`{name}`") };
        for &key in required {
            // a disabled one has the same effect as none; an unusable one has been reported
            let disabled = node.get(key).is_some() && !Self::present(node, key);
            if (node.get(key).is_none() || disabled) && !(key == "model" && disabled) {
                let state = match node.get(key).map(|node| &node.value) {
                    None | Some(Value::Null) => "it is missing",
                    Some(Value::Array(items)) if items.is_empty() => "the list is empty",
                    Some(Value::Array(_)) => "all are disabled",
                    Some(_) => "it is disabled",
                };
                let near = did_you_mean_help(key, node.entries().iter().map(|entry| entry.key.as_str()));
                let help = near.unwrap_or_else(|| format!("add \"{key}\": {{\"name\": \"…\"}}"));
                let place = node.entry(key).map_or(span, |entry| entry.key_span);
                self.push(
                    Diagnostic::new(Code::MissingKey, format!("{where_} needs `{key}`: {state}"))
                        .labelled(place, format!("has no `{key}`"))
                        .pointer(child_pointer(pointer, key))
                        .help(help),
                );
            }
        }
    }

    /// A component, or a list of alternatives (a hyperparameter search) of which the first enabled one is taken.
    fn alternative(&mut self, section: &Node, key: &str, pointer: &str, slot: Slot) -> Option<Component> {
        let node = section.get(key)?;
        let pointer = child_pointer(pointer, key);
        let component = match &node.value {
            Value::Array(items) => {
                let mut enabled = None;
                for (index, item) in items.iter().enumerate() {
                    let component = self.component(item, &child_pointer(&pointer, index), slot);
                    enabled = enabled.or(component);
                }
                enabled
            }
            Value::Null => None,
            _ => self.component(node, &pointer, slot),
        }?;
        Some(self.keep(slot, component))
    }

    /// A list of components, with `ref`s replaced.
    fn list(&mut self, section: &Node, key: &str, pointer: &str, slot: Slot) -> Vec<Component> {
        let Some(node) = section.get(key) else { return Vec::new() };
        let pointer = child_pointer(pointer, key);
        let items = match &node.value {
            Value::Array(items) => items.as_slice(),
            Value::Null => &[],
            // one component without its list: unmistakable, but the published form is a list
            _ => {
                self.expected(node, &pointer, &format!("`{key}`"), "a list of components");
                &[]
            }
        };
        let mut components = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let pointer = child_pointer(&pointer, index);
            let component = if item.get("ref").is_some() {
                self.ref_component(item, key, &pointer, slot)
            } else {
                self.component(item, &pointer, slot)
            };
            if let Some(component) = component {
                components.push(self.keep(slot, component));
            }
        }
        components
    }

    fn dataset(&mut self, section: &Node, pointer: &str) -> Option<Dataset> {
        let node = section.get("dataset")?;
        let component = self.alternative(section, "dataset", pointer, DATASET)?;
        let pointer = child_pointer(pointer, "dataset");
        let file = |builder: &mut Self, key| builder.text(node, key, &pointer).map(|path| builder.path(&path));
        Some(Dataset {
            component,
            data_list_file_path: file(self, "data_list_file_path"),
            data_file_base_dir: file(self, "data_file_base_dir"),
            data_list_key: self.text(node, "data_list_key", &pointer),
        })
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.mmar_root.join(path)
    }

    /// Where `@name` is looked up: the section itself, then `train`, and from `train` its evaluator in `validate`.
    fn object_sections(&self) -> Vec<&Node> {
        match self.place {
            Place::Root => vec![self.root],
            Place::Train => vec![self.root.get("train"), self.root.get("validate")].into_iter().flatten().collect(),
            Place::Validate => vec![self.root.get("validate"), self.root.get("train")].into_iter().flatten().collect(),
        }
    }

    /// Where an object of this name would stand.
    fn places_of(&self, name: &str) -> impl Iterator<Item = &Node> {
        let known = is_section_key(name);
        // `train` borrows nothing from `validate` but its evaluator
        let borrows = self.place == Place::Validate || name == "evaluator";
        let sections = self.object_sections().into_iter().enumerate();
        sections.filter(move |&(distance, _)| known && (distance == 0 || borrows)).map(|(_, section)| section)
    }

    /// Whether the run has an object of this name.
    pub(super) fn has_object(&self, name: &str) -> bool {
        self.places_of(name).any(|section| Self::present(section, name))
    }

    /// Whether an object is there, but disabled.
    pub(super) fn is_disabled(&self, name: &str) -> bool {
        let is_there = |node: &Node| match &node.value {
            Value::Null => false,
            Value::Array(items) => !items.is_empty(),
            _ => true,
        };
        !self.has_object(name) && self.places_of(name).filter_map(|section| section.get(name)).any(is_there)
    }

    /// Whether a section has an enabled object of this name.
    fn present(section: &Node, name: &str) -> bool {
        let is_on =
            |node: &Node| !matches!(node.get("disabled").map(|disabled| &disabled.value), Some(Value::Bool(true)));
        match section.get(name) {
            None => false,
            // a list of transforms is an object even when it is empty; a list of alternatives needs one that is on
            Some(node) => match &node.value {
                Value::Array(_) if LISTS.contains(&name) => true,
                Value::Array(items) => items.iter().any(is_on),
                Value::Null => false,
                _ => is_on(node),
            },
        }
    }
}

/// What the engine's arguments say about the run: `amp`, `max_epochs`, `device`. Wrong types are a matter of the schema.
fn engine_switches(engine: Option<&Component>) -> (Option<bool>, Option<u64>, Option<String>) {
    let argument = |name| engine.and_then(|engine| engine.node.as_deref()?.get(name));
    let amp = argument("amp").and_then(|node| match node.value {
        Value::Bool(amp) => Some(amp),
        _ => None,
    });
    let max_epochs = argument("max_epochs").and_then(integer).filter(|&epochs| epochs > 0);
    let device = argument("device").and_then(Node::as_str).map(str::to_owned);
    (amp, max_epochs, device)
}

/// The inferer of a section that names none.
fn simple_inferer(pointer: &str, span: Span) -> Component {
    Component {
        id: ComponentId { name: Some("SimpleInferer".into()), path: None },
        args: serde_json::json!({}),
        rank: None,
        pointer: child_pointer(pointer, "inferer"),
        span,
        node: None,
    }
}
