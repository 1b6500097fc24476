//! Inputs of networks: how many axes, channels and voxels one takes is in its arguments, or found by trying.

use byoc::{Error, Random};
use serde_json::Value as Json;
use tch::Tensor;

use super::none_taken;
use crate::numbers::all_finite;
use crate::specimen::Specimen;
use crate::verdict::Verdict;

/// Sizes along an axis, in the order in which they are tried.
const SIZES: [i64; 7] = [16, 32, 8, 64, 96, 128, 224];

/// Voxels that an input may have: 96³, as the patches of published configs.
const LARGEST: i64 = 96 * 96 * 96;

/// The input of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NetworkPlan {
    /// (B, C, spatial…)
    pub(crate) shape: Vec<i64>,
    /// Whether the user gave the shape.
    pub(crate) is_given: bool,
}

impl NetworkPlan {
    pub(crate) fn find(specimen: &Specimen) -> Result<Self, Verdict> {
        let args = specimen.args();
        // what the schema gives as defaults counts, too
        let argument = |names: &[&str]| {
            names.iter().find_map(|name| {
                let default = format!("/properties/{name}/default");
                args.get(name).or_else(|| specimen.descriptor.schema.pointer(&default)).cloned()
            })
        };
        let mut first_error: Option<Error> = None;
        let mut infinite = None;
        let network = specimen.network()?.network;
        let mut network = Some(network);
        for plan in candidates(specimen, argument) {
            // a network that panicked cannot be used any more
            let current = match network.take() {
                Some(network) => network,
                None => specimen.network()?.network,
            };
            let x = plan.draw(&mut Random::from_seed(specimen.seed));
            let outputs = tch::no_grad(|| current.forward_all(std::slice::from_ref(&x), false));
            match outputs {
                Ok(outputs) => {
                    let mut finite = true;
                    for y in &outputs {
                        finite &= all_finite(y)?;
                    }
                    if finite && !outputs.is_empty() {
                        return Ok(plan);
                    }
                    infinite = infinite.or(Some(plan));
                }
                Err(error) => {
                    if error.code() != byoc::ErrorCode::PANICKED {
                        network = Some(current);
                    }
                    first_error = first_error.or(Some(error));
                }
            }
        }
        let tried = "(2, channels, spatial…) of 1 to 4 channels, 3, 2 or 1 axes and sizes from 8 to 224";
        infinite.ok_or_else(|| none_taken(specimen, tried, "`x`", first_error.as_ref()))
    }

    /// Numbers from the standard normal distribution, as normalised images have them.
    pub(crate) fn draw(&self, random: &mut Random) -> Tensor {
        random.normal_tensor(&self.shape)
    }

    /// The same with another size of the batch.
    pub(crate) fn with_batch(&self, batch: i64) -> Self {
        let mut shape = self.shape.clone();
        shape[0] = batch;
        Self { shape, ..self.clone() }
    }

    /// The same with other sizes of the spatial axes.
    pub(crate) fn with_spatial(&self, resize: impl Fn(usize, i64) -> i64) -> Self {
        let shape = self.shape.iter().enumerate();
        let shape = shape.map(|(axis, size)| if axis < 2 { *size } else { resize(axis - 2, *size) }).collect();
        Self { shape, ..self.clone() }
    }

    /// The same with another number of channels.
    pub(crate) fn with_channels(&self, channels: i64) -> Self {
        let mut shape = self.shape.clone();
        shape[1] = channels;
        Self { shape, ..self.clone() }
    }
}

fn candidates(specimen: &Specimen, argument: impl Fn(&[&str]) -> Option<Json>) -> Vec<NetworkPlan> {
    if let Some(shape) = specimen.given.shapes.get("x") {
        return vec![NetworkPlan { shape: shape.clone(), is_given: true }];
    }
    let number = |names: &[&str]| argument(names).as_ref().and_then(Json::as_i64);
    let sizes = |names: &[&str]| {
        let list = argument(names)?;
        list.as_array()?.iter().map(Json::as_i64).collect::<Option<Vec<i64>>>()
    };
    let channels = match number(&["in_channels", "in_channel", "n_input_channels", "channels"]) {
        Some(channels) => vec![channels],
        None => vec![1, 3, 2, 4],
    };
    let axes = match number(&["spatial_dims", "dimensions", "n_spatial_dims"]) {
        Some(axes @ 1..=3) => vec![axes],
        _ => vec![3, 2, 1],
    };
    let plan =
        |channels: i64, spatial: &[i64]| NetworkPlan { shape: [&[2, channels], spatial].concat(), is_given: false };
    let mut plans = Vec::new();
    for &axes in &axes {
        for &channels in &channels {
            // networks that are made for one size say so
            let declared = sizes(&["img_size", "image_size", "input_size", "spatial_size", "roi_size"]);
            plans.extend(declared.filter(|it| it.len() == axes as usize).map(|spatial| plan(channels, &spatial)));
            for size in SIZES.into_iter().filter(|size| size.pow(axes as u32) <= LARGEST) {
                plans.push(plan(channels, &vec![size; axes as usize]));
            }
        }
    }
    plans
}
