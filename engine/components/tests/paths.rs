//! Built-in components by the paths that configs give them.

use byoc::Kind;
// links the built-in components
use mmar_components as _;
use mmar_loader::Registry;

#[test]
fn names_that_two_packages_have_are_told_apart_by_the_path() {
    let mut registry = Registry::with_builtins();
    let mut name = |kind, path: &str| registry.find(kind, path).map(|entry| entry.descriptor.name);
    for (path, expected) in [
        ("LinearLR", "LinearLR"),
        ("torch.optim.lr_scheduler.LinearLR", "LinearLR"),
        ("monai.optimizers.LinearLR", "MonaiLinearLR"),
        ("monai.optimizers.lr_scheduler.ExponentialLR", "MonaiExponentialLR"),
        ("MonaiExponentialLR", "MonaiExponentialLR"),
        ("torch.optim.lr_scheduler.ExponentialLR", "ExponentialLR"),
        ("monai.optimizers.lr_scheduler.WarmupCosineSchedule", "WarmupCosineSchedule"),
    ] {
        assert_eq!(name(Kind::LR_SCHEDULER, path).unwrap(), expected, "{path}");
    }
    for (path, expected) in [
        ("MeanSquaredError", "MSEMetric"),
        ("monai.handlers.MeanSquaredError", "MSEMetric"),
        ("ignite.metrics.MeanSquaredError", "IgniteMeanSquaredError"),
        ("ignite.metrics.mean_squared_error.MeanSquaredError", "IgniteMeanSquaredError"),
        ("ignite.metrics.Precision", "Precision"),
    ] {
        assert_eq!(name(Kind::METRIC, path).unwrap(), expected, "{path}");
    }
    let error = name(Kind::LOSS, "monai.optimizers.LinearLR").unwrap_err();
    assert_eq!(error.code, "wrong-kind");
}
