//! Images made larger or smaller by a factor: `Zoomd`, `RandZoomd`.

use byoc::{Component, Error, Image, Keys, OneOrMany, Random, Result, Sample, Transform};
use schemars::JsonSchema;
use serde::Deserialize;

use super::common::{Dtype, default, map_images, present, probability, spatial_shape};
use super::geometry::{Operation, PadMode, ResizeMode, record, resize};
use super::pad::pad_or_crop;
use super::resize::area;

/// Interpolates images to a multiple of their size, rounded down.
///
/// With `keep_size` the result is cropped or padded to the old size. MONAI `Zoomd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ZoomdArgs {
    /// Keys of the images.
    keys: Keys,
    /// The factor, for each axis or for all.
    zoom: OneOrMany<f64>,
    /// Between voxels, for each key or for all.
    #[serde(default = "area")]
    mode: OneOrMany<ResizeMode>,
    /// What the margin of a smaller image is filled with, for each key or for all.
    #[serde(default = "edge")]
    padding_mode: OneOrMany<PadMode>,
    /// See `Resized`.
    #[serde(default)]
    align_corners: OneOrMany<Option<bool>>,
    /// For compatibility: it is computed in float32.
    #[serde(default, rename = "dtype")]
    _dtype: OneOrMany<Option<Dtype>>,
    /// Whether the image keeps its size.
    #[serde(default = "default::yes")]
    keep_size: bool,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

fn edge() -> OneOrMany<PadMode> {
    OneOrMany::One(PadMode::Edge)
}

/// How each key is zoomed.
struct Zoom {
    per_key: Vec<(ResizeMode, PadMode, Option<bool>)>,
    keep_size: bool,
    transform: &'static str,
}

impl Zoom {
    fn apply(&self, image: Image, position: usize, factors: &[f64]) -> Result<Image> {
        let shape = spatial_shape(&image.tensor)?;
        let (mode, padding, align_corners) = self.per_key[position];
        let target: Vec<usize> =
            shape.iter().zip(factors).map(|(&n, factor)| (n as f64 * factor).floor() as usize).collect();
        if target.contains(&0) {
            return Err(Error::data(format!(
                "nothing is left of a shape of {shape:?} when it is zoomed by {factors:?}"
            )));
        }
        let mut image = resize(image, &target, mode, align_corners)?;
        record(
            &mut image,
            self.transform,
            &Operation::Resize { shape: shape.clone(), mode, align_corners, added_axes: 0 },
        )?;
        if self.keep_size && target != shape {
            pad_or_crop(image, &shape, false, padding, 0.0, self.transform)
        } else {
            Ok(image)
        }
    }
}

/// See [`ZoomdArgs`].
pub struct Zoomd {
    args: ZoomdArgs,
    zoom: Zoom,
}

fn per_key(
    keys: &Keys,
    mode: &OneOrMany<ResizeMode>,
    padding: &OneOrMany<PadMode>,
    corners: &OneOrMany<Option<bool>>,
) -> Result<Vec<(ResizeMode, PadMode, Option<bool>)>> {
    let n = keys.len();
    let (modes, paddings, corners) =
        (mode.repeat(n, "mode")?, padding.repeat(n, "padding_mode")?, corners.repeat(n, "align_corners")?);
    Ok((0..n).map(|i| (modes[i], paddings[i], corners[i])).collect())
}

impl Component for Zoomd {
    type Args = ZoomdArgs;

    fn new(args: ZoomdArgs) -> Result<Self> {
        let per_key = per_key(&args.keys, &args.mode, &args.padding_mode, &args.align_corners)?;
        let zoom = Zoom { per_key, keep_size: args.keep_size, transform: "Zoomd" };
        Ok(Self { args, zoom })
    }
}

impl Transform for Zoomd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        map_images(sample, &self.args.keys, self.args.allow_missing_keys, |position, image| {
            let factors = self.args.zoom.repeat(spatial_shape(&image.tensor)?.len(), "zoom")?;
            self.zoom.apply(image, position, &factors)
        })
    }
}

/// Interpolates images to a random multiple of their size.
///
/// All keys alike. A single range is for all axes; of two, for 3-D images, the first one is for all but the last axis.
/// MONAI `RandZoomd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandZoomdArgs {
    /// Keys of the images.
    keys: Keys,
    /// Probability that it does anything.
    #[serde(default = "default::tenth")]
    #[schemars(range(min = 0.0, max = 1.0))]
    prob: f64,
    /// The smallest factor.
    #[serde(default = "smallest")]
    min_zoom: OneOrMany<f64>,
    /// The largest factor.
    #[serde(default = "largest")]
    max_zoom: OneOrMany<f64>,
    /// Between voxels, for each key or for all.
    #[serde(default = "area")]
    mode: OneOrMany<ResizeMode>,
    /// What the margin of a smaller image is filled with, for each key or for all.
    #[serde(default = "edge")]
    padding_mode: OneOrMany<PadMode>,
    /// See `Resized`.
    #[serde(default)]
    align_corners: OneOrMany<Option<bool>>,
    /// For compatibility: it is computed in float32.
    #[serde(default, rename = "dtype")]
    _dtype: OneOrMany<Option<Dtype>>,
    /// Whether the image keeps its size.
    #[serde(default = "default::yes")]
    keep_size: bool,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

fn smallest() -> OneOrMany<f64> {
    OneOrMany::One(0.9)
}

fn largest() -> OneOrMany<f64> {
    OneOrMany::One(1.1)
}

/// See [`RandZoomdArgs`].
pub struct RandZoomd {
    args: RandZoomdArgs,
    zoom: Zoom,
    ranges: Vec<(f64, f64)>,
}

impl Component for RandZoomd {
    type Args = RandZoomdArgs;

    fn new(args: RandZoomdArgs) -> Result<Self> {
        probability(args.prob)?;
        let (low, high) = (args.min_zoom.clone().into_vec(), args.max_zoom.clone().into_vec());
        if low.len() != high.len() || low.is_empty() {
            return Err(Error::invalid_argument(format!(
                "`min_zoom` has {} numbers, `max_zoom` {}; they must be as many",
                low.len(),
                high.len()
            )));
        }
        let per_key = per_key(&args.keys, &args.mode, &args.padding_mode, &args.align_corners)?;
        let zoom = Zoom { per_key, keep_size: args.keep_size, transform: "RandZoomd" };
        Ok(Self { args, zoom, ranges: low.into_iter().zip(high).collect() })
    }
}

impl Transform for RandZoomd {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        let Self { args, zoom, ranges } = self;
        if !random.chance(args.prob) {
            return Ok(());
        }
        let Some((_, first)) = present(sample, &args.keys, args.allow_missing_keys)?.first().copied() else {
            return Ok(());
        };
        let rank = spatial_shape(sample.tensor(first)?)?.len();
        let drawn: Vec<f64> = ranges.iter().map(|&(low, high)| random.uniform(low, high)).collect();
        let factors: Vec<f64> = match drawn[..] {
            [all] => vec![all; rank],
            [others, last] if rank > 2 => (0..rank).map(|axis| if axis + 1 < rank { others } else { last }).collect(),
            _ if drawn.len() < rank => {
                return Err(Error::invalid_argument(format!(
                    "`min_zoom` has {} numbers, but the image has {rank} spatial axes",
                    drawn.len()
                )));
            }
            _ => drawn,
        };
        map_images(sample, &args.keys, args.allow_missing_keys, |position, image| zoom.apply(image, position, &factors))
    }

    fn is_random(&self) -> bool {
        true
    }
}

byoc::register! { transforms: [Zoomd, RandZoomd] }
