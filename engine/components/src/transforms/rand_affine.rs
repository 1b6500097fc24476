//! Images rotated, sheared, shifted and scaled at random: `RandRotated`, `RandAffined`.

use byoc::{Affine, Component, Error, Keys, OneOrMany, Random, Result, Sample, Transform};
use mmar_imaging::affine::multiply;
use schemars::JsonSchema;
use serde::Deserialize;

use super::affine::{centre, composed, rotate, samplings};
use super::common::{
    Dtype, GridMode, GridPadding, default, map_images, present, probability, range, sizes_or, spatial_shape,
};
use super::geometry::{Operation, Sampling, record, warp};

/// Ranges to draw from, one for each parameter: x for -x … x, or its two ends; `null` leaves the parameter out.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub(super) enum Ranges {
    /// None.
    #[default]
    Nothing,
    /// For the first parameter only.
    One(f64),
    /// For each of them.
    Many(Vec<Option<OneOrMany<f64>>>),
}

impl Ranges {
    pub(super) fn check(&self, argument: &str) -> Result<()> {
        let Self::Many(ranges) = self else { return Ok(()) };
        let odd = ranges.iter().flatten().any(|range| matches!(range, OneOrMany::Many(ends) if ends.len() != 2));
        if odd {
            return Err(Error::invalid_argument(format!(
                "`{argument}` has a range without two ends; [low, high] is one, or x for [-x, x]"
            )));
        }
        Ok(())
    }

    /// One number for each range, and `offset` added.
    fn draw(&self, offset: f64, random: &mut Random) -> Vec<f64> {
        let mut between = |low: f64, high: f64| random.uniform(low, high) + offset;
        match self {
            Self::Nothing => Vec::new(),
            Self::One(end) => vec![between(-end, *end)],
            Self::Many(ranges) => ranges
                .iter()
                .flatten()
                .map(|range| match range {
                    OneOrMany::One(end) => between(-end, *end),
                    OneOrMany::Many(ends) => between(ends[0], ends[1]),
                })
                .collect(),
        }
    }
}

/// The four kinds of ranges of a random affine transformation.
#[derive(Debug, Clone)]
pub(super) struct RandomAffine {
    pub(super) rotate: Ranges,
    pub(super) shear: Ranges,
    pub(super) translate: Ranges,
    pub(super) scale: Ranges,
}

impl RandomAffine {
    pub(super) fn check(&self) -> Result<()> {
        self.rotate.check("rotate_range")?;
        self.shear.check("shear_range")?;
        self.translate.check("translate_range")?;
        self.scale.check("scale_range")
    }

    /// A matrix about the middle of an image.
    pub(super) fn draw(&self, rank: usize, random: &mut Random) -> Affine {
        let rotate = self.rotate.draw(0.0, random);
        let shear = self.shear.draw(0.0, random);
        let translate = self.translate.draw(0.0, random);
        let scale = self.scale.draw(1.0, random);
        composed(rank, &rotate, &shear, &translate, &scale)
    }
}

/// Rotates images about their middle by random angles.
///
/// All keys alike. MONAI `RandRotated`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandRotatedArgs {
    /// Keys of the images.
    keys: Keys,
    /// The range of the angle in radians about the first axis, or in the plane of a 2-D image; x stands for -x … x.
    #[serde(default)]
    range_x: OneOrMany<f64>,
    /// About the second axis.
    #[serde(default)]
    range_y: OneOrMany<f64>,
    /// About the third axis.
    #[serde(default)]
    range_z: OneOrMany<f64>,
    /// Probability that it does anything.
    #[serde(default = "default::tenth")]
    #[schemars(range(min = 0.0, max = 1.0))]
    prob: f64,
    /// Whether the image keeps its size; else all of it is kept.
    #[serde(default = "default::yes")]
    keep_size: bool,
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

/// See [`RandRotatedArgs`].
pub struct RandRotated {
    args: RandRotatedArgs,
    ranges: [(f64, f64); 3],
    samplings: Vec<Sampling>,
}

impl Component for RandRotated {
    type Args = RandRotatedArgs;

    fn new(args: RandRotatedArgs) -> Result<Self> {
        probability(args.prob)?;
        // MONAI takes a list of one number as that number
        let ends = |name: &str, values: &OneOrMany<f64>| match values {
            OneOrMany::Many(values) if values.len() == 1 => range(name, &OneOrMany::One(values[0])),
            OneOrMany::Many(values) if values.len() == 2 => Ok((values[0], values[1])),
            values => range(name, values),
        };
        let ranges =
            [ends("range_x", &args.range_x)?, ends("range_y", &args.range_y)?, ends("range_z", &args.range_z)?];
        let samplings = samplings(&args.keys, &args.mode, &args.padding_mode, &args.align_corners)?;
        Ok(Self { args, ranges, samplings })
    }
}

impl Transform for RandRotated {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        let Self { args, ranges, samplings } = self;
        if !random.chance(args.prob) {
            return Ok(());
        }
        let angles = ranges.map(|(low, high)| random.uniform(low, high));
        map_images(sample, &args.keys, args.allow_missing_keys, |position, image| {
            let rank = spatial_shape(&image.tensor)?.len();
            let angles = if rank == 2 { &angles[..1] } else { &angles[..] };
            rotate(image, angles, args.keep_size, samplings[position], "RandRotated")
        })
    }

    fn is_random(&self) -> bool {
        true
    }
}

/// Rotates, shears, shifts and scales images about their middle at random.
///
/// See `Affined`; all keys alike. A range is x for -x … x or [low, high]; a scale is 1 + what is drawn. Without a
/// transformation, images of another size than `spatial_size` are cut or filled up around their middle. MONAI
/// `RandAffined`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandAffinedArgs {
    /// Keys of the images.
    keys: Keys,
    /// Size of the result, for each axis or for all; 0 or -1, or `null`, is the image's own.
    #[serde(default)]
    spatial_size: Option<OneOrMany<i64>>,
    /// Probability of a transformation.
    #[serde(default = "default::tenth")]
    #[schemars(range(min = 0.0, max = 1.0))]
    prob: f64,
    /// Ranges of the angles in radians: one for 2-D, up to three for 3-D images.
    #[serde(default)]
    rotate_range: Ranges,
    /// Ranges of the shears: up to two for 2-D, up to six for 3-D images.
    #[serde(default)]
    shear_range: Ranges,
    /// Ranges of the shift in voxels for each axis.
    #[serde(default)]
    translate_range: Ranges,
    /// Ranges of the scale minus 1 for each axis.
    #[serde(default)]
    scale_range: Ranges,
    /// Between voxels, for each key or for all.
    #[serde(default = "default::bilinear")]
    mode: OneOrMany<GridMode>,
    /// Outside, for each key or for all.
    #[serde(default = "default::reflection")]
    padding_mode: OneOrMany<GridPadding>,
    /// For compatibility: there is no grid to cache.
    #[serde(default, rename = "cache_grid")]
    _cache_grid: bool,
    /// For compatibility: it is computed on the CPU.
    #[serde(default, rename = "device")]
    _device: Option<String>,
    /// For compatibility with MONAI 0.8.
    #[serde(default, rename = "as_tensor_output")]
    _as_tensor_output: bool,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`RandAffinedArgs`].
pub struct RandAffined {
    args: RandAffinedArgs,
    ranges: RandomAffine,
    samplings: Vec<Sampling>,
}

impl Component for RandAffined {
    type Args = RandAffinedArgs;

    fn new(args: RandAffinedArgs) -> Result<Self> {
        probability(args.prob)?;
        let ranges = RandomAffine {
            rotate: args.rotate_range.clone(),
            shear: args.shear_range.clone(),
            translate: args.translate_range.clone(),
            scale: args.scale_range.clone(),
        };
        ranges.check()?;
        let samplings = samplings(&args.keys, &args.mode, &args.padding_mode, &OneOrMany::One(false))?;
        Ok(Self { args, ranges, samplings })
    }
}

impl Transform for RandAffined {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        let Self { args, ranges, samplings } = self;
        let Some((_, first)) = present(sample, &args.keys, args.allow_missing_keys)?.first().copied() else {
            return Ok(());
        };
        let rank = spatial_shape(sample.tensor(first)?)?.len();
        let drawn = random.chance(args.prob).then(|| ranges.draw(rank, random));
        map_images(sample, &args.keys, args.allow_missing_keys, |position, image| {
            let shape = spatial_shape(&image.tensor)?;
            let target = match &args.spatial_size {
                Some(size) => sizes_or(size, &shape, "spatial_size")?,
                None => shape.clone(),
            };
            if drawn.is_none() && target == shape {
                return Ok(image);
            }
            if shape.len() != rank {
                return Err(Error::data(format!(
                    "it has {} spatial axes, but `{first}` has {rank}: both are transformed alike",
                    shape.len()
                )));
            }
            let about = drawn.unwrap_or(mmar_imaging::affine::IDENTITY);
            let matrix = multiply(&multiply(&centre(&shape, 1.0), &about), &centre(&target, -1.0));
            let sampling = samplings[position];
            let mut image = warp(image, &matrix, &target, sampling)?;
            record(&mut image, "RandAffined", &Operation::Warp { matrix, shape, sampling })?;
            Ok(image)
        })
    }

    fn is_random(&self) -> bool {
        true
    }
}

byoc::register! { transforms: [RandRotated, RandAffined] }

#[cfg(test)]
mod tests {
    use byoc::{Component, Random, Sample, Transform};
    use serde_json::json;
    use tch::{Kind, Tensor};

    use super::{RandAffined, RandRotated};
    use crate::transforms::invert::Invertd;

    fn sample() -> Sample {
        let field = Tensor::arange(20 * 20, (Kind::Float, tch::Device::Cpu)).view([1, 20, 20]);
        let mut sample = Sample::new();
        sample.insert("image", byoc::Image::new(field));
        sample
    }

    #[test]
    fn parameters_are_drawn_from_their_ranges() {
        let args = json!({"keys": "image", "prob": 0.5, "rotate_range": 0.0, "translate_range": [[2, 5], 1]});
        let transform = RandAffined::new(serde_json::from_value(args).unwrap()).unwrap();
        let mut random = Random::from_seed(3);
        let mut shifts = Vec::new();
        for _ in 0..400 {
            let mut sample = sample();
            transform.apply(&mut sample, &mut random).unwrap();
            let affine = sample.image("image").unwrap().affine;
            if affine != byoc::IDENTITY_AFFINE {
                shifts.push((affine[0][3], affine[1][3]));
            }
        }
        // 400 at one half: a standard deviation of 10
        assert!((160..240).contains(&shifts.len()), "{}", shifts.len());
        assert!(shifts.iter().all(|(x, y)| (2.0..5.0).contains(x) && (-1.0..1.0).contains(y)));
        assert!(shifts.iter().any(|(x, y)| *x > 4.5 && *y != 0.0) && shifts.iter().any(|(x, _)| *x < 2.5));
        assert!(shifts.iter().any(|(_, y)| *y < -0.5) && shifts.iter().any(|(_, y)| *y > 0.5));
    }

    #[test]
    fn a_random_rotation_can_be_undone() {
        let args = json!({"keys": "image", "prob": 1.0, "range_x": [0.3, 0.5]});
        let transform = RandRotated::new(serde_json::from_value(args).unwrap()).unwrap();
        let mut sample = sample();
        transform.apply(&mut sample, &mut Random::from_seed(8)).unwrap();
        let affine = sample.image("image").unwrap().affine;
        let angle = affine[1][0].atan2(affine[0][0]);
        assert!((0.3..0.5).contains(&angle), "{angle}");
        let args = json!({"keys": "image", "transform": null, "nearest_interp": false});
        let invert = Invertd::new(serde_json::from_value(args).unwrap()).unwrap();
        invert.apply(&mut sample, &mut Random::from_seed(0)).unwrap();
        let image = sample.image("image").unwrap();
        for row in image.affine.iter().zip(byoc::IDENTITY_AFFINE) {
            assert!(row.0.iter().zip(row.1).all(|(a, b)| (a - b).abs() < 1e-9), "{:?}", image.affine);
        }
        // a linear field survives both interpolations where nothing came from outside
        let middle = |tensor: &Tensor| tensor.narrow(1, 6, 8).narrow(2, 6, 8);
        let original = Tensor::arange(20 * 20, (Kind::Float, tch::Device::Cpu)).view([1, 20, 20]);
        assert!((middle(&image.tensor) - middle(&original)).abs().max().double_value(&[]) < 1e-3);
    }
}
