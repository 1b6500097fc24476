//! Dropout by dimension.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Layer, LayerSpec, check_spatial_dims};
use crate::{Error, Result};

/// Dropout in training, the identity otherwise.
///
/// In one dimension single values are dropped (`torch.nn.Dropout`), in two and three whole channels (`Dropout2d`,
/// `Dropout3d`); `alphadropout` keeps mean and variance for SELU networks (`torch.nn.AlphaDropout`).
#[derive(Debug, Clone)]
pub struct Dropout {
    probability: f64,
    function: Function,
}

#[derive(Debug, Clone, Copy)]
enum Function {
    Values,
    Channels,
    Alpha,
}

/// How configs give dropout: a probability, or a layer with arguments (`["alphadropout", {"p": 0.1}]`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum DropoutSpec {
    /// The probability of being dropped.
    Probability(f64),
    /// A layer by name, with arguments.
    Layer(LayerSpec),
}

impl Default for DropoutSpec {
    fn default() -> Self {
        Self::Probability(0.0)
    }
}

impl From<f64> for DropoutSpec {
    fn from(probability: f64) -> Self {
        Self::Probability(probability)
    }
}

impl JsonSchema for DropoutSpec {
    fn schema_name() -> Cow<'static, str> {
        "DropoutSpec".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "number", "minimum": 0, "maximum": 1 }, LayerSpec::json_schema(generator)] })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DropoutArgs {
    #[serde(default = "half")]
    p: f64,
    #[serde(default, rename = "inplace")]
    _inplace: bool,
}

fn half() -> f64 {
    0.5
}

impl Dropout {
    /// Dropout of single values (`dim` 1) or of whole channels (2, 3).
    ///
    /// # Errors
    ///
    /// The probability is not within 0 … 1, or there is no such dropout.
    #[track_caller]
    pub fn new(spec: &DropoutSpec, dim: usize) -> Result<Self> {
        check_spatial_dims(dim)?;
        let by_dimension = if dim == 1 { Function::Values } else { Function::Channels };
        let (probability, function) = match spec {
            DropoutSpec::Probability(probability) => (*probability, by_dimension),
            DropoutSpec::Layer(spec) => {
                let function = match spec.key().as_str() {
                    "" => return Ok(Self { probability: 0.0, function: Function::Values }),
                    "dropout" => by_dimension,
                    "alphadropout" => Function::Alpha,
                    _ => return Err(spec.unknown("dropout", &["dropout", "alphadropout"])),
                };
                (spec.parse::<DropoutArgs>()?.p, function)
            }
        };
        if !(0.0..=1.0).contains(&probability) {
            return Err(Error::invalid_argument(format!(
                "a dropout probability is between 0 and 1, found {probability}"
            )));
        }
        Ok(Self { probability, function })
    }

    /// (B, C, spatial…); the shape stays.
    pub fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        if !train || self.probability == 0.0 {
            return Ok(x.shallow_clone());
        }
        Ok(match self.function {
            Function::Values => x.f_dropout(self.probability, train)?,
            Function::Channels => x.f_feature_dropout(self.probability, train)?,
            Function::Alpha => x.f_alpha_dropout(self.probability, train)?,
        })
    }
}

impl Layer for Dropout {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        self.forward(x, train)
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn values_or_channels_are_dropped_and_the_mean_is_kept() {
        tch::manual_seed(5);
        let x = Tensor::ones([1, 2000, 4, 4], (Kind::Float, Device::Cpu));
        for dim in [1, 2] {
            let dropout = Dropout::new(&0.25.into(), dim).unwrap();
            let y = dropout.forward(&x, true).unwrap();
            assert!((y.mean(Kind::Float).double_value(&[]) - 1.0).abs() < 0.05);
            let spread = y.var_dim([2i64, 3].as_slice(), true, false).max().double_value(&[]);
            assert_eq!(spread > 0.0, dim == 1, "channels are dropped as a whole from two dimensions on");
            assert_eq!(dropout.forward(&x, false).unwrap(), x);
        }
        assert!(Dropout::new(&1.5.into(), 1).is_err());
    }
}
