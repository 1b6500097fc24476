//! What Clara's annotation server (AIAA) does with a prediction: `Restored`, `BoundingBoxd`, `ExtremePointsd`.
//!
//! Predictions are (X, Y, Z) without a channel axis, or (C, X, Y, Z). Findings go into the answer to the client, a map under
//! the key `result`.

use byoc::{Component, Error, Image, Keys, OneOrMany, Random, Result, Sample, Transform};
use mmar_imaging::region::bounding_box;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use tch::Tensor;
use torch_ext::view;

use super::common::{float_values, image_of, present};
use super::extreme_points::extreme_points;
use super::geometry::{ResizeMode, resize};
use super::metadata::{field, required};

fn result_key() -> String {
    "result".to_owned()
}

/// The voxels of a prediction that are above 0, channels together, and its spatial shape.
fn foreground(tensor: &Tensor) -> Result<(Vec<bool>, Vec<usize>)> {
    let size: Vec<usize> = tensor.size().iter().map(|&n| n as usize).collect();
    let shape = if size.len() == 4 { size[1..].to_vec() } else { size };
    if !(1..=3).contains(&shape.len()) {
        return Err(Error::data(format!("a tensor of shape {:?} is no prediction", tensor.size())));
    }
    let values = float_values(tensor)?;
    let values = view::slice::<f32>(&values)?;
    let voxels: usize = shape.iter().product::<usize>().max(1);
    let above = |index: usize| values.iter().skip(index).step_by(voxels).any(|&value| value > 0.0);
    Ok(((0..voxels.min(values.len())).map(above).collect(), shape))
}

/// Puts a finding into the map under `key`.
fn tell(sample: &mut Sample, key: &str, name: &str, finding: Json) -> Result<()> {
    let mut map = if sample.contains(key) {
        match sample.json(key)? {
            Json::Object(map) => map.clone(),
            Json::Null => Map::new(),
            other => return Err(Error::data(format!("`{key}` is {other}, not a map of findings"))),
        }
    } else {
        Map::new()
    };
    map.insert(name.to_owned(), finding);
    sample.insert(key, Json::Object(map));
    Ok(())
}

/// Tells the box around what is above 0: [first voxel, voxel after the last one].
///
/// `aiaa.transforms.BoundingBoxd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BoundingBoxdArgs {
    /// Keys of the predictions.
    keys: Keys,
    /// Key of the answer.
    #[serde(default = "result_key")]
    result: String,
    /// Name of the box in it, for each key or for all.
    #[serde(default = "bbox")]
    bbox: OneOrMany<String>,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

fn bbox() -> OneOrMany<String> {
    OneOrMany::One("bbox".to_owned())
}

/// See [`BoundingBoxdArgs`].
pub struct BoundingBoxd {
    args: BoundingBoxdArgs,
    names: Vec<String>,
}

impl Component for BoundingBoxd {
    type Args = BoundingBoxdArgs;

    fn new(args: BoundingBoxdArgs) -> Result<Self> {
        let names = args.bbox.repeat(args.keys.len(), "bbox")?;
        Ok(Self { args, names })
    }
}

impl Transform for BoundingBoxd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let Self { args, names } = self;
        for (position, key) in present(sample, &args.keys, args.allow_missing_keys)? {
            let (mask, shape) = foreground(sample.tensor(key)?)?;
            let (start, end) = bounding_box(&[&mask], &shape, |inside| inside)
                .unwrap_or_else(|| (vec![0; shape.len()], vec![0; shape.len()]));
            tell(sample, &args.result, &names[position], json!([start, end]))?;
        }
        Ok(())
    }
}

/// Tells the outermost points of what is above 0: the lowest and the highest along each axis.
///
/// Of several that lie equally far out one is drawn; nothing is told of an empty prediction. `aiaa.transforms.ExtremePointsd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExtremePointsdArgs {
    /// Keys of the predictions.
    keys: Keys,
    /// Key of the answer.
    #[serde(default = "result_key")]
    result: String,
    /// Name of the points in it, for each key or for all.
    #[serde(default = "points")]
    points: OneOrMany<String>,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

fn points() -> OneOrMany<String> {
    OneOrMany::One("points".to_owned())
}

/// See [`ExtremePointsdArgs`].
pub struct ExtremePointsd {
    args: ExtremePointsdArgs,
    names: Vec<String>,
}

impl Component for ExtremePointsd {
    type Args = ExtremePointsdArgs;

    fn new(args: ExtremePointsdArgs) -> Result<Self> {
        let names = args.points.repeat(args.keys.len(), "points")?;
        Ok(Self { args, names })
    }
}

impl Transform for ExtremePointsd {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        let Self { args, names } = self;
        for (position, key) in present(sample, &args.keys, args.allow_missing_keys)? {
            let (mask, shape) = foreground(sample.tensor(key)?)?;
            let found = extreme_points(|index| mask[index], &shape, 0.0, random);
            tell(sample, &args.result, &names[position], json!(found))?;
        }
        Ok(())
    }

    fn is_random(&self) -> bool {
        true
    }
}

/// Brings predictions back to the size and the affine of the file that their image came from.
///
/// What `Spacingd` or `Resized` did to the image is undone. `aiaa.transforms.Restored`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoredArgs {
    /// Keys of the predictions.
    keys: Keys,
    /// Key of the image.
    ref_image: String,
    /// Whether the prediction has a channel axis; told from the number of axes if it is `null`, 4 of which have one.
    #[serde(default)]
    has_channel: Option<bool>,
    /// Between voxels, for each key or for all.
    #[serde(default = "nearest")]
    mode: OneOrMany<ResizeMode>,
    /// See `Resized`, for each key or for all.
    #[serde(default)]
    align_corners: OneOrMany<Option<bool>>,
    /// What the image's metadata item ends with, where a sample has one; else metadata travel with the image.
    #[serde(default = "meta_dict")]
    meta_key_postfix: String,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

fn nearest() -> OneOrMany<ResizeMode> {
    OneOrMany::One(ResizeMode::Nearest)
}

fn meta_dict() -> String {
    "meta_dict".to_owned()
}

/// See [`RestoredArgs`].
pub struct Restored {
    args: RestoredArgs,
    sampling: Vec<(ResizeMode, Option<bool>)>,
}

impl Component for Restored {
    type Args = RestoredArgs;

    fn new(args: RestoredArgs) -> Result<Self> {
        let n = args.keys.len();
        let corners = args.align_corners.repeat(n, "align_corners")?;
        let sampling = args.mode.repeat(n, "mode")?.into_iter().zip(corners).collect();
        Ok(Self { args, sampling })
    }
}

impl Transform for Restored {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let Self { args, sampling } = self;
        let dictionary = format!("{}_{}", args.ref_image, args.meta_key_postfix);
        for (position, key) in present(sample, &args.keys, args.allow_missing_keys)? {
            let file: Vec<usize> = required(sample, &args.ref_image, &dictionary, "spatial_shape")?;
            let affine = field(sample, &args.ref_image, &dictionary, "original_affine");
            let pred = sample.tensor(key)?;
            let has_channel = args.has_channel.unwrap_or(pred.dim() == 4);
            let channels_first = if has_channel { pred.shallow_clone() } else { pred.f_unsqueeze(0)? };
            let rank = channels_first.dim() - 1;
            let size = file.get(file.len().saturating_sub(rank)..).unwrap_or_default();
            if size.len() != rank {
                return Err(Error::data(format!(
                    "`{key}` has {rank} spatial axes, but the file of `{}` has shape {file:?}",
                    args.ref_image
                )));
            }
            let (mode, align_corners) = sampling[position];
            let kind = pred.kind();
            let resized = resize(Image::new(channels_first), size, mode, align_corners)?.tensor.f_to_kind(kind)?;
            let one_channel = resized.size()[0] == 1;
            let restored = if !has_channel || (rank == 3 && one_channel) { resized.f_squeeze_dim(0)? } else { resized };
            // the file's name and grid, so that `SaveImaged` knows them
            let mut image = match sample.image(&args.ref_image) {
                Ok(reference) => Image { history: Vec::new(), ..reference.with_tensor(restored) },
                Err(_) => Image { history: Vec::new(), ..image_of(sample, key)?.with_tensor(restored) },
            };
            if let Some(affine) = affine {
                image.affine = serde_json::from_value(affine)
                    .map_err(|error| Error::data(format!("`original_affine` of `{}`: {error}", args.ref_image)))?;
            }
            sample.insert(key, image);
        }
        Ok(())
    }
}

byoc::register! { transforms: [BoundingBoxd, ExtremePointsd, Restored] }

#[cfg(test)]
mod tests {
    use byoc::{Component, Image, Random, Sample, Transform};
    use serde_json::{Value, json};
    use tch::{Kind, Tensor};

    use super::{BoundingBoxd, ExtremePointsd, Restored};
    use crate::transforms::keep_largest::LargestCCd;

    fn apply<T: Component + Transform>(args: Value, sample: &mut Sample) {
        let transform = T::new(serde_json::from_value(args).unwrap()).unwrap();
        transform.apply(sample, &mut Random::from_seed(0)).unwrap();
    }

    #[test]
    fn a_prediction_becomes_an_answer_on_the_grid_of_the_file() {
        let mut sample = Sample::new();
        let mut image = Image::new(Tensor::zeros([1, 4, 5, 3], (Kind::Float, tch::Device::Cpu)));
        let affine = json!([[2.0, 0, 0, 5], [0, 2.0, 0, 6], [0, 0, 1.0, 7], [0, 0, 0, 1]]);
        image.meta.insert("spatial_shape".to_owned(), json!([8, 10, 3]));
        image.meta.insert("original_affine".to_owned(), affine.clone());
        image.meta.insert("filename_or_obj".to_owned(), json!("ct.nii.gz"));
        sample.insert("image", image);
        let pred = Tensor::zeros([4, 5, 3], (Kind::Float, tch::Device::Cpu));
        let _ = pred.narrow(0, 1, 2).narrow(1, 2, 2).narrow(2, 0, 1).fill_(1.0);
        let _ = pred.narrow(0, 3, 1).narrow(1, 0, 1).narrow(2, 2, 1).fill_(1.0);
        sample.insert("pred", pred);
        apply::<LargestCCd>(json!({"keys": "pred"}), &mut sample);
        apply::<Restored>(json!({"keys": "pred", "ref_image": "image"}), &mut sample);
        apply::<ExtremePointsd>(json!({"keys": "pred", "result": "result", "points": "points"}), &mut sample);
        apply::<BoundingBoxd>(json!({"keys": "pred", "result": "result", "bbox": "bbox"}), &mut sample);
        let restored = sample.image("pred").unwrap();
        assert_eq!(restored.tensor.size(), [8, 10, 3]);
        assert_eq!(restored.tensor.sum(Kind::Int64).int64_value(&[]), 16);
        assert_eq!((restored.affine[0][3], &restored.meta["filename_or_obj"]), (5.0, &json!("ct.nii.gz")));
        let result = sample.json("result").unwrap();
        assert_eq!(result["bbox"], json!([[2, 4, 0], [6, 8, 1]]));
        let points: Vec<Vec<i64>> = serde_json::from_value(result["points"].clone()).unwrap();
        assert_eq!((points[0][0], points[1][0], points[2][1], points[3][1], points.len()), (2, 5, 4, 7, 6));
    }
}
