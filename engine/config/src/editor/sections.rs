//! The root, `train`, `validate`, and what kind of component stands under which key.

use serde_json::{Map, Value as Json, json};

use super::arguments::VARIABLE;
use super::component::Form;
use super::settings;
use crate::resolve::keys::{EVALUATION_KEYS, TRAIN_KEYS};

/// How a section's key holds its components.
enum Holds {
    /// One, or a list of alternatives of which the first enabled one is taken.
    Alternatives(&'static str),
    /// A list, in which a `ref` may stand for a component of `train`.
    List(&'static str),
    /// One metric or several.
    Metrics,
    /// A network or a file, or a list of alternatives.
    Model,
}

/// The keys of sections, what they hold, and what it is for.
const PLACES: [(&str, Holds, &str); 16] = [
    ("loss", Holds::Alternatives("loss"), "What is minimised."),
    ("optimizer", Holds::Alternatives("optimizer"), "Changes the weights."),
    ("lr_scheduler", Holds::Alternatives("lr_scheduler"), "Changes the learning rate."),
    ("model", Holds::Model, "The network, or a file that holds one."),
    ("pre_transforms", Holds::List("transform"), "Transforms of the data, in their order."),
    ("dataset", Holds::Alternatives("dataset"), "The data, and how it is kept."),
    ("dataloader", Holds::Alternatives("dataloader"), "Makes batches of the data."),
    ("inferer", Holds::Alternatives("inferer"), "Applies the network; `SimpleInferer` if there is none."),
    ("iteration", Holds::Alternatives("iteration"), "A computation of its own for each iteration."),
    ("handlers", Holds::List("handler"), "Listen to the run, in their order."),
    ("post_transforms", Holds::List("transform"), "Transforms of the network's output, in their order."),
    ("metrics", Holds::Metrics, "The metrics; one has `is_key_metric` (dialect 4.0)."),
    ("key_metric", Holds::Metrics, "The metric that chooses the best model (dialect 4.1)."),
    ("additional_metrics", Holds::Metrics, "The other metrics (dialect 4.1)."),
    ("trainer", Holds::Alternatives("trainer"), "Runs the epochs."),
    ("evaluator", Holds::Alternatives("evaluator"), "Runs the evaluation."),
];

/// The kinds of components, with what stands beside `name`, `path` and `args`.
pub(super) fn forms() -> Vec<Form> {
    let form = |kind, what| Form { kind, what, keys: Vec::new(), arguments: Vec::new() };
    let text = |description: &str| json!({ "type": ["string", "null"], "description": description });
    let expression = json!({
        "description": "What of the engine's output the metric sees.",
        "anyOf": [{ "$ref": "#/$defs/expression" }, { "type": "null" }],
    });
    vec![
        form("loss", "loss"),
        form("optimizer", "optimizer"),
        form("lr_scheduler", "learning-rate schedule"),
        form("network", "network"),
        form("transform", "transform"),
        Form {
            keys: vec![
                ("data_list_file_path", text("The data list; relative to the archive.")),
                ("data_file_base_dir", text("What paths in the data list are relative to; relative to the archive.")),
                ("data_list_key", text("Which list of the data list: `training`, `validation` …")),
            ],
            ..form("dataset", "dataset")
        },
        form("dataloader", "data loader"),
        form("inferer", "inferer"),
        form("iteration", "iteration"),
        Form {
            keys: vec![(
                "rank",
                json!({
                    "description": "Only in the process of this rank of a distributed run.",
                    "type": ["integer", "string"], "minimum": 0, "pattern": VARIABLE,
                }),
            )],
            ..form("handler", "handler")
        },
        Form {
            keys: vec![
                ("log_label", text("The metric's name in logs and files.")),
                (
                    "is_key_metric",
                    json!({
                        "description": "Whether the best model is chosen by this metric (dialect 4.0).",
                        "type": ["boolean", "string"], "pattern": VARIABLE,
                    }),
                ),
            ],
            arguments: vec![("output_transform", expression), ("device", text("Where the metric is computed: `cpu`."))],
            ..form("metric", "metric")
        },
        form("trainer", "trainer"),
        form("evaluator", "evaluator"),
    ]
}

fn reference(definition: &str) -> Json {
    json!({ "$ref": format!("#/$defs/{definition}") })
}

impl Holds {
    fn schema(&self, description: &str) -> Json {
        let item =
            |kind: &str| json!({ "if": { "type": "string" }, "then": reference("variable"), "else": reference(kind) });
        // by type, not as `anyOf`: what is wrong in a component is told where it is
        let one_or_several = |kind: &str| {
            json!({
                "type": ["object", "array", "string", "null"],
                "pattern": VARIABLE,
                "if": { "type": "object" },
                "then": reference(kind),
                "else": { "items": item(kind) },
            })
        };
        let mut schema = match self {
            Self::Alternatives(kind) => one_or_several(kind),
            Self::Metrics => one_or_several("metric"),
            Self::Model => one_or_several("model"),
            Self::List(kind) => json!({
                "type": ["array", "string", "null"],
                "pattern": VARIABLE,
                "items": { "if": { "type": "object", "required": ["ref"] }, "then": reference("ref"), "else": item(kind) },
            }),
        };
        schema["description"] = description.into();
        schema
    }
}

/// The keys of a section.
fn keys(known: &[&str]) -> Map<String, Json> {
    let places = PLACES.iter().filter(|(key, ..)| known.contains(key));
    places.map(|(key, holds, description)| ((*key).to_owned(), holds.schema(description))).collect()
}

/// Definitions of sections, and of what stands in place of components.
pub(super) fn definitions() -> impl Iterator<Item = (String, Json)> {
    let section = |description: &str, known: &[&str], required: &[&str]| {
        let mut properties = keys(known);
        properties.insert(
            "search".to_owned(),
            json!({ "description": "For a hyperparameter search; not used in training." }),
        );
        json!({
            "type": "object",
            "description": description,
            "properties": properties,
            "patternProperties": { "^_": true },
            "additionalProperties": false,
            "required": required,
        })
    };
    let disabled =
        json!({ "type": ["boolean", "string", "null"], "pattern": VARIABLE, "description": "Leaves it out." });
    let file = |key: &str, description: &str| {
        json!({
            "properties": { key: { "type": "string", "minLength": 1, "description": description }, "disabled": disabled },
            "if": { "properties": { "disabled": { "const": true } }, "required": ["disabled"] },
            "else": { "propertyNames": { "pattern": format!("^(_.*|{key}|disabled)$") } },
        })
    };
    let model = json!({
        "description": "A network, a TorchScript file (`ts_path`) or a checkpoint with the config in it (`ckpt_path`).",
        "type": "object",
        "if": { "required": ["ts_path"] },
        "then": file("ts_path", "A TorchScript file; relative to the archive."),
        "else": {
            "if": { "required": ["ckpt_path"] },
            "then": file("ckpt_path", "A checkpoint from which the network is made again; relative to the archive."),
            "else": reference("network"),
        },
    });
    let by_reference = json!({
        "description": "A component of `train`, used again.",
        "type": "object",
        "properties": {
            "ref": { "type": "string", "minLength": 1, "description": "The `name` or the last part of the `path` of a component of `train`." },
            "disabled": disabled,
        },
        "if": { "properties": { "disabled": { "const": true } }, "required": ["disabled"] },
        "else": { "propertyNames": { "pattern": "^(_.*|ref|disabled)$" } },
    });
    let train_needs = ["loss", "optimizer", "model", "dataset", "dataloader", "trainer"];
    [
        ("train", section("The training.", &TRAIN_KEYS, &train_needs)),
        (
            "validate",
            section("The validation of a training.", &EVALUATION_KEYS, &["dataset", "dataloader", "evaluator"]),
        ),
        ("model", model),
        ("ref", by_reference),
    ]
    .map(|(name, definition)| (name.to_owned(), definition))
    .into_iter()
}

/// The root: a training config has `train`, a validation or inference config has the keys of its one section. Any other
/// key is a variable.
pub(super) fn root() -> Map<String, Json> {
    let mut properties = Map::from_iter([
        ("$schema".to_owned(), json!({ "type": "string", "description": "Where the editor finds this schema." })),
        ("search".to_owned(), json!({ "description": "For a hyperparameter search; not used in training." })),
    ]);
    properties.extend(settings::settings());
    properties.extend(settings::variables());
    properties.extend(["train", "validate"].map(|key| (key.to_owned(), reference(key))));
    Map::from_iter([
        ("type".to_owned(), "object".into()),
        ("properties".to_owned(), Json::Object(properties)),
        ("if".to_owned(), json!({ "anyOf": [{ "required": ["train"] }, { "required": ["validate"] }] })),
        ("then".to_owned(), json!({ "required": ["train"] })),
        (
            "else".to_owned(),
            json!({
                "properties": keys(&EVALUATION_KEYS),
                "required": ["model", "dataset", "dataloader", "evaluator"],
            }),
        ),
    ])
}

#[cfg(test)]
mod tests {
    use super::{EVALUATION_KEYS, PLACES, TRAIN_KEYS, forms};

    #[test]
    fn every_key_of_a_section_has_its_place() {
        let places: Vec<&str> = PLACES.iter().map(|(key, ..)| *key).collect();
        for key in TRAIN_KEYS.iter().chain(&EVALUATION_KEYS) {
            assert!(places.contains(key), "{key}");
        }
        let kinds: Vec<&str> = forms().iter().map(|form| form.kind).collect();
        assert!(!kinds.contains(&"ref") && kinds.len() == 13, "{kinds:?}");
    }
}
