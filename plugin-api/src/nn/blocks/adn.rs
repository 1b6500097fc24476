//! Activation, dropout and normalisation in a given order.

use tch::{Tensor, nn};

use crate::nn::{Activation, Dropout, DropoutSpec, Layer, LayerSpec, Norm, Sequential};
use crate::{Error, Result};

/// `monai.networks.blocks.ADN`: activation `A`, dropout `D` and normalisation `N` in the order of a string.
#[derive(Debug)]
pub struct Adn(Sequential);

/// What an [`Adn`] consists of; absent parts are left out.
#[derive(Debug, Clone)]
pub struct AdnOptions {
    /// The order, `"NDA"` in most networks; a part that is not named is left out.
    pub ordering: String,
    /// The activation.
    pub act: Option<LayerSpec>,
    /// The normalisation.
    pub norm: Option<LayerSpec>,
    /// The dropout.
    pub dropout: Option<DropoutSpec>,
    /// Whether single values (1) or whole channels (2, 3) are dropped.
    pub dropout_dim: usize,
}

impl Default for AdnOptions {
    /// MONAI's defaults in a convolution: instance norm, then PReLU.
    fn default() -> Self {
        Self {
            ordering: "NDA".to_owned(),
            act: Some("PRELU".into()),
            norm: Some("INSTANCE".into()),
            dropout: None,
            dropout_dim: 1,
        }
    }
}

impl Adn {
    /// Makes the parts under `path` (`A.weight`, `N.running_mean` …).
    ///
    /// # Errors
    ///
    /// The order has other letters than `A`, `D`, `N`, or one of the layers cannot be made.
    #[track_caller]
    pub fn new(path: &nn::Path<'_>, options: &AdnOptions, spatial_dims: usize, channels: i64) -> Result<Self> {
        let mut layers = Sequential::new();
        for letter in options.ordering.to_uppercase().chars() {
            match letter {
                'A' => {
                    if let Some(act) = &options.act {
                        layers.push(Activation::new(&(path / "A"), act)?);
                    }
                }
                'D' => {
                    if let Some(dropout) = &options.dropout {
                        layers.push(Dropout::new(dropout, options.dropout_dim)?);
                    }
                }
                'N' => {
                    if let Some(norm) = &options.norm {
                        layers.push(Norm::new(&(path / "N"), norm, spatial_dims, channels)?);
                    }
                }
                other => {
                    return Err(Error::invalid_argument(format!(
                        "`adn_ordering` is made of `A`, `D` and `N`, found `{other}` in `{}`",
                        options.ordering
                    )));
                }
            }
        }
        Ok(Self(layers))
    }
}

impl Layer for Adn {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        self.0.forward_t(x, train)
    }
}
