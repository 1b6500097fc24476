//! `RemoveSmallObjectsd`.

use byoc::{Component, Error, Image, Keys, OneOrMany, Random, Result, Sample, Transform, Value};
use mmar_imaging::affine;
use mmar_imaging::region::label_components;
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Tensor;
use torch_ext::view;

use super::common::{default, float_values, present, spatial_shape};

/// Removes objects of few voxels from labels.
///
/// In a mask of zeros and ones objects are connected regions, of several channels together; of a label with more values
/// each value is one object, wherever its voxels are. MONAI `RemoveSmallObjectsd`, with the scikit-image before 0.26, which
/// keeps an object of exactly `min_size` voxels.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveSmallObjectsdArgs {
    /// Keys of the labels.
    keys: Keys,
    /// Objects with fewer voxels are removed, with `by_measure` those of less volume.
    #[serde(default = "sixty_four")]
    min_size: f64,
    /// Along how many axes neighbours may differ at once.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    connectivity: usize,
    /// Whether each value is looked at; else all that is above 0 is one mask.
    #[serde(default = "default::yes")]
    independent_channels: bool,
    /// Whether `min_size` is a volume in the unit of the affine.
    #[serde(default)]
    by_measure: bool,
    /// Voxel sizes for labels without an affine, for each axis or for all.
    #[serde(default)]
    pixdim: Option<OneOrMany<f64>>,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

fn sixty_four() -> f64 {
    64.0
}

fn one() -> usize {
    1
}

/// See [`RemoveSmallObjectsdArgs`].
pub struct RemoveSmallObjectsd(RemoveSmallObjectsdArgs);

impl Component for RemoveSmallObjectsd {
    type Args = RemoveSmallObjectsdArgs;

    fn new(args: RemoveSmallObjectsdArgs) -> Result<Self> {
        if args.connectivity == 0 {
            return Err(Error::invalid_argument("`connectivity` is 0; neighbours differ along at least one axis"));
        }
        Ok(Self(args))
    }
}

byoc::register! { transforms: [RemoveSmallObjectsd] }

/// Connected regions of a mask (channels, spatial…), channels being an axis like the others: for each voxel the number of
/// its region, and how many voxels each has.
fn regions(mask: &[bool], shape: &[usize], connectivity: usize) -> (Vec<usize>, Vec<u64>) {
    let voxels: usize = shape.iter().product::<usize>().max(1);
    let mut labels = vec![0; mask.len()];
    let mut sizes = vec![0u64];
    for (channel, mask) in mask.chunks(voxels).enumerate() {
        let found = label_components(mask, shape, connectivity.min(shape.len()));
        let offset = sizes.len() - 1;
        for (label, &own) in labels[channel * voxels..].iter_mut().zip(&found.labels) {
            *label = if own == 0 { 0 } else { own as usize + offset };
        }
        sizes.extend(&found.sizes[1..]);
    }
    // regions of neighbouring channels that touch: displaced along the channels and up to `connectivity` - 1 axes
    let mut parent: Vec<usize> = (0..sizes.len()).collect();
    let root = |parent: &[usize], mut region: usize| {
        while parent[region] != region {
            region = parent[region];
        }
        region
    };
    let offsets: Vec<Vec<isize>> = shape.iter().fold(vec![Vec::new()], |offsets, _| {
        offsets.iter().flat_map(|offset| (-1..=1).map(move |step| [offset.as_slice(), &[step]].concat())).collect()
    });
    let offsets: Vec<Vec<isize>> =
        offsets.into_iter().filter(|offset| offset.iter().filter(|step| **step != 0).count() < connectivity).collect();
    for index in 0..mask.len().saturating_sub(voxels) {
        if labels[index] == 0 {
            continue;
        }
        let (channel, at) = (index / voxels, index % voxels);
        for offset in &offsets {
            let (mut rest, mut stride, mut other) = (at, 1, 0);
            let inside = shape.iter().zip(offset).rev().all(|(&n, &step)| {
                let place = (rest % n).wrapping_add_signed(step);
                rest /= n;
                other += place.min(n) * stride;
                stride *= n;
                place < n
            });
            if inside && labels[(channel + 1) * voxels + other] != 0 {
                let a = root(&parent, labels[index]);
                let b = root(&parent, labels[(channel + 1) * voxels + other]);
                parent[a.max(b)] = a.min(b);
            }
        }
    }
    let mut joined = vec![0; sizes.len()];
    for (region, &size) in sizes.iter().enumerate() {
        joined[root(&parent, region)] += size;
    }
    (labels.into_iter().map(|label| root(&parent, label)).collect(), joined)
}

impl RemoveSmallObjectsd {
    fn min_size(&self, value: &Value, rank: usize) -> Result<f64> {
        let Self(args) = self;
        if !args.by_measure {
            return Ok(args.min_size);
        }
        let sizes: Vec<f64> = match (value, &args.pixdim) {
            (Value::Image(Image { affine, .. }), _) => affine::spacing(affine, rank)[..rank].to_vec(),
            (_, Some(pixdim)) => pixdim.repeat(rank, "pixdim")?,
            _ => vec![1.0; rank],
        };
        let volume: f64 = sizes.iter().product();
        Ok(if volume > 0.0 { (args.min_size / volume).ceil() } else { args.min_size })
    }

    fn remove(&self, tensor: &Tensor, min_size: f64) -> Result<Tensor> {
        let Self(args) = self;
        let shape = spatial_shape(tensor)?;
        let source = float_values(tensor)?;
        let values = view::slice::<f32>(&source)?;
        if values.windows(2).all(|pair| pair[0] == pair[1]) {
            return Ok(tensor.shallow_clone());
        }
        let highest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let kept: Vec<f32> = if !args.independent_channels || highest <= 1.0 {
            let is_set = |value: f32| if args.independent_channels { value != 0.0 } else { value > 0.0 };
            let mask: Vec<bool> = values.iter().map(|&value| is_set(value)).collect();
            let (labels, sizes) = regions(&mask, &shape, args.connectivity);
            let keep = |index: usize| labels[index] != 0 && sizes[labels[index]] as f64 >= min_size;
            let of = |index: usize| if args.independent_channels { 1.0 } else { values[index] };
            (0..values.len()).map(|index| if keep(index) { of(index) } else { 0.0 }).collect()
        } else {
            let mut counts = std::collections::BTreeMap::new();
            for &value in values {
                *counts.entry(value as i64).or_insert(0u64) += 1;
            }
            values
                .iter()
                .map(|&value| if counts[&(value as i64)] as f64 >= min_size { value.trunc() } else { 0.0 })
                .collect()
        };
        let kept = Tensor::from_slice(&kept).f_view(tensor.size().as_slice())?;
        Ok(kept.f_to_kind(tensor.kind())?.f_to_device(tensor.device())?)
    }
}

impl Transform for RemoveSmallObjectsd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        for (_, key) in present(sample, &self.0.keys, self.0.allow_missing_keys)? {
            let tensor = sample.tensor(key)?;
            let min_size = self.min_size(sample.get(key)?, spatial_shape(tensor)?.len())?;
            let kept = self.remove(tensor, min_size).map_err(|error| error.context(format!("in `{key}`")))?;
            sample.set_tensor(key, kept)?;
        }
        Ok(())
    }
}
