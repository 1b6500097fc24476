//! The parts of an `AHNet`. Their kernels lie within the slices or across them, never both.

use byoc::Result;
use byoc::nn::resize::{self, Interpolation};
use byoc::nn::{Conv, ConvOptions, ConvTranspose, ConvTransposeOptions, Layer, Norm, init, pool};
use tch::{Tensor, nn};

use super::{AHNetUpsampling, last};

/// A convolution without bias whose padding keeps the size.
pub(super) fn flat_conv(spatial_dims: usize, inputs: i64, outputs: i64, kernel: [i64; 3]) -> ConvOptions {
    let kernel = last(spatial_dims, kernel);
    let padding: Vec<i64> = kernel.iter().map(|size| size / 2).collect();
    ConvOptions::new(spatial_dims, inputs, outputs, kernel).padding(padding).bias(false)
}

/// Normal by the outputs and the first two axes of the kernel.
pub(super) fn initialise(weight: &Tensor, outputs: i64) -> Result<()> {
    let shape = weight.size();
    let fan = outputs * shape[2] * shape[3];
    init::assign(weight, &init::normal(&shape, 0.0, (2.0 / fan as f64).sqrt())?)
}

fn conv(path: &nn::Path<'_>, options: ConvOptions) -> Result<Conv> {
    let conv = Conv::new(path, options)?;
    initialise(conv.weight(), conv.weight().size()[0])?;
    Ok(conv)
}

fn batch_norm(path: &nn::Path<'_>, spatial_dims: usize, channels: i64) -> Result<Norm> {
    Norm::new(path, &"batch".into(), spatial_dims, channels)
}

/// What a [`Bottleneck`] looks like.
#[derive(Debug, Clone, Copy)]
pub(super) struct BottleneckOptions {
    pub(super) spatial_dims: usize,
    pub(super) inputs: i64,
    pub(super) planes: i64,
    pub(super) stride: i64,
    /// Whether it is the first of its stage, whose shortcut is projected.
    pub(super) first: bool,
}

/// Three convolutions, the middle one within the slices, beside a shortcut (`Bottleneck3x3x1`).
#[derive(Debug)]
pub(super) struct Bottleneck {
    convolutions: [(Conv, Norm); 3],
    shortcut: Option<(Conv, Norm)>,
    /// What the shortcut of a volume is pooled by across the slices.
    slices: i64,
}

impl Bottleneck {
    pub(super) fn new(path: &nn::Path<'_>, options: BottleneckOptions) -> Result<Self> {
        let BottleneckOptions { spatial_dims: dims, inputs, planes, stride, first } = options;
        let outputs = 4 * planes;
        let strides = vec![stride, stride, 1][..dims].to_vec();
        let layer = |number: usize, options: ConvOptions, channels| -> Result<_> {
            Ok((
                conv(&(path / format!("conv{number}")), options)?,
                batch_norm(&(path / format!("bn{number}")), dims, channels)?,
            ))
        };
        let convolutions = [
            layer(1, flat_conv(dims, inputs, planes, [1, 1, 1]), planes)?,
            layer(2, flat_conv(dims, planes, planes, [3, 3, 1]).stride(strides.clone()), planes)?,
            layer(3, flat_conv(dims, planes, outputs, [1, 1, 1]), outputs)?,
        ];
        let shortcut = if first && (stride != 1 || inputs != outputs) {
            let path = path / "downsample";
            let options = flat_conv(dims, inputs, outputs, [1, 1, 1]).stride(strides);
            Some((conv(&(&path / 0), options)?, batch_norm(&(&path / 2), dims, outputs)?))
        } else {
            None
        };
        Ok(Self { convolutions, shortcut, slices: if dims == 3 { stride } else { 1 } })
    }
}

impl Layer for Bottleneck {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let mut y = x.shallow_clone();
        for (index, (conv, norm)) in self.convolutions.iter().enumerate() {
            if index > 0 {
                y = y.f_relu()?;
            }
            y = norm.forward(&conv.forward(&y)?, train)?;
        }
        let Some((conv, norm)) = &self.shortcut else {
            return Ok(y.f_add(x)?.f_relu()?);
        };
        let mut shortcut = conv.forward(x)?;
        if self.slices > 1 {
            let window = vec![1, 1, self.slices];
            shortcut = pool::max(&shortcut, window.clone(), window, 0)?;
        }
        let shortcut = norm.forward(&shortcut, train)?;
        if y.size() != shortcut.size() {
            let pair = last(x.dim() - 2, [1, 1, 2]);
            y = pool::max(&y, pair.clone(), pair, 0)?;
        }
        Ok(y.f_add(&shortcut)?.f_relu()?)
    }
}

/// Normalisation and a convolution, then twice as large (`UpTransition`, `Final`), or not (`Projection`).
#[derive(Debug)]
pub(super) struct UpTransition {
    norm: Norm,
    conv: Conv,
    up: Up,
}

#[derive(Debug)]
enum Up {
    None,
    Transposed(ConvTranspose),
    Interpolated(Interpolation),
}

impl UpTransition {
    pub(super) fn new(
        path: &nn::Path<'_>,
        spatial_dims: usize,
        [inputs, outputs]: [i64; 2],
        kernel: [i64; 3],
        mode: Option<AHNetUpsampling>,
    ) -> Result<Self> {
        let norm = batch_norm(&(path / "norm"), spatial_dims, inputs)?;
        let conv = conv(&(path / "conv"), flat_conv(spatial_dims, inputs, outputs, kernel))?;
        let up = match mode {
            None => Up::None,
            Some(AHNetUpsampling::Transpose) => {
                let options = ConvTransposeOptions::new(spatial_dims, outputs, outputs, 2).stride(2).bias(false);
                let up = ConvTranspose::new(&(path / "up"), options)?;
                initialise(up.weight(), outputs)?;
                Up::Transposed(up)
            }
            Some(mode) => Up::Interpolated(interpolation(mode)),
        };
        Ok(Self { norm, conv, up })
    }
}

fn interpolation(mode: AHNetUpsampling) -> Interpolation {
    if mode == AHNetUpsampling::Nearest { Interpolation::Nearest } else { Interpolation::Linear }
}

impl Layer for UpTransition {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let x = self.conv.forward(&self.norm.forward(x, train)?.f_relu()?)?;
        match &self.up {
            Up::None => Ok(x),
            Up::Transposed(up) => up.forward(&x),
            Up::Interpolated(mode) => resize::scale(&x, &vec![2.0; x.dim() - 2], *mode, true),
        }
    }
}

/// Layers that each add channels to those that they see (`DenseBlock` of `Pseudo3DLayer`).
#[derive(Debug)]
pub(super) struct PseudoDense {
    layers: Vec<PseudoLayer>,
}

const GROWTH: i64 = 20;
const LAYERS: i64 = 3;

impl PseudoDense {
    /// How many channels come in addition.
    pub(super) const ADDED: i64 = GROWTH * LAYERS;

    pub(super) fn new(path: &nn::Path<'_>, spatial_dims: usize, inputs: i64) -> Result<Self> {
        let layer = |index: i64| {
            PseudoLayer::new(&(path / format!("denselayer{}", index + 1)), spatial_dims, inputs + index * GROWTH)
        };
        Ok(Self { layers: (0..LAYERS).map(layer).collect::<Result<_>>()? })
    }
}

impl Layer for PseudoDense {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let mut x = x.shallow_clone();
        for layer in &self.layers {
            x = Tensor::f_cat(&[&x, &layer.forward_t(&x, train)?], 1)?;
        }
        Ok(x)
    }
}

/// Convolutions within the slices, then across them.
#[derive(Debug)]
struct PseudoLayer {
    layers: [(Norm, Conv); 4],
}

impl PseudoLayer {
    fn new(path: &nn::Path<'_>, dims: usize, inputs: i64) -> Result<Self> {
        let inner = 4 * GROWTH;
        let layer = |number: usize, inputs, outputs, kernel| -> Result<_> {
            Ok((
                batch_norm(&(path / format!("bn{number}")), dims, inputs)?,
                conv(&(path / format!("conv{number}")), flat_conv(dims, inputs, outputs, kernel))?,
            ))
        };
        Ok(Self {
            layers: [
                layer(1, inputs, inner, [1, 1, 1])?,
                layer(2, inner, GROWTH, [3, 3, 1])?,
                layer(3, GROWTH, GROWTH, [1, 1, 3])?,
                layer(4, GROWTH, GROWTH, [1, 1, 1])?,
            ],
        })
    }
}

impl Layer for PseudoLayer {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let apply = |(norm, conv): &(Norm, Conv), x: &Tensor| conv.forward(&norm.forward(x, train)?.f_relu()?);
        let [first, within, across, last] = &self.layers;
        let within = apply(within, &apply(first, x)?)?;
        let both = within.f_add(&apply(across, &within)?)?;
        apply(last, &both)
    }
}

/// What the slices look like from further and further away, one channel for each distance, before the features
/// themselves (`PSP`).
#[derive(Debug)]
pub(super) struct Pyramid {
    levels: Vec<(Conv, Option<ConvTranspose>)>,
    spatial_dims: usize,
    mode: AHNetUpsampling,
}

impl Pyramid {
    pub(super) fn new(
        path: &nn::Path<'_>,
        spatial_dims: usize,
        count: usize,
        inputs: i64,
        mode: AHNetUpsampling,
    ) -> Result<Self> {
        let mut ups = Vec::with_capacity(count);
        for level in 0..count {
            ups.push(if mode == AHNetUpsampling::Transpose {
                let size = window(level);
                let options = ConvTransposeOptions::new(spatial_dims, 1, 1, last(spatial_dims, [size, size, 1]))
                    .stride(last(spatial_dims, [size, size, 1]))
                    .padding(last(spatial_dims, [size, size, 0]));
                let up = ConvTranspose::new(&(path / "up_modules" / level), options)?;
                initialise(up.weight(), 1)?;
                Some(up)
            } else {
                None
            });
        }
        let mut levels = Vec::with_capacity(count);
        for (level, up) in ups.into_iter().enumerate() {
            // padded although the kernel is one voxel: the transposed convolution cuts it off again
            let options = ConvOptions::new(spatial_dims, inputs, 1, 1).padding(last(spatial_dims, [1, 1, 0]));
            levels.push((conv(&(path / "project_modules" / level), options)?, up));
        }
        Ok(Self { levels, spatial_dims, mode })
    }

    /// (B, C, spatial…) → (B, levels + C, spatial…).
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let size = x.size();
        let mut features = Vec::with_capacity(self.levels.len() + 1);
        for (level, (project, up)) in self.levels.iter().enumerate() {
            let window = last(self.spatial_dims, [window(level), window(level), 1]);
            let far = project.forward(&pool::max(x, window.clone(), window, 0)?)?;
            features.push(match up {
                Some(up) => up.forward(&far)?,
                None => resize::to_size(&far, &size[2..], interpolation(self.mode), true)?,
            });
        }
        features.push(x.shallow_clone());
        Ok(Tensor::f_cat(&features, 1)?)
    }
}

/// How many voxels a level sees as one.
fn window(level: usize) -> i64 {
    8 << level
}
