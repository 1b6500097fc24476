//! `DynUNet`.

use byoc::nn::blocks::Convolution;
use byoc::nn::resize::{self, Interpolation};
use byoc::nn::{DropoutSpec, Layer, LayerSpec, init};
use byoc::{Error, Network, NetworkComponent, OneOrMany, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Tensor, nn};

use super::unet_blocks::{ConvBlock, Style, UpBlock, alias_convolution, leaky_relu};

byoc::register! {
    networks: [DynUNet = "DynUNet" | "DynUnet" | "Dynunet"],
}

/// UNet with a kernel size and stride for each level, as nnU-Net plans it (MONAI `DynUNet`).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DynUNetArgs {
    /// Number of spatial dimensions: 1, 2 or 3.
    #[serde(alias = "dimensions")]
    #[schemars(extend("x-aliases" = ["dimensions"]))]
    pub spatial_dims: usize,
    /// Number of input channels.
    pub in_channels: i64,
    /// Number of output channels.
    pub out_channels: i64,
    /// Kernel size of each level, at least three.
    pub kernel_size: Vec<OneOrMany<i64>>,
    /// Stride of each level.
    pub strides: Vec<OneOrMany<i64>>,
    /// Kernel size and stride of each upsampling: `strides` without its first value.
    pub upsample_kernel_size: Vec<OneOrMany<i64>>,
    /// Channels of each level; by default 32, 64 … up to 320 (3D) or 512.
    #[serde(default)]
    pub filters: Option<Vec<i64>>,
    /// Dropout after each convolution.
    #[serde(default)]
    pub dropout: Option<DropoutSpec>,
    /// Normalisation.
    #[serde(default = "default_norm")]
    pub norm_name: LayerSpec,
    /// Activation.
    #[serde(default = "leaky_relu")]
    pub act_name: LayerSpec,
    /// Whether lower levels have outputs in training, too: (B, 1 + heads, C, spatial…).
    #[serde(default)]
    pub deep_supervision: bool,
    /// How many of them.
    #[serde(default = "super::defaults::one")]
    pub deep_supr_num: i64,
    /// Whether the convolutions have a shortcut.
    #[serde(default)]
    pub res_block: bool,
    /// Whether the transposed convolutions have a bias.
    #[serde(default)]
    pub trans_bias: bool,
}

fn default_norm() -> LayerSpec {
    LayerSpec::new("INSTANCE").with("affine", true)
}

/// The network of [`DynUNetArgs`] (Isensee et al. 2018, <https://arxiv.org/abs/1809.10486>).
///
/// (B, `in_channels`, spatial…) → (B, `out_channels`, spatial / first stride…). With deep supervision and in training
/// (B, 1 + `deep_supr_num`, `out_channels`, spatial…): the outputs of lower levels, enlarged by nearest neighbours.
#[derive(Debug)]
pub struct DynUNet {
    /// The input block and those on the way down, the top one first.
    down: Vec<ConvBlock>,
    bottleneck: ConvBlock,
    /// From the bottom up.
    up: Vec<UpBlock>,
    output: Convolution,
    /// From the second level down.
    heads: Vec<Convolution>,
}

impl NetworkComponent for DynUNet {
    type Args = DynUNetArgs;

    fn new(args: DynUNetArgs, path: &nn::Path<'_>) -> Result<Self> {
        byoc::nn::check_spatial_dims(args.spatial_dims)?;
        let filters = check(&args)?;
        let levels = filters.len();
        let style = Style {
            spatial_dims: args.spatial_dims,
            norm: args.norm_name.clone(),
            act: args.act_name.clone(),
            dropout: args.dropout.clone(),
        };
        let block = |path: &nn::Path<'_>, level: usize, inputs| {
            ConvBlock::new(
                path,
                &style,
                [inputs, filters[level]],
                &args.kernel_size[level],
                &args.strides[level],
                args.res_block,
            )
        };
        let mut down = vec![block(&(path / "input_block"), 0, args.in_channels)?];
        for level in 1..levels - 1 {
            down.push(block(&(path / "downsamples" / (level - 1)), level, filters[level - 1])?);
        }
        let bottleneck = block(&(path / "bottleneck"), levels - 1, filters[levels - 2])?;
        let mut up = Vec::new();
        for level in (1..levels).rev() {
            let path = path / "upsamples" / (levels - 1 - level);
            up.push(up_block(&path, &style, &args, &filters, level)?);
        }
        let output = style.output(&(path / "output_block"), [filters[0], args.out_channels])?;
        let count = if args.deep_supervision { args.deep_supr_num as usize } else { 0 };
        let heads = (0..count)
            .map(|index| {
                style.output(&(path / "deep_supervision_heads" / index), [filters[index + 1], args.out_channels])
            })
            .collect::<Result<Vec<_>>>()?;
        let network = Self { down, bottleneck, up, output, heads };
        if args.spatial_dims > 1 {
            network.initialise()?;
        }
        network.register_skip_layers(&(path / "skip_layers"))?;
        Ok(network)
    }
}

/// Checks that the lists fit each other, and gives the channels of the levels.
fn check(args: &DynUNetArgs) -> Result<Vec<i64>> {
    let levels = args.strides.len();
    let upsamples = args.upsample_kernel_size.len();
    if levels < 3 || args.kernel_size.len() != levels || upsamples + 1 != levels {
        return Err(Error::invalid_argument(format!(
            "`kernel_size` and `strides` need the same number of values, at least 3, and `upsample_kernel_size` one less; \
             found {}, {levels} and {upsamples}",
            args.kernel_size.len()
        )));
    }
    if args.deep_supervision && !(1..levels as i64 - 1).contains(&args.deep_supr_num) {
        return Err(Error::invalid_argument(format!(
            "`deep_supr_num` must be between 1 and {}, found {}",
            levels - 2,
            args.deep_supr_num
        )));
    }
    match &args.filters {
        None => {
            let most = if args.spatial_dims == 3 { 320 } else { 512 };
            Ok((0..levels).map(|level| (32 << level.min(16)).min(most)).collect())
        }
        Some(filters) if filters.len() < levels => Err(Error::invalid_argument(format!(
            "`filters` must have a value for each of the {levels} levels, found {}",
            filters.len()
        ))),
        Some(filters) => Ok(filters[..levels].to_vec()),
    }
}

/// From `level` to the one above it.
fn up_block(path: &nn::Path<'_>, style: &Style, args: &DynUNetArgs, filters: &[i64], level: usize) -> Result<UpBlock> {
    let (inputs, outputs) = (filters[level], filters[level - 1]);
    let (up, kernel) = (&args.upsample_kernel_size[level - 1], &args.kernel_size[level]);
    let transposed = style.convolution(&(path / "transp_conv"), [inputs, outputs], up, up, args.trans_bias, true)?;
    let block = [2 * outputs, outputs];
    let block = ConvBlock::new(&(path / "conv_block"), style, block, kernel, &OneOrMany::One(1), false)?;
    Ok(UpBlock::new(transposed, block))
}

impl DynUNet {
    /// Kaiming normal for a leaky `ReLU` of slope 0.01, and no bias.
    fn initialise(&self) -> Result<()> {
        let blocks = self.down.iter().chain([&self.bottleneck]).flat_map(ConvBlock::convolutions);
        let up = self.up.iter().flat_map(UpBlock::convolutions);
        for conv in blocks.chain(up).chain([&self.output]).chain(&self.heads) {
            let shape = conv.weight().size();
            let deviation = (2.0 / (1.0 + 0.01f64.powi(2)) / init::fan_in(&shape) as f64).sqrt();
            init::assign(conv.weight(), &init::normal(&shape, 0.0, deviation)?)?;
            if let Some(bias) = conv.bias() {
                init::assign(bias, &init::zeros(&bias.size())?)?;
            }
        }
        Ok(())
    }

    /// MONAI registers every block a second time in a chain of skip layers; checkpoints have both names.
    fn register_skip_layers(&self, path: &nn::Path<'_>) -> Result<()> {
        let mut path = path.clone();
        for (level, block) in self.down.iter().enumerate() {
            block.alias(&(&path / "downsample"))?;
            self.up[self.up.len() - 1 - level].alias(&(&path / "upsample"))?;
            if let Some(head) = level.checked_sub(1).and_then(|index| self.heads.get(index)) {
                alias_convolution(&(&path / "super_head" / "conv"), head)?;
            }
            path = path / "next_layer";
        }
        self.bottleneck.alias(&path)
    }
}

impl Network for DynUNet {
    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let mut skips: Vec<Tensor> = Vec::with_capacity(self.down.len());
        for block in &self.down {
            let y = block.forward_t(skips.last().unwrap_or(x), train)?;
            skips.push(y);
        }
        let mut y = self.bottleneck.forward_t(skips.last().unwrap_or(x), train)?;
        let mut supervised = Vec::new();
        for (block, (level, skip)) in self.up.iter().zip(skips.iter().enumerate().rev()) {
            y = block.forward(&y, skip, train)?;
            if train && let Some(head) = level.checked_sub(1).and_then(|index| self.heads.get(index)) {
                supervised.push(head.forward_t(&y, train)?);
            }
        }
        let output = self.output.forward_t(&y, train)?;
        if supervised.is_empty() {
            return Ok(output);
        }
        let size = output.size();
        let mut all = vec![output];
        for y in supervised.iter().rev() {
            all.push(resize::to_size(y, &size[2..], Interpolation::Nearest, false)?);
        }
        Ok(Tensor::f_stack(&all, 1)?)
    }
}
