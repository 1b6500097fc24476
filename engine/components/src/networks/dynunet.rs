//! `DynUNet`.

use byoc::nn::blocks::{Convolution, ConvolutionOptions};
use byoc::nn::resize::{self, Interpolation};
use byoc::nn::{Activation, DropoutSpec, Layer, LayerSpec, Norm, alias, init};
use byoc::{Error, Network, NetworkComponent, OneOrMany, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Tensor, nn};

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
    #[serde(default = "default_act")]
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

fn default_act() -> LayerSpec {
    LayerSpec::new("leakyrelu").with("inplace", true).with("negative_slope", 0.01)
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
        let block = |path: &nn::Path<'_>, level: usize, inputs| {
            ConvBlock::new(
                path,
                &args,
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
            up.push(UpBlock::new(&path, &args, &filters, level)?);
        }
        let output = head(&(path / "output_block"), &args, filters[0])?;
        let count = if args.deep_supervision { args.deep_supr_num as usize } else { 0 };
        let heads = (0..count)
            .map(|index| head(&(path / "deep_supervision_heads" / index), &args, filters[index + 1]))
            .collect::<Result<Vec<_>>>()?;
        let network = Self { down, bottleneck, up, output, heads };
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

impl DynUNet {
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

/// A convolution whose padding follows kernel and stride, initialised as `DynUNet` does (`get_conv_layer`).
fn convolution(
    path: &nn::Path<'_>,
    args: &DynUNetArgs,
    [inputs, outputs]: [i64; 2],
    kernel: &OneOrMany<i64>,
    stride: &OneOrMany<i64>,
    bias: bool,
    transposed: bool,
) -> Result<Convolution> {
    let dims = args.spatial_dims;
    let (kernel, stride) = (kernel.repeat(dims, "kernel_size")?, stride.repeat(dims, "strides")?);
    let twice: Vec<i64> = kernel.iter().zip(&stride).map(|(kernel, stride)| kernel - stride + 1).collect();
    let padding: Vec<i64> = twice.iter().map(|twice| twice / 2).collect();
    let output_padding: Vec<i64> = padding.iter().zip(&stride).zip(&kernel).map(|((p, s), k)| 2 * p + s - k).collect();
    if twice.iter().any(|&twice| twice < 0) || (transposed && output_padding.iter().any(|&padding| padding < 0)) {
        return Err(Error::invalid_argument(format!("a kernel of {kernel:?} is too small for a stride of {stride:?}")));
    }
    let options = ConvolutionOptions::new(dims, inputs, outputs)
        .kernel_size(kernel)
        .strides(stride)
        .padding(padding)
        .output_padding(output_padding)
        .bias(bias)
        .act(None)
        .norm(None)
        .dropout(args.dropout.clone())
        .transposed(transposed);
    let conv = Convolution::new(path, options)?;
    if dims > 1 {
        // Kaiming normal for a leaky ReLU of slope 0.01
        let shape = conv.weight().size();
        let deviation = (2.0 / (1.0 + 0.01f64.powi(2)) / init::fan_in(&shape) as f64).sqrt();
        init::assign(conv.weight(), &init::normal(&shape, 0.0, deviation)?)?;
        if let Some(bias) = conv.bias() {
            init::assign(bias, &init::zeros(&bias.size())?)?;
        }
    }
    Ok(conv)
}

fn head(path: &nn::Path<'_>, args: &DynUNetArgs, inputs: i64) -> Result<Convolution> {
    let one = OneOrMany::One(1);
    convolution(&(path / "conv"), args, [inputs, args.out_channels], &one, &one, true, false)
}

fn alias_convolution(path: &nn::Path<'_>, convolution: &Convolution) -> Result<()> {
    let path = path / "conv";
    alias(&path, "weight", convolution.weight())?;
    convolution.bias().map_or(Ok(()), |bias| alias(&path, "bias", bias))
}

/// Two convolutions with normalisation and activation, with or without a shortcut (`UnetBasicBlock`, `UnetResBlock`).
#[derive(Debug)]
struct ConvBlock {
    conv1: Convolution,
    conv2: Convolution,
    act: Activation,
    norm1: Norm,
    norm2: Norm,
    residual: bool,
    project: Option<(Convolution, Norm)>,
}

impl ConvBlock {
    fn new(
        path: &nn::Path<'_>,
        args: &DynUNetArgs,
        [inputs, outputs]: [i64; 2],
        kernel: &OneOrMany<i64>,
        stride: &OneOrMany<i64>,
        residual: bool,
    ) -> Result<Self> {
        let dims = args.spatial_dims;
        let one = OneOrMany::One(1);
        let norm = |name: &str| Norm::new(&(path / name), &args.norm_name, dims, outputs);
        let conv1 = convolution(&(path / "conv1"), args, [inputs, outputs], kernel, stride, false, false)?;
        let conv2 = convolution(&(path / "conv2"), args, [outputs, outputs], kernel, &one, false, false)?;
        let act = Activation::new(&(path / "lrelu"), &args.act_name)?;
        let (norm1, norm2) = (norm("norm1")?, norm("norm2")?);
        let strided = stride.repeat(dims, "strides")?.iter().any(|&stride| stride != 1);
        let project = if residual && (strided || inputs != outputs) {
            let conv = convolution(&(path / "conv3"), args, [inputs, outputs], &one, stride, false, false)?;
            Some((conv, norm("norm3")?))
        } else {
            None
        };
        Ok(Self { conv1, conv2, act, norm1, norm2, residual, project })
    }

    fn alias(&self, path: &nn::Path<'_>) -> Result<()> {
        alias_convolution(&(path / "conv1"), &self.conv1)?;
        alias_convolution(&(path / "conv2"), &self.conv2)?;
        self.act.alias(&(path / "lrelu"))?;
        self.norm1.alias(&(path / "norm1"))?;
        self.norm2.alias(&(path / "norm2"))?;
        if let Some((conv, norm)) = &self.project {
            alias_convolution(&(path / "conv3"), conv)?;
            norm.alias(&(path / "norm3"))?;
        }
        Ok(())
    }
}

impl Layer for ConvBlock {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let y = self.act.forward(&self.norm1.forward(&self.conv1.forward_t(x, train)?, train)?)?;
        let y = self.norm2.forward(&self.conv2.forward_t(&y, train)?, train)?;
        let y = match &self.project {
            Some((conv, norm)) => y.f_add(&norm.forward(&conv.forward_t(x, train)?, train)?)?,
            None if self.residual => y.f_add(x)?,
            None => y,
        };
        self.act.forward(&y)
    }
}

/// A transposed convolution, joined with the skip connection, then two convolutions (`UnetUpBlock`).
#[derive(Debug)]
struct UpBlock {
    transposed: Convolution,
    block: ConvBlock,
}

impl UpBlock {
    /// From `level` to the one above it.
    fn new(path: &nn::Path<'_>, args: &DynUNetArgs, filters: &[i64], level: usize) -> Result<Self> {
        let (inputs, outputs) = (filters[level], filters[level - 1]);
        let (up, kernel) = (&args.upsample_kernel_size[level - 1], &args.kernel_size[level]);
        let one = OneOrMany::One(1);
        Ok(Self {
            transposed: convolution(&(path / "transp_conv"), args, [inputs, outputs], up, up, args.trans_bias, true)?,
            block: ConvBlock::new(&(path / "conv_block"), args, [2 * outputs, outputs], kernel, &one, false)?,
        })
    }

    fn forward(&self, x: &Tensor, skip: &Tensor, train: bool) -> Result<Tensor> {
        let up = self.transposed.forward_t(x, train)?;
        self.block.forward_t(&Tensor::f_cat(&[&up, skip], 1)?, train)
    }

    fn alias(&self, path: &nn::Path<'_>) -> Result<()> {
        alias_convolution(&(path / "transp_conv"), &self.transposed)?;
        self.block.alias(&(path / "conv_block"))
    }
}
