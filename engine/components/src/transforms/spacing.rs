//! `Spacingd`.

use byoc::{Component, Error, Image, Keys, OneOrMany, Random, Result, Sample, Transform};
use mmar_imaging::affine;
use schemars::JsonSchema;
use serde::Deserialize;

use super::common::{Dtype, GridMode, GridPadding, default, image_of, present, spatial_shape};
use super::geometry::{Operation, Sampling, record, resample_to};

/// Resamples images to voxels of a size in mm.
///
/// Interpolated in float64, the result is float32. Without rotation between the grids, which is the rule, it goes axis
/// by axis. MONAI `Spacingd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpacingdArgs {
    /// Keys of the images.
    keys: Keys,
    /// Voxel sizes; one of 0 or below keeps the image's own, missing ones are as the last one.
    pixdim: OneOrMany<f64>,
    /// Whether the new grid follows the patient's axes, not the image's.
    #[serde(default)]
    diagonal: bool,
    /// Between voxels, for each key or for all.
    #[serde(default = "default::bilinear")]
    mode: OneOrMany<GridMode>,
    /// Outside, for each key or for all.
    #[serde(default = "default::border")]
    padding_mode: OneOrMany<GridPadding>,
    /// Where `reflection` puts its mirror: the centres of the outermost voxels, or their faces.
    #[serde(default)]
    align_corners: OneOrMany<bool>,
    /// For compatibility: everything is computed in float64.
    #[serde(default, rename = "dtype")]
    _dtype: OneOrMany<Option<Dtype>>,
    /// Whether the new grid covers the voxels' full extent, not their centres.
    #[serde(default)]
    scale_extent: OneOrMany<bool>,
    /// Whether the affine becomes the ratio of the sizes alone. As in MONAI this drops rotation and origin.
    #[serde(default)]
    recompute_affine: bool,
    /// Images whose voxels are not smaller than this …
    #[serde(default)]
    min_pixdim: OneOrMany<Option<f64>>,
    /// … and not larger than this keep theirs.
    #[serde(default)]
    max_pixdim: OneOrMany<Option<f64>>,
    /// Whether images of the same grid get the same shape, whatever rounding says.
    #[serde(default = "default::yes")]
    ensure_same_shape: bool,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
    /// For compatibility: metadata travel with the image.
    #[serde(default, rename = "meta_keys")]
    _meta_keys: Option<Keys>,
    /// For compatibility: metadata travel with the image.
    #[serde(default, rename = "meta_key_postfix")]
    _meta_key_postfix: Option<OneOrMany<String>>,
}

/// See [`SpacingdArgs`].
pub struct Spacingd {
    args: SpacingdArgs,
    per_key: Vec<(Sampling, bool)>,
}

impl Component for Spacingd {
    type Args = SpacingdArgs;

    fn new(args: SpacingdArgs) -> Result<Self> {
        let n = args.keys.len();
        if matches!(&args.pixdim, OneOrMany::Many(sizes) if sizes.is_empty()) {
            return Err(Error::invalid_argument(
                "`pixdim` is an empty list; it needs one voxel size or one for each axis",
            ));
        }
        let (modes, paddings) = (args.mode.repeat(n, "mode")?, args.padding_mode.repeat(n, "padding_mode")?);
        let (corners, extents) =
            (args.align_corners.repeat(n, "align_corners")?, args.scale_extent.repeat(n, "scale_extent")?);
        let per_key = (0..n)
            .map(|i| (Sampling { mode: modes[i], padding: paddings[i], align_corners: corners[i] }, extents[i]))
            .collect();
        Ok(Self { args, per_key })
    }
}

byoc::register! { transforms: [Spacingd] }

impl Transform for Spacingd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        // shape and voxel size of the first image, and the shape it got
        let mut first: Option<(Vec<usize>, [f64; 3], Vec<usize>)> = None;
        for (position, key) in present(sample, &self.args.keys, self.args.allow_missing_keys)? {
            let image = image_of(sample, key)?;
            let shape = spatial_shape(&image.tensor)?;
            let own = affine::spacing(&affine::restrict(&image.affine, shape.len()), shape.len());
            let same_grid = first.as_ref().filter(|(known, spacing, _)| {
                self.args.ensure_same_shape
                    && *known == shape
                    && spacing.iter().zip(own).all(|(a, b)| (a - b).abs() <= 1e-3 + 1e-5 * b)
            });
            let wanted = same_grid.map(|(_, _, result)| result.clone());
            let image = self
                .resample(image, &shape, own, position, wanted)
                .map_err(|error| error.context(format!("in `{key}`")))?;
            if first.is_none() {
                first = Some((shape, own, spatial_shape(&image.tensor)?));
            }
            sample.insert(key, image);
        }
        Ok(())
    }
}

impl Spacingd {
    fn resample(
        &self,
        image: Image,
        shape: &[usize],
        own: [f64; 3],
        position: usize,
        wanted: Option<Vec<usize>>,
    ) -> Result<Image> {
        let rank = shape.len();
        let geometry = |error: mmar_imaging::Error| Error::data(error.to_string());
        let from = affine::restrict(&image.affine, rank);
        let sizes = self.voxel_sizes(rank, own)?;
        let mut target = affine::with_spacing(&from, &sizes, rank, self.args.diagonal).map_err(geometry)?;
        let (sampling, scale_extent) = self.per_key[position];
        let (computed, offset) = affine::covering_grid(shape, &from, &target, scale_extent).map_err(geometry)?;
        for (row, offset) in target.iter_mut().zip(offset) {
            row[3] = offset;
        }
        let new_shape = wanted.unwrap_or(computed);
        let operation = Operation::Resample { affine: from, shape: shape.to_vec(), sampling };
        let mut image = resample_to(image, &target, &new_shape, sampling)?;
        if self.args.recompute_affine {
            image.affine = affine::resizing(shape, &new_shape, sampling.align_corners);
        }
        record(&mut image, "Spacingd", &operation)?;
        Ok(image)
    }

    fn voxel_sizes(&self, rank: usize, own: [f64; 3]) -> Result<Vec<f64>> {
        let given = self.args.pixdim.clone().into_vec();
        let last = given.last().copied().unwrap_or(0.0);
        let limit = |limits: &OneOrMany<Option<f64>>, axis: usize| match limits {
            // a single number is for the first axis, as in MONAI
            OneOrMany::One(limit) => limit.filter(|_| axis == 0),
            OneOrMany::Many(limits) => limits.get(axis).copied().flatten(),
        };
        (0..rank)
            .map(|axis| {
                let target = given.get(axis).copied().unwrap_or(last);
                let low = limit(&self.args.min_pixdim, axis).map_or(target, |low| low.min(target));
                let high = limit(&self.args.max_pixdim, axis).map_or(target, |high| high.max(target));
                if low > high {
                    return Err(Error::invalid_argument(format!(
                        "`min_pixdim` {low} is larger than `max_pixdim` {high}"
                    )));
                }
                let size = if (low - affine::TOLERANCE..=high + affine::TOLERANCE).contains(&own[axis]) {
                    own[axis]
                } else {
                    target
                };
                Ok(if size > 0.0 { size } else { own[axis] })
            })
            .collect()
    }
}
