//! `Resized`.

use byoc::{Component, Error, Image, Keys, OneOrMany, Random, Result, Sample, Transform};
use schemars::JsonSchema;
use serde::Deserialize;

use super::common::{Dtype, map_images, sizes_or, spatial_shape};
use super::gaussian::{Approximation, smooth};
use super::geometry::{Operation, ResizeMode, record, resize};

/// Interpolates images to a size, whatever their voxels measure.
///
/// MONAI `Resized`; the kernels are those of PyTorch's `interpolate`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResizedArgs {
    /// Keys of the images.
    keys: Keys,
    /// The size, for each axis; 0 or -1 is the image's own. With `size_mode` `longest` one number.
    spatial_size: OneOrMany<i64>,
    /// Whether the size is given for all axes or for the longest one.
    #[serde(default)]
    size_mode: SizeMode,
    /// Between voxels, for each key or for all.
    #[serde(default = "area")]
    mode: OneOrMany<ResizeMode>,
    /// Whether the centres of the outermost voxels stay where they are; for the linear modes and `bicubic`. For each key
    /// or for all.
    #[serde(default)]
    align_corners: OneOrMany<Option<bool>>,
    /// Whether to smooth before making an image smaller, for each key or for all.
    #[serde(default)]
    anti_aliasing: OneOrMany<bool>,
    /// Standard deviation of that in voxels; a flat list has one value for each key. From the ratio of the sizes if it is
    /// `null`.
    #[serde(default)]
    anti_aliasing_sigma: OneOrMany<Option<OneOrMany<f64>>>,
    /// For compatibility: it is computed in float32.
    #[serde(default, rename = "dtype")]
    _dtype: OneOrMany<Option<Dtype>>,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// What `spatial_size` means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum SizeMode {
    /// The size of each axis.
    #[default]
    All,
    /// The size of the longest axis; the others keep their ratio to it.
    Longest,
}

pub(super) fn area() -> OneOrMany<ResizeMode> {
    OneOrMany::One(ResizeMode::Area)
}

/// What is done for one key.
struct PerKey {
    mode: ResizeMode,
    align_corners: Option<bool>,
    anti_aliasing: bool,
    sigma: Option<OneOrMany<f64>>,
}

/// See [`ResizedArgs`].
pub struct Resized {
    args: ResizedArgs,
    per_key: Vec<PerKey>,
}

impl Component for Resized {
    type Args = ResizedArgs;

    fn new(args: ResizedArgs) -> Result<Self> {
        let n = args.keys.len();
        if args.size_mode == SizeMode::Longest && !matches!(&args.spatial_size, OneOrMany::One(size) if *size > 0) {
            return Err(Error::invalid_argument("with `size_mode` `longest`, `spatial_size` is one number above 0"));
        }
        let modes = args.mode.repeat(n, "mode")?;
        let corners = args.align_corners.repeat(n, "align_corners")?;
        let anti_aliasing = args.anti_aliasing.repeat(n, "anti_aliasing")?;
        let sigmas = args.anti_aliasing_sigma.repeat(n, "anti_aliasing_sigma")?;
        let per_key = sigmas
            .into_iter()
            .enumerate()
            .map(|(i, sigma)| PerKey {
                mode: modes[i],
                align_corners: corners[i],
                anti_aliasing: anti_aliasing[i],
                sigma,
            })
            .collect();
        Ok(Self { args, per_key })
    }
}

byoc::register! { transforms: [Resized] }

impl Transform for Resized {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        map_images(sample, &self.args.keys, self.args.allow_missing_keys, |position, image| {
            self.resize(image, &self.per_key[position])
        })
    }
}

impl Resized {
    fn resize(&self, mut image: Image, per_key: &PerKey) -> Result<Image> {
        let mut shape = spatial_shape(&image.tensor)?;
        let rank = shape.len();
        let target: Vec<usize> = match (&self.args.spatial_size, self.args.size_mode) {
            (OneOrMany::One(size), SizeMode::Longest) => {
                let scale = *size as f64 / shape.iter().copied().max().unwrap_or(1) as f64;
                shape.iter().map(|&n| (n as f64 * scale).round_ties_even() as usize).collect()
            }
            (OneOrMany::Many(sizes), _) if sizes.len() < rank => {
                return Err(Error::invalid_argument(format!(
                    "`spatial_size` has {} sizes, but the image has {rank} spatial axes",
                    sizes.len()
                )));
            }
            (sizes, _) => {
                if let OneOrMany::Many(sizes) = sizes {
                    // an image of fewer axes gets more
                    while shape.len() < sizes.len() {
                        image.tensor = image.tensor.f_unsqueeze(-1)?;
                        shape.push(1);
                    }
                }
                sizes_or(sizes, &shape, "spatial_size")?
            }
        };
        let added_axes = shape.len() - rank;
        let operation = Operation::Resize {
            shape: shape.clone(),
            mode: per_key.mode,
            align_corners: per_key.align_corners,
            added_axes,
        };
        if per_key.anti_aliasing && target.iter().zip(&shape).any(|(new, old)| new < old) {
            let ratios = shape.iter().zip(&target).map(|(&old, &new)| old as f64 / new as f64);
            let sigma = match &per_key.sigma {
                None => ratios.map(|ratio| ((ratio - 1.0) / 2.0).max(0.0)).collect(),
                Some(sigma) => {
                    let given = sigma.repeat(shape.len(), "anti_aliasing_sigma")?;
                    ratios.zip(given).map(|(ratio, sigma)| if ratio > 1.0 { sigma } else { 0.0 }).collect::<Vec<_>>()
                }
            };
            image.tensor = smooth(&image.tensor, &sigma, Approximation::Erf)?;
        }
        let mut image = resize(image, &target, per_key.mode, per_key.align_corners)?;
        record(&mut image, "Resized", &operation)?;
        Ok(image)
    }
}
