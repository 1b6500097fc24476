//! `CropForegroundd`.

use byoc::{Component, Error, Keys, OneOrMany, Random, Result, Sample, Transform};
use mmar_imaging::region::bounding_box;
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Tensor;
use torch_ext::view;

use super::common::{float_values, image_of, present, spatial_shape};
use super::geometry::{Operation, PadMode, crop, pad, record};

/// Crops images to the smallest box that holds all voxels above 0 of one of them.
///
/// MONAI `CropForegroundd`. Where a margin reaches beyond the image it is padded, as MONAI does from 1.5 on; with
/// `allow_smaller` it is cut. If no voxel is above 0 the result is empty, as in MONAI.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CropForegrounddArgs {
    /// Keys of the images to crop.
    keys: Keys,
    /// Key of the image whose voxels above 0 decide.
    source_key: String,
    /// The channels of it to look at; all if it is `null`.
    #[serde(default)]
    channel_indices: Option<OneOrMany<i64>>,
    /// Voxels to leave around the box, for each axis or for all.
    #[serde(default)]
    margin: OneOrMany<i64>,
    /// Whether a margin ends at the border of the image.
    #[serde(default)]
    allow_smaller: bool,
    /// The box grows until its sizes are multiples of this, for each axis or for all.
    #[serde(default = "one")]
    k_divisible: OneOrMany<i64>,
    /// What lies beyond the border, for each key or for all.
    #[serde(default = "constant")]
    mode: OneOrMany<PadMode>,
    /// Key for the first voxel of the box; `null`: not kept.
    #[serde(default = "start_key")]
    start_coord_key: Option<String>,
    /// Key for the voxel after the last one; `null`: not kept.
    #[serde(default = "end_key")]
    end_coord_key: Option<String>,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

fn one() -> OneOrMany<i64> {
    OneOrMany::One(1)
}

fn constant() -> OneOrMany<PadMode> {
    OneOrMany::One(PadMode::Constant)
}

#[expect(clippy::unnecessary_wraps, reason = "the type of the field")]
fn start_key() -> Option<String> {
    Some("foreground_start_coord".to_owned())
}

#[expect(clippy::unnecessary_wraps, reason = "the type of the field")]
fn end_key() -> Option<String> {
    Some("foreground_end_coord".to_owned())
}

/// See [`CropForegrounddArgs`].
pub struct CropForegroundd {
    args: CropForegrounddArgs,
    modes: Vec<PadMode>,
}

impl Component for CropForegroundd {
    type Args = CropForegrounddArgs;

    fn new(args: CropForegrounddArgs) -> Result<Self> {
        if args.margin.clone().into_vec().iter().any(|&margin| margin < 0) {
            return Err(Error::invalid_argument("`margin` must not be negative"));
        }
        let modes = args.mode.repeat(args.keys.len(), "mode")?;
        Ok(Self { args, modes })
    }
}

byoc::register! { transforms: [CropForegroundd] }

impl Transform for CropForegroundd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let Self { args, modes } = self;
        let source = sample.tensor(&args.source_key)?;
        let shape = spatial_shape(source)?;
        let (start, end) = self.bounding_box(source, &shape)?;
        for (position, key) in present(sample, &args.keys, args.allow_missing_keys)? {
            let mut image = image_of(sample, key)?;
            let own = spatial_shape(&image.tensor)?;
            if own != shape {
                return Err(Error::data(format!(
                    "`{key}` has shape {own:?}, but `{}`, which decides about the crop, has {shape:?}",
                    args.source_key
                )));
            }
            let inside = |values: &[i64]| -> Vec<usize> {
                values.iter().zip(&shape).map(|(&value, &n)| value.clamp(0, n as i64) as usize).collect()
            };
            let (first, last) = (inside(&start), inside(&end));
            let before: Vec<usize> = start.iter().map(|&start| (-start).max(0) as usize).collect();
            let after: Vec<usize> = end.iter().zip(&shape).map(|(&end, &n)| (end - n as i64).max(0) as usize).collect();
            let removed = shape.iter().zip(&last).map(|(n, last)| n - last).collect();
            image = crop(image, &first, &last)?;
            record(&mut image, "CropForegroundd", &Operation::Crop { before: first, after: removed })?;
            if before.iter().chain(&after).any(|&n| n > 0) {
                image = pad(image, &before, &after, modes[position], 0.0)?;
                record(&mut image, "CropForegroundd", &Operation::Pad { before, after })?;
            }
            sample.insert(key, image);
        }
        for (key, values) in [(&args.start_coord_key, start), (&args.end_coord_key, end)] {
            if let Some(key) = key {
                sample.insert(key, Tensor::from_slice(&values));
            }
        }
        Ok(())
    }
}

impl CropForegroundd {
    fn bounding_box(&self, source: &Tensor, shape: &[usize]) -> Result<(Vec<i64>, Vec<i64>)> {
        let args = &self.args;
        let divisor = args.k_divisible.repeat(shape.len(), "k_divisible")?;
        let (mut start, mut end) =
            foreground_box(source, &args.source_key, args.channel_indices.as_ref(), &args.margin, args.allow_smaller)?;
        for axis in 0..shape.len() {
            let size = end[axis] - start[axis];
            let wanted =
                if divisor[axis] > 0 { (size + divisor[axis] - 1) / divisor[axis] * divisor[axis] } else { size };
            start[axis] -= (wanted - size) / 2;
            end[axis] = start[axis] + wanted;
        }
        Ok((start, end))
    }
}

/// The first voxel and the one after the last of the box around a source's voxels above 0, with a margin (MONAI's
/// `generate_spatial_bounding_box`); zeros, and a warning, if there are none. With `allow_smaller` it ends at the image's
/// border.
pub(super) fn foreground_box(
    source: &Tensor,
    source_key: &str,
    channel_indices: Option<&OneOrMany<i64>>,
    margin: &OneOrMany<i64>,
    allow_smaller: bool,
) -> Result<(Vec<i64>, Vec<i64>)> {
    let shape = spatial_shape(source)?;
    let margin = margin.repeat(shape.len(), "margin")?;
    let values = float_values(source)?;
    let channels = values.size()[0];
    let chosen: Vec<i64> = match channel_indices {
        Some(indices) => indices.clone().into_vec(),
        None => (0..channels).collect(),
    };
    let values = view::slice::<f32>(&values)?;
    let voxels: usize = shape.iter().product();
    let volumes = chosen
        .iter()
        .map(|&channel| {
            let index = if channel < 0 { channel + channels } else { channel };
            usize::try_from(index).ok().and_then(|index| values.get(index * voxels..(index + 1) * voxels)).ok_or_else(
                || {
                    Error::invalid_argument(format!(
                        "`channel_indices` names channel {channel}, but `{source_key}` has {channels}"
                    ))
                },
            )
        })
        .collect::<Result<Vec<_>>>()?;
    let Some((first, last)) = bounding_box(&volumes, &shape, |value| value > 0.0) else {
        tracing::warn!("no voxel of `{source_key}` is above 0: the crop is empty");
        return Ok((vec![0; shape.len()], vec![0; shape.len()]));
    };
    Ok((0..shape.len())
        .map(|axis| {
            let (start, end) = (first[axis] as i64 - margin[axis], last[axis] as i64 + margin[axis]);
            if allow_smaller { (start.max(0), end.min(shape[axis] as i64)) } else { (start, end) }
        })
        .unzip())
}
