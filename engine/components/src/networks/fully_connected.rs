//! Networks of linear layers.

use byoc::nn::blocks::{Adn, AdnOptions};
use byoc::nn::{DropoutSpec, Layer, LayerSpec, Linear, alias};
use byoc::{Error, Network, NetworkComponent, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Tensor, nn};

use super::defaults;
use super::latent::{Code, Latent};

byoc::register! {
    networks: [FullyConnectedNet, VarFullyConnectedNet],
}

/// Linear layers with activation and dropout between them (MONAI `FullyConnectedNet`).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FullyConnectedNetArgs {
    /// Number of input values.
    pub in_channels: i64,
    /// Number of output values.
    pub out_channels: i64,
    /// Values after each hidden layer.
    pub hidden_channels: Vec<i64>,
    /// Dropout.
    #[serde(default)]
    pub dropout: Option<DropoutSpec>,
    /// Activation.
    #[serde(default = "defaults::prelu")]
    pub act: Option<LayerSpec>,
    /// Whether the layers have a bias.
    #[serde(default = "defaults::yes")]
    pub bias: bool,
    /// Order of activation `A` and dropout `D`; by default `DA`.
    #[serde(default)]
    pub adn_ordering: Option<String>,
}

/// Linear layers around a normally distributed code (MONAI `VarFullyConnectedNet`).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VarFullyConnectedNetArgs {
    /// Number of input values.
    pub in_channels: i64,
    /// Number of output values.
    pub out_channels: i64,
    /// How many numbers a code has.
    pub latent_size: i64,
    /// Values after each layer of the encoder.
    pub encode_channels: Vec<i64>,
    /// Values after each layer of the decoder.
    pub decode_channels: Vec<i64>,
    /// Dropout.
    #[serde(default)]
    pub dropout: Option<DropoutSpec>,
    /// Activation, one for all layers.
    #[serde(default = "defaults::prelu")]
    pub act: Option<LayerSpec>,
    /// Whether the layers have a bias.
    #[serde(default = "defaults::yes")]
    pub bias: bool,
    /// Order of activation `A` and dropout `D`; by default `DA`.
    #[serde(default)]
    pub adn_ordering: Option<String>,
    /// Whether the code is the mean outside training, not one standard deviation above it.
    #[serde(default)]
    pub use_mean_at_inference: bool,
}

fn adn(
    path: &nn::Path<'_>,
    act: Option<&LayerSpec>,
    dropout: Option<&DropoutSpec>,
    ordering: Option<&String>,
) -> Result<Adn> {
    let ordering = ordering.filter(|ordering| !ordering.is_empty()).map_or("NDA", String::as_str).to_owned();
    let options = AdnOptions { ordering, act: act.cloned(), norm: None, dropout: dropout.cloned(), dropout_dim: 1 };
    Adn::new(path, &options, 1, 1)
}

/// The network of [`FullyConnectedNetArgs`].
///
/// (B, …) with `in_channels` values in each item → (B, `out_channels`).
#[derive(Debug)]
pub struct FullyConnectedNet {
    hidden: Vec<(Linear, Adn)>,
    output: Linear,
}

impl NetworkComponent for FullyConnectedNet {
    type Args = FullyConnectedNetArgs;

    fn new(args: FullyConnectedNetArgs, path: &nn::Path<'_>) -> Result<Self> {
        let mut channels = args.in_channels;
        let mut hidden = Vec::with_capacity(args.hidden_channels.len());
        for (index, &outputs) in args.hidden_channels.iter().enumerate() {
            let path = path / format!("hidden_{index}");
            let linear = Linear::with_bias(&(&path / 0), channels, outputs, args.bias)?;
            let ordering = args.adn_ordering.as_ref();
            hidden.push((linear, adn(&(&path / 1), args.act.as_ref(), args.dropout.as_ref(), ordering)?));
            channels = outputs;
        }
        Ok(Self { hidden, output: Linear::with_bias(&(path / "output"), channels, args.out_channels, args.bias)? })
    }
}

impl Network for FullyConnectedNet {
    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let mut x = x.f_flatten(1, -1)?;
        for (linear, adn) in &self.hidden {
            x = adn.forward_t(&linear.forward(&x)?, train)?;
        }
        self.output.forward(&x)
    }
}

/// The network of [`VarFullyConnectedNetArgs`].
///
/// (B, `in_channels`) → (B, `out_channels`), between 0 and 1. All its outputs are this one, then mean, logarithm of the
/// variance and code, each (B, `latent_size`).
#[derive(Debug)]
pub struct VarFullyConnectedNet {
    encoder: Vec<Linear>,
    decoder: Vec<Linear>,
    output: Linear,
    /// The same after every layer, its parameter included.
    adn: Adn,
    latent: Latent,
    restore: Linear,
}

impl NetworkComponent for VarFullyConnectedNet {
    type Args = VarFullyConnectedNetArgs;

    fn new(args: VarFullyConnectedNetArgs, path: &nn::Path<'_>) -> Result<Self> {
        let shared = path / "adn_layer";
        let make_adn = || adn(&shared, args.act.as_ref(), args.dropout.as_ref(), args.adn_ordering.as_ref());
        let slope_of = |path: &nn::Path<'_>| (path / "A").get("weight");
        // the activation comes where MONAI's parameters have it: after the first linear layer
        let mut adn = None;
        let mut layers = |half: &str, names: &dyn Fn(usize) -> String, channels: &mut i64, sizes: &[i64]| {
            let mut layers = Vec::with_capacity(sizes.len());
            for (index, &outputs) in sizes.iter().enumerate() {
                let path = path / half / names(index);
                layers.push(Linear::with_bias(&(&path / 0), *channels, outputs, args.bias)?);
                if adn.is_none() {
                    adn = Some(make_adn()?);
                }
                if let Some(slope) = slope_of(&shared) {
                    alias(&(path / "ADN" / "A"), "weight", &slope)?;
                }
                *channels = outputs;
            }
            Ok::<_, Error>(layers)
        };
        let mut channels = args.in_channels;
        let encoder = layers("encode", &|index| format!("encode_{index}"), &mut channels, &args.encode_channels)?;
        let features = channels;
        let decoder = layers("decode", &|index| format!("decode{index}"), &mut channels, &args.decode_channels)?;
        let output = Linear::with_bias(&(path / "decode" / "final"), channels, args.out_channels, args.bias)?;
        let adn = adn.map_or_else(make_adn, Ok)?;
        let latent = Latent::new(path, features, args.latent_size, args.use_mean_at_inference)?;
        let restore = Linear::new(&(path / "decodeL"), args.latent_size, features)?;
        Ok(Self { encoder, decoder, output, adn, latent, restore })
    }
}

impl VarFullyConnectedNet {
    fn encode_and_decode(&self, x: &Tensor, train: bool) -> Result<(Tensor, Code)> {
        let layers = |layers: &[Linear], x: &Tensor| {
            layers.iter().try_fold(x.shallow_clone(), |x, linear| self.adn.forward_t(&linear.forward(&x)?, train))
        };
        let code = self.latent.forward(&layers(&self.encoder, x)?.f_flatten(1, -1)?, train)?;
        let y = self.restore.forward(&code.z)?.f_relu()?;
        let y = self.output.forward(&layers(&self.decoder, &y)?)?.f_sigmoid()?;
        Ok((y, code))
    }
}

impl Network for VarFullyConnectedNet {
    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        Ok(self.encode_and_decode(x, train)?.0)
    }

    fn forward_all(&self, inputs: &[Tensor], train: bool) -> Result<Vec<Tensor>> {
        let Some(x) = inputs.first() else {
            return Err(Error::data("a network needs at least one input"));
        };
        let (y, Code { mean, log_variance, z }) = self.encode_and_decode(x, train)?;
        Ok(vec![y, mean, log_variance, z])
    }
}
