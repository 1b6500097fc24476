//! Transforms of MONAI that are Python through and through: configs that name them are told why, and what to do instead.

use byoc::{Component, Error, Random, Result, Sample, Transform};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

/// A component whose constructor gives the reason.
macro_rules! unavailable {
    ($($name:ident, $args:ident: $reason:literal;)*) => {
        $(
            #[doc = concat!("Not available: ", $reason, ".")]
            #[derive(Deserialize, JsonSchema)]
            pub struct $args {
                /// Whatever MONAI takes.
                #[serde(flatten)]
                _args: Map<String, Json>,
            }

            #[doc = concat!("See [`", stringify!($args), "`].")]
            pub struct $name;

            impl Component for $name {
                type Args = $args;

                fn new(_: $args) -> Result<Self> {
                    Err(Error::invalid_argument(concat!("`", stringify!($name), "` is not available: ", $reason)))
                }
            }

            impl Transform for $name {
                fn apply(&self, _: &mut Sample, _: &mut Random) -> Result<()> {
                    Ok(())
                }
            }
        )*

        byoc::register! { transforms: [$($name),*] }
    };
}

unavailable! {
    Lambdad, LambdadArgs:
        "it calls a Python function, and the engine runs without Python; write the function as a transform of a plugin (`mmar plugin new`)";
    RandLambdad, RandLambdadArgs:
        "it calls a Python function, and the engine runs without Python; write the function as a transform of a plugin (`mmar plugin new`)";
    Ensembled, EnsembledArgs:
        "it calls a Python function; `MeanEnsembled` and `VoteEnsembled` are there, another one is a transform of a plugin (`mmar plugin new`)";
    CuCIMd, CuCIMdArgs:
        "it calls functions of the Python package cuCIM by name; use the transforms of MONAI, or `TorchVisiond` for colours";
    RandCuCIMd, RandCuCIMdArgs:
        "it calls functions of the Python package cuCIM by name; use the random transforms of MONAI, or `TorchVisiond` for colours";
}

#[cfg(test)]
mod tests {
    use byoc::Component;

    #[test]
    fn the_reason_is_told() {
        let args = serde_json::from_value(serde_json::json!({"keys": "image", "func": "x"})).unwrap();
        let error = super::Lambdad::new(args).err().unwrap().to_string();
        assert!(error.starts_with("`Lambdad` is not available: it calls a Python function"), "{error}");
    }
}
