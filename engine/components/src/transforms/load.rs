//! `LoadImaged`.

use std::cell::RefCell;
use std::path::Path;

use byoc::{
    Affine, Component, Error, IDENTITY_AFFINE, Image, Keys, OneOrMany, Random, Result, Sample, Transform, Value,
};
use mmar_imaging::nifti::{Reader, Voxel};
use mmar_imaging::npy::Npy;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use tch::Tensor;
use torch_ext::view;

use super::channel::channel_first;
use super::common::{Dtype, default, present};

/// Loads images from the files that the keys name.
///
/// NIfTI (`.nii`, `.nii.gz`, `.hdr`/`.img`) and numpy's `.npy`. A list of files becomes the channels of one image. The
/// voxels are (X, Y[, Z]\[, C\]), x first as in the file, without a channel axis: `EnsureChannelFirstd` comes next.
/// MONAI `LoadImaged`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadImagedArgs {
    /// Keys of the paths; the images take their place.
    keys: Keys,
    /// MONAI's reader class. The format is told from the file, so the readers for these formats are all the same.
    #[serde(default)]
    reader: Option<OneOrMany<String>>,
    /// The dtype of the voxels.
    #[serde(default = "default::float32")]
    dtype: Dtype,
    /// Puts the channel axis first at once.
    #[serde(default)]
    ensure_channel_first: bool,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
    /// For compatibility: metadata travel with the image.
    #[serde(default, rename = "meta_keys")]
    _meta_keys: Option<Keys>,
    /// For compatibility: metadata travel with the image.
    #[serde(default, rename = "meta_key_postfix")]
    _meta_key_postfix: Option<OneOrMany<String>>,
    /// For compatibility: metadata travel with the image.
    #[serde(default, rename = "overwriting")]
    _overwriting: bool,
    /// For compatibility: metadata travel with the image.
    #[serde(default, rename = "image_only")]
    _image_only: bool,
}

/// See [`LoadImagedArgs`].
pub struct LoadImaged(LoadImagedArgs);

impl Component for LoadImaged {
    type Args = LoadImagedArgs;

    fn new(args: LoadImagedArgs) -> Result<Self> {
        for reader in args.reader.clone().map(OneOrMany::into_vec).unwrap_or_default() {
            let class = reader.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
            if !["nibabelreader", "itkreader", "numpyreader"].contains(&class.as_str()) {
                return Err(Error::invalid_argument(format!(
                    "the reader `{reader}` is not known: NIfTI and `.npy` files are read, which is what `NibabelReader`, `ITKReader` and `NumpyReader` stand for"
                )));
            }
        }
        Ok(Self(args))
    }
}

byoc::register! { transforms: [LoadImaged = "LoadImaged" | "LoadNiftid" | "LoadNumpyd"] }

impl Transform for LoadImaged {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        for (_, key) in present(sample, &self.0.keys, self.0.allow_missing_keys)? {
            let paths = paths(sample.get(key)?)
                .ok_or_else(|| Error::data(format!("`{key}` is not the path of a file, nor a list of them")))?;
            let mut image = load(&paths, self.0.dtype).map_err(|error| error.context(format!("in `{key}`")))?;
            if self.0.ensure_channel_first {
                image = channel_first(image, None)?;
            }
            sample.insert(key, image);
        }
        Ok(())
    }
}

fn paths(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Json(Json::String(path)) => Some(vec![path.clone()]),
        Value::Json(Json::Array(list)) if !list.is_empty() => {
            list.iter().map(|path| path.as_str().map(str::to_owned)).collect()
        }
        _ => None,
    }
}

/// One file as it is, several as channels: along the last axis if they have a channel axis, else along a new first one.
fn load(paths: &[String], dtype: Dtype) -> Result<Image> {
    let mut images = paths.iter().map(|path| load_file(path, dtype));
    // `paths` is not empty
    let mut first = images.next().unwrap_or_else(|| Err(Error::data("no file is named")))?;
    let others = images.collect::<Result<Vec<_>>>()?;
    if others.is_empty() {
        return Ok(first);
    }
    for (other, path) in others.iter().zip(&paths[1..]) {
        let same_grid = other
            .affine
            .iter()
            .flatten()
            .zip(first.affine.iter().flatten())
            .all(|(a, b)| (a - b).abs() <= 1e-8 + 1e-5 * b.abs());
        if !same_grid || other.tensor.size() != first.tensor.size() {
            return Err(Error::data(format!(
                "`{}` and `{path}` cannot be channels of one image: their shapes ({:?}, {:?}) or affines differ",
                paths[0],
                first.tensor.size(),
                other.tensor.size()
            )));
        }
    }
    let tensors: Vec<&Tensor> =
        std::iter::once(&first.tensor).chain(others.iter().map(|image| &image.tensor)).collect();
    let stacked = if first.meta["original_channel_dim"] == json!("no_channel") {
        let stacked = Tensor::f_stack(&tensors, 0)?;
        first.meta.insert("original_channel_dim".to_owned(), json!(0));
        stacked
    } else {
        Tensor::f_cat(&tensors, -1)?
    };
    Ok(Image { tensor: stacked, ..first })
}

fn load_file(path: &str, dtype: Dtype) -> Result<Image> {
    thread_local! {
        static READER: RefCell<Reader> = RefCell::new(Reader::new());
    }
    let file = Path::new(path);
    let problem = |error: mmar_imaging::Error| Error::data(error.to_string());
    if file.extension().is_some_and(|extension| extension == "npy") {
        let array = Npy::read(file).map_err(problem)?;
        let tensor = voxels(&array.shape, dtype, &array)?;
        let rank = array.shape.len();
        return Ok(image(tensor, IDENTITY_AFFINE, path, &array.shape, rank));
    }
    READER.with_borrow_mut(|reader| {
        let nifti = reader.read(file).map_err(problem)?;
        let tensor = voxels(&nifti.header.shape, dtype, &nifti)?;
        Ok(image(tensor, nifti.affine, path, &nifti.header.shape, nifti.header.spatial_rank()))
    })
}

fn image(tensor: Tensor, affine: Affine, path: &str, shape: &[usize], spatial_rank: usize) -> Image {
    let channel = if shape.len() == spatial_rank { json!("no_channel") } else { json!(-1) };
    let meta = Map::from_iter([
        ("filename_or_obj".to_owned(), json!(path)),
        ("original_affine".to_owned(), json!(affine)),
        ("spatial_shape".to_owned(), json!(&shape[..spatial_rank])),
        ("original_channel_dim".to_owned(), channel),
        ("space".to_owned(), json!("RAS")),
    ]);
    Image { affine, meta, ..Image::new(tensor) }
}

/// Something that fills a slice with voxels in C order.
trait Source {
    fn fill<T: Voxel>(&self, out: &mut [T]);
}

impl Source for mmar_imaging::nifti::Nifti<'_> {
    fn fill<T: Voxel>(&self, out: &mut [T]) {
        self.fill(out);
    }
}

impl Source for Npy {
    fn fill<T: Voxel>(&self, out: &mut [T]) {
        self.fill(out);
    }
}

/// The voxels, converted into the memory of a new tensor.
fn voxels(shape: &[usize], dtype: Dtype, source: &impl Source) -> Result<Tensor> {
    let shape: Vec<i64> = shape.iter().map(|&n| n as i64).collect();
    Ok(match dtype {
        Dtype::Float64 => view::build::<f64>(&shape, |out| source.fill(out)),
        Dtype::Uint8 => view::build::<u8>(&shape, |out| source.fill(out)),
        Dtype::Int8 => view::build::<i8>(&shape, |out| source.fill(out)),
        Dtype::Int16 => view::build::<i16>(&shape, |out| source.fill(out)),
        Dtype::Int32 => view::build::<i32>(&shape, |out| source.fill(out)),
        Dtype::Int64 => view::build::<i64>(&shape, |out| source.fill(out)),
        Dtype::Float32 => view::build::<f32>(&shape, |out| source.fill(out)),
        other => view::build::<f32>(&shape, |out| source.fill(out)).f_to_kind(other.kind())?,
    })
}
