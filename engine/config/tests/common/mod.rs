//! What the tests share: a small archive, a catalog of a few components, and a config to break.

#![expect(dead_code, reason = "each test binary uses its part")]

use std::path::PathBuf;
use std::sync::LazyLock;

use mmar_config::{
    Catalog, ComponentId, Diagnostics, Found, Lookup, Named, Plan, Request, Unknown, Unusable, json_schema,
    load_checked,
};
use serde_json::{Value as Json, json};

/// A config without faults, in dialect 4.1.
pub(crate) const CONFIG: &str = include_str!("config_train.json");

/// An archive in a temporary folder.
pub(crate) struct Archive {
    folder: tempfile::TempDir,
}

impl Archive {
    pub(crate) fn new(config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join("config")).expect("a folder");
        let archive = Self { folder };
        archive.write("config_train.json", config);
        archive.write("environment.json", "{\n  \"DATA_ROOT\": \"/data\",\n  \"DATASET_JSON\": \"/data/dataset.json\",\n  \"MMAR_CKPT_DIR\": \"models\"\n}\n");
        archive
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.folder.path().join("config").join(name), text).expect("a file");
    }

    pub(crate) fn request(&self, overrides: &[&str]) -> Request {
        Request {
            mmar_root: self.folder.path().to_path_buf(),
            config: "config_train.json".into(),
            environment: None,
            overrides: overrides.iter().map(|&text| text.to_owned()).collect(),
        }
    }

    pub(crate) fn load(&self, overrides: &[&str]) -> Result<Plan, Diagnostics> {
        load_checked(&self.request(overrides), &TestCatalog)
    }

    /// The folder's name out of a text.
    pub(crate) fn anonymous(&self, text: &str) -> String {
        text.replace(&self.folder.path().display().to_string(), "MMAR")
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().to_path_buf()
    }
}

/// The config with some of its text replaced; each text must occur.
pub(crate) fn broken(replacements: &[(&str, &str)]) -> String {
    let mut config = CONFIG.to_owned();
    for (from, to) in replacements {
        assert!(config.contains(from), "the config has no {from}");
        config = config.replacen(from, to, 1);
    }
    config
}

/// Where the published configs are, if this machine has them.
pub(crate) fn shared(what: &str) -> Option<PathBuf> {
    let workspace = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let shared = std::env::var_os("MMAR_SHARED").map_or_else(|| workspace.join("../shared"), PathBuf::from);
    Some(shared.join(what)).filter(|path| path.exists())
}

/// A catalog of the components that the configs of these tests name.
pub(crate) struct TestCatalog;

impl Catalog for TestCatalog {
    fn find(&self, kind: &str, id: &ComponentId) -> Lookup {
        let lookup = id.lookup();
        if lookup == "BYOC.oldLoss.OldLoss" {
            return Lookup::Unusable(Unusable {
                message: "plugin `oldLoss` was built for libtorch 2.4.0, this engine runs 2.11.0".into(),
                notes: vec!["BYOC/liboldLoss.so was not opened".into()],
                helps: vec!["build it again: cargo build --release".into()],
            });
        }
        let short = lookup.rsplit('.').next().unwrap_or_default();
        let plugin = lookup.starts_with("BYOC.my") || lookup.starts_with("my");
        let known = &*SCHEMAS;
        match known.iter().find(|(known_kind, name, _)| *known_kind == kind && *name == short) {
            Some((_, name, schema)) => Lookup::Found(Found {
                name: if plugin { format!("BYOC.myLoss.{name}") } else { (*name).to_owned() },
                provider: plugin.then(|| "plugin `myLoss` 0.2.0".to_owned()),
                schema: schema.clone(),
            }),
            None => Lookup::Unknown(Unknown {
                candidates: known
                    .iter()
                    .filter(|(known_kind, ..)| *known_kind == kind)
                    .map(|(_, name, _)| if plugin { format!("BYOC.myLoss.{name}") } else { (*name).to_owned() })
                    .collect(),
                label: plugin.then(|| "not provided by plugin `myLoss` 0.2.0".to_owned()),
                notes: if plugin { vec!["it provides MyDiceLoss (loss)".into()] } else { Vec::new() },
                helps: Vec::new(),
            }),
        }
    }
}

/// A validator of configs that name these components and those of the catalog.
pub(crate) fn editor(more: Vec<Named>) -> jsonschema::Validator {
    let of_catalog = SCHEMAS.iter().map(|(kind, name, schema)| {
        let module = if *kind == "network" { "myNetworkArch" } else { "myLoss" };
        let paths = [format!("{module}.{name}"), format!("BYOC.{module}.{name}")];
        Named {
            kind: (*kind).to_owned(),
            name: (*name).to_owned(),
            aliases: Vec::new(),
            paths: if name.starts_with("My") { paths.into() } else { Vec::new() },
            summary: String::new(),
            schema: schema.clone(),
        }
    });
    let components: Vec<Named> = of_catalog.chain(more).collect();
    let schema = json_schema(&components, &["monai", "torch"], false);
    jsonschema::draft202012::meta::validate(&schema).unwrap_or_else(|error| panic!("not a schema: {error}"));
    jsonschema::validator_for(&schema).expect("a schema")
}

/// An object schema, closed as `#[serde(deny_unknown_fields)]` makes it.
fn object(properties: Json, required: &[&str]) -> Json {
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

static SCHEMAS: LazyLock<Vec<(&str, &str, Json)>> = LazyLock::new(schemas);

fn schemas() -> Vec<(&'static str, &'static str, Json)> {
    let keys = json!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }], "description": "keys of the sample" });
    let boolean = |default: bool| json!({ "type": "boolean", "default": default });
    let numbers =
        |count: u32| json!({ "type": "array", "items": { "type": "number" }, "minItems": count, "maxItems": count });
    let sizes = json!({ "type": "array", "items": { "type": "integer", "minimum": 1 } });
    let one_or_many = |of: Json| json!({ "anyOf": [of.clone(), { "type": "array", "items": of }] });
    let expression = json!({ "x-expression": true });
    let wired = json!({ "x-wired": true });
    let reduction = json!({ "oneOf": [{ "const": "mean", "description": "over all" }, { "const": "sum" }, { "const": "none" }], "default": "mean" });
    let dice = object(
        json!({
            "include_background": boolean(true), "to_onehot_y": boolean(false), "sigmoid": boolean(false), "softmax": boolean(false),
            "reduction": reduction,
            "smooth_nr": { "type": "number", "exclusiveMinimum": 0.0, "default": 1e-5, "description": "Added to the numerator.", "x-aliases": ["smooth"] },
            "smooth_dr": { "type": "number", "exclusiveMinimum": 0.0, "default": 1e-5 },
        }),
        &[],
    );
    let positive = json!({ "type": "integer", "format": "uint32", "minimum": 1 });
    vec![
        ("loss", "DiceLoss", dice.clone()),
        ("loss", "FocalLoss", object(json!({}), &[])),
        ("loss", "MyDiceLoss", dice),
        (
            "optimizer",
            "Adam",
            object(
                json!({ "params": { "anyOf": [expression.clone(), { "type": "null" }] }, "lr": { "type": "number", "minimum": 0, "default": 1e-3 }, "betas": numbers(2) }),
                &[],
            ),
        ),
        (
            "lr_scheduler",
            "StepLR",
            object(
                json!({ "optimizer": wired, "step_size": positive, "gamma": { "type": "number", "default": 0.1 } }),
                &["step_size"],
            ),
        ),
        (
            "network",
            "UNet",
            object(
                json!({ "spatial_dims": { "type": "integer", "minimum": 1, "maximum": 3, "x-aliases": ["dimensions"] }, "in_channels": positive, "out_channels": positive, "channels": sizes, "strides": sizes, "num_res_units": { "type": "integer", "minimum": 0, "default": 0 }, "norm": { "type": "string" } }),
                &["spatial_dims", "in_channels", "out_channels", "channels", "strides"],
            ),
        ),
        (
            "network",
            "MyBasicUNet",
            object(
                json!({ "dimensions": positive, "in_channels": positive, "out_channels": positive, "features": sizes, "norm": { "type": "string" } }),
                &[],
            ),
        ),
        ("transform", "LoadImaged", object(json!({ "keys": keys }), &["keys"])),
        ("transform", "EnsureChannelFirstd", object(json!({ "keys": keys }), &["keys"])),
        ("transform", "ToTensord", object(json!({ "keys": keys }), &["keys"])),
        (
            "transform",
            "Spacingd",
            object(
                json!({ "keys": keys, "pixdim": one_or_many(json!({ "type": "number" })), "mode": one_or_many(json!({ "enum": ["bilinear", "nearest"], "type": "string" })) }),
                &["keys", "pixdim"],
            ),
        ),
        (
            "transform",
            "ScaleIntensityRanged",
            object(
                json!({ "keys": keys, "a_min": { "type": "number" }, "a_max": { "type": "number" }, "b_min": { "type": "number" }, "b_max": { "type": "number" }, "clip": boolean(false) }),
                &["keys", "a_min", "a_max"],
            ),
        ),
        (
            "transform",
            "CropForegroundd",
            object(json!({ "keys": keys, "source_key": { "type": "string" } }), &["keys", "source_key"]),
        ),
        (
            "transform",
            "RandCropByPosNegLabeld",
            object(
                json!({ "keys": keys, "label_key": { "type": "string" }, "spatial_size": one_or_many(json!({ "type": "integer" })), "pos": { "type": "number" }, "neg": { "type": "number" }, "num_samples": positive, "image_key": { "type": ["string", "null"] }, "image_threshold": { "type": "number" } }),
                &["keys", "label_key", "spatial_size"],
            ),
        ),
        (
            "transform",
            "RandShiftIntensityd",
            object(
                json!({ "keys": keys, "offsets": { "anyOf": [{ "type": "number" }, numbers(2)] }, "prob": { "type": "number", "minimum": 0, "maximum": 1 } }),
                &["keys", "offsets"],
            ),
        ),
        (
            "transform",
            "Activationsd",
            object(
                json!({ "keys": keys, "sigmoid": one_or_many(json!({ "type": "boolean" })), "softmax": one_or_many(json!({ "type": "boolean" })) }),
                &["keys"],
            ),
        ),
        (
            "transform",
            "AsDiscreted",
            object(
                json!({ "keys": keys, "argmax": one_or_many(json!({ "type": "boolean" })), "to_onehot": one_or_many(json!({ "type": ["integer", "boolean", "null"] })), "n_classes": one_or_many(json!({ "type": ["integer", "null"] })) }),
                &["keys"],
            ),
        ),
        (
            "transform",
            "Invertd",
            object(
                json!({ "keys": keys, "transform": { "x-reference": true }, "orig_keys": keys, "meta_keys": keys, "nearest_interp": boolean(true), "to_tensor": boolean(true), "device": { "type": "string" } }),
                &["keys", "transform"],
            ),
        ),
        (
            "transform",
            "SaveImaged",
            object(
                json!({ "keys": keys, "meta_keys": keys, "output_dir": { "type": "string" }, "resample": boolean(true), "squeeze_end_dims": boolean(true) }),
                &["keys"],
            ),
        ),
        (
            "dataset",
            "CacheDataset",
            object(
                json!({ "transform": wired, "cache_num": { "type": "integer" }, "cache_rate": { "type": "number", "minimum": 0, "maximum": 1 }, "num_workers": { "type": ["integer", "null"] } }),
                &[],
            ),
        ),
        ("dataset", "Dataset", object(json!({ "transform": wired }), &[])),
        (
            "dataloader",
            "DataLoader",
            object(
                json!({ "dataset": wired, "batch_size": positive, "shuffle": boolean(false), "num_workers": { "type": "integer", "minimum": 0 } }),
                &[],
            ),
        ),
        ("inferer", "SimpleInferer", object(json!({}), &[])),
        (
            "inferer",
            "SlidingWindowInferer",
            object(
                json!({ "roi_size": one_or_many(json!({ "type": "integer" })), "sw_batch_size": positive, "overlap": { "type": "number", "minimum": 0, "exclusiveMaximum": 1 } }),
                &["roi_size"],
            ),
        ),
        (
            "handler",
            "CheckpointLoader",
            object(
                json!({ "load_path": { "type": "string" }, "load_dict": { "anyOf": [{ "type": "array", "items": { "type": "string" } }, { "type": "object", "additionalProperties": { "x-reference": true } }] } }),
                &["load_path"],
            ),
        ),
        (
            "handler",
            "CheckpointSaver",
            object(
                json!({ "save_dir": { "type": "string" }, "save_dict": { "anyOf": [{ "type": "array", "items": { "type": "string" } }, { "type": "object", "additionalProperties": { "x-reference": true } }] }, "save_key_metric": boolean(false), "save_interval": { "type": "integer" } }),
                &["save_dir"],
            ),
        ),
        ("handler", "LrScheduleHandler", object(json!({ "lr_scheduler": wired, "print_lr": boolean(true) }), &[])),
        (
            "handler",
            "ValidationHandler",
            object(json!({ "validator": wired, "interval": positive, "epoch_level": boolean(true) }), &["interval"]),
        ),
        (
            "handler",
            "StatsHandler",
            object(json!({ "tag_name": { "type": "string" }, "output_transform": expression }), &[]),
        ),
        (
            "handler",
            "TensorBoardStatsHandler",
            object(
                json!({ "log_dir": { "type": "string" }, "tag_name": { "type": "string" }, "output_transform": expression }),
                &[],
            ),
        ),
        (
            "handler",
            "MetricsSaver",
            object(
                json!({ "save_dir": { "type": "string" }, "metrics": { "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] }, "metric_details": { "type": "array", "items": { "type": "string" } }, "batch_transform": expression, "summary_ops": { "type": "string" }, "save_rank": { "type": "integer" } }),
                &["save_dir"],
            ),
        ),
        ("metric", "Accuracy", object(json!({}), &[])),
        ("metric", "MeanDice", object(json!({ "include_background": boolean(true) }), &[])),
        (
            "trainer",
            "SupervisedTrainer",
            engine(&[
                "train_data_loader",
                "network",
                "loss_function",
                "optimizer",
                "inferer",
                "postprocessing",
                "key_train_metric",
                "train_handlers",
            ]),
        ),
        (
            "evaluator",
            "SupervisedEvaluator",
            engine(&[
                "val_data_loader",
                "network",
                "inferer",
                "postprocessing",
                "key_val_metric",
                "additional_metrics",
                "val_handlers",
            ]),
        ),
    ]
}

fn engine(wired: &[&str]) -> Json {
    let mut properties = json!({ "max_epochs": { "type": "integer", "minimum": 1 }, "amp": { "type": "boolean" }, "device": { "type": "string" } });
    for name in wired {
        properties[*name] = json!({ "x-wired": true });
    }
    object(properties, &[])
}
