//! Convolutions.

use tch::{Tensor, nn};

use crate::Result;

/// A convolution in 1, 2 or 3 dimensions.
#[derive(Debug)]
pub struct Conv {
    weight: Tensor,
    bias: Option<Tensor>,
    options: ConvOptions,
}

/// What a [`Conv`] looks like.
#[derive(Debug, Clone)]
pub struct ConvOptions {
    dims: usize,
    in_channels: i64,
    out_channels: i64,
    kernel: i64,
    padding: i64,
}

impl ConvOptions {
    /// A convolution with stride 1, no padding and a bias.
    pub fn new(dims: usize, in_channels: i64, out_channels: i64, kernel: i64) -> Self {
        Self { dims, in_channels, out_channels, kernel, padding: 0 }
    }

    /// Zero padding on each side.
    #[must_use]
    pub fn padding(mut self, padding: i64) -> Self {
        self.padding = padding;
        self
    }
}

impl Conv {
    /// Makes `weight` and `bias` under `path`.
    pub fn new(path: &nn::Path<'_>, options: ConvOptions) -> Result<Self> {
        let mut shape = vec![options.out_channels, options.in_channels];
        shape.extend(std::iter::repeat_n(options.kernel, options.dims));
        let weight = path.f_var("weight", &shape, nn::init::DEFAULT_KAIMING_UNIFORM)?;
        let bias = Some(path.f_zeros("bias", &[options.out_channels])?);
        Ok(Self { weight, bias, options })
    }

    /// (B, in, spatial…) → (B, out, spatial…).
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let n = self.options.dims;
        Ok(x.f_convolution(&self.weight, self.bias.as_ref(), vec![1; n], vec![self.options.padding; n], vec![1; n], false, vec![0; n], 1)?)
    }
}
