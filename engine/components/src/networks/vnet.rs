//! `VNet`.

use byoc::nn::blocks::{Convolution, ConvolutionOptions};
use byoc::nn::{
    Activation, Conv, ConvOptions, ConvTranspose, ConvTransposeOptions, Dropout, Layer, LayerSpec, Norm, Sequential,
};
use byoc::{Error, Network, NetworkComponent, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Tensor, nn};

use super::defaults;

byoc::register! {
    networks: [VNet],
}

/// V-Net: residual stages of 5-voxel convolutions, 2D and 3D (MONAI `VNet`).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VNetArgs {
    /// Number of spatial dimensions: 2 or 3.
    #[serde(default = "defaults::three_dimensions", alias = "dimensions")]
    #[schemars(extend("x-aliases" = ["dimensions"]))]
    pub spatial_dims: usize,
    /// Number of input channels; 16 must be divisible by it.
    #[serde(default = "defaults::one")]
    pub in_channels: i64,
    /// Number of output channels.
    #[serde(default = "defaults::one")]
    pub out_channels: i64,
    /// Activation; `prelu` without arguments has a slope for each channel.
    #[serde(default = "default_act")]
    pub act: LayerSpec,
    /// Former name for both of the following: the way down and the way up.
    #[serde(default)]
    pub dropout_prob: Option<f64>,
    /// Dropout probability of the two deepest stages on the way down.
    #[serde(default = "half")]
    pub dropout_prob_down: Option<f64>,
    /// Dropout probabilities of the two deepest stages on the way up: for what comes from below, and for the skip connection.
    #[serde(default = "halves")]
    pub dropout_prob_up: (Option<f64>, f64),
    /// Whether single values (1) or whole channels (2, 3) are dropped.
    #[serde(default = "defaults::three_dimensions")]
    pub dropout_dim: usize,
    /// Whether the convolutions have a bias.
    #[serde(default)]
    pub bias: bool,
}

fn default_act() -> LayerSpec {
    LayerSpec::new("elu").with("inplace", true)
}

#[expect(clippy::unnecessary_wraps, reason = "null means no dropout")]
fn half() -> Option<f64> {
    Some(0.5)
}

fn halves() -> (Option<f64>, f64) {
    (Some(0.5), 0.5)
}

/// The network of [`VNetArgs`] (Milletari et al. 2016, <https://arxiv.org/abs/1606.04797>).
///
/// (B, `in_channels`, spatial…) → (B, `out_channels`, spatial…); each size divisible by 16.
#[derive(Debug)]
pub struct VNet {
    input: InputTransition,
    down: [DownTransition; 4],
    up: [UpTransition; 4],
    output: OutputTransition,
}

impl NetworkComponent for VNet {
    type Args = VNetArgs;

    fn new(mut args: VNetArgs, path: &nn::Path<'_>) -> Result<Self> {
        if !(2..=3).contains(&args.spatial_dims) {
            return Err(Error::invalid_argument(format!("`spatial_dims` must be 2 or 3, found {}", args.spatial_dims)));
        }
        if args.in_channels < 1 || 16 % args.in_channels != 0 {
            return Err(Error::invalid_argument(format!(
                "16 must be divisible by `in_channels`, found {}",
                args.in_channels
            )));
        }
        if let Some(probability) = args.dropout_prob {
            args.dropout_prob_down = Some(probability);
            args.dropout_prob_up.0 = Some(probability);
        }
        let down =
            |name: &str, channels, convs, dropout| DownTransition::new(&(path / name), &args, channels, convs, dropout);
        let up = |name: &str, inputs, outputs, convs, dropout| {
            UpTransition::new(&(path / name), &args, [inputs, outputs], convs, dropout)
        };
        Ok(Self {
            input: InputTransition::new(&(path / "in_tr"), &args)?,
            down: [
                down("down_tr32", 16, 1, None)?,
                down("down_tr64", 32, 2, None)?,
                down("down_tr128", 64, 3, args.dropout_prob_down)?,
                down("down_tr256", 128, 2, args.dropout_prob_down)?,
            ],
            up: [
                up("up_tr256", 256, 256, 2, args.dropout_prob_up)?,
                up("up_tr128", 256, 128, 2, args.dropout_prob_up)?,
                up("up_tr64", 128, 64, 1, (None, 0.5))?,
                up("up_tr32", 64, 32, 1, (None, 0.5))?,
            ],
            output: OutputTransition::new(&(path / "out_tr"), &args)?,
        })
    }
}

impl Network for VNet {
    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let mut levels = vec![self.input.forward(x, train)?];
        for stage in &self.down {
            levels.push(stage.forward(&levels[levels.len() - 1], train)?);
        }
        let mut x = levels.swap_remove(4);
        for (stage, skip) in self.up.iter().zip(levels.iter().rev()) {
            x = stage.forward(&x, skip, train)?;
        }
        self.output.forward(&x, train)
    }
}

fn activation(path: &nn::Path<'_>, args: &VNetArgs, channels: i64) -> Result<Activation> {
    if args.act == LayerSpec::new("prelu") {
        return Activation::new(path, &LayerSpec::new("prelu").with("num_parameters", channels));
    }
    Activation::new(path, &args.act)
}

/// A convolution of 5 voxels with batch norm.
fn convolution(path: &nn::Path<'_>, args: &VNetArgs, inputs: i64, outputs: i64, bias: bool) -> Result<Convolution> {
    let options = ConvolutionOptions::new(args.spatial_dims, inputs, outputs)
        .kernel_size(5)
        .act(None)
        .norm(Some("BATCH".into()))
        .bias(bias);
    Convolution::new(path, options)
}

fn batch_norm(path: &nn::Path<'_>, args: &VNetArgs, channels: i64) -> Result<Norm> {
    Norm::new(path, &"batch".into(), args.spatial_dims, channels)
}

/// A number of convolutions with activations, MONAI's `LUConv`.
fn convolutions(path: &nn::Path<'_>, args: &VNetArgs, channels: i64, depth: usize, bias: bool) -> Result<Sequential> {
    let mut layers = Sequential::new();
    for index in 0..depth {
        let path = path / index;
        let act = activation(&(&path / "act_function"), args, channels)?;
        layers.push(convolution(&(&path / "conv_block"), args, channels, channels, bias)?);
        layers.push(act);
    }
    Ok(layers)
}

#[derive(Debug)]
struct InputTransition {
    act: Activation,
    conv: Convolution,
    copies: Vec<i64>,
}

impl InputTransition {
    fn new(path: &nn::Path<'_>, args: &VNetArgs) -> Result<Self> {
        let mut copies = vec![1; args.spatial_dims + 2];
        copies[1] = 16 / args.in_channels;
        Ok(Self {
            act: activation(&(path / "act_function"), args, 16)?,
            conv: convolution(&(path / "conv_block"), args, args.in_channels, 16, args.bias)?,
            copies,
        })
    }

    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let shortcut = x.f_repeat(self.copies.as_slice())?;
        self.act.forward(&self.conv.forward_t(x, train)?.f_add(&shortcut)?)
    }
}

#[derive(Debug)]
struct DownTransition {
    conv: Conv,
    norm: Norm,
    act1: Activation,
    act2: Activation,
    ops: Sequential,
    dropout: Option<Dropout>,
}

impl DownTransition {
    fn new(path: &nn::Path<'_>, args: &VNetArgs, inputs: i64, convs: usize, dropout: Option<f64>) -> Result<Self> {
        let outputs = 2 * inputs;
        let conv = ConvOptions::new(args.spatial_dims, inputs, outputs, 2).stride(2).bias(args.bias);
        Ok(Self {
            conv: Conv::new(&(path / "down_conv"), conv)?,
            norm: batch_norm(&(path / "bn1"), args, outputs)?,
            act1: activation(&(path / "act_function1"), args, outputs)?,
            act2: activation(&(path / "act_function2"), args, outputs)?,
            ops: convolutions(&(path / "ops"), args, outputs, convs, args.bias)?,
            dropout: dropout.map(|p| Dropout::new(&p.into(), args.dropout_dim)).transpose()?,
        })
    }

    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let down = self.act1.forward(&self.norm.forward(&self.conv.forward(x)?, train)?)?;
        let y = self.ops.forward_t(&self.dropout.forward_t(&down, train)?, train)?;
        self.act2.forward(&y.f_add(&down)?)
    }
}

#[derive(Debug)]
struct UpTransition {
    conv: ConvTranspose,
    norm: Norm,
    dropout: Option<Dropout>,
    skip_dropout: Dropout,
    act1: Activation,
    act2: Activation,
    ops: Sequential,
}

impl UpTransition {
    fn new(
        path: &nn::Path<'_>,
        args: &VNetArgs,
        [inputs, outputs]: [i64; 2],
        convs: usize,
        dropout: (Option<f64>, f64),
    ) -> Result<Self> {
        let half = outputs / 2;
        let conv = ConvTransposeOptions::new(args.spatial_dims, inputs, half, 2).stride(2);
        Ok(Self {
            conv: ConvTranspose::new(&(path / "up_conv"), conv)?,
            norm: batch_norm(&(path / "bn1"), args, half)?,
            dropout: dropout.0.map(|p| Dropout::new(&p.into(), args.dropout_dim)).transpose()?,
            skip_dropout: Dropout::new(&dropout.1.into(), args.dropout_dim)?,
            act1: activation(&(path / "act_function1"), args, half)?,
            act2: activation(&(path / "act_function2"), args, outputs)?,
            // MONAI gives these convolutions no bias, whatever `bias` says
            ops: convolutions(&(path / "ops"), args, outputs, convs, false)?,
        })
    }

    fn forward(&self, x: &Tensor, skip: &Tensor, train: bool) -> Result<Tensor> {
        let up = self.conv.forward(&self.dropout.forward_t(x, train)?)?;
        let up = self.act1.forward(&self.norm.forward(&up, train)?)?;
        let joined = Tensor::f_cat(&[up, self.skip_dropout.forward(skip, train)?], 1)?;
        self.act2.forward(&self.ops.forward_t(&joined, train)?.f_add(&joined)?)
    }
}

#[derive(Debug)]
struct OutputTransition {
    act: Activation,
    conv: Convolution,
    last: Conv,
}

impl OutputTransition {
    fn new(path: &nn::Path<'_>, args: &VNetArgs) -> Result<Self> {
        let outputs = args.out_channels;
        Ok(Self {
            act: activation(&(path / "act_function1"), args, outputs)?,
            conv: convolution(&(path / "conv_block"), args, 32, outputs, args.bias)?,
            last: Conv::new(&(path / "conv2"), ConvOptions::new(args.spatial_dims, outputs, outputs, 1))?,
        })
    }

    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        self.last.forward(&self.act.forward(&self.conv.forward_t(x, train)?)?)
    }
}
