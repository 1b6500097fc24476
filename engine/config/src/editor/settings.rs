//! What stands at the root of a config beside its sections: the engine's settings and the usual variables.

use serde_json::{Map, Value as Json, json};

use super::arguments::VARIABLE;

/// The engine's settings, with what they mean.
pub(super) fn settings() -> Map<String, Json> {
    let or_variable = |kind: &str, description: &str, rest: Json| {
        let mut schema = json!({ "description": description, "type": [kind, "string"], "pattern": VARIABLE });
        if let (Json::Object(schema), Json::Object(rest)) = (&mut schema, rest) {
            schema.extend(rest);
        }
        schema
    };
    let switch = |description: &str, default: bool| or_variable("boolean", description, json!({ "default": default }));
    let seed = or_variable("integer", "The same seed gives the same numbers.", json!({ "minimum": 0 }));
    let list = [
        (
            "CLARA_TRAIN_VERSION",
            json!({
                "description": "The dialect of the config: 4.1 names objects with `@` and takes batches apart into items \
                                before post transforms and metrics; 4.0, also without this key, wires objects by the \
                                names of their sections.",
                "type": ["string", "number"],
                "pattern": r"^4(\.[0-9]+(\..*)?)?$|^\{[A-Za-z_][A-Za-z0-9_]*\}$",
                "examples": ["4.1.0", "4.0"],
            }),
        ),
        ("epochs", or_variable("integer", "Epochs to train.", json!({ "minimum": 1 }))),
        ("use_gpu", switch("Use a GPU when there is one.", true)),
        ("multi_gpu", switch("Run on several GPUs.", false)),
        ("amp", switch("Mixed precision.", false)),
        ("tf32", switch("TensorFloat-32 in matrix products and convolutions on CUDA.", false)),
        ("cudnn_benchmark", switch("Let cuDNN try its algorithms. Ignored in a deterministic run.", false)),
        (
            "determinism",
            json!({
                "description": "Makes the run deterministic.",
                "type": ["object", "string", "null"],
                "pattern": VARIABLE,
                "properties": { "random_seed": seed },
                "patternProperties": { "^_": true },
                "additionalProperties": false,
            }),
        ),
        (
            "num_interval_per_valid",
            or_variable("integer", "Epochs between validations.", json!({ "minimum": 1, "default": 1 })),
        ),
        ("learning_rate", or_variable("number", "The initial learning rate.", json!({ "minimum": 0 }))),
        ("print_conf", switch("Print the resolved config when the run starts.", false)),
    ];
    list.into_iter().map(|(key, schema)| (key.to_owned(), schema)).collect()
}

/// Variables of every archive. They have whatever value their use asks for.
pub(super) fn variables() -> Map<String, Json> {
    let list = [
        ("DATA_ROOT", "The folder that paths in the data list are relative to."),
        ("DATASET_JSON", "The data list."),
        ("PROCESSING_TASK", "`segmentation`, `classification`, `annotation`."),
        ("MMAR_EVAL_OUTPUT_PATH", "Where an evaluation writes its results."),
        ("MMAR_CKPT_DIR", "Where a training writes its checkpoints."),
        ("MMAR_CKPT", "The checkpoint to start from or to evaluate."),
        ("MMAR_TORCHSCRIPT", "The TorchScript model to evaluate."),
        ("TRAIN_DATALIST_KEY", "The training list in the data list."),
        ("VAL_DATALIST_KEY", "The validation list in the data list."),
        ("INFER_DATALIST_KEY", "The list to infer in the data list."),
        ("INPUT_CHANNELS", "Channels of the images."),
        ("OUTPUT_CHANNELS", "Channels of the network's output."),
        ("PRETRAIN_WEIGHTS_FILE", "Weights to start from."),
        ("dont_load_ckpt_model", "Whether the checkpoint is left out."),
        ("dont_load_ts_model", "Whether the TorchScript model is left out."),
        ("dont_save_segmentation", "Whether no segmentations are written."),
        ("disable_dlprof_debug", "Of another program's profiler."),
    ];
    list.into_iter().map(|(key, description)| (key.to_owned(), json!({ "description": description }))).collect()
}

#[cfg(test)]
mod tests {
    use super::{settings, variables};
    use crate::settings::{SETTINGS, STANDARD_VARIABLES};

    #[test]
    fn every_setting_and_standard_variable_is_described() {
        let keys =
            |map: serde_json::Map<String, serde_json::Value>| map.into_iter().map(|(key, _)| key).collect::<Vec<_>>();
        assert_eq!(keys(settings()), SETTINGS);
        assert_eq!(keys(variables()), STANDARD_VARIABLES);
    }
}
