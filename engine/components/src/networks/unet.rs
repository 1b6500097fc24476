//! The UNet with residual units.

use byoc::nn::blocks::{AdnOptions, Convolution, ConvolutionOptions, ResidualUnit, ResidualUnitOptions};
use byoc::nn::{DropoutSpec, Layer, LayerSpec, Sequential, check_spatial_dims};
use byoc::{Error, Network, NetworkComponent, OneOrMany, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Tensor, nn};

use super::defaults;

byoc::register! {
    networks: [UNet = "UNet" | "Unet"],
}

/// UNet with residual units: strided convolutions down, transposed ones up (MONAI `UNet`).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UNetArgs {
    /// Number of spatial dimensions: 1, 2 or 3.
    #[serde(alias = "dimensions")]
    #[schemars(extend("x-aliases" = ["dimensions"]))]
    pub spatial_dims: usize,
    /// Number of input channels.
    pub in_channels: i64,
    /// Number of output channels.
    pub out_channels: i64,
    /// Channels of each level, the top one first; at least two.
    pub channels: Vec<i64>,
    /// Stride from each level to the next; one value less than `channels`.
    pub strides: Vec<OneOrMany<i64>>,
    /// Size of the convolution kernels, odd.
    #[serde(default = "defaults::kernel_of_three")]
    pub kernel_size: OneOrMany<i64>,
    /// Size of the transposed convolutions' kernels, odd.
    #[serde(default = "defaults::kernel_of_three")]
    pub up_kernel_size: OneOrMany<i64>,
    /// Convolutions in each residual unit; 0 makes plain convolutions.
    #[serde(default)]
    pub num_res_units: usize,
    /// Activation.
    #[serde(default = "defaults::prelu")]
    pub act: Option<LayerSpec>,
    /// Normalisation.
    #[serde(default = "defaults::instance")]
    pub norm: Option<LayerSpec>,
    /// Dropout probability.
    #[serde(default)]
    pub dropout: DropoutSpec,
    /// Whether the convolutions have a bias.
    #[serde(default = "defaults::yes")]
    pub bias: bool,
    /// Order of activation (A), dropout (D) and normalisation (N).
    #[serde(default = "default_ordering")]
    pub adn_ordering: String,
}

fn default_ordering() -> String {
    "NDA".to_owned()
}

/// The network of [`UNetArgs`] (Kerfoot et al. 2018, <https://doi.org/10.1007/978-3-030-12029-0_40>).
///
/// (B, `in_channels`, spatial…) → (B, `out_channels`, spatial…); each spatial size divisible by the product of the
/// strides.
#[derive(Debug)]
pub struct UNet {
    model: Level,
}

/// One level: down, everything below beside a skip connection, up. In MONAI a `Sequential` of three.
#[derive(Debug)]
struct Level {
    down: Box<dyn Layer>,
    below: Box<dyn Layer>,
    up: Box<dyn Layer>,
}

impl NetworkComponent for UNet {
    type Args = UNetArgs;

    fn new(args: UNetArgs, path: &nn::Path<'_>) -> Result<Self> {
        check_spatial_dims(args.spatial_dims)?;
        let levels = args.channels.len();
        if levels < 2 {
            return Err(Error::invalid_argument(format!("`channels` must have at least 2 values, found {levels}")));
        }
        match args.strides.len() {
            strides if strides + 1 < levels => {
                return Err(Error::invalid_argument(format!(
                    "`strides` must have one value less than `channels`, {}; found {strides}",
                    levels - 1
                )));
            }
            strides if strides + 1 > levels => {
                tracing::warn!("UNet: the last {} of `strides` are not used", strides + 1 - levels);
            }
            _ => {}
        }
        let model = Level::new(&(path / "model"), &args, 0, args.in_channels, args.out_channels)?;
        Ok(Self { model })
    }
}

impl Network for UNet {
    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        self.model.forward_t(x, train)
    }
}

impl Level {
    /// The level of this index and all below it.
    fn new(path: &nn::Path<'_>, args: &UNetArgs, index: usize, in_channels: i64, out_channels: i64) -> Result<Self> {
        let channels = args.channels[index];
        let strides = &args.strides[index];
        let down = down_layer(&(path / 0), args, in_channels, channels, strides)?;
        let below_path = path / 1 / "submodule";
        let next = args.channels[index + 1];
        let (below, up_channels): (Box<dyn Layer>, _) = if index + 2 < args.channels.len() {
            (Box::new(Self::new(&below_path, args, index + 1, channels, channels)?), 2 * channels)
        } else {
            (down_layer(&below_path, args, channels, next, &OneOrMany::One(1))?, channels + next)
        };
        let up = up_layer(&(path / 2), args, up_channels, out_channels, strides, index == 0)?;
        Ok(Self { down, below, up })
    }
}

impl Layer for Level {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let x = self.down.forward_t(x, train)?;
        let below = self.below.forward_t(&x, train)?;
        let joined = Tensor::f_cat(&[&x, &below], 1).map_err(|error| {
            Error::from(error).context(format!(
                "the skip connection joins {:?} and {:?}: each spatial size must be divisible by the product of the strides",
                x.size(),
                below.size()
            ))
        })?;
        self.up.forward_t(&joined, train)
    }
}

fn adn(args: &UNetArgs) -> AdnOptions {
    AdnOptions {
        ordering: args.adn_ordering.clone(),
        act: args.act.clone(),
        norm: args.norm.clone(),
        dropout: Some(args.dropout.clone()),
        dropout_dim: 1,
    }
}

fn residual_unit(args: &UNetArgs, in_channels: i64, out_channels: i64) -> ResidualUnitOptions {
    ResidualUnitOptions {
        kernel_size: args.kernel_size.clone(),
        adn: adn(args),
        bias: args.bias,
        ..ResidualUnitOptions::new(args.spatial_dims, in_channels, out_channels)
    }
}

fn down_layer(
    path: &nn::Path<'_>,
    args: &UNetArgs,
    in_channels: i64,
    out_channels: i64,
    strides: &OneOrMany<i64>,
) -> Result<Box<dyn Layer>> {
    if args.num_res_units > 0 {
        let options = ResidualUnitOptions {
            strides: strides.clone(),
            subunits: args.num_res_units,
            ..residual_unit(args, in_channels, out_channels)
        };
        return Ok(Box::new(ResidualUnit::new(path, options)?));
    }
    let options = ConvolutionOptions::new(args.spatial_dims, in_channels, out_channels)
        .strides(strides.clone())
        .kernel_size(args.kernel_size.clone())
        .adn(adn(args))
        .bias(args.bias);
    Ok(Box::new(Convolution::new(path, options)?))
}

fn up_layer(
    path: &nn::Path<'_>,
    args: &UNetArgs,
    in_channels: i64,
    out_channels: i64,
    strides: &OneOrMany<i64>,
    is_top: bool,
) -> Result<Box<dyn Layer>> {
    let with_residual_unit = args.num_res_units > 0;
    let options = ConvolutionOptions::new(args.spatial_dims, in_channels, out_channels)
        .strides(strides.clone())
        .kernel_size(args.up_kernel_size.clone())
        .adn(adn(args))
        .bias(args.bias)
        .transposed(true)
        .conv_only(is_top && !with_residual_unit);
    if !with_residual_unit {
        return Ok(Box::new(Convolution::new(path, options)?));
    }
    let transposed = Convolution::new(&(path / 0), options)?;
    let unit =
        ResidualUnitOptions { subunits: 1, last_conv_only: is_top, ..residual_unit(args, out_channels, out_channels) };
    Ok(Box::new(Sequential::new().add(transposed).add(ResidualUnit::new(&(path / 1), unit)?)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn unet(args: serde_json::Value) -> Result<UNet> {
        UNet::new(byoc::args::parse(&args)?, &nn::VarStore::new(tch::Device::Cpu).root())
    }

    #[test]
    fn the_output_has_the_size_of_the_input() {
        for (dims, shape) in [(1, vec![1, 1, 16]), (2, vec![2, 1, 8, 16]), (3, vec![1, 1, 8, 8, 4])] {
            for units in [0, 1, 2] {
                let args = json!({ "dimensions": dims, "in_channels": 1, "out_channels": 3, "channels": [4, 8, 16],
                    "strides": [2, 2], "num_res_units": units, "norm": "BATCH" });
                let y = unet(args).unwrap().forward(&Tensor::rand(&shape, tch::kind::FLOAT_CPU), true).unwrap();
                assert_eq!(y.size(), [&shape[..1], &[3], &shape[2..]].concat());
            }
        }
    }

    #[test]
    fn mistakes_are_explained() {
        let args = |strides: serde_json::Value| json!({ "spatial_dims": 2, "in_channels": 1, "out_channels": 1, "channels": [4, 8, 16], "strides": strides });
        let error = unet(args(json!([2]))).unwrap_err();
        assert_eq!(error.message(), "`strides` must have one value less than `channels`, 2; found 1");
        let error =
            unet(args(json!([2, 2]))).unwrap().forward(&Tensor::rand([1, 1, 10, 10], tch::kind::FLOAT_CPU), false);
        assert!(error.unwrap_err().message().contains("divisible by the product of the strides"));
    }
}
