//! Linear layers.

use tch::{Tensor, nn};

use super::variable::{name_of, parameter};
use super::{Layer, init};
use crate::{Error, Result};

/// A linear layer, `torch.nn.Linear`: parameters `weight` (out, in) and, unless switched off, `bias` (out).
#[derive(Debug)]
pub struct Linear {
    name: String,
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    /// A linear layer with a bias.
    #[track_caller]
    pub fn new(path: &nn::Path<'_>, in_features: i64, out_features: i64) -> Result<Self> {
        Self::with_bias(path, in_features, out_features, true)
    }

    /// A linear layer with or without a bias.
    #[track_caller]
    pub fn with_bias(path: &nn::Path<'_>, in_features: i64, out_features: i64, bias: bool) -> Result<Self> {
        if in_features < 1 || out_features < 1 {
            return Err(Error::invalid_argument(format!(
                "`{}` cannot go from {in_features} to {out_features} features: both must be positive",
                name_of(path)
            )));
        }
        let weight = parameter(path, "weight", init::uniform_fan(&[out_features, in_features], in_features)?)?;
        let bias = match bias {
            true => Some(parameter(path, "bias", init::uniform_fan(&[out_features], in_features)?)?),
            false => None,
        };
        Ok(Self { name: name_of(path), weight, bias })
    }

    /// (…, in) → (…, out).
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.f_linear(&self.weight, self.bias.as_ref()).map_err(|error| {
            crate::Error::from(error).context(format!(
                "linear layer `{}` failed on an input of shape {:?}",
                self.name,
                x.size()
            ))
        })
    }

    /// The weight (out, in): the network's own tensor, to be initialised in another way.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// The bias (out).
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }
}

impl Layer for Linear {
    fn forward_t(&self, x: &Tensor, _train: bool) -> Result<Tensor> {
        self.forward(x)
    }
}
