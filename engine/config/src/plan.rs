//! The resolved plan: what a config asks for, with nothing left to look up.
//!
//! Variables are substituted, `ref` components are copies of what they name, disabled components are gone, both
//! dialects look the same. Only a component's own arguments are still JSON: their schema belongs to the component.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value as Json;

use crate::code::Code;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::document::Node;
use crate::settings::Settings;
use crate::source::{Sources, Span};
use crate::variables::Variable;

/// What a config is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It has a `train` section.
    Train,
    /// A validation or inference config: the keys of one section at the root.
    Evaluate,
}

/// Which of Clara's two config dialects a config is written in; census of Clara Train 4.x, §2.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dialect {
    /// No `CLARA_TRAIN_VERSION`: objects are wired by the names of their sections, post transforms and metrics see
    /// whole batches (MONAI 0.5).
    V40,
    /// `"CLARA_TRAIN_VERSION": "4.1.0"`: objects are named with `@`, batches are taken apart into items before post
    /// transforms and metrics (MONAI 0.8).
    V41,
}

impl Dialect {
    /// Whether batches are taken apart into items before the post transforms.
    pub fn decollates(self) -> bool {
        self == Self::V41
    }
}

impl std::fmt::Display for Dialect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::V40 => "4.0",
            Self::V41 => "4.1",
        })
    }
}

/// How a config names a component.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct ComponentId {
    /// `name`: a built-in's name or, beside a path, the name that `ref` and logs use.
    pub name: Option<String>,
    /// `path`: `BYOC.myLoss.MyDiceLoss`, `monai.losses.DiceLoss`.
    pub path: Option<String>,
}

impl ComponentId {
    /// What to look up: the path where there is one.
    pub fn lookup(&self) -> &str {
        self.path.as_deref().or(self.name.as_deref()).unwrap_or_default()
    }

    /// The short name in logs: the name where there is one, else the last segment of the path.
    pub fn label(&self) -> &str {
        let last_segment = self.path.as_deref().and_then(|path| path.rsplit('.').next());
        self.name.as_deref().or(last_segment).unwrap_or_default()
    }

    /// Whether `"ref": name` means this component.
    pub(crate) fn answers_to(&self, name: &str) -> bool {
        [&self.name, &self.path]
            .into_iter()
            .flatten()
            .any(|own| own == name || own.rsplit('.').next().is_some_and(|last| last == name))
    }
}

impl std::fmt::Display for ComponentId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.lookup())
    }
}

/// A component with its arguments.
#[derive(Debug, Clone)]
pub struct Component {
    /// Its name or path.
    pub id: ComponentId,
    /// The arguments, always an object. `"@model"` has become `{"$ref": "model"}` and an expression
    /// `{"$expression": {"form": …}}`.
    pub args: Json,
    /// Only on this rank of a distributed run.
    pub rank: Option<u32>,
    /// JSON pointer into the config: `/train/loss`.
    pub pointer: String,
    /// Where the name or path stands.
    pub(crate) span: Span,
    /// The arguments with their spans.
    pub(crate) node: Option<Arc<Node>>,
}

/// The model of a section.
#[derive(Debug, Clone)]
pub enum Model {
    /// A network to be made.
    Component(Component),
    /// `ts_path`: a TorchScript file.
    TorchScript(ModelFile),
    /// `ckpt_path`: a checkpoint; the network is rebuilt from the `train_conf` in it.
    Checkpoint(ModelFile),
}

/// A file that holds a model.
#[derive(Debug, Clone)]
pub struct ModelFile {
    /// The file; a relative path in the config is relative to the MMAR.
    pub path: PathBuf,
    /// JSON pointer into the config.
    pub pointer: String,
    pub(crate) span: Span,
}

/// A dataset and the data list that it reads.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The dataset component.
    pub component: Component,
    /// `data_list_file_path`: the data list; relative to the MMAR in the config.
    pub data_list_file_path: Option<PathBuf>,
    /// `data_file_base_dir`: what paths in the data list are relative to; relative to the MMAR in the config.
    pub data_file_base_dir: Option<PathBuf>,
    /// `data_list_key`: `training`, `validation` …
    pub data_list_key: Option<String>,
}

/// A metric and its place in logs.
#[derive(Debug, Clone)]
pub struct Metric {
    /// The metric; its args hold neither `output_transform` nor `device`, which are the engine's.
    pub component: Component,
    /// The name in logs and files: `val_mean_dice`. The component's own name where the config gives none.
    pub log_label: String,
    /// Whether the best model is chosen by it.
    pub is_key: bool,
    /// `output_transform`, as `{"$expression": …}`: what of the engine's output the metric sees.
    pub output_transform: Option<Json>,
    /// `device`: where to compute it.
    pub device: Option<String>,
}

/// `train`, `validate`, or a validation or inference config.
#[derive(Debug, Clone)]
pub struct Section {
    /// The loss; always there in `train`.
    pub loss: Option<Component>,
    /// The optimizer; always there in `train`.
    pub optimizer: Option<Component>,
    /// The learning-rate schedule.
    pub lr_scheduler: Option<Component>,
    /// The enabled alternatives; the first wins. Empty in `validate`, which has the model of `train`.
    pub model: Vec<Model>,
    /// Transforms of the data, in their order.
    pub pre_transforms: Vec<Component>,
    /// The dataset.
    pub dataset: Dataset,
    /// The data loader.
    pub dataloader: Component,
    /// The inferer; `SimpleInferer` where the config names none.
    pub inferer: Component,
    /// A computation of its own for each iteration (`DeepGrow`).
    pub iteration: Option<Component>,
    /// Handlers, in the order in which they are attached.
    pub handlers: Vec<Component>,
    /// Transforms of the model's output, in their order.
    pub post_transforms: Vec<Component>,
    /// Metrics, the key metric first; at most one is key.
    pub metrics: Vec<Metric>,
    /// The trainer or evaluator.
    pub engine: Component,
    /// Mixed precision: `amp` of the engine, else of the root.
    pub amp: bool,
    /// `max_epochs` of the trainer, else `epochs` of the root; 1 for an evaluator.
    pub max_epochs: u64,
    /// `device` of the engine: `"cuda"`.
    pub device: Option<String>,
}

/// A whole config, resolved.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Training or evaluation.
    pub role: Role,
    /// The dialect.
    pub dialect: Dialect,
    /// The engine's switches, with their defaults.
    pub settings: Settings,
    /// The training section; always there in a training config, never in another.
    pub train: Option<Section>,
    /// The validation section of a training config, or the whole of an evaluation config.
    pub validate: Option<Section>,
    /// The config with variables and overrides put in and everything else as it was written: loading it again gives the
    /// same plan. Checkpoints hold it as `train_conf`.
    pub conf: Json,
    /// Every variable with its value and origin.
    pub variables: Vec<Variable>,
    /// What the config was loaded from.
    pub mmar_root: PathBuf,
    /// The config file.
    pub config_file: PathBuf,
    /// What is odd but no error.
    pub warnings: Diagnostics,
    pub(crate) root: Arc<Node>,
    pub(crate) sources: Arc<Sources>,
    /// Every component that will be made, with its kind; the order of the config.
    pub(crate) components: Vec<(&'static str, Component)>,
}

impl Plan {
    /// A path of the config: relative ones are relative to the MMAR.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.mmar_root.join(path)
    }

    /// The section that runs first: `train` of a training config, else the evaluation.
    pub fn main_section(&self) -> &Section {
        // one of them is there: `load` makes no plan without
        match (&self.train, &self.validate) {
            (Some(section), _) | (None, Some(section)) => section,
            (None, None) => unreachable!("a plan has a section"),
        }
    }

    /// Every component that the plan makes, with the name of its kind.
    pub fn components(&self) -> impl Iterator<Item = (&'static str, &Component)> {
        self.components.iter().map(|(kind, component)| (*kind, component))
    }

    /// The value of a variable after all substitution: `MMAR_CKPT_DIR`.
    pub fn variable(&self, name: &str) -> Option<&Json> {
        self.variables.iter().find(|variable| variable.name == name).map(|variable| &variable.value)
    }

    /// Where a component stands: `config/config_train.json:14:7`.
    pub fn location(&self, component: &Component) -> String {
        self.sources.location(component.span)
    }

    /// An error that occurred when a component was made, with a frame around its place in the config.
    pub fn component_error(
        &self,
        component: &Component,
        message: impl Into<String>,
        notes: Vec<String>,
    ) -> Diagnostics {
        self.failed(component.span, &component.pointer, message.into(), notes)
    }

    /// An error with the file of a model, with a frame around its place in the config.
    pub fn model_file_error(&self, file: &ModelFile, message: impl Into<String>, notes: Vec<String>) -> Diagnostics {
        self.failed(file.span, &file.pointer, message.into(), notes)
    }

    fn failed(&self, span: Span, pointer: &str, message: String, notes: Vec<String>) -> Diagnostics {
        let mut diagnostic = Diagnostic::new(Code::ComponentFailed, message).at(span).pointer(pointer);
        diagnostic.notes = notes;
        Diagnostics::new(Arc::clone(&self.sources), vec![diagnostic])
    }
}
