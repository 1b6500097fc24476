//! Samples for transforms.

use byoc::{Affine, ErrorCode, Image, Random, Sample, Value};
use serde_json::{Value as Json, json};
use tch::{Kind, Tensor};

use super::none_taken;
use crate::object::Object;
use crate::specimen::Specimen;
use crate::verdict::Verdict;

/// Voxels of 2 × 1.5 × 3 mm, the first axis mirrored, away from the origin: nothing in it is its own inverse.
pub(crate) const AFFINE: Affine =
    [[-2.0, 0.0, 0.0, 40.0], [0.0, 1.5, 0.0, -30.0], [0.0, 0.0, 3.0, 12.0], [0.0, 0.0, 0.0, 1.0]];

/// Keys that every sample has, beside those that the transform's arguments name.
const USUAL_KEYS: [&str; 2] = ["image", "label"];

/// What the voxels of an image hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// Random numbers; class indices where the key is that of a label.
    Noise,
    /// Channel c of every voxel is the c-th coordinate of its centre in mm.
    Position,
}

/// How samples are made that a transform takes.
#[derive(Debug, Clone)]
pub(crate) struct SamplePlan {
    /// (C, spatial…), or (spatial…) for transforms that make the channel axis.
    pub(crate) shape: Vec<i64>,
    /// Keys of the images.
    pub(crate) keys: Vec<String>,
}

impl SamplePlan {
    pub(crate) fn find(specimen: &Specimen) -> Result<Self, Verdict> {
        let keys = keys(&specimen.args());
        let shapes: Vec<Vec<i64>> = match specimen.given.shapes.get("image") {
            Some(shape) => vec![shape.clone()],
            None => {
                vec![vec![1, 12, 11, 10], vec![3, 12, 11, 10], vec![1, 24, 22], vec![12, 11, 10], vec![1, 48, 47, 46]]
            }
        };
        let mut error = None;
        for shape in shapes {
            let plan = Self { shape, keys: keys.clone() };
            let mut random = Random::from_seed(specimen.seed);
            let sample = plan.draw(&mut random, Pattern::Noise);
            match specimen.transform()?.apply_many(sample, &mut random) {
                Ok(_) => return Ok(plan),
                Err(refused) => error = error.or(Some(refused)),
            }
        }
        let tried = "a sample with images (1, 12, 11, 10), (3, 12, 11, 10), (1, 24, 22), (1, 48, 47, 46) under `image`, \
                     `label` and the keys of its arguments";
        Err(none_taken(specimen, tried, "`image`", error.as_ref()))
    }

    /// A sample.
    pub(crate) fn draw(&self, random: &mut Random, pattern: Pattern) -> Sample {
        let mut sample = Sample::new();
        for key in &self.keys {
            let is_label = ["label", "seg", "mask"].iter().any(|part| key.contains(part));
            let tensor = match pattern {
                Pattern::Position => positions(self.spatial()),
                // blobs, so that crops by label find their class
                Pattern::Noise if is_label => random.uniform_tensor(&self.shape).gt(0.6).to_kind(Kind::Float),
                Pattern::Noise => random.normal_tensor(&self.shape) * 20.0 + 100.0,
            };
            sample.insert(key.clone(), Value::Image(self.image(key, tensor)));
        }
        sample
    }

    /// The spatial part of the shape.
    pub(crate) fn spatial(&self) -> &[i64] {
        if self.shape.len() > 3 || self.shape.first().is_some_and(|first| *first < 8) {
            self.shape.get(1..).unwrap_or_default()
        } else {
            &self.shape
        }
    }

    fn image(&self, key: &str, tensor: Tensor) -> Image {
        let mut image = Image::new(tensor);
        image.affine = AFFINE;
        let meta = json!({
            "filename_or_obj": format!("{key}.nii.gz"),
            "affine": AFFINE,
            "original_affine": AFFINE,
            "spatial_shape": self.spatial(),
            "original_channel_dim": "no_channel",
        });
        image.meta = meta.as_object().cloned().unwrap_or_default();
        image
    }
}

/// The keys that the arguments name, and the usual ones.
fn keys(args: &Json) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    let named = args.as_object().into_iter().flatten().filter(|(name, _)| name.contains("key"));
    for (_, value) in named {
        match value {
            Json::String(key) => keys.push(key.clone()),
            Json::Array(list) => keys.extend(list.iter().filter_map(Json::as_str).map(str::to_owned)),
            _ => {}
        }
    }
    keys.extend(USUAL_KEYS.map(str::to_owned));
    keys.sort();
    keys.dedup();
    keys
}

/// A channel for each axis of space: where the centre of each voxel lies, in mm.
fn positions(spatial: &[i64]) -> Tensor {
    let count = spatial.iter().product::<i64>();
    let mut channels = vec![Vec::new(); 3];
    for flat in 0..count {
        let mut rest = flat;
        let mut index = [0.0; 3];
        for axis in (0..spatial.len()).rev() {
            if axis < 3 {
                index[axis] = (rest % spatial[axis]) as f64;
            }
            rest /= spatial[axis];
        }
        for (channel, place) in channels.iter_mut().zip(place(&AFFINE, index)) {
            channel.push(place as f32);
        }
    }
    let channels: Vec<Tensor> = channels.iter().map(|channel| Tensor::from_slice(channel).view(spatial)).collect();
    Tensor::stack(&channels, 0)
}

/// Where a voxel lies, in mm.
pub(crate) fn place(affine: &Affine, index: [f64; 3]) -> [f64; 3] {
    [0, 1, 2].map(|row| {
        let along = |axis: usize| affine[row][axis] * index[axis];
        along(0) + along(1) + along(2) + affine[row][3]
    })
}

/// Makes a transform and applies it to a sample of this pattern; `None` if it takes no such sample.
pub(crate) fn applied(
    specimen: &Specimen,
    plan: &SamplePlan,
    pattern: Pattern,
    seed: u64,
) -> Result<Option<Vec<Sample>>, Verdict> {
    let Object::Transform(transform) = specimen.make()? else { return Ok(None) };
    let mut random = Random::from_seed(seed);
    let sample = plan.draw(&mut random, pattern);
    match transform.apply_many(sample, &mut random) {
        Ok(samples) => Ok(Some(samples)),
        Err(error) if error.code() == ErrorCode::PANICKED => Err(error.into()),
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::{AFFINE, Pattern, SamplePlan, keys, place};
    use byoc::Random;
    use serde_json::json;

    #[test]
    fn positions_are_those_of_the_affine() {
        let plan = SamplePlan { shape: vec![1, 3, 4, 5], keys: vec!["image".into()] };
        let sample = plan.draw(&mut Random::from_seed(0), Pattern::Position);
        let image = sample.image("image").unwrap();
        assert_eq!(image.tensor.size(), [3, 3, 4, 5]);
        let expected = place(&AFFINE, [2.0, 1.0, 3.0]);
        let found: Vec<f64> = (0..3).map(|channel| image.tensor.double_value(&[channel, 2, 1, 3])).collect();
        assert_eq!((found, expected), (vec![36.0, -28.5, 21.0], [36.0, -28.5, 21.0]));
    }

    #[test]
    fn keys_come_from_the_arguments() {
        let args = json!({ "keys": ["ct", "label"], "label_key": "organ", "prob": 1.0 });
        assert_eq!(keys(&args), ["ct", "image", "label", "organ"]);
    }
}
