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

pub(super) fn twelve() -> i64 {
    12
}

pub(super) fn hidden_size() -> i64 {
    768
}

pub(super) fn mlp_dim() -> i64 {
    3072
}

pub(super) fn instance_spec() -> LayerSpec {
    LayerSpec::new("instance")
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

/// Says that pretrained weights, which MONAI would download, are not there, and how to get them.
pub(super) fn warn_of_pretrained(pretrained: bool, network: &str) {
    if pretrained {
        tracing::warn!(
            "{network}: `pretrained` weights are not downloaded, the network starts from random ones; save MONAI's once in \
             Python, `torch.save({{\"model\": {network}(…, pretrained=True).state_dict()}}, \"pretrained.pt\")`, and load \
             that file with `CheckpointLoader`, or set `pretrained` to false"
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
