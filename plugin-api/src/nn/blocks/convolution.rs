//! A convolution with its normalisation, dropout and activation.

use tch::{Tensor, nn};

use super::{Adn, AdnOptions, same_padding_of};
use crate::nn::{Conv, ConvOptions, ConvTranspose, ConvTransposeOptions, DropoutSpec, Layer, LayerSpec};
use crate::{OneOrMany, Result};

/// `monai.networks.blocks.Convolution`: `conv`, then `adn` unless it is empty or switched off.
///
/// Without padding of your own the size stays at stride 1, and is divided (transposed: multiplied) by the stride else.
#[derive(Debug)]
pub struct Convolution {
    conv: Box<dyn Layer>,
    weight: Tensor,
    bias: Option<Tensor>,
    adn: Option<Adn>,
}

/// What a [`Convolution`] looks like; by default a kernel of 3, stride 1, instance norm and PReLU.
#[derive(Debug, Clone)]
pub struct ConvolutionOptions {
    spatial_dims: usize,
    in_channels: i64,
    out_channels: i64,
    strides: OneOrMany<i64>,
    kernel_size: OneOrMany<i64>,
    dilation: OneOrMany<i64>,
    padding: Option<OneOrMany<i64>>,
    output_padding: Option<OneOrMany<i64>>,
    groups: i64,
    bias: bool,
    transposed: bool,
    conv_only: bool,
    adn: AdnOptions,
}

impl ConvolutionOptions {
    /// MONAI's defaults.
    pub fn new(spatial_dims: usize, in_channels: i64, out_channels: i64) -> Self {
        Self {
            spatial_dims,
            in_channels,
            out_channels,
            strides: OneOrMany::One(1),
            kernel_size: OneOrMany::One(3),
            dilation: OneOrMany::One(1),
            padding: None,
            output_padding: None,
            groups: 1,
            bias: true,
            transposed: false,
            conv_only: false,
            adn: AdnOptions::default(),
        }
    }

    /// The stride.
    #[must_use]
    pub fn strides(mut self, strides: impl Into<OneOrMany<i64>>) -> Self {
        self.strides = strides.into();
        self
    }

    /// The size of the kernel.
    #[must_use]
    pub fn kernel_size(mut self, kernel_size: impl Into<OneOrMany<i64>>) -> Self {
        self.kernel_size = kernel_size.into();
        self
    }

    /// The dilation.
    #[must_use]
    pub fn dilation(mut self, dilation: impl Into<OneOrMany<i64>>) -> Self {
        self.dilation = dilation.into();
        self
    }

    /// Zero padding on each side, in place of the one that keeps the size.
    #[must_use]
    pub fn padding(mut self, padding: impl Into<OneOrMany<i64>>) -> Self {
        self.padding = Some(padding.into());
        self
    }

    /// What a transposed convolution adds at the end of each axis, in place of stride − 1.
    #[must_use]
    pub fn output_padding(mut self, output_padding: impl Into<OneOrMany<i64>>) -> Self {
        self.output_padding = Some(output_padding.into());
        self
    }

    /// The groups.
    #[must_use]
    pub fn groups(mut self, groups: i64) -> Self {
        self.groups = groups;
        self
    }

    /// Whether the convolution has a bias.
    #[must_use]
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    /// Whether it is a transposed convolution.
    #[must_use]
    pub fn transposed(mut self, transposed: bool) -> Self {
        self.transposed = transposed;
        self
    }

    /// Whether the convolution stands alone.
    #[must_use]
    pub fn conv_only(mut self, conv_only: bool) -> Self {
        self.conv_only = conv_only;
        self
    }

    /// The activation; none by `None`.
    #[must_use]
    pub fn act(mut self, act: Option<LayerSpec>) -> Self {
        self.adn.act = act;
        self
    }

    /// The normalisation; none by `None`.
    #[must_use]
    pub fn norm(mut self, norm: Option<LayerSpec>) -> Self {
        self.adn.norm = norm;
        self
    }

    /// The dropout; none by `None`.
    #[must_use]
    pub fn dropout(mut self, dropout: Option<DropoutSpec>) -> Self {
        self.adn.dropout = dropout;
        self
    }

    /// What follows the convolution, all at once.
    #[must_use]
    pub fn adn(mut self, adn: AdnOptions) -> Self {
        self.adn = adn;
        self
    }
}

impl Convolution {
    /// Makes `conv` and `adn` under `path`.
    ///
    /// # Errors
    ///
    /// The options contradict each other.
    #[track_caller]
    pub fn new(path: &nn::Path<'_>, options: ConvolutionOptions) -> Result<Self> {
        let ConvolutionOptions { spatial_dims, in_channels, out_channels, conv_only, .. } = options;
        let adn = options.adn.clone();
        let padding = match options.padding.clone() {
            Some(padding) => padding,
            None => same_padding_of(&options.kernel_size, &options.dilation, spatial_dims)?,
        };
        let conv_path = path / "conv";
        let conv: Box<dyn Layer>;
        let (weight, bias);
        if options.transposed {
            let output_padding = if let Some(padding) = options.output_padding {
                padding
            } else {
                let strides = options.strides.repeat(spatial_dims, "strides")?;
                OneOrMany::Many(strides.iter().map(|stride| stride - 1).collect())
            };
            let options = ConvTransposeOptions::new(spatial_dims, in_channels, out_channels, options.kernel_size)
                .stride(options.strides)
                .padding(padding)
                .output_padding(output_padding)
                .dilation(options.dilation)
                .groups(options.groups)
                .bias(options.bias);
            let layer = ConvTranspose::new(&conv_path, options)?;
            (weight, bias) = (layer.weight().shallow_clone(), layer.bias().map(Tensor::shallow_clone));
            conv = Box::new(layer);
        } else {
            let options = ConvOptions::new(spatial_dims, in_channels, out_channels, options.kernel_size)
                .stride(options.strides)
                .padding(padding)
                .dilation(options.dilation)
                .groups(options.groups)
                .bias(options.bias);
            let layer = Conv::new(&conv_path, options)?;
            (weight, bias) = (layer.weight().shallow_clone(), layer.bias().map(Tensor::shallow_clone));
            conv = Box::new(layer);
        }
        let adn = match conv_only {
            true => None,
            false => Some(Adn::new(&(path / "adn"), &adn, spatial_dims, out_channels)?),
        };
        Ok(Self { conv, weight, bias, adn })
    }

    /// The weight of the convolution: the network's own tensor, to be initialised in another way.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// The bias of the convolution.
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }
}

impl Layer for Convolution {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        self.adn.forward_t(&self.conv.forward_t(x, train)?, train)
    }
}
