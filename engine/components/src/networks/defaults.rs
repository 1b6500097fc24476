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

pub(super) fn three() -> i64 {
    3
}

pub(super) fn three_dimensions() -> usize {
    3
}

pub(super) fn kernel_of_three() -> OneOrMany<i64> {
    OneOrMany::One(3)
}

/// The functions below give `Option` because `null` leaves the layer out.
macro_rules! layers {
    ($($name:ident = $spec:expr;)*) => {
        $(
            #[expect(clippy::unnecessary_wraps, reason = "null leaves the layer out")]
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
