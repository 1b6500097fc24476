//! `Activationsd`.

use byoc::{Component, Error, Keys, OneOrMany, Random, Result, Sample, Transform};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Kind;

use super::common::map_tensors;

/// Applies sigmoid or softmax to predictions.
///
/// Softmax runs over the channels, the first axis. MONAI `Activationsd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActivationsdArgs {
    /// Keys of the predictions.
    keys: Keys,
    /// Whether to apply sigmoid, for each key or for all.
    #[serde(default)]
    sigmoid: OneOrMany<bool>,
    /// Whether to apply softmax, for each key or for all.
    #[serde(default)]
    softmax: OneOrMany<bool>,
    /// There are no functions in a config: `null`.
    #[serde(default, rename = "other")]
    _other: Option<()>,
    /// The axis of the channels.
    #[serde(default)]
    dim: i64,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`ActivationsdArgs`].
pub struct Activationsd {
    args: ActivationsdArgs,
    per_key: Vec<(bool, bool)>,
}

impl Component for Activationsd {
    type Args = ActivationsdArgs;

    fn new(args: ActivationsdArgs) -> Result<Self> {
        let sigmoid = args.sigmoid.repeat(args.keys.len(), "sigmoid")?;
        let softmax = args.softmax.repeat(args.keys.len(), "softmax")?;
        let per_key: Vec<_> = sigmoid.into_iter().zip(softmax).collect();
        if let Some(position) = per_key.iter().position(|&both| both == (true, true)) {
            return Err(Error::invalid_argument(format!(
                "`sigmoid` and `softmax` are both on for `{}`",
                args.keys.0[position]
            )));
        }
        Ok(Self { args, per_key })
    }
}

byoc::register! { transforms: [Activationsd] }

impl Transform for Activationsd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        map_tensors(sample, &self.args.keys, self.args.allow_missing_keys, |position, tensor| {
            let tensor = tensor.f_to_kind(Kind::Float)?;
            Ok(match self.per_key[position] {
                (true, _) => tensor.f_sigmoid()?,
                (_, true) => tensor.f_softmax(self.args.dim, Kind::Float)?,
                _ => tensor,
            })
        })
    }
}
