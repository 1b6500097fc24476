//! The network applied to the whole input.

use byoc::{Component, Inferer, Predictor, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Tensor;

byoc::register! { inferers: [SimpleInferer] }

/// Applies the network to the whole input at once (MONAI `SimpleInferer`).
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SimpleInfererArgs {}

/// See [`SimpleInfererArgs`].
#[derive(Debug)]
pub struct SimpleInferer;

impl Component for SimpleInferer {
    type Args = SimpleInfererArgs;

    fn new(_: SimpleInfererArgs) -> Result<Self> {
        Ok(Self)
    }
}

impl Inferer for SimpleInferer {
    fn infer(&self, x: &Tensor, predict: Predictor<'_>) -> Result<Tensor> {
        predict(x)
    }
}
