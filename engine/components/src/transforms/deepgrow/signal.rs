//! `AddGuidanceSignald`: clicks become channels of the image.

use byoc::{Component, Error, Random, Result, Sample, Transform};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Device, Kind, Tensor};
use torch_ext::view;

use super::guidance::{Guidance, items};
use crate::transforms::gaussian::{Approximation, TRUNCATED, weights};

/// Adds a channel for each list of clicks: a Gaussian around each of them, scaled to 0 … 1.
///
/// Of an image (C, H, W) the last two coordinates of a click count, of one (C, D, H, W) the last three; a click beyond the
/// border is moved onto it, one with a negative coordinate stands for none. MONAI
/// `monai.apps.deepgrow.transforms.AddGuidanceSignald`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddGuidanceSignaldArgs {
    /// Key of the image.
    #[serde(default = "image")]
    image: String,
    /// Key of the guidance.
    #[serde(default = "guidance")]
    guidance: String,
    /// Standard deviation of the Gaussian in voxels.
    #[serde(default = "two")]
    sigma: f64,
    /// How many channels of the image are kept; signals of an earlier round behind them are replaced.
    #[serde(default = "one")]
    number_intensity_ch: i64,
    /// Whether it works on each item of a batch (B, C, …).
    #[serde(default)]
    batched: bool,
}

fn image() -> String {
    "image".to_owned()
}

fn guidance() -> String {
    "guidance".to_owned()
}

fn two() -> f64 {
    2.0
}

fn one() -> i64 {
    1
}

/// See [`AddGuidanceSignaldArgs`].
pub struct AddGuidanceSignald {
    args: AddGuidanceSignaldArgs,
    weights: Vec<f32>,
}

impl Component for AddGuidanceSignald {
    type Args = AddGuidanceSignaldArgs;

    fn new(args: AddGuidanceSignaldArgs) -> Result<Self> {
        if args.sigma < 0.0 || args.number_intensity_ch < 0 {
            return Err(Error::invalid_argument("`sigma` and `number_intensity_ch` must not be negative"));
        }
        let weights = Vec::try_from(weights(args.sigma, Approximation::Erf, TRUNCATED)?)?;
        Ok(Self { args, weights })
    }
}

byoc::register! { transforms: [AddGuidanceSignald] }

impl Transform for AddGuidanceSignald {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let Self { args, .. } = self;
        let image = sample.tensor(&args.image)?;
        let clicks = sample.get(&args.guidance)?;
        let with_signal = if args.batched {
            let (images, guidance) = (image.f_unbind(0)?, items(clicks, &args.guidance)?);
            if images.len() != guidance.len() {
                return Err(Error::data(format!(
                    "`{}` has {} items, but `{}` {}",
                    args.image,
                    images.len(),
                    args.guidance,
                    guidance.len()
                )));
            }
            let of_items = images
                .iter()
                .zip(&guidance)
                .map(|(image, clicks)| self.add(image, &Guidance::of(clicks, &args.guidance)?))
                .collect::<Result<Vec<_>>>()?;
            Tensor::f_stack(&of_items, 0)?
        } else {
            self.add(image, &Guidance::of(clicks, &args.guidance)?)?
        };
        sample.set_tensor(&args.image, with_signal)
    }
}

impl AddGuidanceSignald {
    fn add(&self, image: &Tensor, guidance: &Guidance) -> Result<Tensor> {
        let size = image.size();
        if !(3..=4).contains(&size.len()) {
            return Err(Error::data(format!(
                "`{}` has shape {size:?}; (C, H, W) or (C, D, H, W) is expected",
                self.args.image
            )));
        }
        let kept = image.f_narrow(0, 0, self.args.number_intensity_ch.min(size[0]))?;
        let mut parts = vec![if kept.is_floating_point() { kept } else { kept.f_to_kind(Kind::Float)? }];
        for points in &guidance.clicks {
            let signal = self.signal(points, &size[1..])?;
            parts.push(signal.f_to_device(image.device())?.f_to_kind(parts[0].kind())?);
        }
        Ok(Tensor::f_cat(&parts, 0)?)
    }

    /// The channel of some clicks, (1, spatial…). A Gaussian filter over a volume of a few ones is the sum of its outer
    /// products around them, at a thousandth of the work.
    fn signal(&self, points: &[Vec<i64>], size: &[i64]) -> Result<Tensor> {
        let rank = size.len();
        let mut places = points
            .iter()
            .filter(|point| point.iter().all(|&coordinate| coordinate >= 0))
            .map(|point| {
                let spatial = point.len().checked_sub(rank).map(|skipped| &point[skipped..]);
                let spatial = spatial.ok_or_else(|| {
                    Error::data(format!("the click {point:?} has too few coordinates for an image of {size:?}"))
                })?;
                Ok(spatial.iter().zip(size).map(|(&at, &n)| at.min(n - 1)).collect())
            })
            .collect::<Result<Vec<Vec<i64>>>>()?;
        places.sort_unstable();
        places.dedup();
        let shape: Vec<i64> = std::iter::once(1).chain(size.iter().copied()).collect();
        if places.is_empty() {
            return Ok(Tensor::f_zeros(&shape, (Kind::Float, Device::Cpu))?);
        }
        let cube: [i64; 3] = std::array::from_fn(|axis| (axis + rank).checked_sub(3).map_or(1, |axis| size[axis]));
        Ok(view::build::<f32>(&shape, |out| {
            out.fill(0.0);
            for place in &places {
                let centre = std::array::from_fn(|axis| (axis + rank).checked_sub(3).map_or(0, |axis| place[axis]));
                self.add_gaussian(centre, cube, rank, out);
            }
            let (low, high) =
                out.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)));
            // an image that one Gaussian fills evenly has no range: NaN, as in MONAI
            for value in out.iter_mut() {
                *value = (*value - low) / (high - low);
            }
        }))
    }

    fn add_gaussian(&self, centre: [i64; 3], cube: [i64; 3], rank: usize, out: &mut [f32]) {
        let tail = self.weights.len() as i64 / 2;
        // an axis that the image lacks has the one voxel and the weight 1
        let along = |axis: usize| {
            let present = axis + rank >= 3;
            let reach = if present { tail } else { 0 };
            let range = (centre[axis] - reach).max(0)..(centre[axis] + reach + 1).min(cube[axis]);
            range.map(move |at| {
                let weight = if present { self.weights[(at - centre[axis] + tail) as usize] } else { 1.0 };
                (at as usize, weight)
            })
        };
        let [_, rows, columns] = cube.map(|n| n as usize);
        for (x, weight_x) in along(0) {
            for (y, weight_y) in along(1) {
                for (z, weight_z) in along(2) {
                    out[(x * rows + y) * columns + z] += weight_x * weight_y * weight_z;
                }
            }
        }
    }
}
