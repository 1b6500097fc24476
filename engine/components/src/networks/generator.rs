//! The generator of an adversarial pair.

use byoc::nn::blocks::{AdnOptions, Convolution, ConvolutionOptions, ResidualUnit, ResidualUnitOptions};
use byoc::nn::{DropoutSpec, Layer, LayerSpec, Linear, Sequential, check_spatial_dims};
use byoc::{Error, Network, NetworkComponent, OneOrMany, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Tensor, nn};

use super::autoencoder::two_units;
use super::defaults;

byoc::register! {
    networks: [Generator],
}

/// Images from codes: a linear layer, then transposed convolutions (MONAI `Generator`).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GeneratorArgs {
    /// Shape of a code.
    pub latent_shape: Vec<i64>,
    /// Channels and size of what the convolutions start from.
    pub start_shape: Vec<i64>,
    /// Channels after each convolution.
    pub channels: Vec<i64>,
    /// How many times larger each convolution makes the image; as many values as `channels`.
    pub strides: Vec<OneOrMany<i64>>,
    /// Size of the kernels, odd.
    #[serde(default = "defaults::kernel_of_three")]
    pub kernel_size: OneOrMany<i64>,
    /// Convolutions in the residual unit after each transposed convolution; 0 leaves it out.
    #[serde(default = "two_units")]
    pub num_res_units: usize,
    /// Activation.
    #[serde(default = "defaults::prelu")]
    pub act: Option<LayerSpec>,
    /// Normalisation.
    #[serde(default = "defaults::instance")]
    pub norm: Option<LayerSpec>,
    /// Dropout.
    #[serde(default)]
    pub dropout: Option<DropoutSpec>,
    /// Whether the convolutions have a bias.
    #[serde(default = "defaults::yes")]
    pub bias: bool,
}

/// The network of [`GeneratorArgs`].
///
/// (B, `latent_shape`…) → (B, the last of `channels`, start size · strides…).
#[derive(Debug)]
pub struct Generator {
    linear: Linear,
    start: Vec<i64>,
    layers: Sequential,
}

impl NetworkComponent for Generator {
    type Args = GeneratorArgs;

    fn new(args: GeneratorArgs, path: &nn::Path<'_>) -> Result<Self> {
        let Some((&first, size)) = args.start_shape.split_first() else {
            return Err(Error::invalid_argument("`start_shape` is empty: give channels and spatial sizes"));
        };
        let dims = size.len();
        check_spatial_dims(dims)?;
        if args.channels.is_empty() || args.channels.len() != args.strides.len() {
            return Err(Error::invalid_argument(format!(
                "`channels` and `strides` must have the same number of values, at least 1; found {} and {}",
                args.channels.len(),
                args.strides.len()
            )));
        }
        let adn = AdnOptions { act: args.act, norm: args.norm, dropout: args.dropout, ..AdnOptions::default() };
        let values = args.latent_shape.iter().product();
        let linear = Linear::new(&(path / "linear"), values, args.start_shape.iter().product())?;
        let mut layers = Sequential::new();
        let mut inputs = first;
        for (index, (&outputs, strides)) in args.channels.iter().zip(&args.strides).enumerate() {
            let path = path / "conv" / format!("layer_{index}");
            let last = index + 1 == args.channels.len();
            let residual = args.num_res_units > 0;
            let options = ConvolutionOptions::new(dims, inputs, outputs)
                .strides(strides.clone())
                .kernel_size(args.kernel_size.clone())
                .adn(adn.clone())
                .bias(args.bias)
                .conv_only(last || residual)
                .transposed(true);
            layers.push(Convolution::new(&if residual { &path / 0 } else { path.clone() }, options)?);
            if residual {
                let options = ResidualUnitOptions {
                    kernel_size: args.kernel_size.clone(),
                    subunits: args.num_res_units,
                    adn: adn.clone(),
                    bias: args.bias,
                    last_conv_only: last,
                    ..ResidualUnitOptions::new(dims, outputs, outputs)
                };
                layers.push(ResidualUnit::new(&(&path / 1), options)?);
            }
            inputs = outputs;
        }
        Ok(Self { linear, start: args.start_shape, layers })
    }
}

impl Network for Generator {
    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let x = self.linear.forward(&x.f_flatten(1, -1)?)?.f_unflatten(1, self.start.as_slice())?;
        self.layers.forward_t(&x, train)
    }
}
