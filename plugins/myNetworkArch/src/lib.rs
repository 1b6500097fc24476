#![cfg_attr(
    not(test),
    expect(non_snake_case, reason = "the module name that configs use: `myNetworkArch.MyBasicUNet`")
)]
//! A network of your own, as a plugin: the UNet of Falk et al. (2019) with MONAI's parameter names, so that weights
//! trained in Python load here and the other way round.
//!
//! In a config: `"model": { "path": "BYOC.myNetworkArch.MyBasicUNet", "args": { "dimensions": 3, "norm": "batch" } }`.

use byoc::nn::blocks::{Convolution, ConvolutionOptions, UpSample, UpSampleOptions, UpsampleMode};
use byoc::nn::{Conv, ConvOptions, DropoutSpec, Layer, LayerSpec, pool, resize};
use byoc::{Network, NetworkComponent, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Tensor, nn};

byoc::export_plugin! {
    module: "myNetworkArch",
    networks: [MyBasicUNet],
}

/// UNet of five levels for 1D, 2D and 3D images.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MyBasicUNetArgs {
    /// Number of spatial dimensions: 1, 2 or 3.
    #[serde(default = "three", alias = "spatial_dims")]
    #[schemars(extend("x-aliases" = ["spatial_dims"]))]
    pub dimensions: usize,
    /// Number of input channels.
    #[serde(default = "one")]
    pub in_channels: i64,
    /// Number of output channels.
    #[serde(default = "two")]
    pub out_channels: i64,
    /// Channels of the five levels, the top one first, and after the last upsampling.
    #[serde(default = "default_features")]
    pub features: [i64; 6],
    /// Activation: a name, or a name with arguments.
    #[serde(default = "default_act")]
    pub act: LayerSpec,
    /// Normalisation: a name, or a name with arguments.
    #[serde(default = "default_norm")]
    pub norm: LayerSpec,
    /// Whether the convolutions have a bias.
    #[serde(default = "yes")]
    pub bias: bool,
    /// Dropout probability.
    #[serde(default)]
    pub dropout: DropoutSpec,
    /// How the way up enlarges: `deconv`, `nontrainable` or `pixelshuffle`.
    #[serde(default)]
    pub upsample: UpsampleMode,
}

fn one() -> i64 {
    1
}

fn two() -> i64 {
    2
}

fn three() -> usize {
    3
}

fn yes() -> bool {
    true
}

fn default_features() -> [i64; 6] {
    [32, 32, 64, 128, 256, 32]
}

fn default_act() -> LayerSpec {
    LayerSpec::new("LeakyReLU").with("negative_slope", 0.1).with("inplace", true)
}

fn default_norm() -> LayerSpec {
    LayerSpec::new("instance").with("affine", true)
}

/// The network: (B, `in_channels`, spatial…) → (B, `out_channels`, spatial…), of any size from 16 on.
#[derive(Debug)]
pub struct MyBasicUNet {
    conv_0: TwoConv,
    down: [TwoConv; 4],
    up: [UpCat; 4],
    final_conv: Conv,
}

impl NetworkComponent for MyBasicUNet {
    type Args = MyBasicUNetArgs;

    fn new(args: MyBasicUNetArgs, path: &nn::Path<'_>) -> Result<Self> {
        let [f0, f1, f2, f3, f4, top] = args.features;
        // max pooling has no weights; MONAI calls what follows it `convs`
        let down = |name, inputs, outputs| TwoConv::new(&(path / name / "convs"), &args, inputs, outputs);
        let up = |name, inputs, upsampled, skip, outputs| {
            UpCat::new(&(path / name), &args, [inputs, upsampled, skip, outputs])
        };
        Ok(Self {
            conv_0: TwoConv::new(&(path / "conv_0"), &args, args.in_channels, f0)?,
            down: [down("down_1", f0, f1)?, down("down_2", f1, f2)?, down("down_3", f2, f3)?, down("down_4", f3, f4)?],
            up: [
                up("upcat_4", f4, f4 / 2, f3, f3)?,
                up("upcat_3", f3, f3 / 2, f2, f2)?,
                up("upcat_2", f2, f2 / 2, f1, f1)?,
                up("upcat_1", f1, f1, f0, top)?,
            ],
            final_conv: Conv::new(
                &(path / "final_conv"),
                ConvOptions::new(args.dimensions, top, args.out_channels, 1),
            )?,
        })
    }
}

impl Network for MyBasicUNet {
    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let x0 = self.conv_0.forward(x, train)?;
        let mut levels = vec![x0];
        for convs in &self.down {
            let pooled = pool::max(&levels[levels.len() - 1], 2, 2, 0)?;
            levels.push(convs.forward(&pooled, train)?);
        }
        let mut y = levels.swap_remove(4);
        for (upcat, level) in self.up.iter().zip(levels.iter().rev()) {
            y = upcat.forward(&y, level, train)?;
        }
        self.final_conv.forward(&y)
    }
}

/// Two convolutions of three voxels, each with normalisation, dropout and activation.
#[derive(Debug)]
struct TwoConv {
    conv_0: Convolution,
    conv_1: Convolution,
}

impl TwoConv {
    fn new(path: &nn::Path<'_>, args: &MyBasicUNetArgs, inputs: i64, outputs: i64) -> Result<Self> {
        let options = |inputs| {
            ConvolutionOptions::new(args.dimensions, inputs, outputs)
                .act(Some(args.act.clone()))
                .norm(Some(args.norm.clone()))
                .dropout(Some(args.dropout.clone()))
                .bias(args.bias)
        };
        Ok(Self {
            conv_0: Convolution::new(&(path / "conv_0"), options(inputs))?,
            conv_1: Convolution::new(&(path / "conv_1"), options(outputs))?,
        })
    }

    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        self.conv_1.forward_t(&self.conv_0.forward_t(x, train)?, train)
    }
}

/// Twice as large, joined with the same level of the way down, then two convolutions.
#[derive(Debug)]
struct UpCat {
    upsample: UpSample,
    convs: TwoConv,
}

impl UpCat {
    /// From `inputs` to `upsampled` channels; with `skip` more from the way down to `outputs`.
    fn new(path: &nn::Path<'_>, args: &MyBasicUNetArgs, [inputs, upsampled, skip, outputs]: [i64; 4]) -> Result<Self> {
        let options = UpSampleOptions::new(args.dimensions, inputs, upsampled).mode(args.upsample);
        Ok(Self {
            upsample: UpSample::new(&(path / "upsample"), options)?,
            convs: TwoConv::new(&(path / "convs"), args, skip + upsampled, outputs)?,
        })
    }

    fn forward(&self, x: &Tensor, skip: &Tensor, train: bool) -> Result<Tensor> {
        // pooling an odd size drops its last voxel: it is repeated here
        let x = resize::pad_to_odd_size_of(&self.upsample.forward_t(x, train)?, skip)?;
        self.convs.forward(&Tensor::f_cat(&[skip, &x], 1)?, train)
    }
}
