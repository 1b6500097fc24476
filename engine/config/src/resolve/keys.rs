//! The keys that sections and components may have; census of Clara Train 4.x, §2.2 and §2.3.

/// The keys of `train`.
pub(crate) const TRAIN_KEYS: [&str; 15] = [
    "loss",
    "optimizer",
    "lr_scheduler",
    "model",
    "pre_transforms",
    "dataset",
    "dataloader",
    "inferer",
    "iteration",
    "handlers",
    "post_transforms",
    "metrics",
    "key_metric",
    "additional_metrics",
    "trainer",
];

/// The keys of `validate`, and of the root of a validation or inference config.
pub(crate) const EVALUATION_KEYS: [&str; 12] = [
    "model",
    "pre_transforms",
    "dataset",
    "dataloader",
    "inferer",
    "iteration",
    "handlers",
    "post_transforms",
    "metrics",
    "key_metric",
    "additional_metrics",
    "evaluator",
];

/// Whether some section has this key.
pub(crate) fn is_section_key(key: &str) -> bool {
    TRAIN_KEYS.contains(&key) || EVALUATION_KEYS.contains(&key)
}

/// The keys of any component.
pub(crate) const COMPONENT_KEYS: [&str; 15] = [
    "name",
    "path",
    "args",
    "ref",
    "disabled",
    "rank",
    "log_label",
    "is_key_metric",
    "data_list_file_path",
    "data_file_base_dir",
    "data_list_key",
    "ts_path",
    "ckpt_path",
    "search",
    "apply",
];

/// Root keys that mean something to other programs.
pub(crate) const TOLERATED_ROOT_KEYS: [&str; 2] = ["search", "$schema"];

/// Whether a key is a remark.
pub(crate) fn is_comment(key: &str) -> bool {
    key.starts_with('_')
}
