//! `HighResNet`.

use byoc::nn::blocks::{Adn, AdnOptions, Convolution, ConvolutionOptions};
use byoc::nn::{Conv, ConvOptions, DropoutSpec, Layer, LayerSpec, Sequential, check_spatial_dims};
use byoc::{Error, Network, NetworkComponent, OneOrMany, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Tensor, nn};

use super::defaults;

byoc::register! {
    networks: [HighResNet],
}

/// Residual blocks of growing dilation at full resolution (MONAI `HighResNet`).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HighResNetArgs {
    /// Number of spatial dimensions: 1, 2 or 3.
    #[serde(default = "defaults::three_dimensions", alias = "dimensions")]
    #[schemars(extend("x-aliases" = ["dimensions"]))]
    pub spatial_dims: usize,
    /// Number of input channels.
    #[serde(default = "defaults::one")]
    pub in_channels: i64,
    /// Number of output channels.
    #[serde(default = "defaults::one")]
    pub out_channels: i64,
    /// Normalisation.
    #[serde(default = "default_norm")]
    pub norm_type: LayerSpec,
    /// Activation.
    #[serde(default = "defaults::relu_spec")]
    pub acti_type: LayerSpec,
    /// Dropout of the last two convolutions.
    #[serde(default = "default_dropout")]
    pub dropout_prob: Option<DropoutSpec>,
    /// Whether the convolutions have a bias.
    #[serde(default)]
    pub bias: bool,
    /// The layers: a convolution, residual blocks whose dilation doubles, two convolutions.
    #[serde(default = "default_layers")]
    pub layer_params: Vec<LayerParams>,
    /// How a residual block's shortcut gets more channels.
    #[serde(default)]
    pub channel_matching: ChannelMatching,
}

/// A layer of [`HighResNetArgs`].
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct LayerParams {
    /// What it is called; not used.
    #[serde(default)]
    pub name: String,
    /// Output channels; the last layer has `out_channels`.
    #[serde(default)]
    pub n_features: Option<i64>,
    /// Kernel size of a convolution.
    #[serde(default)]
    pub kernel_size: Option<OneOrMany<i64>>,
    /// Kernel sizes of a residual block's convolutions.
    #[serde(default)]
    pub kernels: Option<Vec<i64>>,
    /// How many residual blocks follow each other.
    #[serde(default)]
    pub repeat: Option<usize>,
}

/// How a shortcut gets more channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum ChannelMatching {
    /// Zeros on both sides.
    #[default]
    Pad,
    /// A convolution of one voxel.
    Project,
}

fn default_norm() -> LayerSpec {
    LayerSpec::new("batch").with("affine", true)
}

#[expect(clippy::unnecessary_wraps, reason = "null means no dropout")]
fn default_dropout() -> Option<DropoutSpec> {
    Some(DropoutSpec::default())
}

fn default_layers() -> Vec<LayerParams> {
    let conv = |n_features, kernel| LayerParams {
        name: String::new(),
        n_features,
        kernel_size: Some(OneOrMany::One(kernel)),
        kernels: None,
        repeat: None,
    };
    let block = |n_features| LayerParams {
        kernel_size: None,
        kernels: Some(vec![3, 3]),
        repeat: Some(3),
        ..conv(Some(n_features), 3)
    };
    vec![conv(Some(16), 3), block(16), block(32), block(64), conv(Some(80), 1), conv(None, 1)]
}

/// The network of [`HighResNetArgs`] (Li et al. 2017, <https://arxiv.org/abs/1707.01992>).
///
/// (B, `in_channels`, spatial…) → (B, `out_channels`, spatial…).
#[derive(Debug)]
pub struct HighResNet {
    blocks: Sequential,
}

impl NetworkComponent for HighResNet {
    type Args = HighResNetArgs;

    fn new(args: HighResNetArgs, path: &nn::Path<'_>) -> Result<Self> {
        check_spatial_dims(args.spatial_dims)?;
        let [first, blocks @ .., before_last, last] = args.layer_params.as_slice() else {
            return Err(Error::invalid_argument(format!(
                "`layer_params` must have at least 3 layers, found {}",
                args.layer_params.len()
            )));
        };
        let path = path / "blocks";
        let mut layers = Sequential::new();
        let mut count = 0;
        let mut next = || {
            count += 1;
            &path / (count - 1)
        };
        let mut channels = features(first)?;
        let options = convolution(&args, first, args.in_channels, channels, "NA")?;
        layers.push(Convolution::new(&next(), options)?);
        for (index, params) in blocks.iter().enumerate() {
            let outputs = features(params)?;
            let Some((kernels, repeat)) = params.kernels.as_ref().zip(params.repeat) else {
                return Err(Error::invalid_argument(format!(
                    "residual block `{}` needs `kernels` and `repeat`",
                    params.name
                )));
            };
            for _ in 0..repeat {
                layers.push(HighResBlock::new(&next(), &args, [channels, outputs], kernels, 1 << index)?);
                channels = outputs;
            }
        }
        let outputs = features(before_last)?;
        let with_dropout = |options: ConvolutionOptions| options.dropout(args.dropout_prob.clone());
        let options = with_dropout(convolution(&args, before_last, channels, outputs, "NAD")?);
        layers.push(Convolution::new(&next(), options)?);
        let options = with_dropout(convolution(&args, last, outputs, args.out_channels, "NAD")?);
        layers.push(Convolution::new(&next(), options)?);
        Ok(Self { blocks: layers })
    }
}

impl Network for HighResNet {
    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        self.blocks.forward_t(x, train)
    }
}

fn features(params: &LayerParams) -> Result<i64> {
    params.n_features.ok_or_else(|| Error::invalid_argument(format!("layer `{}` needs `n_features`", params.name)))
}

fn adn(args: &HighResNetArgs, ordering: &str) -> AdnOptions {
    AdnOptions {
        ordering: ordering.to_owned(),
        act: Some(args.acti_type.clone()),
        norm: Some(args.norm_type.clone()),
        ..AdnOptions::default()
    }
}

fn convolution(
    args: &HighResNetArgs,
    params: &LayerParams,
    inputs: i64,
    outputs: i64,
    ordering: &str,
) -> Result<ConvolutionOptions> {
    let Some(kernel) = &params.kernel_size else {
        return Err(Error::invalid_argument(format!("convolution `{}` needs `kernel_size`", params.name)));
    };
    Ok(ConvolutionOptions::new(args.spatial_dims, inputs, outputs)
        .kernel_size(kernel.clone())
        .adn(adn(args, ordering))
        .bias(args.bias))
}

/// Convolutions, each after normalisation and activation, with a shortcut.
#[derive(Debug)]
struct HighResBlock {
    shortcut: Shortcut,
    layers: Sequential,
}

/// How the input of a block gets the channels of its output.
#[derive(Debug)]
enum Shortcut {
    Same,
    Pad(Vec<i64>),
    Project(Conv),
}

impl HighResBlock {
    fn new(
        path: &nn::Path<'_>,
        args: &HighResNetArgs,
        [inputs, outputs]: [i64; 2],
        kernels: &[i64],
        dilation: i64,
    ) -> Result<Self> {
        let dims = args.spatial_dims;
        let shortcut = match args.channel_matching {
            _ if inputs == outputs => Shortcut::Same,
            ChannelMatching::Project => Shortcut::Project(Conv::new(
                &(path / "chn_pad" / "project"),
                ConvOptions::new(dims, inputs, outputs, 1),
            )?),
            ChannelMatching::Pad if inputs > outputs => {
                return Err(Error::invalid_argument(format!(
                    "`channel_matching` `pad` cannot go from {inputs} to fewer channels, {outputs}: use `project`"
                )));
            }
            ChannelMatching::Pad => {
                let before = (outputs - inputs) / 2;
                let mut padding = vec![0; 2 * dims];
                padding.extend([before, outputs - inputs - before]);
                Shortcut::Pad(padding)
            }
        };
        let mut layers = Sequential::new();
        let mut channels = inputs;
        for (index, &kernel) in kernels.iter().enumerate() {
            let path = path / "layers";
            layers.push(Adn::new(&(&path / (2 * index)), &adn(args, "NA"), dims, channels)?);
            let conv = ConvolutionOptions::new(dims, channels, outputs)
                .kernel_size(kernel)
                .dilation(dilation)
                .bias(args.bias)
                .conv_only(true);
            layers.push(Convolution::new(&(&path / (2 * index + 1)), conv)?);
            channels = outputs;
        }
        Ok(Self { shortcut, layers })
    }
}

impl Layer for HighResBlock {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let shortcut = match &self.shortcut {
            Shortcut::Same => x.shallow_clone(),
            Shortcut::Pad(padding) => x.f_pad(padding, "constant", 0.0)?,
            Shortcut::Project(conv) => conv.forward(x)?,
        };
        Ok(self.layers.forward_t(x, train)?.f_add(&shortcut)?)
    }
}
