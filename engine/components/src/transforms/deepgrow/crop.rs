//! Crops around an organ or around clicks: `SpatialCropForegroundd`, `SpatialCropGuidanced`.

use byoc::{Component, Error, Keys, OneOrMany, Random, Result, Sample, Transform};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::guidance::Guidance;
use crate::transforms::common::{default, image_of, present, spatial_shape};
use crate::transforms::crop::{around, crop_recorded};
use crate::transforms::crop_foreground::foreground_box;
use crate::transforms::metadata::{dictionaries, note};

/// Under which names the metadata keep where a crop was.
#[derive(Clone)]
struct Names {
    start: String,
    end: String,
    original: String,
    cropped: String,
}

/// A box of voxels; its end may lie beyond the image.
struct Window {
    start: Vec<i64>,
    end: Vec<i64>,
}

/// Crops an image, and notes where it was in its metadata, for `ResizeGuidanced` and `RestoreLabeld`.
fn crop_and_note(
    sample: &mut Sample,
    key: &str,
    dictionary: &str,
    window: &Window,
    names: &Names,
    transform: &str,
) -> Result<()> {
    let image = image_of(sample, key)?;
    let original = image.tensor.size();
    let cropped = crop_recorded(image, &window.start, &window.end, transform)?;
    let size = cropped.tensor.size();
    sample.insert(key, cropped);
    let fields = [
        (names.start.as_str(), json!(window.start)),
        (names.end.as_str(), json!(window.end)),
        (names.original.as_str(), json!(original)),
        (names.cropped.as_str(), json!(size)),
    ];
    note(sample, key, dictionary, &fields)
}

/// Crops images to the voxels above 0 of one of them, or to a size that holds them.
///
/// If the foreground's box is smaller than `spatial_size` along every axis, a box of that size around its middle is
/// cropped, as far as it lies in the image; else the foreground's box. Where it was is noted in the metadata. MONAI
/// `monai.apps.deepgrow.transforms.SpatialCropForegroundd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpatialCropForegrounddArgs {
    /// Keys of the images to crop.
    keys: Keys,
    /// Key of the image whose voxels above 0 decide.
    source_key: String,
    /// The size, one number for each axis.
    spatial_size: Vec<i64>,
    /// The channels of the source to look at; all if it is `null`.
    #[serde(default)]
    channel_indices: Option<OneOrMany<i64>>,
    /// Voxels to leave around the foreground, for each axis or for all.
    #[serde(default)]
    margin: OneOrMany<i64>,
    /// Whether a margin ends at the border of the image.
    #[serde(default = "default::yes")]
    allow_smaller: bool,
    /// Keys of metadata items, where a sample has them; else metadata travel with the image.
    #[serde(default)]
    meta_keys: Option<Keys>,
    /// What such keys end with.
    #[serde(default)]
    meta_key_postfix: Option<OneOrMany<String>>,
    /// Name for the first voxel of the crop.
    #[serde(default = "start_key")]
    start_coord_key: String,
    /// Name for the voxel after the last one.
    #[serde(default = "end_key")]
    end_coord_key: String,
    /// Name for the shape before.
    #[serde(default = "original_key")]
    original_shape_key: String,
    /// Name for the shape afterwards.
    #[serde(default = "cropped_key")]
    cropped_shape_key: String,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

pub(super) fn start_key() -> String {
    "foreground_start_coord".to_owned()
}

pub(super) fn end_key() -> String {
    "foreground_end_coord".to_owned()
}

pub(super) fn original_key() -> String {
    "foreground_original_shape".to_owned()
}

pub(super) fn cropped_key() -> String {
    "foreground_cropped_shape".to_owned()
}

/// See [`SpatialCropForegrounddArgs`].
pub struct SpatialCropForegroundd {
    args: SpatialCropForegrounddArgs,
    dictionaries: Vec<String>,
    names: Names,
}

impl Component for SpatialCropForegroundd {
    type Args = SpatialCropForegrounddArgs;

    fn new(args: SpatialCropForegrounddArgs) -> Result<Self> {
        if args.margin.clone().into_vec().iter().any(|&margin| margin < 0) {
            return Err(Error::invalid_argument("`margin` must not be negative"));
        }
        let dictionaries = dictionaries(&args.keys.0, args.meta_keys.as_ref(), args.meta_key_postfix.as_ref())?;
        let names = Names {
            start: args.start_coord_key.clone(),
            end: args.end_coord_key.clone(),
            original: args.original_shape_key.clone(),
            cropped: args.cropped_shape_key.clone(),
        };
        Ok(Self { args, dictionaries, names })
    }
}

/// The middle of a box, rounded towards zero.
fn middle(start: &[i64], end: &[i64]) -> Vec<i64> {
    start.iter().zip(end).map(|(start, end)| (start + end) / 2).collect()
}

/// Whether a box is smaller than a size along every axis.
fn is_smaller(start: &[i64], end: &[i64], size: &[i64]) -> bool {
    start.iter().zip(end).zip(size).all(|((start, end), size)| end - start < *size)
}

impl Transform for SpatialCropForegroundd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let Self { args, dictionaries, names } = self;
        let source = sample.tensor(&args.source_key)?;
        let rank = spatial_shape(source)?.len();
        if args.spatial_size.len() != rank {
            return Err(Error::invalid_argument(format!(
                "`spatial_size` has {} numbers, but `{}` has {rank} spatial axes",
                args.spatial_size.len(),
                args.source_key
            )));
        }
        let (start, end) =
            foreground_box(source, &args.source_key, args.channel_indices.as_ref(), &args.margin, args.allow_smaller)?;
        let window = if is_smaller(&start, &end, &args.spatial_size) {
            let (start, end) = around(&middle(&start, &end), &args.spatial_size);
            Window { start, end }
        } else {
            Window { start, end }
        };
        for (position, key) in present(sample, &args.keys, args.allow_missing_keys)? {
            crop_and_note(sample, key, &dictionaries[position], &window, names, "SpatialCropForegroundd")?;
        }
        Ok(())
    }
}

/// Crops images to a box around clicks, and moves the clicks with it.
///
/// If the box around the clicks and a margin is smaller than `spatial_size` along every axis, a box of that size around
/// its middle is cropped, of a volume around the middle of the slices; else the clicks' box. A `spatial_size` of fewer axes
/// than the image takes all slices. Where it was is noted in the metadata. MONAI
/// `monai.apps.deepgrow.transforms.SpatialCropGuidanced`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpatialCropGuidancedArgs {
    /// Keys of the images to crop.
    keys: Keys,
    /// Key of the guidance: clicks with one coordinate for each spatial axis.
    guidance: String,
    /// The size, one number for each of the last axes.
    spatial_size: Vec<i64>,
    /// Voxels to leave around the clicks, for each axis or for all.
    #[serde(default = "twenty")]
    margin: OneOrMany<i64>,
    /// Keys of metadata items, where a sample has them; else metadata travel with the image.
    #[serde(default)]
    meta_keys: Option<Keys>,
    /// What such keys end with.
    #[serde(default)]
    meta_key_postfix: Option<OneOrMany<String>>,
    /// Name for the first voxel of the crop.
    #[serde(default = "start_key")]
    start_coord_key: String,
    /// Name for the voxel after the last one.
    #[serde(default = "end_key")]
    end_coord_key: String,
    /// Name for the shape before.
    #[serde(default = "original_key")]
    original_shape_key: String,
    /// Name for the shape afterwards.
    #[serde(default = "cropped_key")]
    cropped_shape_key: String,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

fn twenty() -> OneOrMany<i64> {
    OneOrMany::One(20)
}

/// See [`SpatialCropGuidancedArgs`].
pub struct SpatialCropGuidanced {
    args: SpatialCropGuidancedArgs,
    dictionaries: Vec<String>,
    names: Names,
}

impl Component for SpatialCropGuidanced {
    type Args = SpatialCropGuidancedArgs;

    fn new(args: SpatialCropGuidancedArgs) -> Result<Self> {
        if args.margin.clone().into_vec().iter().any(|&margin| margin < 0) {
            return Err(Error::invalid_argument("`margin` must not be negative"));
        }
        let dictionaries = dictionaries(&args.keys.0, args.meta_keys.as_ref(), args.meta_key_postfix.as_ref())?;
        let names = Names {
            start: args.start_coord_key.clone(),
            end: args.end_coord_key.clone(),
            original: args.original_shape_key.clone(),
            cropped: args.cropped_shape_key.clone(),
        };
        Ok(Self { args, dictionaries, names })
    }
}

impl SpatialCropGuidanced {
    fn window(&self, points: &[&Vec<i64>], shape: &[usize]) -> Result<Window> {
        let (args, rank) = (&self.args, shape.len());
        if let Some(point) = points.iter().find(|point| point.len() != rank) {
            return Err(Error::data(format!(
                "the click {point:?} of `{}` has {} coordinates, but the image has {rank} spatial axes",
                args.guidance,
                point.len()
            )));
        }
        let margin = args.margin.repeat(rank, "margin")?;
        let (start, end): (Vec<i64>, Vec<i64>) = (0..rank)
            .map(|axis| {
                let coordinates = || points.iter().map(|point| point[axis]);
                let (low, high) = (coordinates().min().unwrap_or(0), coordinates().max().unwrap_or(0));
                ((low - margin[axis]).max(0), (high + margin[axis] + 1).min(shape[axis] as i64))
            })
            .unzip();
        let given = &args.spatial_size[args.spatial_size.len().saturating_sub(rank)..];
        // MONAI takes the sizes that are not given from the second spatial axis on
        let missing = rank - given.len();
        let size: Vec<i64> =
            shape.iter().skip(1).take(missing).map(|&n| n as i64).chain(given.iter().copied()).collect();
        if size.len() != rank {
            return Err(Error::invalid_argument("`spatial_size` is empty"));
        }
        if !is_smaller(&start, &end, &size) {
            return Ok(Window { start: start.clone(), end: end.iter().zip(start).map(|(e, s)| *e.max(&s)).collect() });
        }
        let mut centre = middle(&start, &end);
        if rank == 3 {
            centre[0] = size[0] / 2;
        }
        let (start, end) = around(&centre, &size);
        Ok(Window { start, end })
    }
}

impl Transform for SpatialCropGuidanced {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let Self { args, dictionaries, names } = self;
        let Some((_, first)) = present(sample, &args.keys, args.allow_missing_keys)?.first().copied() else {
            return Ok(());
        };
        let mut guidance = Guidance::of(sample.get(&args.guidance)?, &args.guidance)?;
        let points: Vec<&Vec<i64>> = guidance.pair(&args.guidance)?.into_iter().flatten().collect();
        if points.is_empty() {
            return Err(Error::data(format!("`{}` has no click to crop around", args.guidance)));
        }
        let shape = spatial_shape(sample.tensor(first)?)?;
        let window = self.window(&points, &shape)?;
        for (position, key) in present(sample, &args.keys, args.allow_missing_keys)? {
            let own = spatial_shape(sample.tensor(key)?)?;
            if own != shape {
                return Err(Error::data(format!(
                    "`{key}` has shape {own:?}, but `{first}` has {shape:?}: all images must agree"
                )));
            }
            crop_and_note(sample, key, &dictionaries[position], &window, names, "SpatialCropGuidanced")?;
        }
        for point in guidance.clicks.iter_mut().flatten() {
            for (coordinate, start) in point.iter_mut().zip(&window.start) {
                *coordinate -= start;
            }
        }
        guidance.slice = None;
        sample.insert(&args.guidance, guidance.to_json());
        Ok(())
    }
}

byoc::register! { transforms: [SpatialCropForegroundd, SpatialCropGuidanced] }
