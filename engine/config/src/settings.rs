//! The engine's own switches at the root of a config; census of Clara Train 4.x, §10.

use serde::Serialize;

use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::document::{Node, Value, inline};
use crate::variables::Variables;

/// The engine's switches.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Settings {
    /// Epochs to train.
    pub epochs: Option<u64>,
    /// Use a GPU when there is one. Default: true.
    pub use_gpu: bool,
    /// Run on several GPUs.
    pub multi_gpu: bool,
    /// Mixed precision.
    pub amp: bool,
    /// TensorFloat-32 in matrix products and convolutions on CUDA.
    pub tf32: bool,
    /// Let cuDNN try its algorithms. Ignored in a deterministic run.
    pub cudnn_benchmark: bool,
    /// `determinism.random_seed`: the same run gives the same numbers.
    pub random_seed: Option<u64>,
    /// Epochs between validations. Default: 1.
    pub num_interval_per_valid: u64,
    /// The initial learning rate, where the config has it at its root.
    pub learning_rate: Option<f64>,
    /// Print the resolved config when the run starts.
    pub print_conf: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            epochs: None,
            use_gpu: true,
            multi_gpu: false,
            amp: false,
            tf32: false,
            cudnn_benchmark: false,
            random_seed: None,
            num_interval_per_valid: 1,
            learning_rate: None,
            print_conf: false,
        }
    }
}

/// Root keys that the engine reads itself.
pub(crate) const SETTINGS: [&str; 11] = [
    "CLARA_TRAIN_VERSION",
    "epochs",
    "use_gpu",
    "multi_gpu",
    "amp",
    "tf32",
    "cudnn_benchmark",
    "determinism",
    "num_interval_per_valid",
    "learning_rate",
    "print_conf",
];

/// Variables of every MMAR, whether or not a config uses them: scripts set them without looking.
pub(crate) const STANDARD_VARIABLES: [&str; 17] = [
    "DATA_ROOT",
    "DATASET_JSON",
    "PROCESSING_TASK",
    "MMAR_EVAL_OUTPUT_PATH",
    "MMAR_CKPT_DIR",
    "MMAR_CKPT",
    "MMAR_TORCHSCRIPT",
    "TRAIN_DATALIST_KEY",
    "VAL_DATALIST_KEY",
    "INFER_DATALIST_KEY",
    "INPUT_CHANNELS",
    "OUTPUT_CHANNELS",
    "PRETRAIN_WEIGHTS_FILE",
    "dont_load_ckpt_model",
    "dont_load_ts_model",
    "dont_save_segmentation",
    "disable_dlprof_debug",
];

impl Settings {
    /// Reads the settings. A wrong one is reported, keeps its default, and its uses as a variable are not reported
    /// again.
    pub(crate) fn read(variables: &mut Variables, errors: &mut Vec<Diagnostic>) -> Self {
        let defaults = Self::default();
        let mut reader = Reader { variables, errors, wrong: Vec::new() };
        let settings = Self {
            epochs: reader.count("epochs", 1),
            use_gpu: reader.boolean("use_gpu").unwrap_or(defaults.use_gpu),
            multi_gpu: reader.boolean("multi_gpu").unwrap_or(defaults.multi_gpu),
            amp: reader.boolean("amp").unwrap_or(defaults.amp),
            tf32: reader.boolean("tf32").unwrap_or(defaults.tf32),
            cudnn_benchmark: reader.boolean("cudnn_benchmark").unwrap_or(defaults.cudnn_benchmark),
            random_seed: reader.random_seed(),
            num_interval_per_valid: reader
                .count("num_interval_per_valid", 1)
                .unwrap_or(defaults.num_interval_per_valid),
            learning_rate: reader.positive("learning_rate"),
            print_conf: reader.boolean("print_conf").unwrap_or(defaults.print_conf),
        };
        let wrong = reader.wrong;
        for name in wrong {
            variables.invalidate(&name);
        }
        settings
    }
}

struct Reader<'a> {
    variables: &'a Variables,
    errors: &'a mut Vec<Diagnostic>,
    wrong: Vec<String>,
}

impl Reader<'_> {
    fn boolean(&mut self, name: &str) -> Option<bool> {
        let node = self.variables.value(name)?;
        match node.value {
            Value::Bool(value) => Some(value),
            _ => self.report(name, node, "`true` or `false`"),
        }
    }

    fn count(&mut self, name: &str, minimum: u64) -> Option<u64> {
        let node = self.variables.value(name)?;
        match integer(node).filter(|&value| value >= minimum) {
            Some(value) => Some(value),
            None => self.report(name, node, &format!("a whole number from {minimum}")),
        }
    }

    fn positive(&mut self, name: &str) -> Option<f64> {
        let node = self.variables.value(name)?;
        match &node.value {
            Value::Number(number) if number.as_f64().is_some_and(|value| value >= 0.0) => number.as_f64(),
            _ => self.report(name, node, "a number from 0"),
        }
    }

    fn random_seed(&mut self) -> Option<u64> {
        let node = self.variables.value("determinism")?;
        match &node.value {
            Value::Object(entries) => {
                for entry in entries.iter().filter(|entry| entry.key != "random_seed" && !entry.key.starts_with('_')) {
                    self.errors.push(
                        Diagnostic::new(Code::UnknownKey, format!("`determinism` has no key `{}`", entry.key))
                            .labelled(entry.key_span, "unknown key")
                            .pointer(format!("/determinism/{}", entry.key))
                            .help("`determinism` has one key, `random_seed`"),
                    );
                }
                let seed = node.get("random_seed")?;
                integer(seed).or_else(|| self.report("determinism/random_seed", seed, "a whole number from 0"))
            }
            Value::Null => None,
            _ => self.report("determinism", node, "an object with `random_seed`"),
        }
    }

    fn report<T>(&mut self, name: &str, node: &Node, expected: &str) -> Option<T> {
        if matches!(node.value, Value::Invalid | Value::Unresolved { .. }) {
            return None;
        }
        self.wrong.push(name.to_owned());
        let short = name.rsplit('/').next().unwrap_or(name);
        let unquoted =
            node.as_str().and_then(|text| crate::overrides::literal(text).filter(|value| !value.is_string()));
        self.errors.push(
            Diagnostic::new(Code::InvalidSetting, format!("`{short}` must be {expected}, found {}", node.described()))
                .at(node.span)
                .pointer(format!("/{name}"))
                .maybe_help(unquoted.map(|value| format!("remove the quotes: \"{short}\": {}", inline(&value)))),
        );
        None
    }
}

/// A whole number from 0, also spelled `2.0`.
pub(crate) fn integer(node: &Node) -> Option<u64> {
    match &node.value {
        Value::Number(number) => number.as_u64().or_else(|| {
            number
                .as_f64()
                .filter(|value| value.fract() == 0.0 && (0.0..1e15).contains(value))
                .map(|value| value as u64)
        }),
        _ => None,
    }
}
