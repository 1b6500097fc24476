//! Crops balanced between classes: `RandCropByLabelClassesd`, `ClassesToIndicesd`.

use byoc::{Component, Error, Keys, OneOrMany, Random, Result, Sample, Transform, Value};
use mmar_imaging::region::{VoxelSet, VoxelSetRef};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use tch::{Device, Kind, Tensor};
use torch_ext::view;

use super::common::{default, float_values, image_of, present, sizes_or, spatial_shape};
use super::geometry::{Operation, crop, record};
use super::rand_crop_by_label::first_voxel;

/// Crops at random places whose centres belong to classes of a label in given ratios.
///
/// Each crop becomes a sample of its own. The class is drawn first, then one of its voxels; a class without voxels is left
/// out. A centre too close to the border is moved inwards. MONAI `RandCropByLabelClassesd`. What it may choose from is
/// computed once and cached with the image, in a bit for each voxel and class.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandCropByLabelClassesdArgs {
    /// Keys of the images to crop.
    keys: Keys,
    /// Key of the label: one channel with the numbers of the classes, or one-hot.
    label_key: String,
    /// Size of the crops, for each axis or for all; 0 or -1 is the image's own.
    spatial_size: OneOrMany<i64>,
    /// How often each class is drawn in relation to the others; all alike if it is `null`.
    #[serde(default)]
    ratios: Option<Vec<f64>>,
    /// How many classes a label of one channel has; needed for such a label.
    #[serde(default)]
    num_classes: Option<usize>,
    /// How many crops.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    num_samples: usize,
    /// Key of an image whose voxels up to `image_threshold` are not chosen.
    #[serde(default)]
    image_key: Option<String>,
    /// See `image_key`.
    #[serde(default)]
    image_threshold: f64,
    /// Key of indices that `ClassesToIndicesd` made.
    #[serde(default)]
    indices_key: Option<String>,
    /// Whether a crop larger than the image is cut to it; else it is an error.
    #[serde(default)]
    allow_smaller: bool,
    /// Whether a class without voxels is told in the log.
    #[serde(default = "default::yes")]
    warn: bool,
    /// How many voxels of a class are chosen from, evenly spread over all it has; all if it is `null`.
    #[serde(default)]
    max_samples_per_class: Option<usize>,
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

fn one() -> usize {
    1
}

/// See [`RandCropByLabelClassesdArgs`].
pub struct RandCropByLabelClassesd(RandCropByLabelClassesdArgs);

impl Component for RandCropByLabelClassesd {
    type Args = RandCropByLabelClassesdArgs;

    fn new(args: RandCropByLabelClassesdArgs) -> Result<Self> {
        if args.num_samples == 0 {
            return Err(Error::invalid_argument("`num_samples` is 0; at least one crop is needed"));
        }
        if let Some(ratios) = &args.ratios
            && (ratios.iter().any(|&ratio| ratio < 0.0) || ratios.iter().sum::<f64>() <= 0.0)
        {
            return Err(Error::invalid_argument(format!(
                "`ratios` is {ratios:?}: none may be negative, and one must be above 0"
            )));
        }
        Ok(Self(args))
    }
}

/// Keys under which [`Transform::prepare`] keeps the set of a class with a cached sample.
fn prepared_keys(class: usize) -> [String; 2] {
    [format!("_rand_crop_class_{class}_bits"), format!("_rand_crop_class_{class}_counts")]
}

/// The voxels of each class (MONAI's `map_classes_to_indices`).
fn classes(
    label: &Tensor,
    num_classes: Option<usize>,
    image: Option<&Tensor>,
    threshold: f64,
    label_key: &str,
) -> Result<Vec<VoxelSet>> {
    let shape = spatial_shape(label)?;
    let voxels: usize = shape.iter().product();
    let channels = label.size()[0] as usize;
    let one_hot = channels > 1;
    let count = match (one_hot, num_classes) {
        (true, _) => channels,
        (false, Some(count)) => count,
        (false, None) => {
            return Err(Error::invalid_argument(format!(
                "`{label_key}` has one channel, so `num_classes` must say how many classes there are"
            )));
        }
    };
    let label = float_values(label)?;
    let labels = view::slice::<f32>(&label)?;
    let image = match image {
        Some(image) => {
            let own = spatial_shape(image)?;
            if own != shape {
                return Err(Error::data(format!("the image has shape {own:?}, but the label has {shape:?}")));
            }
            Some(float_values(image)?)
        }
        None => None,
    };
    let intensities = image.as_ref().map(view::slice::<f32>).transpose()?;
    let is_image = |index: usize| {
        intensities.is_none_or(|values| {
            values.iter().skip(index).step_by(voxels.max(1)).any(|&value| f64::from(value) > threshold)
        })
    };
    let of_class = |class: usize| {
        VoxelSet::new(voxels, |index| {
            let belongs = if one_hot { labels[class * voxels + index] != 0.0 } else { labels[index] == class as f32 };
            belongs && is_image(index)
        })
    };
    Ok((0..count).map(of_class).collect())
}

/// The k-th of `most` numbers evenly spread over `0..n`, rounded as numpy does.
fn spread(k: usize, n: usize, most: usize) -> usize {
    if most < 2 {
        return 0;
    }
    let step = (n as f64 - 1.0) / (most as f64 - 1.0);
    (k as f64 * step).round_ties_even() as usize
}

impl Transform for RandCropByLabelClassesd {
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
        let centres = self.centres(&mut sample, &shape, random)?;
        let mut samples = Vec::with_capacity(args.num_samples);
        for (index, centre) in centres.iter().enumerate() {
            let start: Vec<usize> =
                (0..shape.len()).map(|axis| first_voxel(centre[axis], size[axis], shape[axis])).collect();
            let end: Vec<usize> = start.iter().zip(&size).map(|(start, size)| start + size).collect();
            let mut cropped = sample.shallow_clone();
            for (_, key) in present(&sample, &args.keys, args.allow_missing_keys)? {
                let mut image = crop(image_of(&sample, key)?, &start, &end)?;
                let after = shape.iter().zip(&end).map(|(n, end)| n - end).collect();
                record(&mut image, "RandCropByLabelClassesd", &Operation::Crop { before: start.clone(), after })?;
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
        if self.0.indices_key.is_some() {
            return Ok(());
        }
        for (class, set) in self.choose(sample)?.into_iter().enumerate() {
            let [bits, counts] = prepared_keys(class);
            let lengths = [set.bits.len() as i64, set.counts.len() as i64];
            sample.insert(bits, view::from_vec(set.bits, &lengths[..1]));
            sample.insert(counts, view::from_vec(set.counts, &lengths[1..]));
        }
        Ok(())
    }
}

impl RandCropByLabelClassesd {
    fn choose(&self, sample: &Sample) -> Result<Vec<VoxelSet>> {
        let Self(args) = self;
        let image = match &args.image_key {
            Some(key) => Some(sample.tensor(key)?),
            None => None,
        };
        classes(sample.tensor(&args.label_key)?, args.num_classes, image, args.image_threshold, &args.label_key)
    }

    fn centres(&self, sample: &mut Sample, shape: &[usize], random: &mut Random) -> Result<Vec<Vec<usize>>> {
        let Self(args) = self;
        if let Some(key) = &args.indices_key {
            let listed = sample.tensor(key)?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Int64)?.f_contiguous()?;
            sample.remove(key);
            if listed.dim() != 2 {
                return Err(Error::data(format!(
                    "`{key}` has shape {:?}; (classes, voxels) is expected, as `ClassesToIndicesd` gives it",
                    listed.size()
                )));
            }
            let columns = listed.size()[1] as usize;
            let values = view::slice::<i64>(&listed)?;
            let rows: Vec<&[i64]> = if columns == 0 {
                vec![&[]; listed.size()[0] as usize]
            } else {
                values.chunks_exact(columns).map(|row| &row[..row.partition_point(|&index| index >= 0)]).collect()
            };
            let counts: Vec<usize> = rows.iter().map(|row| row.len()).collect();
            return self.draw(&counts, |class, k| rows[class].get(k).map(|&index| index as usize), shape, random);
        }
        let mut parts = Vec::new();
        while let [Some(bits), Some(counts)] = prepared_keys(parts.len()).map(|key| sample.remove(&key)) {
            parts.push([bits, counts]);
        }
        if !parts.is_empty() {
            let mut sets = Vec::with_capacity(parts.len());
            for [bits, counts] in &parts {
                if let (Some(bits), Some(counts)) = (Value::as_tensor(bits), Value::as_tensor(counts)) {
                    sets.push(VoxelSetRef { bits: view::slice(bits)?, counts: view::slice(counts)? });
                }
            }
            let counts: Vec<usize> = sets.iter().map(|set| set.len()).collect();
            return self.draw(&counts, |class, k| sets[class].nth(k), shape, random);
        }
        let sets = self.choose(sample)?;
        let counts: Vec<usize> = sets.iter().map(VoxelSet::len).collect();
        self.draw(&counts, |class, k| sets[class].nth(k), shape, random)
    }

    /// Draws the centres; `nth(class, k)` is the k-th voxel of a class.
    fn draw(
        &self,
        counts: &[usize],
        nth: impl Fn(usize, usize) -> Option<usize>,
        shape: &[usize],
        random: &mut Random,
    ) -> Result<Vec<Vec<usize>>> {
        let Self(args) = self;
        let mut ratios = args.ratios.clone().unwrap_or_else(|| vec![1.0; counts.len()]);
        if ratios.len() != counts.len() {
            return Err(Error::invalid_argument(format!(
                "`ratios` has {} numbers, but there are {} classes",
                ratios.len(),
                counts.len()
            )));
        }
        for (class, (ratio, &count)) in ratios.iter_mut().zip(counts).enumerate() {
            if count == 0 && *ratio != 0.0 {
                *ratio = 0.0;
                if args.warn {
                    tracing::warn!("class {class} of `{}` has no voxel to crop around", args.label_key);
                }
            }
        }
        let total: f64 = ratios.iter().sum();
        if total <= 0.0 {
            return Err(Error::data(format!("no class of `{}` has a voxel to crop around", args.label_key)));
        }
        let voxels: usize = shape.iter().product();
        (0..args.num_samples)
            .map(|_| {
                let mut rest = random.uniform(0.0, total);
                let mut class = 0;
                for (index, ratio) in ratios.iter().enumerate().filter(|(_, ratio)| **ratio > 0.0) {
                    class = index;
                    rest -= ratio;
                    if rest < 0.0 {
                        break;
                    }
                }
                let n = counts[class];
                let k = match args.max_samples_per_class {
                    Some(most) if most > 0 && most < n => spread(random.integer(0, most as i64) as usize, n, most),
                    _ => random.integer(0, n as i64) as usize,
                };
                let mut rest = nth(class, k)
                    .filter(|&index| index < voxels)
                    .ok_or_else(|| Error::data("the indices of the classes do not belong to an image of this shape"))?;
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

/// The indices of the voxels of each class of a label, in C order.
///
/// An int64 tensor (classes, voxels); classes with fewer voxels than others are filled up with -1, where MONAI has lists of
/// different lengths. MONAI `ClassesToIndicesd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClassesToIndicesdArgs {
    /// Keys of the labels: one channel with the numbers of the classes, or one-hot.
    keys: Keys,
    /// The indices go under the key with this behind it.
    #[serde(default = "postfix")]
    indices_postfix: String,
    /// How many classes a label of one channel has; needed for such a label.
    #[serde(default)]
    num_classes: Option<usize>,
    /// Key of an image whose voxels up to `image_threshold` do not count.
    #[serde(default)]
    image_key: Option<String>,
    /// See `image_key`.
    #[serde(default)]
    image_threshold: f64,
    /// The shape to express the indices in: each becomes one number for each axis, along a third axis of the result.
    #[serde(default)]
    output_shape: Option<Vec<i64>>,
    /// How many voxels of a class are taken, evenly spread over all it has; all if it is `null`.
    #[serde(default)]
    max_samples_per_class: Option<usize>,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

fn postfix() -> String {
    "_cls_indices".to_owned()
}

/// See [`ClassesToIndicesdArgs`].
pub struct ClassesToIndicesd(ClassesToIndicesdArgs);

impl Component for ClassesToIndicesd {
    type Args = ClassesToIndicesdArgs;

    fn new(args: ClassesToIndicesdArgs) -> Result<Self> {
        if args.output_shape.as_ref().is_some_and(|shape| shape.iter().any(|&n| n < 1)) {
            return Err(Error::invalid_argument("the sizes of `output_shape` must be positive"));
        }
        Ok(Self(args))
    }
}

impl Transform for ClassesToIndicesd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let Self(args) = self;
        for (_, key) in present(sample, &args.keys, args.allow_missing_keys)? {
            let image = match &args.image_key {
                Some(image_key) => Some(sample.tensor(image_key)?),
                None => None,
            };
            let sets = classes(sample.tensor(key)?, args.num_classes, image, args.image_threshold, key)?;
            let rows: Vec<Vec<i64>> = sets
                .iter()
                .map(|set| {
                    let n = set.len();
                    let all = (0..set.bits.len() * 8).filter(|i| set.bits[i / 8] >> (i % 8) & 1 == 1).map(|i| i as i64);
                    match args.max_samples_per_class {
                        Some(most) if most > 0 && most < n => {
                            let all: Vec<i64> = all.collect();
                            (0..most).map(|k| all[spread(k, n, most)]).collect()
                        }
                        _ => all.collect(),
                    }
                })
                .collect();
            let longest = rows.iter().map(Vec::len).max().unwrap_or(0);
            let size = [rows.len() as i64, longest as i64];
            let mut flat = Vec::with_capacity(rows.len() * longest);
            for row in &rows {
                flat.extend(row.iter().copied().chain(std::iter::repeat(-1)).take(longest));
            }
            let indices = match &args.output_shape {
                None => view::from_vec(flat, &size),
                Some(shape) => {
                    let places: Vec<i64> = flat.iter().flat_map(|&index| unravel(index, shape)).collect();
                    view::from_vec(places, &[size[0], size[1], shape.len() as i64])
                }
            };
            sample.insert(format!("{key}{}", args.indices_postfix), indices);
        }
        Ok(())
    }
}

/// An index into an array of this shape as one number for each axis.
pub(super) fn unravel(index: i64, shape: &[i64]) -> Vec<i64> {
    if index < 0 {
        return vec![-1; shape.len()];
    }
    let mut rest = index;
    let mut place = vec![0; shape.len()];
    for (place, n) in place.iter_mut().zip(shape).rev() {
        *place = rest % n;
        rest /= n;
    }
    place
}

byoc::register! { transforms: [RandCropByLabelClassesd, ClassesToIndicesd] }

#[cfg(test)]
mod tests {
    use byoc::{Component, Random, Sample, Transform};
    use serde_json::json;
    use tch::{Kind, Tensor};

    use super::{ClassesToIndicesd, RandCropByLabelClassesd};

    fn sample() -> Sample {
        let label = Tensor::zeros([1, 16, 18], (Kind::Float, tch::Device::Cpu));
        let _ = label.narrow(1, 4, 4).narrow(2, 5, 3).fill_(1.0);
        let _ = label.narrow(1, 10, 1).narrow(2, 9, 1).fill_(2.0);
        let mut sample = Sample::new();
        sample.insert("label", label);
        sample
    }

    #[test]
    fn classes_have_their_share_of_centres_by_all_three_ways() {
        let args = json!({"keys": "label", "label_key": "label", "spatial_size": [3, 3], "ratios": [1, 2, 1, 5],
            "num_classes": 4, "num_samples": 800, "warn": false});
        let transform = RandCropByLabelClassesd::new(serde_json::from_value(args.clone()).unwrap()).unwrap();
        let mut prepared = sample();
        transform.prepare(&mut prepared).unwrap();
        let mut listed = sample();
        let lists = json!({"keys": "label", "num_classes": 4});
        let lists = ClassesToIndicesd::new(serde_json::from_value(lists).unwrap()).unwrap();
        lists.apply(&mut listed, &mut Random::from_seed(0)).unwrap();
        let mut args = args;
        args["indices_key"] = json!("label_cls_indices");
        let by_lists = RandCropByLabelClassesd::new(serde_json::from_value(args).unwrap()).unwrap();
        let mut results = Vec::new();
        for (transform, sample) in [(&transform, sample()), (&transform, prepared), (&by_lists, listed)] {
            let crops = transform.apply_many(sample, &mut Random::from_seed(1)).unwrap();
            let middle = |crop: &Sample| crop.tensor("label").unwrap().double_value(&[0, 1, 1]) as usize;
            assert!(crops.iter().all(|crop| crop.keys().collect::<Vec<_>>() == ["label"]));
            results.push(crops.iter().map(middle).collect::<Vec<_>>());
        }
        assert_eq!(results[0], results[1]);
        assert_eq!(results[0], results[2]);
        let count = |class: usize| results[0].iter().filter(|&&found| found == class).count();
        // class 3 has no voxel: 800 draws at 1/4, 2/4 and 1/4; some background centres are moved off the border
        assert!((150..250).contains(&count(0)) && (350..450).contains(&count(1)) && (150..250).contains(&count(2)));
    }
}
