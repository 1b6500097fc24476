//! The codes of diagnostics, each with the paragraph that `mmar explain` prints.

use std::fmt;

/// Declares the codes with their spelling and explanation.
macro_rules! codes {
    ($($variant:ident = $name:literal: $explanation:literal;)*) => {
        /// What kind of problem a diagnostic reports.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Code {
            $(#[doc = $explanation] $variant,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The code as it is printed: `unknown-component`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// What it means and what to do about it.
            pub fn explanation(self) -> &'static str {
                match self { $(Self::$variant => $explanation),* }
            }
        }
    };
}

codes! {
    CannotRead = "cannot-read":
        "A file that was named on the command line cannot be read, or is not UTF-8 text. A config is looked for in \
         the MMAR, in the MMAR's `config` folder, then in the working folder. Check the spelling and the permissions.";
    InvalidJson = "invalid-json":
        "The text is not JSON. Configs are strict JSON: double quotes, no comments, no comma after the last element, \
         `true`, `false` and `null` in lower case. A key that starts with an underscore, such as `\"_comment\"`, is \
         ignored and can hold a remark.";
    DuplicateKey = "duplicate-key":
        "An object has the same key twice. JSON readers usually keep the last one without a word, which hides mistakes of \
         copying; so it is an error here. Remove one of them.";
    UnexpectedType = "unexpected-type":
        "A part of the config has another JSON type than its place asks for: a component is an object with `name` or \
         `path`, `pre_transforms` is a list of components, `disabled` is `true`, `false` or a variable with such a value.";
    UnknownKey = "unknown-key":
        "A section or component has a key that means nothing there, so it would be ignored. Most often it is misspelt, or \
         an argument that belongs into `args`. Remarks can be kept under keys that start with an underscore.";
    MissingKey = "missing-key":
        "A section or component lacks something it cannot do without: a component needs `name` or `path`, `train` needs \
         `loss`, `optimizer`, `model`, `dataset`, `dataloader` and `trainer`, an evaluation needs `model`, `dataset`, \
         `dataloader` and `evaluator`.";
    InvalidOverride = "invalid-override":
        "`--set` takes KEY=VALUE. The key is a variable (`epochs`), a dotted path (`train.loss.args.smooth_nr`) or a JSON \
         pointer (`/train/loss/args/smooth_nr`); the value is JSON, `True`, `False` or `None`, or else a text.";
    UnknownOverride = "unknown-override":
        "`--set` names something that does not exist, so setting it would have no effect. A path must lead to a value that \
         the config has, or to an argument of a component; a variable must occur in the config or in the environment, or \
         be referenced as `{NAME}`, or be a setting of the engine.";
    UnresolvedVariable = "unresolved-variable":
        "A string holds `{NAME}`, but neither the config's root, nor the environment file, nor `--set` gives NAME a value. \
         Only inside a disabled component is that allowed. Give it with `--set NAME=VALUE` or in the environment file.";
    VariableCycle = "variable-cycle":
        "Variables are defined by each other in a circle, so none of them has a value. Give one of them a value of its own.";
    VariableInText = "variable-in-text":
        "A variable that stands inside a longer string must be a text, a number or a boolean. A list or an object can only \
         replace a whole string: `\"{channels}\"`.";
    UnusedVariable = "unused-variable":
        "The config's root has a value that nothing uses: it is no setting of the engine and is not referenced as \
         `{NAME}`. Often it is a misspelt setting. Remove it, or name it where it should have an effect.";
    InvalidSetting = "invalid-setting":
        "A setting of the engine at the config's root (such as `epochs`, `amp`, `learning_rate`, `determinism`) has a value \
         of the wrong type or out of range.";
    UnknownDialect = "unknown-dialect":
        "`CLARA_TRAIN_VERSION` says which dialect the config is written in. Known are 4.0 (also when it is absent) and 4.1. \
         TensorFlow configs of Clara 3.1 and before must be converted first.";
    NotATrainingConfig = "not-a-training-config":
        "The file holds neither a `train` section nor the keys of a validation or inference config (`model`, `dataset`, \
         `evaluator`). Configs of federated training, of a hyperparameter search and of an annotation server are for other commands.";
    UnknownReference = "unknown-reference":
        "A string that starts with `@` names an object of the run, and there is none of that name: in the section itself, \
         in `train`, or in `validate`. Known names are the keys of the sections, `@evaluator` and `@conf`.";
    UnknownRef = "unknown-ref":
        "`\"ref\": \"NAME\"` stands for a component of the `train` section, found by its `name` or the last part of its \
         `path`. No component of `train` has that name.";
    UnsupportedExpression = "unsupported-expression":
        "Configs hold no code. The expressions that published Clara configs use are understood, in any spacing and quotes; \
         any other string that starts with `#` or `lambda` is refused, because it could only be run by Python. What it \
         computes can be written as a post transform or as a component of your own.";
    UnknownComponent = "unknown-component":
        "No built-in and no plugin provides a component of that kind and name. `mmar components` lists what there is. A \
         plugin's component is named by `path`: folder, module, component, as in `BYOC.myLoss.MyDiceLoss`.";
    UnusableComponent = "unusable-component":
        "The plugin that should provide the component is there, but cannot be used: it is damaged, was built for another \
         libtorch or another version of the plugin interface, or failed when it was tried. `mmar plugin inspect FILE` and \
         `mmar plugin check FILE` say more.";
    ComponentFailed = "component-failed":
        "A component was found and its arguments have the right types, but making it failed: the component itself refused \
         the values. The message is the component's own.";
    UnknownArg = "unknown-arg":
        "A component has no argument of that name. `mmar components --json` and `mmar explain NAME` list the arguments.";
    MissingArg = "missing-arg":
        "A component has an argument without a default, and the config does not give it.";
    InvalidArg = "invalid-arg":
        "An argument has the wrong type, is out of range, or is none of the values that the component knows. Numbers and \
         booleans stand without quotes in JSON.";
    DuplicateArg = "duplicate-arg":
        "An argument is given twice under two of its spellings, such as `dimensions` and `spatial_dims`. Keep one.";
    PerKeyLength = "per-key-length":
        "A list argument of a transform holds one value for each key, so it must be as long as `keys`.";
    NoModel = "no-model":
        "Every alternative in `model` is disabled, so there is nothing to evaluate. Enable one, for example with \
         `--set dont_load_ckpt_model=False`.";
    MissingLogLabel = "missing-log-label":
        "A metric has no `log_label`. The name of the component is used instead, so two metrics of the same class cannot \
         be told apart in logs, files and `MetricsSaver`.";
    DuplicateLogLabel = "duplicate-log-label":
        "Two metrics of a section have the same `log_label`; their values would overwrite each other in logs and files.";
    SeveralKeyMetrics = "several-key-metrics":
        "More than one metric is marked with `is_key_metric`. The best model is chosen by one metric only.";
    UnknownMetricLabel = "unknown-metric-label":
        "A handler names a metric that the section does not compute. Handlers name metrics by their `log_label`.";
    NoHandlers = "no-handlers":
        "A section has no handlers: nothing is logged, validated or saved. `StatsHandler`, `CheckpointSaver` and, for \
         training, `ValidationHandler` are the usual ones.";
    NoValidation = "no-validation":
        "A `ValidationHandler` runs the `validate` section, and the config has none; or there is a `validate` section, but \
         no `ValidationHandler` in `train`, so that it never runs.";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Code {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|code| code.as_str() == name).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_kebab_case_unique_and_explained() {
        let mut seen = std::collections::BTreeSet::new();
        for &code in Code::ALL {
            let name = code.as_str();
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{name}");
            assert!(seen.insert(name), "{name} twice");
            assert!(code.explanation().len() > 60 && code.explanation().ends_with('.'), "{name} needs a paragraph");
            assert_eq!(name.parse(), Ok(code));
        }
    }
}
