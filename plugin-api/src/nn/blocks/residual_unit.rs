//! Convolutions with a shortcut around them.

use tch::{Tensor, nn};

use super::{AdnOptions, Convolution, ConvolutionOptions, same_padding_of};
use crate::nn::{Conv, ConvOptions, Layer, Sequential};
use crate::{OneOrMany, Result};

/// `monai.networks.blocks.ResidualUnit`: convolutions `conv.unit0`, `conv.unit1` … plus the input, which goes through
/// a convolution `residual` where the size or the channels change (Kerfoot et al. 2018).
#[derive(Debug)]
pub struct ResidualUnit {
    units: Sequential,
    residual: Option<Conv>,
}

/// What a [`ResidualUnit`] looks like.
#[derive(Debug, Clone)]
pub struct ResidualUnitOptions {
    /// The number of spatial dimensions.
    pub spatial_dims: usize,
    /// The number of input channels.
    pub in_channels: i64,
    /// The number of output channels.
    pub out_channels: i64,
    /// The stride of the first convolution.
    pub strides: OneOrMany<i64>,
    /// The size of all kernels, odd.
    pub kernel_size: OneOrMany<i64>,
    /// The number of convolutions, at least 1.
    pub subunits: usize,
    /// What follows each convolution.
    pub adn: AdnOptions,
    /// The dilation.
    pub dilation: OneOrMany<i64>,
    /// Whether the convolutions have a bias.
    pub bias: bool,
    /// Whether nothing follows the last convolution.
    pub last_conv_only: bool,
    /// Zero padding on each side, in place of the one that keeps the size; 0 counts as none given.
    pub padding: Option<OneOrMany<i64>>,
}

impl ResidualUnitOptions {
    /// MONAI's defaults: two convolutions of 3 with instance norm and PReLU, stride 1.
    pub fn new(spatial_dims: usize, in_channels: i64, out_channels: i64) -> Self {
        Self {
            spatial_dims,
            in_channels,
            out_channels,
            strides: OneOrMany::One(1),
            kernel_size: OneOrMany::One(3),
            subunits: 2,
            adn: AdnOptions::default(),
            dilation: OneOrMany::One(1),
            bias: true,
            last_conv_only: false,
            padding: None,
        }
    }
}

impl ResidualUnit {
    /// Makes `conv.unit*` and `residual` under `path`.
    ///
    /// # Errors
    ///
    /// The options contradict each other.
    #[track_caller]
    pub fn new(path: &nn::Path<'_>, options: ResidualUnitOptions) -> Result<Self> {
        let ResidualUnitOptions { spatial_dims, in_channels, out_channels, .. } = options;
        let padding = match options.padding {
            Some(padding) if padding != OneOrMany::One(0) => padding,
            _ => same_padding_of(&options.kernel_size, &options.dilation, spatial_dims)?,
        };
        let subunits = options.subunits.max(1);
        let conv_path = path / "conv";
        let mut units = Sequential::new();
        for index in 0..subunits {
            let first = index == 0;
            let unit =
                ConvolutionOptions::new(spatial_dims, if first { in_channels } else { out_channels }, out_channels)
                    .strides(if first { options.strides.clone() } else { OneOrMany::One(1) })
                    .kernel_size(options.kernel_size.clone())
                    .adn(options.adn.clone())
                    .dilation(options.dilation.clone())
                    .bias(options.bias)
                    .conv_only(options.last_conv_only && index + 1 == subunits)
                    .padding(padding.clone());
            units.push(Convolution::new(&(&conv_path / format!("unit{index}")), unit)?);
        }
        let strided = options.strides.repeat(spatial_dims, "strides")?.iter().any(|&stride| stride != 1);
        let residual = if strided || in_channels != out_channels {
            let conv = if strided {
                ConvOptions::new(spatial_dims, in_channels, out_channels, options.kernel_size)
                    .stride(options.strides)
                    .padding(padding)
            } else {
                ConvOptions::new(spatial_dims, in_channels, out_channels, 1)
            };
            Some(Conv::new(&(path / "residual"), conv.bias(options.bias))?)
        } else {
            None
        };
        Ok(Self { units, residual })
    }
}

impl Layer for ResidualUnit {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let shortcut = self.residual.forward_t(x, train)?;
        Ok(self.units.forward_t(x, train)?.f_add(&shortcut)?)
    }
}
