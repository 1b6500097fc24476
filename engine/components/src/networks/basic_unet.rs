//! The UNet with max pooling and two convolutions per level.

use byoc::nn::blocks::{Convolution, ConvolutionOptions, UpSample, UpSampleOptions, UpsampleMode};
use byoc::nn::{Conv, ConvOptions, DropoutSpec, Layer, LayerSpec, check_spatial_dims, pool, resize};
use byoc::{Network, NetworkComponent, OneOrMany, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Tensor, nn};

use super::defaults;

byoc::register! {
    networks: [BasicUNet = "BasicUNet" | "BasicUnet" | "Basicunet" | "basicunet"],
}

/// UNet of five levels with max pooling and two convolutions each (MONAI `BasicUNet`).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BasicUNetArgs {
    /// Number of spatial dimensions: 1, 2 or 3.
    #[serde(default = "defaults::three_dimensions", alias = "dimensions")]
    #[schemars(extend("x-aliases" = ["dimensions"]))]
    pub spatial_dims: usize,
    /// Number of input channels.
    #[serde(default = "defaults::one")]
    pub in_channels: i64,
    /// Number of output channels.
    #[serde(default = "defaults::two")]
    pub out_channels: i64,
    /// Channels of the five levels, the top one first, and after the last upsampling.
    #[serde(default = "default_features")]
    pub features: OneOrMany<i64>,
    /// Activation.
    #[serde(default = "defaults::leaky_relu")]
    pub act: Option<LayerSpec>,
    /// Normalisation.
    #[serde(default = "defaults::instance_affine")]
    pub norm: Option<LayerSpec>,
    /// Whether the convolutions have a bias.
    #[serde(default = "defaults::yes")]
    pub bias: bool,
    /// Dropout probability.
    #[serde(default)]
    pub dropout: DropoutSpec,
    /// How the way up enlarges.
    #[serde(default)]
    pub upsample: UpsampleMode,
}

fn default_features() -> OneOrMany<i64> {
    OneOrMany::Many(vec![32, 32, 64, 128, 256, 32])
}

/// The network of [`BasicUNetArgs`] (Falk et al. 2019, <https://doi.org/10.1038/s41592-018-0261-2>).
///
/// (B, `in_channels`, spatial…) → (B, `out_channels`, spatial…). Sizes need not be divisible by 16: where pooling
/// dropped a voxel, the last one is repeated on the way up.
#[derive(Debug)]
pub struct BasicUNet {
    conv_0: TwoConv,
    down: [TwoConv; 4],
    up: [UpCat; 4],
    final_conv: Conv,
}

impl NetworkComponent for BasicUNet {
    type Args = BasicUNetArgs;

    fn new(args: BasicUNetArgs, path: &nn::Path<'_>) -> Result<Self> {
        check_spatial_dims(args.spatial_dims)?;
        let f = args.features.repeat(6, "features")?;
        let two = |name: &str, inputs, outputs| TwoConv::new(&(path / name), &args, inputs, outputs);
        let down = |name: &str, inputs, outputs| TwoConv::new(&(path / name / "convs"), &args, inputs, outputs);
        let up = |name: &str, inputs, skip, outputs, upsampled| {
            UpCat::new(&(path / name), &args, inputs, skip, outputs, upsampled)
        };
        Ok(Self {
            conv_0: two("conv_0", args.in_channels, f[0])?,
            down: [
                down("down_1", f[0], f[1])?,
                down("down_2", f[1], f[2])?,
                down("down_3", f[2], f[3])?,
                down("down_4", f[3], f[4])?,
            ],
            up: [
                up("upcat_4", f[4], f[3], f[3], f[4] / 2)?,
                up("upcat_3", f[3], f[2], f[2], f[3] / 2)?,
                up("upcat_2", f[2], f[1], f[1], f[2] / 2)?,
                // the top level keeps all channels
                up("upcat_1", f[1], f[0], f[5], f[1])?,
            ],
            final_conv: Conv::new(
                &(path / "final_conv"),
                ConvOptions::new(args.spatial_dims, f[5], args.out_channels, 1),
            )?,
        })
    }
}

impl Network for BasicUNet {
    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let mut skips = vec![self.conv_0.forward_t(x, train)?];
        for level in &self.down {
            let pooled = pool::max(&skips[skips.len() - 1], 2, 2, 0)?;
            skips.push(level.forward_t(&pooled, train)?);
        }
        let mut y = skips.swap_remove(4);
        for (level, skip) in self.up.iter().zip(skips.iter().rev()) {
            y = level.forward(&y, skip, train)?;
        }
        self.final_conv.forward(&y)
    }
}

/// Two convolutions of one level.
#[derive(Debug)]
struct TwoConv(Convolution, Convolution);

impl TwoConv {
    fn new(path: &nn::Path<'_>, args: &BasicUNetArgs, inputs: i64, outputs: i64) -> Result<Self> {
        let convolution = |name: &str, inputs| {
            let options = ConvolutionOptions::new(args.spatial_dims, inputs, outputs)
                .act(args.act.clone())
                .norm(args.norm.clone())
                .dropout(Some(args.dropout.clone()))
                .bias(args.bias);
            Convolution::new(&(path / name), options)
        };
        Ok(Self(convolution("conv_0", inputs)?, convolution("conv_1", outputs)?))
    }
}

impl Layer for TwoConv {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        self.1.forward_t(&self.0.forward_t(x, train)?, train)
    }
}

/// Upsampling, joined with the level of the way down, then two convolutions.
#[derive(Debug)]
struct UpCat {
    upsample: UpSample,
    convs: TwoConv,
}

impl UpCat {
    fn new(
        path: &nn::Path<'_>,
        args: &BasicUNetArgs,
        inputs: i64,
        skip: i64,
        outputs: i64,
        upsampled: i64,
    ) -> Result<Self> {
        let options = UpSampleOptions::new(args.spatial_dims, inputs, upsampled).mode(args.upsample);
        Ok(Self {
            upsample: UpSample::new(&(path / "upsample"), options)?,
            convs: TwoConv::new(&(path / "convs"), args, skip + upsampled, outputs)?,
        })
    }

    fn forward(&self, x: &Tensor, skip: &Tensor, train: bool) -> Result<Tensor> {
        let x = resize::pad_to_odd_size_of(&self.upsample.forward_t(x, train)?, skip)?;
        self.convs.forward_t(&Tensor::f_cat(&[skip, &x], 1)?, train)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn odd_sizes_and_each_way_up_keep_the_size() {
        for (dims, shape) in [(1, vec![1, 1, 49]), (2, vec![1, 1, 33, 48]), (3, vec![1, 1, 32, 33, 34])] {
            for upsample in ["deconv", "nontrainable", "pixelshuffle"] {
                let args =
                    json!({ "dimensions": dims, "features": [2, 2, 4, 4, 8, 2], "upsample": upsample, "dropout": 0.1 });
                let store = nn::VarStore::new(tch::Device::Cpu);
                let network = BasicUNet::new(byoc::args::parse(&args).unwrap(), &store.root()).unwrap();
                let y = network.forward(&Tensor::rand(&shape, tch::kind::FLOAT_CPU), true).unwrap();
                assert_eq!(y.size(), [&[1, 2], &shape[2..]].concat(), "{upsample}");
            }
        }
    }
}
