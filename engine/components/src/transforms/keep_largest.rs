//! Connected regions of labels: `KeepLargestConnectedComponentd`, `FillHolesd`, `LargestCCd`.

use std::collections::BTreeSet;

use byoc::{Component, Error, Keys, OneOrMany, Random, Result, Sample, Transform};
use mmar_imaging::region::label_components;
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Tensor;
use torch_ext::view;

use super::common::{default, float_values, map_tensors, spatial_shape};

/// Keeps the largest connected region of labels; voxels of the others become 0.
///
/// A label of several channels counts as one-hot. MONAI `KeepLargestConnectedComponentd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeepLargestConnectedComponentdArgs {
    /// Keys of the labels.
    keys: Keys,
    /// The labels, or the channels of a one-hot label; all but 0 if it is `null`.
    #[serde(default)]
    applied_labels: Option<OneOrMany<i64>>,
    /// Whether the label is one-hot; told from the number of channels if it is `null`.
    #[serde(default)]
    is_onehot: Option<bool>,
    /// Whether each label is looked at on its own, not all of them together.
    #[serde(default = "default::yes")]
    independent: bool,
    /// Along how many axes neighbours may differ at once; along all if it is `null`.
    #[serde(default)]
    connectivity: Option<usize>,
    /// How many regions are kept.
    #[serde(default = "one")]
    num_components: usize,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

fn one() -> usize {
    1
}

/// See [`KeepLargestConnectedComponentdArgs`].
pub struct KeepLargestConnectedComponentd(KeepLargestConnectedComponentdArgs);

impl Component for KeepLargestConnectedComponentd {
    type Args = KeepLargestConnectedComponentdArgs;

    fn new(args: KeepLargestConnectedComponentdArgs) -> Result<Self> {
        if args.connectivity.is_some_and(|connectivity| !(1..=3).contains(&connectivity)) {
            return Err(Error::invalid_argument("`connectivity` is 1, 2 or 3, at most the number of spatial axes"));
        }
        Ok(Self(args))
    }
}

/// The values of a label: channels in C order.
struct LabelMap {
    values: Vec<f32>,
    shape: Vec<usize>,
    voxels: usize,
    one_hot: bool,
}

impl LabelMap {
    fn new(tensor: &Tensor, one_hot: Option<bool>) -> Result<Self> {
        let shape = spatial_shape(tensor)?;
        let one_hot = one_hot.unwrap_or(tensor.size()[0] > 1);
        let values = view::slice::<f32>(&float_values(tensor)?)?.to_vec();
        Ok(Self { voxels: shape.iter().product(), values, shape, one_hot })
    }

    /// The labels that occur, without the background.
    fn labels(&self) -> Vec<i64> {
        let found: BTreeSet<i64> = if self.one_hot {
            let channels = self.values.chunks_exact(self.voxels.max(1)).enumerate();
            channels
                .filter(|(_, values)| values.iter().any(|&value| value != 0.0))
                .map(|(channel, _)| channel as i64)
                .collect()
        } else {
            self.values.iter().map(|&value| value as i64).collect()
        };
        found.into_iter().filter(|&label| label != 0).collect()
    }

    fn channel(&mut self, label: i64) -> Result<&mut [f32]> {
        let channels = self.values.len() / self.voxels.max(1);
        let index = if self.one_hot { usize::try_from(label).ok().filter(|&index| index < channels) } else { Some(0) };
        let index = index.ok_or_else(|| {
            Error::invalid_argument(format!("`applied_labels` names {label}, but there are {channels} channels"))
        })?;
        Ok(&mut self.values[index * self.voxels..(index + 1) * self.voxels])
    }

    fn to_tensor(&self, like: &Tensor) -> Result<Tensor> {
        let tensor = Tensor::from_slice(&self.values).f_view(like.size().as_slice())?;
        Ok(tensor.f_to_kind(like.kind())?.f_to_device(like.device())?)
    }
}

impl KeepLargestConnectedComponentd {
    /// Which voxels of a mask are in none of its largest regions.
    fn others(&self, mask: &[bool], shape: &[usize]) -> Vec<bool> {
        let found = label_components(mask, shape, self.0.connectivity.unwrap_or(shape.len()));
        let mut order: Vec<usize> = (1..found.sizes.len()).collect();
        // of equal ones the later is kept, as numpy's reversed argsort has it
        order.sort_by_key(|&component| std::cmp::Reverse((found.sizes[component], component)));
        let kept: BTreeSet<u32> =
            order.into_iter().take(self.0.num_components).map(|component| component as u32).collect();
        found.labels.iter().map(|label| *label != 0 && !kept.contains(label)).collect()
    }

    fn keep(&self, tensor: &Tensor) -> Result<Tensor> {
        let mut map = LabelMap::new(tensor, self.0.is_onehot)?;
        let labels = match &self.0.applied_labels {
            Some(labels) => labels.clone().into_vec(),
            None => map.labels(),
        };
        let (shape, one_hot) = (map.shape.clone(), map.one_hot);
        let clear = |values: &mut [f32], others: &[bool]| {
            for (value, &other) in values.iter_mut().zip(others) {
                if other {
                    *value = 0.0;
                }
            }
        };
        if self.0.independent {
            for &label in &labels {
                let values = map.channel(label)?;
                let mask: Vec<bool> =
                    values.iter().map(|&value| if one_hot { value > 0.0 } else { value == label as f32 }).collect();
                clear(values, &self.others(&mask, &shape));
            }
            return map.to_tensor(tensor);
        }
        let mut mask = vec![false; map.voxels];
        for &label in &labels {
            let wanted = if one_hot { 1.0 } else { label as f32 };
            for (inside, value) in mask.iter_mut().zip(map.channel(label)?) {
                *inside |= *value == wanted;
            }
        }
        let others = self.others(&mask, &shape);
        let channels = if one_hot { labels } else { vec![0] };
        for label in channels {
            clear(map.channel(label)?, &others);
        }
        map.to_tensor(tensor)
    }
}

impl Transform for KeepLargestConnectedComponentd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        map_tensors(sample, &self.0.keys, self.0.allow_missing_keys, |_, tensor| self.keep(tensor))
    }
}

/// Fills holes in labels: what a label encloses becomes it.
///
/// What has no way to the border of the image that does not cross the label. MONAI `FillHolesd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FillHolesdArgs {
    /// Keys of the labels.
    keys: Keys,
    /// The labels, or the channels of a one-hot label; all but 0 if it is `null`.
    #[serde(default)]
    applied_labels: Option<OneOrMany<i64>>,
    /// Along how many axes neighbours of the way may differ at once; along all if it is `null`.
    #[serde(default)]
    connectivity: Option<usize>,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`FillHolesdArgs`].
pub struct FillHolesd(FillHolesdArgs);

impl Component for FillHolesd {
    type Args = FillHolesdArgs;

    fn new(args: FillHolesdArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

impl FillHolesd {
    fn fill(&self, tensor: &Tensor) -> Result<Tensor> {
        let mut map = LabelMap::new(tensor, None)?;
        let labels = match &self.0.applied_labels {
            Some(labels) => labels.clone().into_vec(),
            None => map.labels(),
        };
        let (shape, one_hot) = (map.shape.clone(), map.one_hot);
        for label in labels.into_iter().filter(|&label| label != 0) {
            let values = map.channel(label)?;
            let outside: Vec<bool> =
                values.iter().map(|&value| if one_hot { value == 0.0 } else { value != label as f32 }).collect();
            let found = label_components(&outside, &shape, self.0.connectivity.unwrap_or(shape.len()));
            let mut open = vec![false; found.sizes.len()];
            for (index, &component) in found.labels.iter().enumerate() {
                if is_border(index, &shape) {
                    open[component as usize] = true;
                }
            }
            let filled = if one_hot { 1.0 } else { label as f32 };
            for (value, &component) in values.iter_mut().zip(&found.labels) {
                if component != 0 && !open[component as usize] {
                    *value = filled;
                }
            }
        }
        map.to_tensor(tensor)
    }
}

fn is_border(mut index: usize, shape: &[usize]) -> bool {
    shape.iter().rev().any(|&n| {
        let place = index % n;
        index /= n;
        place == 0 || place + 1 == n
    })
}

impl Transform for FillHolesd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        map_tensors(sample, &self.0.keys, self.0.allow_missing_keys, |_, tensor| self.fill(tensor))
    }
}

/// Keeps only the largest connected region of what is not 0, of all channels together.
///
/// `LargestCCd` of Clara's AIAA.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LargestCCdArgs {
    /// Keys of the labels.
    keys: Keys,
    /// Whether the label has a channel axis; told from the number of axes if it is `null`, 4 of which have one.
    #[serde(default)]
    has_channel: Option<bool>,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`LargestCCdArgs`].
pub struct LargestCCd(LargestCCdArgs);

impl Component for LargestCCd {
    type Args = LargestCCdArgs;

    fn new(args: LargestCCdArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

impl LargestCCd {
    fn keep(&self, tensor: &Tensor) -> Result<Tensor> {
        let shape: Vec<usize> = tensor.size().iter().map(|&n| n as usize).collect();
        let has_channel = self.0.has_channel.unwrap_or(shape.len() == 4);
        let spatial = if has_channel { shape.get(1..).unwrap_or_default() } else { &shape[..] };
        if !(1..=3).contains(&spatial.len()) {
            return Err(Error::data(format!("a tensor of shape {shape:?} is no label")));
        }
        let voxels: usize = spatial.iter().product::<usize>().max(1);
        let values = float_values(tensor)?;
        let values = view::slice::<f32>(&values)?;
        let mask: Vec<bool> = (0..voxels.min(values.len()))
            .map(|index| values.iter().skip(index).step_by(voxels).any(|&value| value != 0.0))
            .collect();
        let found = label_components(&mask, spatial, spatial.len());
        let largest = (1..found.sizes.len()).max_by_key(|&component| found.sizes[component]).unwrap_or(0) as u32;
        let kept: Vec<f32> = values
            .iter()
            .enumerate()
            .map(|(index, &value)| if found.labels[index % voxels] == largest { value } else { 0.0 })
            .collect();
        let kept = Tensor::from_slice(&kept).f_view(tensor.size().as_slice())?;
        Ok(kept.f_to_kind(tensor.kind())?.f_to_device(tensor.device())?)
    }
}

impl Transform for LargestCCd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        map_tensors(sample, &self.0.keys, self.0.allow_missing_keys, |_, tensor| self.keep(tensor))
    }
}

byoc::register! { transforms: [KeepLargestConnectedComponentd, FillHolesd, LargestCCd] }
