//! Images on the grid of another affine or of another image: `SpatialResampled`, `ResampleToMatchd`.

use byoc::{Affine, Component, Error, IDENTITY_AFFINE, Keys, OneOrMany, Random, Result, Sample, Transform, Value};
use mmar_imaging::affine;
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Kind;

use super::affine::samplings;
use super::common::{Dtype, GridMode, GridPadding, default, image_of, present, spatial_shape};
use super::geometry::{Operation, Sampling, record, resample_to};

/// Resamples images onto the grid of an affine that the sample holds.
///
/// The grid is as large as it must be to cover the image. MONAI `SpatialResampled`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpatialResampledArgs {
    /// Keys of the images.
    keys: Keys,
    /// Between voxels, for each key or for all.
    #[serde(default = "default::bilinear")]
    mode: OneOrMany<GridMode>,
    /// Outside, for each key or for all.
    #[serde(default = "default::border")]
    padding_mode: OneOrMany<GridPadding>,
    /// Where `reflection` puts its mirror, for each key or for all.
    #[serde(default)]
    align_corners: OneOrMany<bool>,
    /// For compatibility: everything is computed in float64.
    #[serde(default, rename = "dtype")]
    _dtype: OneOrMany<Option<Dtype>>,
    /// Keys of the affines, a 4 × 4 or for 2-D images a 3 × 3 matrix, for each key or for all.
    #[serde(default = "dst_affine")]
    dst_keys: OneOrMany<String>,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

fn dst_affine() -> OneOrMany<String> {
    OneOrMany::One("dst_affine".to_owned())
}

/// See [`SpatialResampledArgs`].
pub struct SpatialResampled {
    args: SpatialResampledArgs,
    samplings: Vec<Sampling>,
    dst_keys: Vec<String>,
}

impl Component for SpatialResampled {
    type Args = SpatialResampledArgs;

    fn new(args: SpatialResampledArgs) -> Result<Self> {
        let samplings = samplings(&args.keys, &args.mode, &args.padding_mode, &args.align_corners)?;
        let dst_keys = args.dst_keys.repeat(args.keys.len(), "dst_keys")?;
        Ok(Self { args, samplings, dst_keys })
    }
}

/// The affine under a key: that of an image, or a matrix.
fn affine_under(sample: &Sample, key: &str) -> Result<Affine> {
    let rows: Vec<Vec<f64>> = match sample.get(key)? {
        Value::Image(image) if image.tensor.dim() > 2 => return Ok(image.affine),
        Value::Json(json) => serde_json::from_value(json.clone())
            .map_err(|error| Error::data(format!("`{key}` is not a matrix: {error}")))?,
        other => match other.as_tensor() {
            Some(tensor) if tensor.dim() == 2 => {
                let rows = tensor.f_to_kind(Kind::Double)?.f_unbind(0)?;
                rows.into_iter().map(Vec::try_from).collect::<Result<_, _>>()?
            }
            _ => return Err(Error::data(format!("`{key}` is not a matrix"))),
        },
    };
    let n = rows.len();
    if !(3..=4).contains(&n) || rows.iter().any(|row| row.len() != n) {
        return Err(Error::data(format!("`{key}` is not an affine: 4 × 4 numbers are expected, 3 × 3 for 2-D images")));
    }
    let mut matrix = IDENTITY_AFFINE;
    for i in 0..n - 1 {
        matrix[i][..n - 1].copy_from_slice(&rows[i][..n - 1]);
        matrix[i][3] = rows[i][n - 1];
    }
    Ok(matrix)
}

impl Transform for SpatialResampled {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let Self { args, samplings, dst_keys } = self;
        for (position, key) in present(sample, &args.keys, args.allow_missing_keys)? {
            let target = affine_under(sample, &dst_keys[position])?;
            let image = image_of(sample, key)?;
            let shape = spatial_shape(&image.tensor)?;
            let rank = shape.len();
            let (from, to) = (affine::restrict(&image.affine, rank), affine::restrict(&target, rank));
            let (new_shape, _) =
                affine::covering_grid(&shape, &from, &to, false).map_err(|error| Error::data(error.to_string()))?;
            let sampling = samplings[position];
            let operation = Operation::Resample { affine: image.affine, shape, sampling };
            let mut image =
                resample_to(image, &to, &new_shape, sampling).map_err(|error| error.context(format!("in `{key}`")))?;
            record(&mut image, "SpatialResampled", &operation)?;
            sample.insert(key, image);
        }
        Ok(())
    }
}

/// Resamples images onto the grid of another image.
///
/// They get that image's metadata, but for the file's name. MONAI `ResampleToMatchd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResampleToMatchdArgs {
    /// Keys of the images.
    keys: Keys,
    /// Key of the image whose grid is taken.
    key_dst: String,
    /// Between voxels, for each key or for all.
    #[serde(default = "default::bilinear")]
    mode: OneOrMany<GridMode>,
    /// Outside, for each key or for all.
    #[serde(default = "default::border")]
    padding_mode: OneOrMany<GridPadding>,
    /// Where `reflection` puts its mirror, for each key or for all.
    #[serde(default)]
    align_corners: OneOrMany<bool>,
    /// For compatibility: everything is computed in float64.
    #[serde(default, rename = "dtype")]
    _dtype: OneOrMany<Option<Dtype>>,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`ResampleToMatchdArgs`].
pub struct ResampleToMatchd {
    args: ResampleToMatchdArgs,
    samplings: Vec<Sampling>,
}

impl Component for ResampleToMatchd {
    type Args = ResampleToMatchdArgs;

    fn new(args: ResampleToMatchdArgs) -> Result<Self> {
        let samplings = samplings(&args.keys, &args.mode, &args.padding_mode, &args.align_corners)?;
        Ok(Self { args, samplings })
    }
}

impl Transform for ResampleToMatchd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let Self { args, samplings } = self;
        let target = image_of(sample, &args.key_dst)?;
        let target_shape = spatial_shape(&target.tensor)?;
        for (position, key) in present(sample, &args.keys, args.allow_missing_keys)? {
            let image = image_of(sample, key)?;
            let shape = spatial_shape(&image.tensor)?;
            if shape.len() != target_shape.len() {
                return Err(Error::data(format!(
                    "`{key}` has {} spatial axes, but `{}` has {}",
                    shape.len(),
                    args.key_dst,
                    target_shape.len()
                )));
            }
            let sampling = samplings[position];
            let operation = Operation::Resample { affine: image.affine, shape, sampling };
            let name = image.meta.get("filename_or_obj").cloned();
            let mut image = resample_to(image, &target.affine, &target_shape, sampling)
                .map_err(|error| error.context(format!("in `{key}`")))?;
            image.affine = target.affine;
            image.meta.clone_from(&target.meta);
            image.meta.insert(
                "filename_or_obj".to_owned(),
                name.unwrap_or_else(|| serde_json::json!("resample_to_match_source")),
            );
            record(&mut image, "ResampleToMatchd", &operation)?;
            sample.insert(key, image);
        }
        Ok(())
    }
}

byoc::register! { transforms: [SpatialResampled, ResampleToMatchd] }
