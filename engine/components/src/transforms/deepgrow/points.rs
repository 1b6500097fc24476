//! Clicks of a user on their way to the network's image: `AddGuidanceFromPointsd`, `ResizeGuidanced`.

use byoc::{Component, Error, Random, Result, Sample, Transform};
use schemars::JsonSchema;
use serde::Deserialize;

use super::guidance::{Guidance, index_of, points_of};
use crate::transforms::common::default;
use crate::transforms::metadata;

/// A point times a factor for each axis, cut towards zero.
fn scaled(point: &[i64], factors: &[f64]) -> Vec<i64> {
    point.iter().zip(factors).map(|(&at, factor)| (at as f64 * factor) as i64).collect()
}

/// Makes guidance of a user's clicks, in the voxels of the image as it is now.
///
/// Clicks are (H, W, D) indices of the volume as it was loaded. The image has no channel axis; it is (D, H, W) with
/// `depth_first`, and clicks are turned with it. For a 2-D network the clicks of one slice are taken, without their first
/// coordinate, and the slice's index is put behind them, as it was clicked. MONAI
/// `monai.apps.deepgrow.transforms.AddGuidanceFromPointsd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddGuidanceFromPointsdArgs {
    /// Key of the image.
    ref_image: String,
    /// Key for the guidance.
    #[serde(default = "guidance")]
    guidance: String,
    /// Key of the clicks inside of the organ.
    #[serde(default = "foreground")]
    foreground: String,
    /// Key of the clicks outside.
    #[serde(default = "background")]
    background: String,
    /// The axis that counts the slices; 0 with `depth_first`.
    #[serde(default)]
    axis: usize,
    /// Whether the image is (D, H, W).
    #[serde(default = "default::yes")]
    depth_first: bool,
    /// Spatial axes of the network's input: 2 or 3.
    #[serde(default = "two", alias = "dimensions")]
    #[schemars(extend("x-aliases" = ["dimensions"]))]
    spatial_dims: usize,
    /// Key of the slice to take; the first one with a click if it is missing or `null`.
    #[serde(default = "slice")]
    slice_key: String,
    /// Key of a metadata item, where a sample has one; else metadata travel with the image.
    #[serde(default)]
    meta_keys: Option<String>,
    /// What such a key ends with.
    #[serde(default = "meta_dict")]
    meta_key_postfix: String,
}

fn guidance() -> String {
    "guidance".to_owned()
}

fn foreground() -> String {
    "foreground".to_owned()
}

fn background() -> String {
    "background".to_owned()
}

fn two() -> usize {
    2
}

fn slice() -> String {
    "slice".to_owned()
}

fn meta_dict() -> String {
    "meta_dict".to_owned()
}

/// See [`AddGuidanceFromPointsdArgs`].
pub struct AddGuidanceFromPointsd(AddGuidanceFromPointsdArgs);

impl Component for AddGuidanceFromPointsd {
    type Args = AddGuidanceFromPointsdArgs;

    fn new(args: AddGuidanceFromPointsdArgs) -> Result<Self> {
        if args.depth_first && args.axis != 0 {
            return Err(Error::invalid_argument(format!(
                "`axis` is {}, but with `depth_first` slices are counted along axis 0",
                args.axis
            )));
        }
        if !(2..=3).contains(&args.spatial_dims) {
            return Err(Error::invalid_argument(format!(
                "`spatial_dims` is {}; 2 or 3 is expected",
                args.spatial_dims
            )));
        }
        Ok(Self(args))
    }
}

impl Transform for AddGuidanceFromPointsd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let Self(args) = self;
        let dictionary =
            args.meta_keys.clone().unwrap_or_else(|| format!("{}_{}", args.ref_image, args.meta_key_postfix));
        let mut original: Vec<f64> = metadata::required(sample, &args.ref_image, &dictionary, "spatial_shape")?;
        if args.depth_first && !original.is_empty() {
            original.rotate_right(1);
        }
        let current = sample.tensor(&args.ref_image)?.size();
        if current.len() != original.len() {
            return Err(Error::data(format!(
                "`{}` has shape {current:?}, but its file {} axes: an image without a channel axis is expected",
                args.ref_image,
                original.len()
            )));
        }
        let factors: Vec<f64> = current.iter().zip(&original).map(|(&now, before)| now as f64 / before).collect();
        let clicks = [self.clicks(sample, &args.foreground)?, self.clicks(sample, &args.background)?];
        if let Some(point) = clicks.iter().flatten().find(|point| point.len() != factors.len()) {
            return Err(Error::data(format!(
                "the click {point:?} has {} coordinates, but `{}` has {} axes",
                point.len(),
                args.ref_image,
                factors.len()
            )));
        }
        let made = if args.spatial_dims == 2 {
            let slice = self.slice(sample, &clicks)?;
            let of_slice = |points: &Vec<Vec<i64>>| {
                let here = points.iter().filter(|point| point[args.axis] == slice);
                here.map(|point| scaled(point, &factors)[1..].to_vec()).collect()
            };
            Guidance { clicks: clicks.iter().map(of_slice).collect(), slice: Some(slice) }
        } else {
            let of_volume = |points: &Vec<Vec<i64>>| points.iter().map(|point| scaled(point, &factors)).collect();
            Guidance { clicks: clicks.iter().map(of_volume).collect(), slice: None }
        };
        sample.insert(&args.guidance, made.to_json());
        Ok(())
    }
}

impl AddGuidanceFromPointsd {
    fn clicks(&self, sample: &Sample, key: &str) -> Result<Vec<Vec<i64>>> {
        let mut points = points_of(sample.get(key)?, key)?;
        if self.0.depth_first {
            points.iter_mut().filter(|point| !point.is_empty()).for_each(|point| point.rotate_right(1));
        }
        Ok(points)
    }

    fn slice(&self, sample: &Sample, clicks: &[Vec<Vec<i64>>; 2]) -> Result<i64> {
        let Self(args) = self;
        let first = clicks.iter().flatten().map(|point| point[args.axis]).min().ok_or_else(|| {
            Error::data(format!("neither `{}` nor `{}` has a click", args.foreground, args.background))
        })?;
        let wanted = match sample.contains(&args.slice_key) {
            true => index_of(sample.get(&args.slice_key)?, &args.slice_key)?,
            false => None,
        };
        match wanted {
            None => Ok(first),
            Some(slice) if clicks.iter().flatten().any(|point| point[args.axis] == slice) => Ok(slice),
            Some(slice) => {
                Err(Error::data(format!("`{}` is {slice}, but no click lies in that slice", args.slice_key)))
            }
        }
    }
}

/// Scales clicks by how much an image was resized after its crop.
///
/// The shape of the crop stands in the metadata. MONAI `monai.apps.deepgrow.transforms.ResizeGuidanced`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResizeGuidancedArgs {
    /// Key of the guidance.
    guidance: String,
    /// Key of the image.
    ref_image: String,
    /// Key of a metadata item, where a sample has one; else metadata travel with the image.
    #[serde(default)]
    meta_keys: Option<String>,
    /// What such a key ends with.
    #[serde(default = "meta_dict")]
    meta_key_postfix: String,
    /// Name of the crop's shape.
    #[serde(default = "super::crop::cropped_key")]
    cropped_shape_key: String,
}

/// See [`ResizeGuidancedArgs`].
pub struct ResizeGuidanced(ResizeGuidancedArgs);

impl Component for ResizeGuidanced {
    type Args = ResizeGuidancedArgs;

    fn new(args: ResizeGuidancedArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

impl Transform for ResizeGuidanced {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let Self(args) = self;
        let dictionary =
            args.meta_keys.clone().unwrap_or_else(|| format!("{}_{}", args.ref_image, args.meta_key_postfix));
        let cropped: Vec<f64> = metadata::required(sample, &args.ref_image, &dictionary, &args.cropped_shape_key)?;
        let current = sample.tensor(&args.ref_image)?.size();
        let factors: Vec<f64> =
            current.iter().zip(&cropped).skip(1).map(|(&now, before)| now as f64 / before).collect();
        let mut guidance = Guidance::of(sample.get(&args.guidance)?, &args.guidance)?;
        for point in guidance.clicks.iter_mut().flatten() {
            if point.len() != factors.len() {
                return Err(Error::data(format!(
                    "the click {point:?} of `{}` does not fit an image of shape {current:?}",
                    args.guidance
                )));
            }
            *point = scaled(point, &factors);
        }
        guidance.slice = None;
        sample.insert(&args.guidance, guidance.to_json());
        Ok(())
    }
}

byoc::register! { transforms: [AddGuidanceFromPointsd, ResizeGuidanced] }
