//! The variational autoencoder.

use byoc::nn::{DropoutSpec, Layer, LayerSpec, Linear};
use byoc::{Error, Network, NetworkComponent, OneOrMany, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Tensor, nn};

use super::autoencoder::{AutoEncoder, AutoEncoderArgs, two_units};
use super::defaults;
use super::latent::{Code, Latent};

byoc::register! {
    networks: [VarAutoEncoder],
}

/// Autoencoder through a normally distributed code (MONAI `VarAutoEncoder`).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VarAutoEncoderArgs {
    /// Number of spatial dimensions: 1, 2 or 3.
    #[serde(alias = "dimensions")]
    #[schemars(extend("x-aliases" = ["dimensions"]))]
    pub spatial_dims: usize,
    /// Channels and size of the input.
    pub in_shape: Vec<i64>,
    /// Number of output channels.
    pub out_channels: i64,
    /// How many numbers a code has.
    pub latent_size: i64,
    /// Channels of each level, the top one first.
    pub channels: Vec<i64>,
    /// Stride of each level; as many values as `channels`.
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
    /// Channels of the blocks between encoder and code; the last one is that of `channels`.
    #[serde(default)]
    pub inter_channels: Option<Vec<i64>>,
    /// Dilations of these blocks.
    #[serde(default)]
    pub inter_dilations: Option<Vec<i64>>,
    /// Convolutions in each of these blocks; 0 makes plain convolutions.
    #[serde(default = "two_units")]
    pub num_inter_units: usize,
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
    /// Whether the output goes through a sigmoid.
    #[serde(default = "defaults::yes")]
    pub use_sigmoid: bool,
    /// Whether the code is the mean outside training, not one standard deviation above it.
    #[serde(default)]
    pub use_mean_at_inference: bool,
}

/// The network of [`VarAutoEncoderArgs`].
///
/// (B, `in_shape`…) → (B, `out_channels`, spatial…). All its outputs are this one, then mean, logarithm of the variance
/// and code, each (B, `latent_size`).
#[derive(Debug)]
pub struct VarAutoEncoder {
    convolutions: AutoEncoder,
    latent: Latent,
    restore: Linear,
    /// Channels and size between encoder and decoder.
    encoded: Vec<i64>,
    use_sigmoid: bool,
}

impl NetworkComponent for VarAutoEncoder {
    type Args = VarAutoEncoderArgs;

    fn new(args: VarAutoEncoderArgs, path: &nn::Path<'_>) -> Result<Self> {
        let dims = args.spatial_dims;
        let [in_channels, size @ ..] = args.in_shape.as_slice() else {
            return Err(Error::invalid_argument("`in_shape` must have the channels and the size, found nothing"));
        };
        if size.len() != dims {
            return Err(Error::invalid_argument(format!(
                "`in_shape` must have the channels and {dims} sizes, found {:?}",
                args.in_shape
            )));
        }
        let base = AutoEncoderArgs {
            spatial_dims: dims,
            in_channels: *in_channels,
            out_channels: args.out_channels,
            channels: args.channels.clone(),
            strides: args.strides.clone(),
            kernel_size: args.kernel_size.clone(),
            up_kernel_size: args.up_kernel_size,
            num_res_units: args.num_res_units,
            inter_channels: args.inter_channels,
            inter_dilations: args.inter_dilations,
            num_inter_units: args.num_inter_units,
            act: args.act,
            norm: args.norm,
            dropout: args.dropout,
            bias: args.bias,
            padding: None,
        };
        let convolutions = AutoEncoder::new(base, path)?;
        let last = args.channels.last().copied().unwrap_or_default();
        if convolutions.encoded_channels != last {
            return Err(Error::invalid_argument(format!(
                "the last of `inter_channels` must be the last of `channels`, {last}, found {}",
                convolutions.encoded_channels
            )));
        }
        let mut encoded = vec![last];
        for (axis, &size) in size.iter().enumerate() {
            let mut size = size;
            for strides in &args.strides {
                // the padding keeps the size at stride 1
                size = (size - 1) / strides.repeat(dims, "strides")?[axis] + 1;
            }
            encoded.push(size);
        }
        let features = encoded.iter().product();
        let latent = Latent::new(path, features, args.latent_size, args.use_mean_at_inference)?;
        let restore = Linear::new(&(path / "decodeL"), args.latent_size, features)?;
        Ok(Self { convolutions, latent, restore, encoded, use_sigmoid: args.use_sigmoid })
    }
}

impl VarAutoEncoder {
    fn encode_and_decode(&self, x: &Tensor, train: bool) -> Result<(Tensor, Code)> {
        let features = self.convolutions.encoder.forward_t(x, train)?.f_flatten(1, -1)?;
        let code = self.latent.forward(&features, train)?;
        let y = self.restore.forward(&code.z)?.f_relu()?.f_unflatten(1, self.encoded.as_slice())?;
        let y = self.convolutions.decoder.forward_t(&y, train)?;
        Ok((if self.use_sigmoid { y.f_sigmoid()? } else { y }, code))
    }
}

impl Network for VarAutoEncoder {
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
