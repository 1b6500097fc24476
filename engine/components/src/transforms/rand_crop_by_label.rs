//! `RandCropByPosNegLabeld` and `FgBgToIndicesd`.

use byoc::{Component, Error, Keys, OneOrMany, Random, Result, Sample, Transform};
use mmar_imaging::region::{VoxelSet, VoxelSetRef};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use tch::{Device, Kind, Tensor};
use torch_ext::view;

use super::common::{default, float_values, image_of, present, sizes_or, spatial_shape};
use super::geometry::{Operation, crop, crop_view, record};
use super::rand_crop_by_class::unravel;

/// Crops at random places whose centres are foreground or background of a label.
///
/// Each crop becomes a sample of its own. A centre is foreground with probability `pos` / (`pos` + `neg`); where the
/// label is all foreground or all background, all centres are. A centre too close to the border is moved inwards.
/// MONAI `RandCropByPosNegLabeld`. What it may choose from is computed once and cached with the image, in a bit for
/// each voxel.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandCropByPosNegLabeldArgs {
    /// Keys of the images to crop.
    keys: Keys,
    /// Key of the label; above 0 is foreground. Of several channels the first one counts as background.
    label_key: String,
    /// Size of the crops, for each axis or for all; 0 or -1 is the image's own.
    spatial_size: OneOrMany<i64>,
    /// Weight of foreground centres.
    #[serde(default = "default::one")]
    #[schemars(range(min = 0.0))]
    pos: f64,
    /// Weight of background centres.
    #[serde(default = "default::one")]
    #[schemars(range(min = 0.0))]
    neg: f64,
    /// How many crops.
    #[serde(default = "one_sample")]
    #[schemars(range(min = 1))]
    num_samples: usize,
    /// Key of an image whose voxels up to `image_threshold` are not chosen as background.
    #[serde(default)]
    image_key: Option<String>,
    /// See `image_key`.
    #[serde(default)]
    image_threshold: f64,
    /// Key of foreground indices that `FgBgToIndicesd` made.
    #[serde(default)]
    fg_indices_key: Option<String>,
    /// Key of background indices that `FgBgToIndicesd` made.
    #[serde(default)]
    bg_indices_key: Option<String>,
    /// Whether a crop larger than the image is cut to it; else it is an error.
    #[serde(default)]
    allow_smaller: bool,
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

fn one_sample() -> usize {
    1
}

/// See [`RandCropByPosNegLabeldArgs`].
pub struct RandCropByPosNegLabeld(RandCropByPosNegLabeldArgs);

impl Component for RandCropByPosNegLabeld {
    type Args = RandCropByPosNegLabeldArgs;

    fn new(args: RandCropByPosNegLabeldArgs) -> Result<Self> {
        if args.pos < 0.0 || args.neg < 0.0 || args.pos + args.neg == 0.0 {
            return Err(Error::invalid_argument(format!(
                "`pos` is {} and `neg` {}: neither may be negative, and one must be above 0",
                args.pos, args.neg
            )));
        }
        if args.num_samples == 0 {
            return Err(Error::invalid_argument("`num_samples` is 0; at least one crop is needed"));
        }
        Ok(Self(args))
    }
}

/// Keys under which [`Transform::prepare`] keeps the two sets with a cached sample: bits and counts of each.
const PREPARED: [[&str; 2]; 2] = [
    ["_rand_crop_foreground_bits", "_rand_crop_foreground_counts"],
    ["_rand_crop_background_bits", "_rand_crop_background_counts"],
];

impl Transform for RandCropByPosNegLabeld {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        if self.0.num_samples != 1 {
            return Err(Error::msg(format!(
                "it makes {} samples of one and cannot be applied in place",
                self.0.num_samples
            )));
        }
        let mut crops = self.apply_many(std::mem::take(sample), random)?;
        *sample = crops.pop().unwrap_or_default();
        Ok(())
    }

    fn apply_many(&self, mut sample: Sample, random: &mut Random) -> Result<Vec<Sample>> {
        let Self(args) = self;
        let shape = spatial_shape(sample.tensor(&args.label_key)?)?;
        let mut size = sizes_or(&args.spatial_size, &shape, "spatial_size")?;
        if size.iter().zip(&shape).any(|(size, n)| size > n) {
            if !args.allow_smaller {
                return Err(Error::data(format!(
                    "a crop of {size:?} does not fit into the image of {shape:?}: use a smaller `spatial_size`, pad with `SpatialPadd` before, or set `allow_smaller`"
                )));
            }
            size = size.iter().zip(&shape).map(|(&size, &n)| size.min(n)).collect();
        }
        for (_, key) in present(&sample, &args.keys, args.allow_missing_keys)? {
            let own = spatial_shape(sample.tensor(key)?)?;
            if own != shape {
                return Err(Error::data(format!(
                    "`{key}` has shape {own:?}, but the label `{}` has {shape:?}",
                    args.label_key
                )));
            }
        }
        // what was prepared is cached, and the image with it
        let cut = if sample.contains(PREPARED[0][0]) { crop_view } else { crop };
        let centres = self.centres(&mut sample, &shape, random)?;
        let mut samples = Vec::with_capacity(args.num_samples);
        for (index, centre) in centres.iter().enumerate() {
            let start: Vec<usize> =
                (0..shape.len()).map(|axis| first_voxel(centre[axis], size[axis], shape[axis])).collect();
            let end: Vec<usize> = start.iter().zip(&size).map(|(start, size)| start + size).collect();
            let mut cropped = sample.shallow_clone();
            for (_, key) in present(&sample, &args.keys, args.allow_missing_keys)? {
                let mut image = cut(image_of(&sample, key)?, &start, &end)?;
                let after = shape.iter().zip(&end).map(|(n, end)| n - end).collect();
                record(&mut image, "RandCropByPosNegLabeld", &Operation::Crop { before: start.clone(), after })?;
                image.meta.insert("patch_index".to_owned(), json!(index));
                cropped.insert(key, image);
            }
            samples.push(cropped);
        }
        Ok(samples)
    }

    fn is_random(&self) -> bool {
        true
    }

    fn prepare(&self, sample: &mut Sample) -> Result<()> {
        if self.0.fg_indices_key.is_some() && self.0.bg_indices_key.is_some() {
            return Ok(());
        }
        let sets = self.choose(sample)?;
        for (set, [bits, counts]) in sets.into_iter().zip(PREPARED) {
            let lengths = [set.bits.len() as i64, set.counts.len() as i64];
            sample.insert(bits, view::from_vec(set.bits, &lengths[..1]));
            sample.insert(counts, view::from_vec(set.counts, &lengths[1..]));
        }
        Ok(())
    }
}

/// First voxel of a crop around a centre: the centre is moved inwards until the crop fits (MONAI's
/// `correct_crop_centers`).
pub(super) fn first_voxel(centre: usize, size: usize, n: usize) -> usize {
    let low = size / 2;
    // the end is exclusive: the last centre for which size - size / 2 voxels from it on are inside
    let high = (n + 1 - size.div_ceil(2)).max(low + 1);
    centre.clamp(low, high - 1) - low
}

impl RandCropByPosNegLabeld {
    /// Foreground and background.
    fn choose(&self, sample: &Sample) -> Result<[VoxelSet; 2]> {
        let Self(args) = self;
        let image = match &args.image_key {
            Some(key) => Some(sample.tensor(key)?),
            None => None,
        };
        foreground_and_background(sample.tensor(&args.label_key)?, image, args.image_threshold)
    }

    fn centres(&self, sample: &mut Sample, shape: &[usize], random: &mut Random) -> Result<Vec<Vec<usize>>> {
        let Self(args) = self;
        if let (Some(foreground), Some(background)) = (&args.fg_indices_key, &args.bg_indices_key) {
            let indices = |key: &str, sample: &mut Sample| -> Result<Tensor> {
                let indices = sample
                    .tensor(key)?
                    .f_to_device(Device::Cpu)?
                    .f_to_kind(Kind::Int64)?
                    .f_flatten(0, -1)?
                    .f_contiguous()?;
                sample.remove(key);
                Ok(indices)
            };
            let lists = [indices(foreground, sample)?, indices(background, sample)?];
            let [foreground, background] = [view::slice::<i64>(&lists[0])?, view::slice::<i64>(&lists[1])?];
            let pick = |list: &[i64], k: usize| list.get(k).map(|&index| index as usize);
            return self.draw(
                [foreground.len(), background.len()],
                |side, k| pick([foreground, background][side], k),
                shape,
                random,
            );
        }
        let mut parts = Vec::new();
        for key in PREPARED.iter().flatten() {
            parts.extend(sample.remove(key));
        }
        let parts: Vec<&Tensor> = parts.iter().filter_map(byoc::Value::as_tensor).collect();
        if let [foreground_bits, foreground_counts, background_bits, background_counts] = parts[..] {
            let sets = [
                VoxelSetRef { bits: view::slice(foreground_bits)?, counts: view::slice(foreground_counts)? },
                VoxelSetRef { bits: view::slice(background_bits)?, counts: view::slice(background_counts)? },
            ];
            return self.draw(sets.map(VoxelSetRef::len), |side, k| sets[side].nth(k), shape, random);
        }
        let sets = self.choose(sample)?;
        self.draw([sets[0].len(), sets[1].len()], |side, k| sets[side].nth(k), shape, random)
    }

    /// Draws the centres: `nth(0, k)` is the k-th foreground voxel, `nth(1, k)` the k-th background voxel.
    fn draw(
        &self,
        counts: [usize; 2],
        nth: impl Fn(usize, usize) -> Option<usize>,
        shape: &[usize],
        random: &mut Random,
    ) -> Result<Vec<Vec<usize>>> {
        let Self(args) = self;
        let foreground = match counts {
            [0, 0] => {
                return Err(Error::data(format!(
                    "`{}` leaves no voxel to crop around: neither foreground nor background",
                    args.label_key
                )));
            }
            [0, _] => 0.0,
            [_, 0] => 1.0,
            _ => args.pos / (args.pos + args.neg),
        };
        let voxels: usize = shape.iter().product();
        (0..args.num_samples)
            .map(|_| {
                let side = usize::from(!random.chance(foreground));
                let k = random.integer(0, counts[side] as i64) as usize;
                let mut rest = nth(side, k).filter(|&index| index < voxels).ok_or_else(|| {
                    Error::data("the foreground or background indices do not belong to an image of this shape")
                })?;
                let mut centre = vec![0; shape.len()];
                for axis in (0..shape.len()).rev() {
                    centre[axis] = rest % shape[axis];
                    rest /= shape[axis];
                }
                Ok(centre)
            })
            .collect()
    }
}

/// The voxels above 0 of a label, without its first channel if it has several, and the others; of these only where the
/// image, if there is one, is above the threshold (MONAI's `map_binary_to_indices`).
fn foreground_and_background(label: &Tensor, image: Option<&Tensor>, threshold: f64) -> Result<[VoxelSet; 2]> {
    let shape = spatial_shape(label)?;
    let voxels: usize = shape.iter().product();
    let label = float_values(label)?;
    let labels = view::slice::<f32>(&label)?;
    let labels = if labels.len() > voxels { &labels[voxels..] } else { labels };
    let foreground = VoxelSet::from_bytes(voxels, |byte| bits(labels, voxels, byte, |value| value != 0.0));
    let background = match image {
        None => VoxelSet::new(voxels, |index| foreground.bits[index / 8] >> (index % 8) & 1 == 0),
        Some(image) => {
            let own = spatial_shape(image)?;
            if own != shape {
                return Err(Error::data(format!("the image has shape {own:?}, but the label has {shape:?}")));
            }
            let image = float_values(image)?;
            let values = view::slice::<f32>(&image)?;
            let is_image = |value| f64::from(value) > threshold;
            VoxelSet::from_bytes(voxels, |byte| bits(values, voxels, byte, is_image) & !foreground.bits[byte])
        }
    };
    Ok([foreground, background])
}

/// Eight voxels of a set, which those belong to that pass the test in any channel.
fn bits(values: &[f32], voxels: usize, byte: usize, test: impl Fn(f32) -> bool) -> u8 {
    values.chunks_exact(voxels).fold(0, |all, channel| {
        let eight = &channel[byte * 8..channel.len().min(byte * 8 + 8)];
        let bits = eight.iter().enumerate().fold(0, |bits, (bit, &value)| bits | u8::from(test(value)) << bit);
        all | bits
    })
}

/// The indices of a label's foreground and background voxels, in C order.
///
/// MONAI `FgBgToIndicesd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FgBgToIndicesdArgs {
    /// Keys of the labels.
    keys: Keys,
    /// The foreground indices go under the key with this behind it.
    #[serde(default = "fg_postfix")]
    fg_postfix: String,
    /// The background indices go under the key with this behind it.
    #[serde(default = "bg_postfix")]
    bg_postfix: String,
    /// Key of an image whose voxels up to `image_threshold` are not background.
    #[serde(default)]
    image_key: Option<String>,
    /// See `image_key`.
    #[serde(default)]
    image_threshold: f64,
    /// The shape to express the indices in: each becomes one number for each axis.
    #[serde(default)]
    output_shape: Option<Vec<i64>>,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

fn fg_postfix() -> String {
    "_fg_indices".to_owned()
}

fn bg_postfix() -> String {
    "_bg_indices".to_owned()
}

/// See [`FgBgToIndicesdArgs`].
pub struct FgBgToIndicesd(FgBgToIndicesdArgs);

impl Component for FgBgToIndicesd {
    type Args = FgBgToIndicesdArgs;

    fn new(args: FgBgToIndicesdArgs) -> Result<Self> {
        if args.output_shape.as_ref().is_some_and(|shape| shape.iter().any(|&n| n < 1)) {
            return Err(Error::invalid_argument("the sizes of `output_shape` must be positive"));
        }
        Ok(Self(args))
    }
}

impl Transform for FgBgToIndicesd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let Self(args) = self;
        for (_, key) in present(sample, &args.keys, args.allow_missing_keys)? {
            let image = match &args.image_key {
                Some(image_key) => Some(sample.tensor(image_key)?),
                None => None,
            };
            let sets = foreground_and_background(sample.tensor(key)?, image, args.image_threshold)?;
            for (set, postfix) in sets.iter().zip([&args.fg_postfix, &args.bg_postfix]) {
                let indices: Vec<i64> =
                    (0..set.bits.len() * 8).filter(|i| set.bits[i / 8] >> (i % 8) & 1 == 1).map(|i| i as i64).collect();
                let length = indices.len() as i64;
                let indices = match &args.output_shape {
                    None => view::from_vec(indices, &[length]),
                    Some(shape) => {
                        let places: Vec<i64> = indices.iter().flat_map(|&index| unravel(index, shape)).collect();
                        view::from_vec(places, &[length, shape.len() as i64])
                    }
                };
                sample.insert(format!("{key}{postfix}"), indices);
            }
        }
        Ok(())
    }
}

byoc::register! { transforms: [RandCropByPosNegLabeld, FgBgToIndicesd] }

#[cfg(test)]
mod tests {
    use byoc::{Component, Random, Sample, Transform};
    use serde_json::json;
    use tch::{Device, Kind, Tensor};

    use super::{RandCropByPosNegLabeld, first_voxel};

    fn sample() -> Sample {
        let mut sample = Sample::new();
        let label = Tensor::zeros([1, 20, 18, 16], (Kind::Float, Device::Cpu));
        let _ = label.narrow(1, 5, 4).narrow(2, 6, 5).narrow(3, 2, 3).fill_(1.0);
        let index = Tensor::arange(20 * 18 * 16, (Kind::Float, Device::Cpu)).view([1, 20, 18, 16]);
        sample.insert("label", label);
        sample.insert("image", index);
        sample
    }

    #[test]
    fn centres_are_moved_inwards() {
        // (centre, size, n) → start, from MONAI's correct_crop_centers and SpatialCrop
        for ((centre, size, n), expected) in [
            ((0, 5, 10), 0),
            ((9, 5, 10), 5),
            ((9, 4, 10), 6),
            ((5, 4, 10), 3),
            ((3, 10, 10), 0),
            ((7, 1, 10), 7),
            ((0, 9, 9), 0),
        ] {
            assert_eq!(first_voxel(centre, size, n), expected, "centre {centre}, size {size}, n {n}");
        }
    }

    #[test]
    fn crops_have_their_share_of_foreground_centres_whether_prepared_or_not() {
        let args = json!({"keys": ["image", "label"], "label_key": "label", "spatial_size": [3, 3, 3], "pos": 3, "neg": 1, "num_samples": 400});
        let transform = RandCropByPosNegLabeld::new(serde_json::from_value(args).unwrap()).unwrap();
        let mut prepared = sample();
        transform.prepare(&mut prepared).unwrap();
        let crops = transform.apply_many(prepared, &mut Random::from_seed(1)).unwrap();
        let unprepared = transform.apply_many(sample(), &mut Random::from_seed(1)).unwrap();
        let mut foreground = 0;
        for (a, b) in crops.iter().zip(&unprepared) {
            assert_eq!(a.tensor("image").unwrap(), b.tensor("image").unwrap());
            assert_eq!(a.keys().collect::<Vec<_>>(), ["image", "label"]);
            assert_eq!(a.tensor("image").unwrap().size(), [1, 3, 3, 3]);
            let start = a.tensor("image").unwrap().double_value(&[0, 0, 0, 0]) as usize;
            assert_eq!(a.image("image").unwrap().affine[0][3], (start / (18 * 16)) as f64);
            foreground += i32::from(a.tensor("label").unwrap().double_value(&[0, 1, 1, 1]) > 0.0);
        }
        // 400 draws at 3/4: 300 with a standard deviation of 8.7
        assert!((265..=335).contains(&foreground), "{foreground}");
    }

    #[test]
    fn a_crop_that_does_not_fit_says_what_to_do() {
        let args = json!({"keys": ["image", "label"], "label_key": "label", "spatial_size": 17});
        let transform = RandCropByPosNegLabeld::new(serde_json::from_value(args).unwrap()).unwrap();
        let error = transform.apply_many(sample(), &mut Random::from_seed(1)).unwrap_err().to_string();
        assert!(
            error.starts_with("a crop of [17, 17, 17] does not fit into the image of [20, 18, 16]: use a smaller"),
            "{error}"
        );
    }
}
