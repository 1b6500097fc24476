//! Default values that the arguments of several networks have in common, for `#[serde(default = "…")]`.

use byoc::OneOrMany;
use byoc::nn::LayerSpec;

pub(super) fn yes() -> bool {
    true
}

pub(super) fn one() -> i64 {
    1
}

pub(super) fn two() -> i64 {
    2
}

pub(super) fn eight() -> i64 {
    8
}

pub(super) fn relu_spec() -> LayerSpec {
    LayerSpec::new("RELU").with("inplace", true)
}

pub(super) fn batch_spec() -> LayerSpec {
    LayerSpec::new("batch")
}

pub(super) fn group_of_eight() -> LayerSpec {
    LayerSpec::new("GROUP").with("num_groups", 8)
}

pub(super) fn three_dimensions() -> usize {
    3
}

pub(super) fn kernel_of_three() -> OneOrMany<i64> {
    OneOrMany::One(3)
}

/// Says that pretrained weights, which MONAI would download, are not there.
pub(super) fn warn_of_pretrained(pretrained: bool, network: &str) {
    if pretrained {
        tracing::warn!(
            "{network}: `pretrained` weights are not included, the network starts from random ones; load a checkpoint with `CheckpointLoader`"
        );
    }
}

/// The functions below give `Option` because `null` leaves the layer out.
macro_rules! layers {
    ($($name:ident = $spec:expr;)*) => {
        $(
            pub(super) fn $name() -> Option<LayerSpec> {
                Some($spec)
            }
        )*
    };
}

layers! {
    prelu = "PRELU".into();
    instance = "INSTANCE".into();
    leaky_relu = LayerSpec::new("LeakyReLU").with("negative_slope", 0.1).with("inplace", true);
    instance_affine = LayerSpec::new("instance").with("affine", true);
}
