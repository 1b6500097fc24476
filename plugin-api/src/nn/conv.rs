//! Convolutions.

use tch::{Tensor, nn};

use super::variable::{name_of, parameter};
use super::{Layer, check_spatial_dims, init, memory_format};
use crate::{Error, OneOrMany, Result};

/// A convolution in 1, 2 or 3 dimensions: `torch.nn.Conv1d`, `Conv2d`, `Conv3d`.
///
/// Parameters: `weight` (out, in / groups, kernel…) and, unless switched off, `bias` (out).
#[derive(Debug)]
pub struct Conv {
    name: String,
    weight: Tensor,
    bias: Option<Tensor>,
    geometry: Geometry,
}

/// How a [`Conv`] moves over its input.
#[derive(Debug, Clone)]
pub(super) struct Geometry {
    pub(super) kernel_size: Vec<i64>,
    pub(super) stride: Vec<i64>,
    pub(super) padding: Vec<i64>,
    pub(super) dilation: Vec<i64>,
    pub(super) groups: i64,
}

/// What a [`Conv`] looks like. Sizes are one number for all axes, or one for each.
#[derive(Debug, Clone)]
pub struct ConvOptions {
    spatial_dims: usize,
    in_channels: i64,
    out_channels: i64,
    kernel_size: OneOrMany<i64>,
    stride: OneOrMany<i64>,
    padding: OneOrMany<i64>,
    dilation: OneOrMany<i64>,
    groups: i64,
    bias: bool,
}

impl ConvOptions {
    /// A convolution with stride 1, no padding, no dilation, one group and a bias.
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
            dilation: OneOrMany::One(1),
            groups: 1,
            bias: true,
        }
    }

    /// The step from one output to the next.
    #[must_use]
    pub fn stride(mut self, stride: impl Into<OneOrMany<i64>>) -> Self {
        self.stride = stride.into();
        self
    }

    /// Zero padding on each side.
    #[must_use]
    pub fn padding(mut self, padding: impl Into<OneOrMany<i64>>) -> Self {
        self.padding = padding.into();
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

impl Conv {
    /// Makes `weight` and `bias` under `path`.
    ///
    /// # Errors
    ///
    /// The options contradict each other, or the names are taken.
    #[track_caller]
    pub fn new(path: &nn::Path<'_>, options: ConvOptions) -> Result<Self> {
        let ConvOptions { spatial_dims, in_channels, out_channels, groups, .. } = options;
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
        let (weight, bias) =
            geometry.parameters(path, [out_channels, in_channels / groups], out_channels, options.bias)?;
        Ok(Self { name: name_of(path), weight, bias, geometry })
    }

    /// (B, in, spatial…) → (B, out, spatial…).
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        memory_format::convolution(x, &self.weight, self.bias.as_ref(), &self.geometry).map_err(|error| {
            error.context(format!("convolution `{}` failed on an input of shape {:?}", self.name, x.size()))
        })
    }

    /// The weight, (out, in / groups, kernel…): the network's own tensor, to be initialised in another way.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// The bias (out).
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }
}

impl Layer for Conv {
    fn forward_t(&self, x: &Tensor, _train: bool) -> Result<Tensor> {
        self.forward(x)
    }
}

impl Geometry {
    /// Makes `weight` (channels…, kernel…) and, if wanted, `bias`, drawn as PyTorch does.
    #[track_caller]
    pub(super) fn parameters(
        &self,
        path: &nn::Path<'_>,
        weight_channels: [i64; 2],
        out_channels: i64,
        bias: bool,
    ) -> Result<(Tensor, Option<Tensor>)> {
        let shape = [&weight_channels[..], &self.kernel_size].concat();
        let fan = init::fan_in(&shape);
        let weight = parameter(path, "weight", init::uniform_fan(&shape, fan)?)?;
        let bias = match bias {
            true => Some(parameter(path, "bias", init::uniform_fan(&[out_channels], fan)?)?),
            false => None,
        };
        Ok((weight, bias))
    }

    #[track_caller]
    pub(super) fn check(&self, path: &nn::Path<'_>) -> Result<()> {
        for (what, values, minimum) in [
            ("kernel size", &self.kernel_size, 1),
            ("stride", &self.stride, 1),
            ("padding", &self.padding, 0),
            ("dilation", &self.dilation, 1),
        ] {
            if values.iter().any(|&value| value < minimum) {
                return Err(Error::invalid_argument(format!(
                    "the {what} of `{}` must be at least {minimum}, found {values:?}",
                    name_of(path)
                )));
            }
        }
        Ok(())
    }
}

/// Checks channels and groups of a convolution.
#[track_caller]
pub(super) fn check_channels(path: &nn::Path<'_>, in_channels: i64, out_channels: i64, groups: i64) -> Result<()> {
    let fits =
        in_channels > 0 && out_channels > 0 && groups > 0 && in_channels % groups == 0 && out_channels % groups == 0;
    if fits {
        return Ok(());
    }
    Err(Error::invalid_argument(format!(
        "`{}` cannot go from {in_channels} to {out_channels} channels in {groups} group(s): all must be positive, and the \
         channels divisible by the groups",
        name_of(path)
    )))
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn shapes_follow_stride_padding_dilation_and_groups() {
        let store = nn::VarStore::new(Device::Cpu);
        let root = store.root();
        let conv = |name: &str, options| Conv::new(&(&root / name), options).unwrap();
        let input = |shape: &[i64]| Tensor::rand(shape, (Kind::Float, Device::Cpu));
        let one = conv("one", ConvOptions::new(1, 2, 4, 3).stride(2).padding(1).groups(2));
        assert_eq!(one.weight().size(), [4, 1, 3]);
        assert_eq!(one.forward(&input(&[1, 2, 9])).unwrap().size(), [1, 4, 5]);
        let two = conv("two", ConvOptions::new(2, 1, 2, [3, 5]).padding([2, 2]).dilation([2, 1]).bias(false));
        assert_eq!(two.forward(&input(&[2, 1, 8, 8])).unwrap().size(), [2, 2, 8, 8]);
        assert!(two.bias().is_none());
        let three = conv("three", ConvOptions::new(3, 2, 2, 3).padding(1));
        assert_eq!(three.forward(&input(&[1, 2, 4, 5, 6])).unwrap().size(), [1, 2, 4, 5, 6]);
    }

    #[test]
    fn mistakes_are_told_with_the_layer() {
        let store = nn::VarStore::new(Device::Cpu);
        let root = store.root();
        let error = Conv::new(&(&root / "a" / "conv"), ConvOptions::new(2, 3, 4, 3).groups(2)).unwrap_err();
        assert!(error.message().starts_with("`a.conv` cannot go from 3 to 4 channels in 2 group(s)"), "{error}");
        let error = Conv::new(&(&root / "b"), ConvOptions::new(2, 3, 4, [3, 3, 3])).unwrap_err();
        assert_eq!(error.message(), "`kernel_size` has 3 values, but 2 are needed (or one for all)");
        let conv = Conv::new(&(&root / "c"), ConvOptions::new(2, 3, 4, 3)).unwrap();
        let error = conv.forward(&Tensor::zeros([1, 2, 8, 8], (Kind::Float, Device::Cpu))).unwrap_err();
        assert_eq!(error.message(), "convolution `c` failed on an input of shape [1, 2, 8, 8]");
        assert!(error.chain()[0].contains("to have 3 channels"), "{error:?}");
    }
}
