//! What a component says about itself.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// The kind of a component. A number, not an enum: a new kind is a minor change of the plugin ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Kind(pub u32);

impl Kind {
    /// A network.
    pub const NETWORK: Self = Self(1);
    /// A loss.
    pub const LOSS: Self = Self(2);
    /// A metric.
    pub const METRIC: Self = Self(3);
    /// A transform.
    pub const TRANSFORM: Self = Self(4);
    /// A handler.
    pub const HANDLER: Self = Self(5);
    /// An inferer.
    pub const INFERER: Self = Self(6);
    /// An optimizer.
    pub const OPTIMIZER: Self = Self(7);
    /// A learning-rate schedule.
    pub const LR_SCHEDULER: Self = Self(8);
    /// A dataset.
    pub const DATASET: Self = Self(9);
    /// A data loader; the engine's own.
    pub const DATALOADER: Self = Self(10);
    /// A trainer; the engine's own.
    pub const TRAINER: Self = Self(11);
    /// An evaluator; the engine's own.
    pub const EVALUATOR: Self = Self(12);

    /// Every kind this version knows, with its name in messages and on the command line.
    pub const ALL: [(Self, &'static str); 12] = [
        (Self::NETWORK, "network"),
        (Self::LOSS, "loss"),
        (Self::METRIC, "metric"),
        (Self::TRANSFORM, "transform"),
        (Self::HANDLER, "handler"),
        (Self::INFERER, "inferer"),
        (Self::OPTIMIZER, "optimizer"),
        (Self::LR_SCHEDULER, "lr_scheduler"),
        (Self::DATASET, "dataset"),
        (Self::DATALOADER, "dataloader"),
        (Self::TRAINER, "trainer"),
        (Self::EVALUATOR, "evaluator"),
    ];

    /// The kind of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(kind, _)| *kind)
    }

    /// The name, if this version knows the kind.
    pub fn name(self) -> Option<&'static str> {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map(|(_, name)| *name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "kind {}", self.0),
        }
    }
}

/// What a component says about itself; `mmar components`, the config check and the reference are made from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Descriptor {
    /// The kind.
    pub kind: Kind,
    /// The name in a config: `DiceLoss`.
    pub name: String,
    /// Other names it goes by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// One line.
    pub summary: String,
    /// JSON Schema of the arguments. Our keywords in it: `x-aliases` (other spellings of an argument), `x-reference`,
    /// `x-expression` and `x-wired` (see [`crate::args`]).
    pub schema: Json,
}

impl Descriptor {
    /// The descriptor of a component with these arguments.
    pub fn of<A: JsonSchema>(kind: Kind, name: &str, aliases: &[&str]) -> Self {
        let settings =
            schemars::generate::SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
        let schema = settings.into_generator().into_root_schema_for::<A>().to_value();
        let description = schema.get("description").and_then(Json::as_str).unwrap_or_default();
        let summary = description.lines().next().unwrap_or_default().trim_end_matches('.').to_owned();
        let mut aliases: Vec<String> = aliases.iter().map(|&alias| alias.to_owned()).collect();
        if kind == Kind::TRANSFORM
            && let Some(stem) = name.strip_suffix('d')
        {
            // MONAI names each dictionary transform in three ways
            aliases.extend([format!("{stem}D"), format!("{stem}Dict")]);
        }
        Self { kind, name: name.to_owned(), aliases, summary, schema }
    }

    /// Whether this is one of the component's names.
    pub fn answers_to(&self, name: &str) -> bool {
        self.name == name || self.aliases.iter().any(|alias| alias == name)
    }
}
