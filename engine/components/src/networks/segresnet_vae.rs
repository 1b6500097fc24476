//! `SegResNet` with a variational autoencoder beside the decoder, which regularises the encoder.

use byoc::nn::blocks::{Convolution, UpSample, UpsampleMode};
use byoc::nn::{Layer, LayerSpec, Linear, Norm};
use byoc::{Error, Network, NetworkComponent, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind, Reduction, Tensor, nn};

use super::defaults;
use super::segresnet::{self, FinalConv, SegResNet, SegResNetArgs, conv_layer, up_sample};

byoc::register! {
    networks: [SegResNetVAE],
}

/// Channels between the encoder and the latent variables, fixed in MONAI.
const SMALLEST_FILTERS: i64 = 16;

/// `SegResNet` with a variational autoencoder; in training the second output is its loss (MONAI `SegResNetVAE`).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SegResNetVAEArgs {
    /// Spatial size of the input: the size of the latent layer depends on it.
    pub input_image_size: Vec<i64>,
    /// Whether the standard deviation is estimated, too.
    #[serde(default)]
    pub vae_estimate_std: bool,
    /// The standard deviation that is not estimated.
    #[serde(default = "default_std")]
    pub vae_default_std: f64,
    /// Number of latent variables.
    #[serde(default = "default_latent")]
    pub vae_nz: i64,
    /// Number of spatial dimensions: 2 or 3.
    #[serde(default = "defaults::three_dimensions", alias = "dimensions")]
    #[schemars(extend("x-aliases" = ["dimensions"]))]
    pub spatial_dims: usize,
    /// Channels of the first convolution.
    #[serde(default = "defaults::eight")]
    pub init_filters: i64,
    /// Number of input channels.
    #[serde(default = "defaults::one")]
    pub in_channels: i64,
    /// Number of output channels.
    #[serde(default = "defaults::two")]
    pub out_channels: i64,
    /// Probability that a channel is dropped after the first convolution.
    #[serde(default)]
    pub dropout_prob: Option<f64>,
    /// Activation.
    #[serde(default = "defaults::relu_spec")]
    pub act: LayerSpec,
    /// Normalisation.
    #[serde(default = "defaults::group_of_eight")]
    pub norm: LayerSpec,
    /// Whether a last convolution makes the output channels.
    #[serde(default = "defaults::yes")]
    pub use_conv_final: bool,
    /// Residual blocks of each level on the way down.
    #[serde(default = "segresnet::default_blocks_down")]
    pub blocks_down: Vec<usize>,
    /// Residual blocks of each level on the way up.
    #[serde(default = "segresnet::default_blocks_up")]
    pub blocks_up: Vec<usize>,
    /// How the way up enlarges.
    #[serde(default = "segresnet::default_upsample")]
    pub upsample_mode: UpsampleMode,
}

fn default_std() -> f64 {
    0.3
}

fn default_latent() -> i64 {
    256
}

/// The network of [`SegResNetVAEArgs`] (Myronenko 2018, <https://arxiv.org/abs/1810.11654>).
///
/// As [`SegResNet`]; in training a second output, the autoencoder's loss (scalar): mean squared error of the restored
/// input plus the divergence of the latent variables.
#[derive(Debug)]
pub struct SegResNetVAE {
    network: SegResNet,
    down_norm: Norm,
    down_conv: Convolution,
    latent_norm: Norm,
    mean: Linear,
    deviation: Linear,
    restore: Linear,
    up_conv: Convolution,
    up_sample: UpSample,
    up_norm: Norm,
    last: FinalConv,
    latent_size: Vec<i64>,
    estimate_std: bool,
    default_std: f64,
}

impl NetworkComponent for SegResNetVAE {
    type Args = SegResNetVAEArgs;

    fn new(args: SegResNetVAEArgs, path: &nn::Path<'_>) -> Result<Self> {
        let base = SegResNetArgs {
            spatial_dims: args.spatial_dims,
            init_filters: args.init_filters,
            in_channels: args.in_channels,
            out_channels: args.out_channels,
            dropout_prob: args.dropout_prob,
            act: args.act,
            norm: args.norm,
            norm_name: String::new(),
            num_groups: 8,
            use_conv_final: args.use_conv_final,
            blocks_down: args.blocks_down,
            blocks_up: args.blocks_up,
            upsample_mode: args.upsample_mode,
        };
        let network = SegResNet::new(base.clone(), path)?;
        let dims = base.spatial_dims;
        let zoom = 1 << (base.blocks_down.len() - 1);
        let filters = base.init_filters * zoom;
        let latent_size: Vec<i64> = args.input_image_size.iter().map(|size| size / (2 * zoom)).collect();
        if latent_size.len() != dims || latent_size.contains(&0) {
            return Err(Error::invalid_argument(format!(
                "`input_image_size` must have {dims} values of at least {}, found {:?}",
                2 * zoom,
                args.input_image_size
            )));
        }
        let elements = SMALLEST_FILTERS * latent_size.iter().product::<i64>();
        let down = path / "vae_down";
        let down_norm = Norm::new(&(&down / 0), &base.norm, dims, filters)?;
        network.act.alias(&(&down / 1))?;
        let down_conv = conv_layer(&(&down / 2), dims, filters, SMALLEST_FILTERS, 3, 2, true)?;
        let latent_norm = Norm::new(&(&down / 3), &base.norm, dims, SMALLEST_FILTERS)?;
        network.act.alias(&(&down / 4))?;
        let mean = Linear::new(&(path / "vae_fc1"), elements, args.vae_nz)?;
        let deviation = Linear::new(&(path / "vae_fc2"), elements, args.vae_nz)?;
        let restore = Linear::new(&(path / "vae_fc3"), args.vae_nz, elements)?;
        let up = path / "vae_fc_up_sample";
        let up_conv = conv_layer(&(&up / 0), dims, SMALLEST_FILTERS, filters, 1, 1, false)?;
        let up_sample = up_sample(&(&up / 1), dims, filters, base.upsample_mode)?;
        let up_norm = Norm::new(&(&up / 2), &base.norm, dims, filters)?;
        network.act.alias(&(&up / 3))?;
        let last = FinalConv::new(&(path / "vae_conv_final"), &base, base.in_channels, &network.act)?;
        Ok(Self {
            network,
            down_norm,
            down_conv,
            latent_norm,
            mean,
            deviation,
            restore,
            up_conv,
            up_sample,
            up_norm,
            last,
            latent_size,
            estimate_std: args.vae_estimate_std,
            default_std: args.vae_default_std,
        })
    }
}

impl SegResNetVAE {
    fn vae_loss(&self, input: &Tensor, encoded: &Tensor, train: bool) -> Result<Tensor> {
        let act = &self.network.act;
        let x = act.forward(&self.down_norm.forward(encoded, train)?)?;
        let x = self.latent_norm.forward(&self.down_conv.forward_t(&x, train)?, train)?;
        let x = act.forward(&x)?.f_flatten(1, -1)?;
        let mean = self.mean.forward(&x)?;
        let noise = mean.detach().f_randn_like()?;
        let (regularisation, latent) = if self.estimate_std {
            let deviation = self.deviation.forward(&x)?.f_softplus()?;
            let variance = deviation.f_square()?;
            let divergence = mean.f_square()?.f_add(&variance)?.f_sub(&variance.f_add_scalar(1e-8)?.f_log()?)?;
            let divergence = divergence.f_sub_scalar(1.0)?.f_mean(None::<Kind>)?.f_mul_scalar(0.5)?;
            (divergence, mean.f_add(&deviation.f_mul(&noise)?)?)
        } else {
            (mean.f_square()?.f_mean(None::<Kind>)?, mean.f_add(&noise.f_mul_scalar(self.default_std)?)?)
        };
        let x = act.forward(&self.restore.forward(&latent)?)?;
        let shape = [&[SMALLEST_FILTERS], self.latent_size.as_slice()].concat();
        let x = self.up_conv.forward_t(&x.f_unflatten(1, shape)?, train)?;
        let x = act.forward(&self.up_norm.forward(&self.up_sample.forward_t(&x, train)?, train)?)?;
        let restored = self.last.forward(&self.network.decode_alone(&x, train)?, act, train)?;
        if restored.size() != input.size() {
            return Err(Error::data(format!(
                "the autoencoder restores {:?}, but the input is {:?}: it must have the size of `input_image_size`",
                restored.size(),
                input.size()
            )));
        }
        Ok(regularisation.f_add(&input.f_mse_loss(&restored, Reduction::Mean)?)?)
    }
}

impl Network for SegResNetVAE {
    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        self.network.forward(x, train)
    }

    fn forward_all(&self, inputs: &[Tensor], train: bool) -> Result<Vec<Tensor>> {
        let Some(x) = inputs.first() else {
            return Err(Error::data("a network needs at least one input"));
        };
        let levels = self.network.encode(x, train)?;
        let y = self.network.decode(&levels, train)?;
        if !train {
            return Ok(vec![y]);
        }
        let loss = self.vae_loss(x, &levels[levels.len() - 1], train)?;
        Ok(vec![y, loss])
    }
}
