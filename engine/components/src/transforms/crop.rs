//! Crops at given places: `SpatialCropd`, `CenterSpatialCropd`, `CenterScaleCropd`.

use byoc::{Component, Error, Image, Keys, OneOrMany, Random, Result, Sample, Transform};
use schemars::JsonSchema;
use serde::Deserialize;

use super::common::{map_images, sizes_or, spatial_shape};
use super::geometry::{Operation, crop, record};

/// Crops from a start voxel to an end voxel, cut to the image, and records it.
pub(super) fn crop_recorded(image: Image, start: &[i64], end: &[i64], transform: &str) -> Result<Image> {
    let shape = spatial_shape(&image.tensor)?;
    let inside = |values: &[i64]| -> Vec<usize> {
        values.iter().zip(&shape).map(|(&value, &n)| value.clamp(0, n as i64) as usize).collect()
    };
    let (start, mut end) = (inside(start), inside(end));
    for (end, start) in end.iter_mut().zip(&start) {
        *end = (*end).max(*start);
    }
    let mut image = crop(image, &start, &end)?;
    let after = shape.iter().zip(&end).map(|(n, end)| n - end).collect();
    record(&mut image, transform, &Operation::Crop { before: start, after })?;
    Ok(image)
}

/// The start and the end of a crop of this size around a centre (MONAI's `compute_slices`).
pub(super) fn around(centre: &[i64], size: &[i64]) -> (Vec<i64>, Vec<i64>) {
    centre
        .iter()
        .zip(size)
        .map(|(centre, size)| {
            let start = (centre - size / 2).max(0);
            (start, start + size)
        })
        .unzip()
}

/// Start and end of a crop in the middle of an image.
pub(super) fn central(shape: &[usize], size: &[usize]) -> (Vec<i64>, Vec<i64>) {
    let centre: Vec<i64> = shape.iter().map(|&n| n as i64 / 2).collect();
    let size: Vec<i64> = size.iter().map(|&n| n as i64).collect();
    around(&centre, &size)
}

/// Crops images to a box.
///
/// Given by its centre and size or by its start and end; what lies outside of the image is cut. MONAI `SpatialCropd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpatialCropdArgs {
    /// Keys of the images.
    keys: Keys,
    /// The centre voxel of the box …
    #[serde(default)]
    roi_center: Option<OneOrMany<i64>>,
    /// … and its size.
    #[serde(default)]
    roi_size: Option<OneOrMany<i64>>,
    /// The first voxel of the box …
    #[serde(default)]
    roi_start: Option<OneOrMany<i64>>,
    /// … and the voxel after the last one.
    #[serde(default)]
    roi_end: Option<OneOrMany<i64>>,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`SpatialCropdArgs`].
pub struct SpatialCropd {
    args: SpatialCropdArgs,
    start: Vec<i64>,
    end: Vec<i64>,
}

impl Component for SpatialCropd {
    type Args = SpatialCropdArgs;

    fn new(args: SpatialCropdArgs) -> Result<Self> {
        let pair = |a: &OneOrMany<i64>, b: &OneOrMany<i64>, names: [&str; 2]| -> Result<(Vec<i64>, Vec<i64>)> {
            let n = a.clone().into_vec().len().max(b.clone().into_vec().len());
            Ok((a.repeat(n, names[0])?, b.repeat(n, names[1])?))
        };
        let (start, end) = match (&args.roi_center, &args.roi_size, &args.roi_start, &args.roi_end) {
            (Some(centre), Some(size), _, _) => {
                let (centre, size) = pair(centre, size, ["roi_center", "roi_size"])?;
                around(&centre, &size)
            }
            (_, _, Some(start), Some(end)) => pair(start, end, ["roi_start", "roi_end"])?,
            _ => {
                return Err(Error::invalid_argument(
                    "the box needs `roi_center` and `roi_size`, or `roi_start` and `roi_end`",
                ));
            }
        };
        Ok(Self { args, start, end })
    }
}

impl Transform for SpatialCropd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        map_images(sample, &self.args.keys, self.args.allow_missing_keys, |_, image| {
            let shape = spatial_shape(&image.tensor)?;
            // axes that are not given are kept whole
            let start: Vec<i64> = self.start.iter().copied().chain(std::iter::repeat(0)).take(shape.len()).collect();
            let whole = shape.iter().skip(self.end.len()).map(|&n| n as i64);
            let end: Vec<i64> = self.end.iter().copied().take(shape.len()).chain(whole).collect();
            crop_recorded(image, &start, &end, "SpatialCropd")
        })
    }
}

/// Crops the middle of images.
///
/// MONAI `CenterSpatialCropd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CenterSpatialCropdArgs {
    /// Keys of the images.
    keys: Keys,
    /// Size of the crop, for each axis or for all; 0 or -1, or one larger than the image, is the image's own.
    roi_size: OneOrMany<i64>,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`CenterSpatialCropdArgs`].
pub struct CenterSpatialCropd(CenterSpatialCropdArgs);

impl Component for CenterSpatialCropd {
    type Args = CenterSpatialCropdArgs;

    fn new(args: CenterSpatialCropdArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

impl Transform for CenterSpatialCropd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        map_images(sample, &self.0.keys, self.0.allow_missing_keys, |_, image| {
            let shape = spatial_shape(&image.tensor)?;
            let (start, end) = central(&shape, &sizes_or(&self.0.roi_size, &shape, "roi_size")?);
            crop_recorded(image, &start, &end, "CenterSpatialCropd")
        })
    }
}

/// Crops the middle of images to a fraction of their size, rounded up.
///
/// MONAI `CenterScaleCropd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CenterScaleCropdArgs {
    /// Keys of the images.
    keys: Keys,
    /// The fraction, for each axis or for all.
    roi_scale: OneOrMany<f64>,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`CenterScaleCropdArgs`].
pub struct CenterScaleCropd(CenterScaleCropdArgs);

impl Component for CenterScaleCropd {
    type Args = CenterScaleCropdArgs;

    fn new(args: CenterScaleCropdArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

impl Transform for CenterScaleCropd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        map_images(sample, &self.0.keys, self.0.allow_missing_keys, |_, image| {
            let shape = spatial_shape(&image.tensor)?;
            let scales = self.0.roi_scale.repeat(shape.len(), "roi_scale")?;
            let size: Vec<usize> =
                scales.iter().zip(&shape).map(|(scale, &n)| (scale * n as f64).ceil() as usize).collect();
            let (start, end) = central(&shape, &size);
            crop_recorded(image, &start, &end, "CenterScaleCropd")
        })
    }
}

byoc::register! { transforms: [SpatialCropd, CenterSpatialCropd, CenterScaleCropd] }
