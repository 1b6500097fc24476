//! Filters along axes and over neighbourhoods: `SavitzkyGolaySmoothd`, `MedianSmoothd`, `SobelGradientsd`.

use byoc::{Component, Error, Image, Keys, OneOrMany, Random, Result, Sample, Transform, Value};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind, Tensor};
use torch_ext::view;

use super::common::{Dtype, cast, default, float_values, image_of, map_tensors, present, spatial_shape};
use super::gaussian::{filter_axes, filter_axes_padded};
use super::geometry::{PadMode, cube, spatial_axes};

/// What lies outside when an image is filtered (the padding modes of PyTorch's convolutions).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Outside {
    /// Zeros.
    #[default]
    Zeros,
    /// The image mirrored at its outermost voxels.
    Reflect,
    /// The outermost voxels.
    Replicate,
    /// The image repeated.
    Circular,
}

impl Outside {
    fn pad_mode(self) -> PadMode {
        match self {
            Self::Zeros => PadMode::Constant,
            Self::Reflect => PadMode::Reflect,
            Self::Replicate => PadMode::Replicate,
            Self::Circular => PadMode::Circular,
        }
    }
}

/// Smooths images along one axis by fitting polynomials to windows (Savitzky and Golay 1964).
///
/// MONAI `SavitzkyGolaySmoothd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SavitzkyGolaySmoothdArgs {
    /// Keys of the images.
    keys: Keys,
    /// Length of the window, an odd number.
    window_length: usize,
    /// Degree of the polynomials, below `window_length`.
    order: usize,
    /// The axis; 1 is the first spatial one.
    #[serde(default = "first")]
    #[schemars(range(min = 1, max = 3))]
    axis: usize,
    /// What lies outside.
    #[serde(default)]
    mode: Outside,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

fn first() -> usize {
    1
}

/// See [`SavitzkyGolaySmoothdArgs`].
pub struct SavitzkyGolaySmoothd {
    args: SavitzkyGolaySmoothdArgs,
    weights: Tensor,
}

impl Component for SavitzkyGolaySmoothd {
    type Args = SavitzkyGolaySmoothdArgs;

    fn new(args: SavitzkyGolaySmoothdArgs) -> Result<Self> {
        if args.window_length.is_multiple_of(2) || args.order >= args.window_length {
            return Err(Error::invalid_argument(format!(
                "`window_length` is {} and `order` {}; an odd length above the order is needed",
                args.window_length, args.order
            )));
        }
        if args.axis == 0 {
            return Err(Error::invalid_argument("`axis` is 0, the channels; the first spatial axis is 1"));
        }
        let weights = savitzky_golay(args.window_length, args.order)?;
        let weights = Tensor::from_slice(&weights).f_to_kind(Kind::Float)?;
        Ok(Self { args, weights })
    }
}

/// The value in the middle of the polynomial fitted to a window, as weights of the window's values: c = Aᵀ(AAᵀ)⁻¹e₀ for
/// the powers A of the positions.
fn savitzky_golay(length: usize, order: usize) -> Result<Vec<f64>> {
    let half = (length / 2) as f64;
    // positions of -1 … 1 keep the powers in range
    let positions: Vec<f64> = (0..length).map(|i| (i as f64 - half) / half.max(1.0)).collect();
    let n = order + 1;
    let moment = |power: usize| positions.iter().map(|x| x.powi(power as i32)).sum::<f64>();
    let gram: Vec<f64> = (0..n).flat_map(|i| (0..n).map(move |j| i + j)).map(moment).collect();
    let mut unit = vec![0.0; n];
    unit[0] = 1.0;
    let gram = Tensor::from_slice(&gram).f_view([n as i64, n as i64])?;
    let solved = Tensor::f_linalg_solve(&gram, &Tensor::from_slice(&unit), true)?;
    let solved = Vec::<f64>::try_from(solved)?;
    Ok(positions.iter().map(|x| solved.iter().enumerate().map(|(power, z)| z * x.powi(power as i32)).sum()).collect())
}

impl Transform for SavitzkyGolaySmoothd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let Self { args, weights } = self;
        map_tensors(sample, &args.keys, args.allow_missing_keys, |_, tensor| {
            let rank = spatial_shape(tensor)?.len();
            if args.axis > rank {
                return Err(Error::invalid_argument(format!(
                    "`axis` is {}, but the image has {rank} spatial axes",
                    args.axis
                )));
            }
            let kernels: Vec<Tensor> = (1..=rank)
                .map(|axis| if axis == args.axis { weights.shallow_clone() } else { Tensor::from_slice(&[1f32]) })
                .collect();
            filter_axes_padded(tensor, &kernels, args.mode.pad_mode())
        })
    }
}

/// Replaces each voxel by the median of its neighbourhood.
///
/// Beyond the border the outermost voxels are repeated. MONAI `MedianSmoothd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MedianSmoothdArgs {
    /// Keys of the images.
    keys: Keys,
    /// How far the neighbourhood reaches, in voxels; for each axis or for all.
    #[serde(default = "radius")]
    radius: OneOrMany<usize>,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

fn radius() -> OneOrMany<usize> {
    OneOrMany::One(1)
}

/// See [`MedianSmoothdArgs`].
pub struct MedianSmoothd(MedianSmoothdArgs);

impl Component for MedianSmoothd {
    type Args = MedianSmoothdArgs;

    fn new(args: MedianSmoothdArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

fn median(tensor: &Tensor, radius: &[usize]) -> Result<Tensor> {
    let shape = spatial_shape(tensor)?;
    let reach: [usize; 3] =
        std::array::from_fn(|axis| (axis + shape.len()).checked_sub(3).map_or(0, |axis| radius[axis]));
    let [planes, rows, columns] = cube(&shape);
    let source = float_values(tensor)?;
    let values = view::slice::<f32>(&source)?;
    let window = |at: usize, reach: usize, n: usize| {
        (0..=2 * reach).map(move |step| (at + step).saturating_sub(reach).min(n - 1))
    };
    let out = view::build::<f32>(&tensor.size(), |out| {
        if values.is_empty() {
            return;
        }
        out.par_chunks_mut(columns).enumerate().for_each_init(Vec::new, |near: &mut Vec<f32>, (line, out)| {
            let (plane, y) = (line / rows, line % rows);
            let (channel, x) = (plane / planes, plane % planes);
            for (z, value) in out.iter_mut().enumerate() {
                near.clear();
                for x in window(x, reach[0], planes) {
                    for y in window(y, reach[1], rows) {
                        let start = ((channel * planes + x) * rows + y) * columns;
                        near.extend(window(z, reach[2], columns).map(|z| values[start + z]));
                    }
                }
                let middle = near.len() / 2;
                *value = *near.select_nth_unstable_by(middle, f32::total_cmp).1;
            }
        });
    });
    Ok(out.f_to_device(tensor.device())?)
}

impl Transform for MedianSmoothd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        map_tensors(sample, &self.0.keys, self.0.allow_missing_keys, |_, tensor| {
            median(tensor, &self.0.radius.repeat(spatial_shape(tensor)?.len(), "radius")?)
        })
    }
}

/// The gradients of images by Sobel's filter: for each axis a channel for each channel of the image.
///
/// MONAI `SobelGradientsd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SobelGradientsdArgs {
    /// Keys of the images.
    keys: Keys,
    /// Length of the filter, an odd number from 3 on.
    #[serde(default = "three")]
    kernel_size: usize,
    /// The spatial axes, negative ones from the end; all if it is `null`.
    #[serde(default)]
    spatial_axes: Option<OneOrMany<i64>>,
    /// Whether the filter's weights are scaled, so that the slope of a ramp comes out.
    #[serde(default = "default::yes")]
    normalize_kernels: bool,
    /// Whether the gradients along each axis are scaled to 0 … 1.
    #[serde(default)]
    normalize_gradients: bool,
    /// What lies outside.
    #[serde(default = "reflect")]
    padding_mode: Outside,
    /// The dtype of the result.
    #[serde(default = "default::float32")]
    dtype: Dtype,
    /// The gradients go under the key with this before it; in place of the image if it is `null`.
    #[serde(default)]
    new_key_prefix: Option<String>,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

fn three() -> usize {
    3
}

fn reflect() -> Outside {
    Outside::Reflect
}

/// See [`SobelGradientsdArgs`].
pub struct SobelGradientsd {
    args: SobelGradientsdArgs,
    difference: Tensor,
    smoothing: Tensor,
}

impl Component for SobelGradientsd {
    type Args = SobelGradientsdArgs;

    fn new(args: SobelGradientsdArgs) -> Result<Self> {
        if args.kernel_size < 3 || args.kernel_size.is_multiple_of(2) {
            return Err(Error::invalid_argument(format!(
                "`kernel_size` is {}; an odd number from 3 on is needed",
                args.kernel_size
            )));
        }
        let scale = |values: [f32; 3], by: f32| if args.normalize_kernels { values.map(|v| v / by) } else { values };
        let widen = scale([1.0, 2.0, 1.0], 4.0);
        let widened = |start: [f32; 3]| {
            let mut kernel = start.to_vec();
            for _ in 0..(args.kernel_size - 3) / 2 {
                let mut wider = vec![0.0; kernel.len() + 2];
                for (i, value) in kernel.iter().enumerate() {
                    for (j, weight) in widen.iter().enumerate() {
                        wider[i + j] += value * weight;
                    }
                }
                kernel = wider;
            }
            Tensor::from_slice(&kernel)
        };
        let (difference, smoothing) = (widened(scale([-1.0, 0.0, 1.0], 2.0)), widened(widen));
        Ok(Self { args, difference, smoothing })
    }
}

impl SobelGradientsd {
    fn gradients(&self, tensor: &Tensor) -> Result<Tensor> {
        let Self { args, difference, smoothing } = self;
        let rank = spatial_shape(tensor)?.len();
        let chosen = args.spatial_axes.clone().map(OneOrMany::into_vec);
        let mut along = Vec::new();
        for axis in spatial_axes(chosen.as_deref(), rank)? {
            let kernels: Vec<Tensor> =
                (0..rank).map(|of| if of == axis { difference } else { smoothing }.shallow_clone()).collect();
            let mut gradient = match args.padding_mode {
                Outside::Zeros => filter_axes(tensor, &kernels)?,
                other => filter_axes_padded(tensor, &kernels, other.pad_mode())?,
            };
            if args.normalize_gradients {
                let (low, high) = (gradient.f_min()?, gradient.f_max()?);
                if low.f_double_value(&[])? != high.f_double_value(&[])? {
                    gradient = gradient.f_sub(&low)?;
                }
                let high = gradient.f_max()?;
                if high.f_double_value(&[])? > 0.0 {
                    gradient = gradient.f_div(&high)?;
                }
            }
            along.push(gradient);
        }
        Ok(Tensor::f_cat(&along, 0)?)
    }
}

impl Transform for SobelGradientsd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let args = &self.args;
        for (_, key) in present(sample, &args.keys, args.allow_missing_keys)? {
            let gradients = cast(&self.gradients(sample.tensor(key)?)?, Some(args.dtype))?;
            let name = args.new_key_prefix.as_ref().map_or_else(|| key.to_owned(), |prefix| format!("{prefix}{key}"));
            let value = match sample.get(key)? {
                Value::Image(_) => {
                    let image: Image = image_of(sample, key)?;
                    Value::Image(image.with_tensor(gradients))
                }
                _ => Value::Tensor(gradients),
            };
            sample.insert(name, value);
        }
        Ok(())
    }
}

byoc::register! { transforms: [SavitzkyGolaySmoothd, MedianSmoothd, SobelGradientsd] }
