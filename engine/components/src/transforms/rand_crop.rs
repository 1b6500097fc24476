//! Crops at random places: `RandSpatialCropd`, `RandScaleCropd`, `RandSpatialCropSamplesd`, `RandWeightedCropd`.

use byoc::{Component, Error, Keys, OneOrMany, Random, Result, Sample, Transform};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use tch::Tensor;
use torch_ext::view;

use super::common::{default, float_values, image_of, map_images, present, sizes_or, spatial_shape};
use super::crop::{central, crop_recorded};

/// A box of voxels: start and end of each axis.
type Window = (Vec<i64>, Vec<i64>);

/// What is random about a crop.
#[derive(Clone, Copy)]
struct Freedom {
    place: bool,
    size: bool,
}

/// Draws a box in an image of this shape.
fn window(
    shape: &[usize],
    smallest: &[usize],
    largest: &[usize],
    freedom: Freedom,
    random: &mut Random,
) -> Result<Window> {
    let mut size = smallest.to_vec();
    if freedom.size {
        for (size, &largest) in size.iter_mut().zip(largest) {
            if *size > largest {
                return Err(Error::invalid_argument(format!(
                    "the smallest size {size} of the crop is larger than the largest, {largest}"
                )));
            }
            *size = random.integer(*size as i64, largest as i64 + 1) as usize;
        }
    }
    let size: Vec<usize> = size.iter().zip(shape).map(|(&size, &n)| size.min(n)).collect();
    if !freedom.place {
        return Ok(central(shape, &size));
    }
    let place = |(size, &n): (&usize, &usize)| {
        let start = random.integer(0, (n - size) as i64 + 1);
        (start, start + *size as i64)
    };
    Ok(size.iter().zip(shape).map(place).unzip())
}

/// One of several samples: these keys cropped and numbered, the others shared.
fn cropped_copy(
    sample: &Sample,
    keys: &Keys,
    allow_missing: bool,
    (start, end): &Window,
    index: usize,
    transform: &str,
) -> Result<Sample> {
    let mut copy = sample.shallow_clone();
    for (_, key) in present(sample, keys, allow_missing)? {
        let image = crop_recorded(image_of(sample, key)?, start, end, transform);
        let mut image = image.map_err(|error| error.context(format!("in `{key}`")))?;
        image.meta.insert("patch_index".to_owned(), json!(index));
        copy.insert(key, image);
    }
    Ok(copy)
}

/// What a transform that makes several samples does where one is wanted.
fn only_one(sample: &mut Sample, count: usize, many: impl FnOnce(Sample) -> Result<Vec<Sample>>) -> Result<()> {
    if count != 1 {
        return Err(Error::msg(format!("it makes {count} samples of one and cannot be applied in place")));
    }
    let mut samples = many(std::mem::take(sample))?;
    *sample = samples.pop().unwrap_or_default();
    Ok(())
}

/// Crops images at a random place.
///
/// All keys alike. MONAI `RandSpatialCropd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandSpatialCropdArgs {
    /// Keys of the images.
    keys: Keys,
    /// Size of the crop, with `random_size` the smallest; for each axis or for all; 0 or -1 is the image's own.
    roi_size: OneOrMany<i64>,
    /// The largest size with `random_size`; the image's own if it is `null`.
    #[serde(default)]
    max_roi_size: Option<OneOrMany<i64>>,
    /// Whether the place is random; else it is the middle.
    #[serde(default = "default::yes")]
    random_center: bool,
    /// Whether the size is random.
    #[serde(default)]
    random_size: bool,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`RandSpatialCropdArgs`].
pub struct RandSpatialCropd(RandSpatialCropdArgs);

impl Component for RandSpatialCropd {
    type Args = RandSpatialCropdArgs;

    fn new(args: RandSpatialCropdArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

impl Transform for RandSpatialCropd {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        let Self(args) = self;
        let Some((_, first)) = present(sample, &args.keys, args.allow_missing_keys)?.first().copied() else {
            return Ok(());
        };
        let shape = spatial_shape(sample.tensor(first)?)?;
        let smallest = sizes_or(&args.roi_size, &shape, "roi_size")?;
        let largest = match &args.max_roi_size {
            Some(largest) => sizes_or(largest, &shape, "max_roi_size")?,
            None => shape.clone(),
        };
        let freedom = Freedom { place: args.random_center, size: args.random_size };
        let (start, end) = window(&shape, &smallest, &largest, freedom, random)?;
        map_images(sample, &args.keys, args.allow_missing_keys, |_, image| {
            crop_recorded(image, &start, &end, "RandSpatialCropd")
        })
    }

    fn is_random(&self) -> bool {
        true
    }
}

/// Crops images to a fraction of their size, rounded up, at a random place.
///
/// All keys alike. MONAI `RandScaleCropd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandScaleCropdArgs {
    /// Keys of the images.
    keys: Keys,
    /// The fraction, with `random_size` the smallest; for each axis or for all.
    roi_scale: OneOrMany<f64>,
    /// The largest fraction with `random_size`; 1 if it is `null`.
    #[serde(default)]
    max_roi_scale: Option<OneOrMany<f64>>,
    /// Whether the place is random; else it is the middle.
    #[serde(default = "default::yes")]
    random_center: bool,
    /// Whether the size is random.
    #[serde(default)]
    random_size: bool,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`RandScaleCropdArgs`].
pub struct RandScaleCropd(RandScaleCropdArgs);

impl Component for RandScaleCropd {
    type Args = RandScaleCropdArgs;

    fn new(args: RandScaleCropdArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

impl Transform for RandScaleCropd {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        let Self(args) = self;
        let Some((_, first)) = present(sample, &args.keys, args.allow_missing_keys)?.first().copied() else {
            return Ok(());
        };
        let shape = spatial_shape(sample.tensor(first)?)?;
        let scaled = |scales: &OneOrMany<f64>, name: &str| -> Result<Vec<usize>> {
            let scales = scales.repeat(shape.len(), name)?;
            // a size that is not positive falls back to the image's own
            let size = |(scale, &n): (&f64, &usize)| match (scale * n as f64).ceil() {
                size if size > 0.0 => size as usize,
                _ => n,
            };
            Ok(scales.iter().zip(&shape).map(size).collect())
        };
        let smallest = scaled(&args.roi_scale, "roi_scale")?;
        let largest = match &args.max_roi_scale {
            Some(largest) => scaled(largest, "max_roi_scale")?,
            None => shape.clone(),
        };
        let freedom = Freedom { place: args.random_center, size: args.random_size };
        let (start, end) = window(&shape, &smallest, &largest, freedom, random)?;
        map_images(sample, &args.keys, args.allow_missing_keys, |_, image| {
            crop_recorded(image, &start, &end, "RandScaleCropd")
        })
    }

    fn is_random(&self) -> bool {
        true
    }
}

/// Crops images at several random places, each of which becomes a sample of its own.
///
/// All keys alike. MONAI `RandSpatialCropSamplesd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandSpatialCropSamplesdArgs {
    /// Keys of the images.
    keys: Keys,
    /// Size of the crops, with `random_size` the smallest; for each axis or for all; 0 or -1 is the image's own.
    roi_size: OneOrMany<i64>,
    /// How many crops.
    #[schemars(range(min = 1))]
    num_samples: usize,
    /// The largest size with `random_size`; the image's own if it is `null`.
    #[serde(default)]
    max_roi_size: Option<OneOrMany<i64>>,
    /// Whether the places are random; else they are the middle.
    #[serde(default = "default::yes")]
    random_center: bool,
    /// Whether the sizes are random; batches need crops of one size.
    #[serde(default)]
    random_size: bool,
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

/// See [`RandSpatialCropSamplesdArgs`].
pub struct RandSpatialCropSamplesd(RandSpatialCropSamplesdArgs);

impl Component for RandSpatialCropSamplesd {
    type Args = RandSpatialCropSamplesdArgs;

    fn new(args: RandSpatialCropSamplesdArgs) -> Result<Self> {
        if args.num_samples == 0 {
            return Err(Error::invalid_argument("`num_samples` is 0; at least one crop is needed"));
        }
        Ok(Self(args))
    }
}

impl Transform for RandSpatialCropSamplesd {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        only_one(sample, self.0.num_samples, |sample| self.apply_many(sample, random))
    }

    fn apply_many(&self, sample: Sample, random: &mut Random) -> Result<Vec<Sample>> {
        let Self(args) = self;
        let Some((_, first)) = present(&sample, &args.keys, args.allow_missing_keys)?.first().copied() else {
            return Ok((0..args.num_samples).map(|_| sample.shallow_clone()).collect());
        };
        let shape = spatial_shape(sample.tensor(first)?)?;
        let smallest = sizes_or(&args.roi_size, &shape, "roi_size")?;
        let largest = match &args.max_roi_size {
            Some(largest) => sizes_or(largest, &shape, "max_roi_size")?,
            None => shape.clone(),
        };
        let freedom = Freedom { place: args.random_center, size: args.random_size };
        (0..args.num_samples)
            .map(|index| {
                let window = window(&shape, &smallest, &largest, freedom, random)?;
                let name = "RandSpatialCropSamplesd";
                cropped_copy(&sample, &args.keys, args.allow_missing_keys, &window, index, name)
            })
            .collect()
    }

    fn is_random(&self) -> bool {
        true
    }
}

/// Crops images at several places, each of which becomes a sample; their centres are drawn with the weights of a map.
///
/// Centres for which the crop would not fit are not drawn, whatever their weights; if no other has a weight, all of them
/// are equally likely. Negative weights raise all by the lowest. MONAI `RandWeightedCropd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandWeightedCropdArgs {
    /// Keys of the images.
    keys: Keys,
    /// Key of the map of weights; its first channel counts.
    w_key: String,
    /// Size of the crops, for each axis or for all; 0 or -1 is the image's own.
    spatial_size: OneOrMany<i64>,
    /// How many crops.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    num_samples: usize,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
    /// For compatibility: metadata travel with the image.
    #[serde(default, rename = "meta_keys")]
    _meta_keys: Option<Keys>,
    /// For compatibility: metadata travel with the image.
    #[serde(default, rename = "meta_key_postfix")]
    _meta_key_postfix: Option<OneOrMany<String>>,
    /// For compatibility: the centre is not kept.
    #[serde(default, rename = "center_coord_key")]
    _center_coord_key: Option<String>,
}

fn one() -> usize {
    1
}

/// See [`RandWeightedCropdArgs`].
pub struct RandWeightedCropd(RandWeightedCropdArgs);

impl Component for RandWeightedCropd {
    type Args = RandWeightedCropdArgs;

    fn new(args: RandWeightedCropdArgs) -> Result<Self> {
        if args.num_samples == 0 {
            return Err(Error::invalid_argument("`num_samples` is 0; at least one crop is needed"));
        }
        Ok(Self(args))
    }
}

/// Draws centres from the part of a map in which a window of this size fits.
fn weighted_centres(map: &Tensor, size: &[usize], n: usize, random: &mut Random) -> Result<Vec<Vec<usize>>> {
    let shape: Vec<usize> = map.size().iter().map(|&n| n as usize).collect();
    let mut inner = map.shallow_clone();
    let mut first = Vec::with_capacity(shape.len());
    for (axis, (&size, &n)) in size.iter().zip(&shape).enumerate() {
        let (start, length) = if n > size { (size / 2, n - size) } else { (n / 2, 1) };
        inner = inner.f_narrow(axis as i64, start as i64, length as i64)?;
        first.push(size.min(n) / 2);
    }
    let inside: Vec<usize> = inner.size().iter().map(|&n| n as usize).collect();
    let values = float_values(&inner)?;
    let values = view::slice::<f32>(&values)?;
    let lowest = values.iter().copied().fold(0.0f32, f32::min);
    let weight = |value: f32| f64::from(value - lowest);
    let total: f64 = values.iter().map(|&value| weight(value)).sum();
    let mut chosen = vec![0; n];
    if total > 0.0 && total.is_finite() {
        // in order of the thresholds one pass over the map finds them all
        let mut thresholds: Vec<(f64, usize)> = (0..n).map(|draw| (random.uniform(0.0, total), draw)).collect();
        thresholds.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut sum = 0.0;
        let mut open = thresholds.iter().peekable();
        for (index, &value) in values.iter().enumerate() {
            sum += weight(value);
            while let Some((_, draw)) = open.next_if(|(threshold, _)| *threshold < sum) {
                chosen[*draw] = index;
            }
        }
    } else {
        for index in &mut chosen {
            *index = random.integer(0, values.len() as i64) as usize;
        }
    }
    Ok(chosen
        .into_iter()
        .map(|mut index| {
            let mut centre = vec![0; inside.len()];
            for axis in (0..inside.len()).rev() {
                centre[axis] = index % inside[axis] + first[axis];
                index /= inside[axis];
            }
            centre
        })
        .collect())
}

impl Transform for RandWeightedCropd {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        only_one(sample, self.0.num_samples, |sample| self.apply_many(sample, random))
    }

    fn apply_many(&self, sample: Sample, random: &mut Random) -> Result<Vec<Sample>> {
        let Self(args) = self;
        let weights = sample.tensor(&args.w_key)?;
        let shape = spatial_shape(weights)?;
        let size = sizes_or(&args.spatial_size, &shape, "spatial_size")?;
        let centres = weighted_centres(&weights.f_select(0, 0)?, &size, args.num_samples, random)?;
        centres
            .iter()
            .enumerate()
            .map(|(index, centre)| {
                let start = centre.iter().zip(&size).map(|(&centre, &size)| centre.saturating_sub(size / 2) as i64);
                let start: Vec<i64> = start.collect();
                let end = start.iter().zip(&size).map(|(start, &size)| start + size as i64).collect();
                cropped_copy(&sample, &args.keys, args.allow_missing_keys, &(start, end), index, "RandWeightedCropd")
            })
            .collect()
    }

    fn is_random(&self) -> bool {
        true
    }
}

byoc::register! { transforms: [RandSpatialCropd, RandScaleCropd, RandSpatialCropSamplesd, RandWeightedCropd] }

#[cfg(test)]
mod tests {
    use byoc::{Component, Random, Sample, Transform};
    use serde_json::{Value, json};
    use tch::{Kind, Tensor};

    use super::{RandSpatialCropSamplesd, RandWeightedCropd};

    /// An image of its own indices.
    fn sample() -> Sample {
        let mut sample = Sample::new();
        sample.insert("image", Tensor::arange(12 * 10, (Kind::Float, tch::Device::Cpu)).view([1, 12, 10]));
        sample
    }

    fn starts(samples: &[Sample]) -> Vec<(i64, i64)> {
        let first = |sample: &Sample| sample.tensor("image").unwrap().double_value(&[0, 0, 0]) as i64;
        samples.iter().map(|sample| (first(sample) / 10, first(sample) % 10)).collect()
    }

    #[test]
    fn samples_are_spread_over_the_image() {
        let args = json!({"keys": "image", "roi_size": [4, 3], "num_samples": 500});
        let transform = RandSpatialCropSamplesd::new(serde_json::from_value(args).unwrap()).unwrap();
        let crops = transform.apply_many(sample(), &mut Random::from_seed(2)).unwrap();
        assert!(crops.iter().all(|crop| crop.tensor("image").unwrap().size() == [1, 4, 3]));
        assert_eq!(crops[7].image("image").unwrap().meta["patch_index"], 7);
        let starts = starts(&crops);
        for row in 0..=8 {
            let n = starts.iter().filter(|start| start.0 == row).count();
            // 500 / 9 with a standard deviation of 7
            assert!((25..90).contains(&n), "{row}: {n}");
        }
        assert!(starts.iter().any(|start| start.1 == 7) && starts.iter().all(|start| start.1 <= 7));
    }

    fn weighted(args: Value, weights: &[(i64, i64, f32)]) -> Vec<(i64, i64)> {
        let transform = RandWeightedCropd::new(serde_json::from_value(args).unwrap()).unwrap();
        let mut sample = sample();
        let map = Tensor::zeros([1, 12, 10], (Kind::Float, tch::Device::Cpu));
        for &(row, column, weight) in weights {
            let _ = map.narrow(1, row, 1).narrow(2, column, 1).fill_(f64::from(weight));
        }
        sample.insert("weights", map);
        starts(&transform.apply_many(sample, &mut Random::from_seed(5)).unwrap())
    }

    #[test]
    fn centres_follow_the_weights_where_a_crop_fits() {
        let args = json!({"keys": "image", "w_key": "weights", "spatial_size": [4, 3], "num_samples": 800});
        // the corner cannot be a centre
        let starts = weighted(args.clone(), &[(5, 5, 3.0), (7, 2, 1.0), (0, 0, 1e6)]);
        let near = starts.iter().filter(|&&start| start == (3, 4)).count();
        assert_eq!(near + starts.iter().filter(|&&start| start == (5, 1)).count(), 800);
        // 800 draws at 3/4: 600 with a standard deviation of 12
        assert!((550..650).contains(&near), "{near}");
        // nothing left: all alike
        let starts = weighted(args, &[(0, 0, 1.0)]);
        assert!(starts.iter().collect::<std::collections::BTreeSet<_>>().len() > 40);
    }
}
