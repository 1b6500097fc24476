//! The blocks that `DynUNet`, `UNETR` and `SwinUNETR` are made of (`monai.networks.blocks.dynunet_block` and
//! `unetr_block`), with MONAI's parameter names.

use byoc::nn::blocks::{Convolution, ConvolutionOptions};
use byoc::nn::{Activation, DropoutSpec, Layer, LayerSpec, Norm, alias};
use byoc::{Error, OneOrMany, Result};
use tch::{Tensor, nn};

/// What the blocks of a network have in common.
#[derive(Debug, Clone)]
pub(super) struct Style {
    pub(super) spatial_dims: usize,
    pub(super) norm: LayerSpec,
    pub(super) act: LayerSpec,
    pub(super) dropout: Option<DropoutSpec>,
}

impl Style {
    /// With the leaky `ReLU` that the blocks have by default, and no dropout.
    pub(super) fn new(spatial_dims: usize, norm: LayerSpec) -> Self {
        Self { spatial_dims, norm, act: leaky_relu(), dropout: None }
    }

    /// A convolution whose padding follows from kernel and stride (`get_conv_layer`).
    pub(super) fn convolution(
        &self,
        path: &nn::Path<'_>,
        [inputs, outputs]: [i64; 2],
        kernel: &OneOrMany<i64>,
        stride: &OneOrMany<i64>,
        bias: bool,
        transposed: bool,
    ) -> Result<Convolution> {
        let dims = self.spatial_dims;
        let (kernel, stride) = (kernel.repeat(dims, "kernel_size")?, stride.repeat(dims, "strides")?);
        let twice: Vec<i64> = kernel.iter().zip(&stride).map(|(kernel, stride)| kernel - stride + 1).collect();
        let padding: Vec<i64> = twice.iter().map(|twice| twice / 2).collect();
        let output_padding: Vec<i64> =
            padding.iter().zip(&stride).zip(&kernel).map(|((p, s), k)| 2 * p + s - k).collect();
        if twice.iter().any(|&twice| twice < 0) || (transposed && output_padding.iter().any(|&padding| padding < 0)) {
            return Err(Error::invalid_argument(format!(
                "a kernel of {kernel:?} is too small for a stride of {stride:?}"
            )));
        }
        let options = ConvolutionOptions::new(dims, inputs, outputs)
            .kernel_size(kernel)
            .strides(stride)
            .padding(padding)
            .output_padding(output_padding)
            .bias(bias)
            .act(None)
            .norm(None)
            .dropout(self.dropout.clone())
            .transposed(transposed);
        Convolution::new(path, options)
    }

    /// Doubles each axis by a transposed convolution without bias, as the `UNETR` blocks do.
    pub(super) fn doubling(&self, path: &nn::Path<'_>, channels: [i64; 2]) -> Result<Convolution> {
        let two = OneOrMany::One(2);
        Self { dropout: None, ..self.clone() }.convolution(path, channels, &two, &two, false, true)
    }

    /// The last convolution, of one voxel (`UnetOutBlock`).
    pub(super) fn output(&self, path: &nn::Path<'_>, channels: [i64; 2]) -> Result<Convolution> {
        let one = OneOrMany::One(1);
        self.convolution(&(path / "conv"), channels, &one, &one, true, false)
    }
}

pub(super) fn leaky_relu() -> LayerSpec {
    LayerSpec::new("leakyrelu").with("inplace", true).with("negative_slope", 0.01)
}

/// Gives the parameters of a convolution second names; see [`alias`].
pub(super) fn alias_convolution(path: &nn::Path<'_>, convolution: &Convolution) -> Result<()> {
    let path = path / "conv";
    alias(&path, "weight", convolution.weight())?;
    convolution.bias().map_or(Ok(()), |bias| alias(&path, "bias", bias))
}

/// Two convolutions with normalisation and activation, with or without a shortcut (`UnetBasicBlock`, `UnetResBlock`).
#[derive(Debug)]
pub(super) struct ConvBlock {
    conv1: Convolution,
    conv2: Convolution,
    act: Activation,
    norm1: Norm,
    norm2: Norm,
    residual: bool,
    project: Option<(Convolution, Norm)>,
}

impl ConvBlock {
    pub(super) fn new(
        path: &nn::Path<'_>,
        style: &Style,
        [inputs, outputs]: [i64; 2],
        kernel: &OneOrMany<i64>,
        stride: &OneOrMany<i64>,
        residual: bool,
    ) -> Result<Self> {
        let dims = style.spatial_dims;
        let one = OneOrMany::One(1);
        let norm = |name: &str| Norm::new(&(path / name), &style.norm, dims, outputs);
        let conv1 = style.convolution(&(path / "conv1"), [inputs, outputs], kernel, stride, false, false)?;
        let conv2 = style.convolution(&(path / "conv2"), [outputs, outputs], kernel, &one, false, false)?;
        let act = Activation::new(&(path / "lrelu"), &style.act)?;
        let (norm1, norm2) = (norm("norm1")?, norm("norm2")?);
        let strided = stride.repeat(dims, "strides")?.iter().any(|&stride| stride != 1);
        let project = if residual && (strided || inputs != outputs) {
            let conv = style.convolution(&(path / "conv3"), [inputs, outputs], &one, stride, false, false)?;
            Some((conv, norm("norm3")?))
        } else {
            None
        };
        Ok(Self { conv1, conv2, act, norm1, norm2, residual, project })
    }

    /// With kernels of 3 and stride 1.
    pub(super) fn plain(path: &nn::Path<'_>, style: &Style, channels: [i64; 2], residual: bool) -> Result<Self> {
        Self::new(path, style, channels, &OneOrMany::One(3), &OneOrMany::One(1), residual)
    }

    pub(super) fn convolutions(&self) -> impl Iterator<Item = &Convolution> {
        [&self.conv1, &self.conv2].into_iter().chain(self.project.as_ref().map(|(conv, _)| conv))
    }

    pub(super) fn alias(&self, path: &nn::Path<'_>) -> Result<()> {
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

/// A transposed convolution, joined with the skip connection, then two convolutions (`UnetUpBlock`, `UnetrUpBlock`).
#[derive(Debug)]
pub(super) struct UpBlock {
    transposed: Convolution,
    block: ConvBlock,
}

impl UpBlock {
    pub(super) fn new(transposed: Convolution, block: ConvBlock) -> Self {
        Self { transposed, block }
    }

    /// Twice as large, with kernels of 3 (`UnetrUpBlock`).
    pub(super) fn doubling(
        path: &nn::Path<'_>,
        style: &Style,
        [inputs, outputs]: [i64; 2],
        residual: bool,
    ) -> Result<Self> {
        Ok(Self {
            transposed: style.doubling(&(path / "transp_conv"), [inputs, outputs])?,
            block: ConvBlock::plain(&(path / "conv_block"), style, [2 * outputs, outputs], residual)?,
        })
    }

    pub(super) fn forward(&self, x: &Tensor, skip: &Tensor, train: bool) -> Result<Tensor> {
        let up = self.transposed.forward_t(x, train)?;
        self.block.forward_t(&Tensor::f_cat(&[&up, skip], 1)?, train)
    }

    pub(super) fn convolutions(&self) -> impl Iterator<Item = &Convolution> {
        std::iter::once(&self.transposed).chain(self.block.convolutions())
    }

    pub(super) fn alias(&self, path: &nn::Path<'_>) -> Result<()> {
        alias_convolution(&(path / "transp_conv"), &self.transposed)?;
        self.block.alias(&(path / "conv_block"))
    }
}
