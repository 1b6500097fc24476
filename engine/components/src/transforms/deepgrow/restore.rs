//! `RestoreLabeld`: a prediction goes back into the volume that its image came from.

use byoc::{Component, Error, Image, Keys, OneOrMany, Random, Result, Sample, Transform};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tch::{Kind, Tensor};

use crate::transforms::common::{default, image_of, present};
use crate::transforms::geometry::{ResizeMode, resize};
use crate::transforms::metadata::{dictionaries, field, note, required};

/// Undoes resizing, crop, voxel spacing and the choice of a slice on a prediction, in this order.
///
/// What the image went through says its metadata: `Fetch2DSliced` (2-D), `Spacingd`, `SpatialCropGuidanced` and `Resized`.
/// The prediction is (C, D, H, W), or (C, H, W) of a slice; the result is (D, H, W), zero where nothing was predicted, with
/// the affine of the image's file. MONAI `monai.apps.deepgrow.transforms.RestoreLabeld`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreLabeldArgs {
    /// Keys of the predictions.
    keys: Keys,
    /// Key of the image.
    ref_image: String,
    /// Whether the prediction of a slice stays one.
    #[serde(default)]
    slice_only: bool,
    /// Between voxels, for each key or for all.
    #[serde(default = "nearest")]
    mode: OneOrMany<ResizeMode>,
    /// See `Resized`, for each key or for all.
    #[serde(default)]
    align_corners: OneOrMany<Option<bool>>,
    /// Keys of the predictions' metadata items, where a sample has them; else metadata travel with the image.
    #[serde(default)]
    meta_keys: Option<Keys>,
    /// What such keys end with, that of the image, too.
    #[serde(default = "meta_dict")]
    meta_key_postfix: String,
    /// Name of the first voxel of the crop.
    #[serde(default = "super::crop::start_key")]
    start_coord_key: String,
    /// Name of the voxel after the last one.
    #[serde(default = "super::crop::end_key")]
    end_coord_key: String,
    /// Name of the shape before the crop.
    #[serde(default = "super::crop::original_key")]
    original_shape_key: String,
    /// Name of the shape after the crop.
    #[serde(default = "super::crop::cropped_key")]
    cropped_shape_key: String,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
    /// Whether the size after the crop is restored.
    #[serde(default = "default::yes")]
    restore_resizing: bool,
    /// Whether the crop is put back at its place.
    #[serde(default = "default::yes")]
    restore_cropping: bool,
    /// Whether the size of the file is restored.
    #[serde(default = "default::yes")]
    restore_spacing: bool,
    /// Whether a slice is put back into its volume.
    #[serde(default = "default::yes")]
    restore_slicing: bool,
}

fn nearest() -> OneOrMany<ResizeMode> {
    OneOrMany::One(ResizeMode::Nearest)
}

fn meta_dict() -> String {
    "meta_dict".to_owned()
}

/// See [`RestoreLabeldArgs`].
pub struct RestoreLabeld {
    args: RestoreLabeldArgs,
    dictionaries: Vec<String>,
    sampling: Vec<(ResizeMode, Option<bool>)>,
}

impl Component for RestoreLabeld {
    type Args = RestoreLabeldArgs;

    fn new(args: RestoreLabeldArgs) -> Result<Self> {
        let n = args.keys.len();
        let postfix = OneOrMany::One(args.meta_key_postfix.clone());
        let dictionaries = dictionaries(&args.keys.0, args.meta_keys.as_ref(), Some(&postfix))?;
        let corners = args.align_corners.repeat(n, "align_corners")?;
        let sampling = args.mode.repeat(n, "mode")?.into_iter().zip(corners).collect();
        Ok(Self { args, dictionaries, sampling })
    }
}

byoc::register! { transforms: [RestoreLabeld = "RestoreLabeld" | "RestoreCroppedLabeld"] }

/// What the image's metadata say.
struct Past<'a> {
    sample: &'a Sample,
    key: &'a str,
    dictionary: String,
}

impl Past<'_> {
    fn sizes(&self, name: &str) -> Result<Vec<usize>> {
        required(self.sample, self.key, &self.dictionary, name)
    }

    fn field(&self, name: &str) -> Option<Json> {
        field(self.sample, self.key, &self.dictionary, name)
    }
}

impl Transform for RestoreLabeld {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let Self { args, dictionaries, sampling } = self;
        for (position, key) in present(sample, &args.keys, args.allow_missing_keys)? {
            let past = Past {
                sample,
                key: &args.ref_image,
                dictionary: format!("{}_{}", args.ref_image, args.meta_key_postfix),
            };
            let label = sample.tensor(key)?;
            let restored = self
                .restore(label, &past, sampling[position])
                .map_err(|error| error.context(format!("cannot restore `{key}`")))?;
            let affine = past.field("original_affine");
            let slice = past.field("slice_idx").unwrap_or(Json::Null);
            // the file's name and grid, so that `SaveImaged` knows them
            let mut image = match sample.image(&args.ref_image) {
                Ok(reference) => Image { history: Vec::new(), ..reference.with_tensor(restored) },
                Err(_) => Image { history: Vec::new(), ..image_of(sample, key)?.with_tensor(restored) },
            };
            let mut fields = vec![("slice_idx", slice)];
            if let Some(affine) = affine {
                image.affine = serde_json::from_value(affine.clone())
                    .map_err(|error| Error::data(format!("`original_affine` of `{}`: {error}", args.ref_image)))?;
                fields.push(("affine", affine));
            }
            sample.insert(key, image);
            note(sample, key, &dictionaries[position], &fields)?;
        }
        Ok(())
    }
}

impl RestoreLabeld {
    fn restore(&self, label: &Tensor, past: &Past<'_>, sampling: (ResizeMode, Option<bool>)) -> Result<Tensor> {
        let Self { args, .. } = self;
        let mut label = label.f_to_kind(Kind::Float)?;
        if args.restore_resizing {
            label = to_size(label, &past.sizes(&args.cropped_shape_key)?[1..], sampling)?;
        }
        if args.restore_cropping {
            label = self.uncrop(&label, past)?;
        }
        let mut volume: Vec<usize> = Vec::new();
        if args.restore_spacing || args.restore_slicing {
            // (H, W, D) of the file is (D, H, W) here
            volume = past.sizes("spatial_shape")?;
            let turns = volume.len().min(1);
            volume.rotate_right(turns);
        }
        if args.restore_spacing {
            let rank = label.dim() - 1;
            let size = volume.get(volume.len().saturating_sub(rank)..).unwrap_or_default();
            label = to_size(label, size, sampling)?;
        }
        let slice = past.field("slice_idx").filter(|slice| !slice.is_null());
        match slice {
            _ if !args.restore_slicing => Ok(label),
            Some(slice) if !args.slice_only => {
                let index = slice[0].as_i64().ok_or_else(|| {
                    Error::data(format!("`slice_idx` is {slice}; only a slice of the first axis can be put back"))
                })?;
                let size: Vec<i64> = volume.iter().map(|&n| n as i64).collect();
                let whole = Tensor::f_zeros(&size, (Kind::Float, label.device()))?;
                whole.f_select(0, index)?.f_copy_(&label.f_squeeze_dim(0)?)?;
                Ok(whole)
            }
            _ if label.dim() > 3 => Ok(label.f_select(0, 0)?),
            _ => Ok(label),
        }
    }

    /// The label at the place of the crop in an image of zeros.
    fn uncrop(&self, label: &Tensor, past: &Past<'_>) -> Result<Tensor> {
        let Self { args, .. } = self;
        let original = past.sizes(&args.original_shape_key)?;
        let (start, end) = (past.sizes(&args.start_coord_key)?, past.sizes(&args.end_coord_key)?);
        let size: Vec<i64> = original.iter().map(|&n| n as i64).collect();
        let whole = Tensor::f_zeros(&size, (Kind::Float, label.device()))?;
        let mut place = whole.shallow_clone();
        let axes = start.len().min(label.dim() - 1).min(original.len().saturating_sub(1));
        for axis in 0..axes {
            let n = original[axis + 1];
            let (first, last) = (start[axis].min(n), end[axis].min(n));
            place = place.f_narrow(axis as i64 + 1, first as i64, last.saturating_sub(first) as i64)?;
        }
        place.f_copy_(label).map_err(|_| {
            Error::data(format!(
                "a prediction of {:?} does not fit the crop from {start:?} to {end:?} of {original:?}",
                label.size()
            ))
        })?;
        Ok(whole)
    }
}

fn to_size(label: Tensor, size: &[usize], (mode, align_corners): (ResizeMode, Option<bool>)) -> Result<Tensor> {
    let own = &label.size()[1..];
    if own.iter().map(|&n| n as usize).eq(size.iter().copied()) {
        return Ok(label);
    }
    if own.len() != size.len() {
        return Err(Error::data(format!(
            "it has shape {:?}, but {} spatial sizes are noted: {}",
            label.size(),
            size.len(),
            json!(size)
        )));
    }
    Ok(resize(Image::new(label), size, mode, align_corners)?.tensor)
}
