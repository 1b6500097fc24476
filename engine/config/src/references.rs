//! `"@model"`: objects of a run.

/// What a section's `@name` can mean; census of Clara Train 4.x, §2.4.
pub(crate) const OBJECTS: [&str; 17] = [
    "model",
    "loss",
    "optimizer",
    "lr_scheduler",
    "pre_transforms",
    "post_transforms",
    "dataset",
    "dataloader",
    "inferer",
    "iteration",
    "handlers",
    "key_metric",
    "additional_metrics",
    "metrics",
    "trainer",
    "evaluator",
    "conf",
];

/// The name in `"@name"`. Anything else that starts with `@` (an address, a path) is a plain string.
pub(crate) fn parse(text: &str) -> Option<&str> {
    let name = text.strip_prefix('@')?;
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn only_a_name_after_the_sign_is_a_reference() {
        for (text, name) in [
            ("@model", Some("model")),
            ("@lr_scheduler", Some("lr_scheduler")),
            ("model", None),
            ("@", None),
            ("@a.b", None),
            ("@ model", None),
            ("a@b", None),
        ] {
            assert_eq!(parse(text), name, "{text}");
        }
    }
}
