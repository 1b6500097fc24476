//! How an optimizer's options are declared, and checks of them.

use byoc::{Error, Result};

/// Declares the options of an optimizer: the arguments of a config and the entries of a parameter group alike.
///
/// All of them have defaults, PyTorch's. The `hints` choose between PyTorch's ways to carry out a step; they change no
/// values, so they are taken and left alone.
macro_rules! options {
    (
        $(#[$meta:meta])*
        $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty = $default:expr,)* }
        hints { $($hint:ident = $hint_default:expr),* }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
            $(
                /// Chooses between PyTorch's ways to carry out the step; without effect here.
                pub $hint: Option<bool>,
            )*
            /// The parameters; the network's.
            #[serde(skip_serializing)]
            pub params: byoc::Wired,
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* $($hint: $hint_default,)* params: byoc::Wired }
            }
        }
    };
}

pub(super) use options;

/// An option that must be a number of 0 or more.
#[track_caller]
pub(super) fn at_least_zero(options: &[(&str, f64)]) -> Result<()> {
    match options.iter().find(|(_, value)| value.is_nan() || *value < 0.0) {
        None => Ok(()),
        Some((name, value)) => Err(Error::invalid_argument(format!("`{name}` is {value}, it must not be negative"))),
    }
}

/// Decay rates, which must lie in 0..1.
#[track_caller]
pub(super) fn decay_rates(betas: (f64, f64)) -> Result<()> {
    for beta in [betas.0, betas.1] {
        if !(0.0..1.0).contains(&beta) {
            return Err(Error::invalid_argument(format!(
                "`betas` has {beta}, both must be at least 0 and less than 1"
            )));
        }
    }
    Ok(())
}
