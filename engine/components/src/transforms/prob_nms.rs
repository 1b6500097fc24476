//! `ProbNMSd`: the peaks of a probability map.

use byoc::{Component, Error, Keys, OneOrMany, Random, Result, Sample, Transform};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tch::Tensor;
use torch_ext::view;

use super::common::{float_values, present};
use super::gaussian::{Approximation, smooth};

/// Finds the peaks of a probability map: non-maximum suppression.
///
/// The highest voxel above the threshold is a peak, and the box around it is cleared, again and again. The map has no
/// channel axis; it becomes a list of peaks, each of which is [probability, index along each axis], the highest first. MONAI
/// `ProbNMSd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProbNMSdArgs {
    /// Keys of the maps.
    keys: Keys,
    /// Axes of the maps.
    #[serde(default = "two")]
    spatial_dims: usize,
    /// Standard deviation of the Gaussian that smooths the map first; 0: none.
    #[serde(default)]
    sigma: OneOrMany<f64>,
    /// Peaks must be above it.
    #[serde(default = "half")]
    #[schemars(range(min = 0.0))]
    prob_threshold: f64,
    /// Size of the box that is cleared, for each axis or for all.
    #[serde(default = "forty_eight")]
    box_size: OneOrMany<usize>,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

fn two() -> usize {
    2
}

fn half() -> f64 {
    0.5
}

fn forty_eight() -> OneOrMany<usize> {
    OneOrMany::One(48)
}

/// See [`ProbNMSdArgs`].
pub struct ProbNMSd {
    args: ProbNMSdArgs,
    sigma: Vec<f64>,
    size: Vec<usize>,
}

impl Component for ProbNMSd {
    type Args = ProbNMSdArgs;

    fn new(args: ProbNMSdArgs) -> Result<Self> {
        if !(1..=3).contains(&args.spatial_dims) {
            return Err(Error::invalid_argument(format!(
                "`spatial_dims` is {}; 1 to 3 are possible",
                args.spatial_dims
            )));
        }
        if args.prob_threshold < 0.0 {
            return Err(Error::invalid_argument("`prob_threshold` must not be negative"));
        }
        let sigma = args.sigma.repeat(args.spatial_dims, "sigma")?;
        let size = args.box_size.repeat(args.spatial_dims, "box_size")?;
        if size.contains(&0) {
            return Err(Error::invalid_argument("`box_size` must be above 0"));
        }
        Ok(Self { args, sigma, size })
    }
}

byoc::register! { transforms: [ProbNMSd] }

impl ProbNMSd {
    fn peaks(&self, map: &Tensor) -> Result<Vec<Json>> {
        let shape: Vec<usize> = map.size().iter().map(|&n| n as usize).collect();
        if shape.len() != self.args.spatial_dims {
            return Err(Error::data(format!(
                "it has shape {shape:?}; {} axes without a channel axis are expected",
                self.args.spatial_dims
            )));
        }
        let map = if self.sigma.iter().any(|&sigma| sigma != 0.0) {
            smooth(&map.f_unsqueeze(0)?, &self.sigma, Approximation::Erf)?.f_squeeze_dim(0)?
        } else {
            map.shallow_clone()
        };
        let mut values = view::slice::<f32>(&float_values(&map)?)?.to_vec();
        let mut peaks = Vec::new();
        loop {
            // of equal ones the first
            let highest = values.iter().copied().enumerate().fold(None, |best: Option<(usize, f32)>, (i, value)| {
                if best.is_none_or(|(_, highest)| value > highest) { Some((i, value)) } else { best }
            });
            let Some((index, value)) = highest.filter(|&(_, value)| f64::from(value) > self.args.prob_threshold) else {
                return Ok(peaks);
            };
            let mut place = vec![0; shape.len()];
            let mut rest = index;
            for (place, n) in place.iter_mut().zip(&shape).rev() {
                *place = rest % n;
                rest /= n;
            }
            let mut peak = vec![json!(value)];
            peak.extend(place.iter().map(|at| json!(at)));
            peaks.push(Json::Array(peak));
            self.clear(&mut values, &shape, &place);
        }
    }

    /// Sets the box around a place to 0.
    fn clear(&self, values: &mut [f32], shape: &[usize], place: &[usize]) {
        let ranges: Vec<std::ops::Range<usize>> = (0..shape.len())
            .map(|axis| {
                let below = self.size[axis] / 2;
                place[axis].saturating_sub(below)..(place[axis] + self.size[axis] - below).min(shape[axis])
            })
            .collect();
        let mut rows = vec![0];
        for (range, &n) in ranges.iter().zip(shape) {
            rows = rows.iter().flat_map(|row| range.clone().map(move |at| row * n + at)).collect();
        }
        for index in rows {
            values[index] = 0.0;
        }
    }
}

impl Transform for ProbNMSd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        for (_, key) in present(sample, &self.args.keys, self.args.allow_missing_keys)? {
            let peaks = self.peaks(sample.tensor(key)?).map_err(|error| error.context(format!("in `{key}`")))?;
            sample.insert(key, Json::Array(peaks));
        }
        Ok(())
    }
}
