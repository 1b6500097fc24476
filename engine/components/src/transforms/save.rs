//! `SaveImaged`.

use std::cell::Cell;
use std::path::{Component as Part, Path, PathBuf};

use byoc::{Affine, Component, Error, Image, Keys, OneOrMany, Random, Result, Sample, Transform, Value};
use mmar_imaging::nifti;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;
use tch::{Device, Kind, Tensor};
use torch_ext::view;

use super::common::{Dtype, GridMode, GridPadding, default, present, spatial_shape};
use super::geometry::{Sampling, resample_to};

/// Writes images as NIfTI files.
///
/// Named after the file that the image came from: `OUTPUT_DIR/STEM/STEM_POSTFIX.nii.gz`. The channels become the last
/// axis. MONAI `SaveImaged` with the defaults of 0.8: unless `resample` is off, the image goes back to the grid of its
/// file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SaveImagedArgs {
    /// Keys of the images.
    keys: Keys,
    /// Where an image without metadata takes them from, for each key or for all: `image_meta_dict` means those of `image`.
    #[serde(default)]
    meta_keys: Option<Keys>,
    /// For compatibility: metadata travel with the image.
    #[serde(default, rename = "meta_key_postfix")]
    _meta_key_postfix: Option<OneOrMany<String>>,
    /// The folder, made if it is not there.
    #[serde(default = "here")]
    output_dir: String,
    /// Put behind the name.
    #[serde(default = "postfix")]
    output_postfix: String,
    /// `.nii.gz` or `.nii`.
    #[serde(default = "extension")]
    output_ext: String,
    /// Whether the image goes back to the grid of its file.
    #[serde(default = "default::yes")]
    resample: bool,
    /// Between voxels when it does.
    #[serde(default = "nearest")]
    mode: GridMode,
    /// Outside when it does.
    #[serde(default = "border")]
    padding_mode: GridPadding,
    /// Multiplies values of 0 … 1 by 255 or 65535 first.
    #[serde(default)]
    scale: Option<f64>,
    /// For compatibility: everything is computed in float64.
    #[serde(default, rename = "dtype")]
    _dtype: Option<Dtype>,
    /// The dtype in the file; that of the image if it is `null`.
    #[serde(default = "float32")]
    output_dtype: Option<Dtype>,
    /// Whether trailing axes of 1 are left out.
    #[serde(default = "default::yes")]
    squeeze_end_dims: bool,
    /// If the image's file lies below this folder, the path from here to there is repeated below `output_dir`.
    #[serde(default)]
    data_root_dir: String,
    /// Whether each image gets a folder of its own.
    #[serde(default = "default::yes")]
    separate_folder: bool,
    /// Whether the name of the file is logged.
    #[serde(default = "default::yes")]
    print_log: bool,
    /// The same as `output_ext`, for compatibility.
    #[serde(default)]
    output_format: String,
    /// For compatibility: NIfTI is written.
    #[serde(default, rename = "writer")]
    _writer: Option<String>,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

fn here() -> String {
    "./".to_owned()
}

fn postfix() -> String {
    "trans".to_owned()
}

fn extension() -> String {
    ".nii.gz".to_owned()
}

fn nearest() -> GridMode {
    GridMode::Nearest
}

fn border() -> GridPadding {
    GridPadding::Border
}

#[expect(clippy::unnecessary_wraps, reason = "the type of the field")]
fn float32() -> Option<Dtype> {
    Some(Dtype::Float32)
}

/// See [`SaveImagedArgs`].
pub struct SaveImaged {
    args: SaveImagedArgs,
    meta_keys: Vec<Option<String>>,
    extension: String,
    /// Names images that have none.
    saved: Cell<usize>,
}

impl Component for SaveImaged {
    type Args = SaveImagedArgs;

    fn new(args: SaveImagedArgs) -> Result<Self> {
        let meta_keys = match &args.meta_keys {
            Some(keys) => {
                OneOrMany::Many(keys.0.iter().cloned().map(Some).collect()).repeat(args.keys.len(), "meta_keys")?
            }
            None => vec![None; args.keys.len()],
        };
        let given = if args.output_ext.is_empty() { &args.output_format } else { &args.output_ext };
        let extension = format!(".{}", given.to_ascii_lowercase().trim_start_matches('.'));
        if ![".nii.gz", ".nii"].contains(&extension.as_str()) {
            return Err(Error::invalid_argument(format!(
                "`output_ext` is `{given}`; `.nii.gz` and `.nii` can be written"
            )));
        }
        Ok(Self { args, meta_keys, extension, saved: Cell::new(0) })
    }
}

byoc::register! { transforms: [SaveImaged] }

impl Transform for SaveImaged {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        for (position, key) in present(sample, &self.args.keys, self.args.allow_missing_keys)? {
            let image = self.with_metadata(sample, key, position)?;
            self.save(image).map_err(|error| error.context(format!("cannot save `{key}`")))?;
        }
        Ok(())
    }
}

impl SaveImaged {
    /// The image under a key; one without metadata gets those of the image that the meta key names.
    fn with_metadata(&self, sample: &Sample, key: &str, position: usize) -> Result<Image> {
        if let Value::Image(image) = sample.get(key)?
            && image.meta.contains_key("filename_or_obj")
        {
            return Ok(image.shallow_clone());
        }
        let tensor = sample.tensor(key)?.shallow_clone();
        let owner = self.meta_keys[position].as_deref().and_then(|name| name.strip_suffix("_meta_dict"));
        match owner.and_then(|owner| sample.image(owner).ok()) {
            Some(owner) => Ok(Image { history: Vec::new(), ..owner.with_tensor(tensor) }),
            None => Ok(Image::new(tensor)),
        }
    }

    fn save(&self, mut image: Image) -> Result<()> {
        let path = self.path(&image)?;
        // what was never given a channel axis has as many axes as its file
        let file_shape = image.meta.get("spatial_shape").cloned();
        let file_shape: Option<Vec<usize>> = file_shape.and_then(|shape| serde_json::from_value(shape).ok());
        if file_shape.as_ref().is_some_and(|shape| shape.len() >= image.tensor.dim()) {
            image.tensor = image.tensor.f_unsqueeze(0)?;
        }
        if let (true, Some(shape), Some(affine)) = (self.args.resample, file_shape, image.meta.get("original_affine")) {
            let affine: Affine = serde_json::from_value(affine.clone())?;
            let rank = spatial_shape(&image.tensor)?.len();
            let shape: Vec<usize> = shape.into_iter().chain(std::iter::repeat(1)).take(rank).collect();
            let sampling = Sampling { mode: self.args.mode, padding: self.args.padding_mode, align_corners: false };
            image = resample_to(image, &affine, &shape, sampling)?;
        }
        let mut tensor = image.tensor.f_to_device(Device::Cpu)?;
        if let Some(scale) = self.args.scale {
            tensor = tensor.f_clamp(0.0, 1.0)?.f_mul_scalar(scale)?;
        }
        tensor = channels_last(&tensor, self.args.squeeze_end_dims)?;
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|error| Error::data(format!("cannot make the folder `{}`: {error}", folder.display())))?;
        }
        write(&path, &tensor, &image.affine, self.args.output_dtype)?;
        if self.args.print_log {
            tracing::info!("wrote `{}`", path.display());
        }
        Ok(())
    }

    /// MONAI's `create_file_basename`.
    fn path(&self, image: &Image) -> Result<PathBuf> {
        let source = if let Some(Json::String(path)) = image.meta.get("filename_or_obj") {
            PathBuf::from(path)
        } else {
            let index = self.saved.get();
            self.saved.set(index + 1);
            PathBuf::from(index.to_string())
        };
        let mut stem = PathBuf::from(source.file_name().unwrap_or_default());
        if stem.extension().is_some_and(|extension| extension == "gz") {
            stem.set_extension("");
        }
        stem.set_extension("");
        let stem = stem.to_string_lossy().into_owned();
        let mut folder = PathBuf::from(&self.args.output_dir);
        if let Some(parent) = source.parent().filter(|_| !self.args.data_root_dir.is_empty()) {
            let below = parent.strip_prefix(&self.args.data_root_dir).map_err(|_| {
                Error::data(format!(
                    "`{}` does not lie in the `data_root_dir` `{}`",
                    source.display(),
                    self.args.data_root_dir
                ))
            })?;
            folder.extend(below.components().filter(|part| matches!(part, Part::Normal(_))));
        }
        if self.args.separate_folder {
            folder.push(&stem);
        }
        let mut name = stem;
        if !self.args.output_postfix.is_empty() {
            name = format!("{name}_{}", self.args.output_postfix);
        }
        if let Some(index) = image.meta.get("patch_index") {
            name = format!("{name}_{index}");
        }
        Ok(folder.join(name + &self.extension))
    }
}

/// (C, X[, Y[, Z]]) → (X, Y, Z, C), trailing axes of 1 left out if asked for.
fn channels_last(tensor: &Tensor, squeeze: bool) -> Result<Tensor> {
    let mut tensor = tensor.f_movedim_int(0, -1)?;
    while tensor.dim() < 4 {
        tensor = tensor.f_unsqueeze(-2)?;
    }
    while squeeze && tensor.dim() > 1 && tensor.size().last() == Some(&1) {
        tensor = tensor.f_squeeze_dim(-1)?;
    }
    Ok(tensor)
}

fn write(path: &Path, tensor: &Tensor, affine: &Affine, dtype: Option<Dtype>) -> Result<()> {
    let kind = dtype.map_or(tensor.kind(), Dtype::kind);
    let kind = match kind {
        Kind::Bool => Kind::Uint8,
        Kind::Half | Kind::BFloat16 => Kind::Float,
        other => other,
    };
    let shape: Vec<usize> = tensor.size().iter().map(|&n| n as usize).collect();
    let tensor = tensor.f_to_kind(kind)?.f_contiguous()?;
    let written = match kind {
        Kind::Uint8 => nifti::write(path, &shape, affine, view::slice::<u8>(&tensor)?),
        Kind::Int8 => nifti::write(path, &shape, affine, view::slice::<i8>(&tensor)?),
        Kind::Int16 => nifti::write(path, &shape, affine, view::slice::<i16>(&tensor)?),
        Kind::Int => nifti::write(path, &shape, affine, view::slice::<i32>(&tensor)?),
        Kind::Int64 => nifti::write(path, &shape, affine, view::slice::<i64>(&tensor)?),
        Kind::Double => nifti::write(path, &shape, affine, view::slice::<f64>(&tensor)?),
        Kind::Float => nifti::write(path, &shape, affine, view::slice::<f32>(&tensor)?),
        other => {
            return Err(Error::data(format!("voxels of type {other:?} cannot be written; give an `output_dtype`")));
        }
    };
    written.map_err(|error| Error::data(error.to_string()))
}
