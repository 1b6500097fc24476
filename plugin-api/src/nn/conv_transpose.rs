//! Transposed convolutions.

use tch::{Tensor, nn};

use super::conv::{Geometry, check_channels};
use super::variable::name_of;
use super::{Layer, check_spatial_dims, memory_format};
use crate::{Error, OneOrMany, Result};

/// A transposed convolution in 1, 2 or 3 dimensions: `torch.nn.ConvTranspose1d`, `ConvTranspose2d`, `ConvTranspose3d`.
///
/// Parameters: `weight` (in, out / groups, kernel…) and, unless switched off, `bias` (out). An axis of n voxels becomes
/// (n − 1) · stride − 2 · padding + dilation · (kernel − 1) + `output_padding` + 1 voxels long.
#[derive(Debug)]
pub struct ConvTranspose {
    name: String,
    weight: Tensor,
    bias: Option<Tensor>,
    geometry: Geometry,
    output_padding: Vec<i64>,
}

/// What a [`ConvTranspose`] looks like. Sizes are one number for all axes, or one for each.
#[derive(Debug, Clone)]
pub struct ConvTransposeOptions {
    spatial_dims: usize,
    in_channels: i64,
    out_channels: i64,
    kernel_size: OneOrMany<i64>,
    stride: OneOrMany<i64>,
    padding: OneOrMany<i64>,
    output_padding: OneOrMany<i64>,
    dilation: OneOrMany<i64>,
    groups: i64,
    bias: bool,
}

impl ConvTransposeOptions {
    /// A transposed convolution with stride 1, no padding, no dilation, one group and a bias.
    pub fn new(
        spatial_dims: usize,
        in_channels: i64,
        out_channels: i64,
        kernel_size: impl Into<OneOrMany<i64>>,
    ) -> Self {
        Self {
            spatial_dims,
            in_channels,
            out_channels,
            kernel_size: kernel_size.into(),
            stride: OneOrMany::One(1),
            padding: OneOrMany::One(0),
            output_padding: OneOrMany::One(0),
            dilation: OneOrMany::One(1),
            groups: 1,
            bias: true,
        }
    }

    /// The distance of two inputs in the output.
    #[must_use]
    pub fn stride(mut self, stride: impl Into<OneOrMany<i64>>) -> Self {
        self.stride = stride.into();
        self
    }

    /// How much is cut off on each side.
    #[must_use]
    pub fn padding(mut self, padding: impl Into<OneOrMany<i64>>) -> Self {
        self.padding = padding.into();
        self
    }

    /// How much longer the output is at the end of each axis.
    #[must_use]
    pub fn output_padding(mut self, output_padding: impl Into<OneOrMany<i64>>) -> Self {
        self.output_padding = output_padding.into();
        self
    }

    /// The distance between the taps of the kernel.
    #[must_use]
    pub fn dilation(mut self, dilation: impl Into<OneOrMany<i64>>) -> Self {
        self.dilation = dilation.into();
        self
    }

    /// In how many groups the channels are convolved independently of each other.
    #[must_use]
    pub fn groups(mut self, groups: i64) -> Self {
        self.groups = groups;
        self
    }

    /// Whether there is a bias.
    #[must_use]
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }
}

impl ConvTranspose {
    /// Makes `weight` and `bias` under `path`.
    ///
    /// # Errors
    ///
    /// The options contradict each other, or the names are taken.
    #[track_caller]
    pub fn new(path: &nn::Path<'_>, options: ConvTransposeOptions) -> Result<Self> {
        let ConvTransposeOptions { spatial_dims, in_channels, out_channels, groups, .. } = options;
        check_spatial_dims(spatial_dims)?;
        check_channels(path, in_channels, out_channels, groups)?;
        let geometry = Geometry {
            kernel_size: options.kernel_size.repeat(spatial_dims, "kernel_size")?,
            stride: options.stride.repeat(spatial_dims, "stride")?,
            padding: options.padding.repeat(spatial_dims, "padding")?,
            dilation: options.dilation.repeat(spatial_dims, "dilation")?,
            groups,
        };
        geometry.check(path)?;
        let output_padding = options.output_padding.repeat(spatial_dims, "output_padding")?;
        if output_padding.iter().any(|&padding| padding < 0) {
            return Err(Error::invalid_argument(format!(
                "the output padding of `{}` must not be negative, found {output_padding:?}",
                name_of(path)
            )));
        }
        let (weight, bias) =
            geometry.parameters(path, [in_channels, out_channels / groups], out_channels, options.bias)?;
        Ok(Self { name: name_of(path), weight, bias, geometry, output_padding })
    }

    /// (B, in, spatial…) → (B, out, spatial…).
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        memory_format::transposed_convolution(x, &self.weight, self.bias.as_ref(), &self.geometry, &self.output_padding)
            .map_err(|error| {
                error.context(format!(
                    "transposed convolution `{}` failed on an input of shape {:?}",
                    self.name,
                    x.size()
                ))
            })
    }

    /// The weight, (in, out / groups, kernel…): the network's own tensor, to be initialised in another way.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// The bias (out).
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }
}

impl Layer for ConvTranspose {
    fn forward_t(&self, x: &Tensor, _train: bool) -> Result<Tensor> {
        self.forward(x)
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn output_sizes_follow_the_formula() {
        let store = nn::VarStore::new(Device::Cpu);
        let cases: [(usize, ConvTransposeOptions, &[i64], &[i64]); 3] = [
            (1, ConvTransposeOptions::new(1, 4, 2, 3).stride(2).padding(1).output_padding(1), &[1, 4, 5], &[1, 2, 10]),
            (2, ConvTransposeOptions::new(2, 4, 2, 2).stride(2).groups(2).bias(false), &[1, 4, 5, 3], &[1, 2, 10, 6]),
            (3, ConvTransposeOptions::new(3, 1, 2, [1, 2, 2]).stride([1, 2, 2]), &[1, 1, 2, 2, 3], &[1, 2, 2, 4, 6]),
        ];
        for (index, options, input, output) in cases {
            let layer = ConvTranspose::new(&(store.root() / index as i64), options).unwrap();
            let y = layer.forward(&Tensor::rand(input, (Kind::Float, Device::Cpu))).unwrap();
            assert_eq!(y.size(), output);
        }
    }
}
