//! Images cut into regular patches: `GridSplitd`, `GridPatchd`, `RandGridPatchd`.

use byoc::{Component, Error, Image, Keys, OneOrMany, Random, Result, Sample, Transform};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use tch::{Kind, Tensor};

use super::common::{image_of, present, spatial_shape};
use super::geometry::{Operation, PadMode, crop, pad, record};

/// Splits 2-D images into a grid of parts, each of which becomes a sample.
///
/// All keys alike. MONAI `GridSplitd`, which leaves the affine of the parts as it was; here each part knows its place.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GridSplitdArgs {
    /// Keys of the images.
    keys: Keys,
    /// How many parts along both axes.
    #[serde(default = "two")]
    grid: [i64; 2],
    /// Size of the parts, for both axes or for each; as large as fits without overlap if it is `null`.
    #[serde(default)]
    size: Option<OneOrMany<i64>>,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

fn two() -> [i64; 2] {
    [2, 2]
}

/// See [`GridSplitdArgs`].
pub struct GridSplitd(GridSplitdArgs);

impl Component for GridSplitd {
    type Args = GridSplitdArgs;

    fn new(args: GridSplitdArgs) -> Result<Self> {
        if args.grid.iter().any(|&n| n < 1) {
            return Err(Error::invalid_argument("`grid` must be two positive numbers"));
        }
        if let Some(size) = &args.size {
            size.repeat(2, "size")?;
        }
        Ok(Self(args))
    }
}

impl Transform for GridSplitd {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        if self.0.grid != [1, 1] {
            return Err(Error::msg("it makes several samples of one and cannot be applied in place"));
        }
        let mut samples = self.apply_many(std::mem::take(sample), random)?;
        *sample = samples.pop().unwrap_or_default();
        Ok(())
    }

    fn apply_many(&self, sample: Sample, _: &mut Random) -> Result<Vec<Sample>> {
        let Self(args) = self;
        let [rows, columns] = args.grid;
        let mut parts: Vec<Sample> = (0..rows * columns).map(|_| sample.shallow_clone()).collect();
        for (_, key) in present(&sample, &args.keys, args.allow_missing_keys)? {
            let image = image_of(&sample, key)?;
            let shape = spatial_shape(&image.tensor)?;
            if shape.len() != 2 {
                return Err(Error::data(format!("`{key}` has {} spatial axes; a 2-D image is expected", shape.len())));
            }
            let whole = [shape[0] as i64, shape[1] as i64];
            let size = match &args.size {
                Some(size) => size.repeat(2, "size")?,
                None => vec![whole[0] / rows, whole[1] / columns],
            };
            if size[0] > whole[0] || size[1] > whole[1] || size.iter().any(|&n| n < 1) {
                return Err(Error::data(format!(
                    "`{key}` has shape {shape:?}, from which no part of {size:?} can be cut"
                )));
            }
            let step = |axis: usize| {
                let n = args.grid[axis];
                if n > 1 { (whole[axis] - size[axis]) / (n - 1) } else { 0 }
            };
            for (index, part) in parts.iter_mut().enumerate() {
                let (row, column) = (index as i64 / columns, index as i64 % columns);
                let start = [(row * step(0)) as usize, (column * step(1)) as usize];
                let end = [start[0] + size[0] as usize, start[1] + size[1] as usize];
                let mut cut = crop(image.shallow_clone(), &start, &end)?;
                let after = vec![shape[0] - end[0], shape[1] - end[1]];
                record(&mut cut, "GridSplitd", &Operation::Crop { before: start.to_vec(), after })?;
                part.insert(key, cut);
            }
        }
        Ok(parts)
    }
}

/// Which patches are kept if there are more than wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Order {
    /// Those with the lowest sums.
    Min,
    /// Those with the highest sums.
    Max,
    /// Random ones.
    Random,
}

/// How an image is cut into patches.
struct Patches<'a> {
    size: &'a [i64],
    overlap: &'a OneOrMany<f64>,
    pad_mode: Option<PadMode>,
    pad_value: f64,
    threshold: Option<f64>,
    count: Option<usize>,
    order: Option<Order>,
}

impl Patches<'_> {
    /// The patches of an image from an offset on, (patches, C, spatial…), with their places in the metadata.
    fn cut(&self, image: Image, offset: &[i64], random: &mut Random) -> Result<Image> {
        let shape = spatial_shape(&image.tensor)?;
        let rank = shape.len();
        if self.size.len() != rank || offset.len() != rank {
            return Err(Error::data(format!(
                "`patch_size` has {} sizes, but the image has {rank} spatial axes",
                self.size.len()
            )));
        }
        let size: Vec<i64> = self
            .size
            .iter()
            .zip(&shape)
            .map(|(&size, &n)| if size > 0 { size.min(n as i64) } else { n as i64 })
            .collect();
        let overlap = self.overlap.repeat(rank, "overlap")?;
        let (source, margin) = match self.pad_mode {
            Some(mode) => {
                let margin: Vec<usize> = size.iter().map(|&n| n as usize).collect();
                (pad(image.shallow_clone(), &margin, &margin, mode, self.pad_value)?.tensor, size.clone())
            }
            None => (image.tensor.shallow_clone(), vec![0; rank]),
        };
        let starts: Vec<Vec<i64>> = (0..rank)
            .map(|axis| {
                let step = ((size[axis] as f64 * (1.0 - overlap[axis])).round_ties_even() as usize).max(1);
                let n = shape[axis] as i64;
                let end = if self.pad_mode.is_some() { n + margin[axis] } else { n - size[axis] + 1 };
                (offset[axis] + margin[axis]..end).step_by(step).collect()
            })
            .collect();
        let mut places: Vec<Vec<i64>> = vec![Vec::new()];
        for along in &starts {
            places = places
                .iter()
                .flat_map(|place| along.iter().map(move |&start| place.iter().copied().chain([start]).collect()))
                .collect();
        }
        let patch = |place: &Vec<i64>| -> Result<Tensor> {
            let mut part = source.shallow_clone();
            for (axis, (&start, &size)) in place.iter().zip(&size).enumerate() {
                part = part.f_narrow(axis as i64 + 1, start, size)?;
            }
            Ok(part)
        };
        let mut patches = places.iter().map(patch).collect::<Result<Vec<_>>>()?;
        let mut locations: Vec<Vec<i64>> =
            places.iter().map(|place| place.iter().zip(&margin).map(|(at, margin)| at - margin).collect()).collect();
        let sums = |patches: &[Tensor]| -> Result<Vec<f64>> {
            patches.iter().map(|patch| Ok(patch.f_sum(Kind::Double)?.f_double_value(&[])?)).collect()
        };
        let mut choose = |order: Vec<usize>, patches: &mut Vec<Tensor>| {
            *patches = order.iter().map(|&i| patches[i].shallow_clone()).collect();
            locations = order.iter().map(|&i| locations[i].clone()).collect();
        };
        if let Some(threshold) = self.threshold {
            let sums = sums(&patches)?;
            choose((0..patches.len()).filter(|&i| sums[i] < threshold).collect(), &mut patches);
        }
        if let Some(count) = self.count {
            let mut order: Vec<usize> = (0..patches.len()).collect();
            match self.order {
                None => {}
                Some(Order::Random) => order = random.permutation(patches.len()),
                Some(by) => {
                    let sums = sums(&patches)?;
                    order.sort_by(|&a, &b| sums[a].total_cmp(&sums[b]));
                    if by == Order::Max {
                        order.sort_by(|&a, &b| sums[b].total_cmp(&sums[a]));
                    }
                }
            }
            order.truncate(count);
            choose(order, &mut patches);
            if self.threshold.is_none() {
                let missing = count.saturating_sub(patches.len());
                let full: Vec<i64> = std::iter::once(source.size()[0]).chain(size.iter().copied()).collect();
                let filler = Tensor::f_full(&full, self.pad_value, (source.kind(), source.device()))?;
                patches.extend((0..missing).map(|_| filler.shallow_clone()));
                locations.extend((0..missing).map(|_| vec![0; rank]));
            }
        }
        if patches.is_empty() {
            return Err(Error::data("no patch is left: lower `threshold` or the size of the patches"));
        }
        let mut out = image.with_tensor(Tensor::f_stack(&patches, 0)?);
        let by_axis: Vec<Vec<i64>> =
            (0..rank).map(|axis| locations.iter().map(|place| place[axis]).collect()).collect();
        let sizes: Vec<Vec<i64>> = size.iter().map(|&n| vec![n; patches.len()]).collect();
        out.meta.insert("location".to_owned(), json!(by_axis));
        out.meta.insert("count".to_owned(), json!(patches.len()));
        out.meta.insert("spatial_shape".to_owned(), json!(sizes));
        out.meta.insert("offset".to_owned(), json!(offset));
        Ok(out)
    }
}

/// Cuts images into patches that lie on a grid: (C, spatial…) becomes (patches, C, spatial…).
///
/// Where the patches lie is noted in the metadata: `location`, `count`, `offset`. MONAI `GridPatchd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GridPatchdArgs {
    /// Keys of the images.
    keys: Keys,
    /// Size of the patches, for each axis; 0 is the image's own.
    patch_size: Vec<i64>,
    /// The first voxel of the first patch; 0 for each axis if it is `null`.
    #[serde(default)]
    offset: Option<Vec<i64>>,
    /// How many patches there are: others are left out, and missing ones filled; all there are if it is `null`.
    #[serde(default)]
    num_patches: Option<usize>,
    /// How much of a patch overlaps with the next one, 0 to 1; for each axis or for all.
    #[serde(default)]
    overlap: OneOrMany<f64>,
    /// Which patches are kept if there are more than `num_patches`; the first ones if it is `null`.
    #[serde(default)]
    sort_fn: Option<Order>,
    /// Only patches whose sum is below this are kept.
    #[serde(default)]
    threshold: Option<f64>,
    /// What lies beyond the border, for patches that reach there; `null`: there are none.
    #[serde(default)]
    pad_mode: Option<PadMode>,
    /// The value for `pad_mode` `constant` and for missing patches.
    #[serde(default)]
    constant_values: f64,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`GridPatchdArgs`].
pub struct GridPatchd(GridPatchdArgs);

fn check_overlap(overlap: &OneOrMany<f64>) -> Result<()> {
    if overlap.clone().into_vec().iter().any(|overlap| !(0.0..1.0).contains(overlap)) {
        return Err(Error::invalid_argument("`overlap` must lie between 0 and 1, below 1"));
    }
    Ok(())
}

impl Component for GridPatchd {
    type Args = GridPatchdArgs;

    fn new(args: GridPatchdArgs) -> Result<Self> {
        check_overlap(&args.overlap)?;
        if args.sort_fn == Some(Order::Random) {
            return Err(Error::invalid_argument(
                "`sort_fn` `random` is one of `RandGridPatchd`; here `min` and `max` are",
            ));
        }
        Ok(Self(args))
    }
}

impl Transform for GridPatchd {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        let Self(args) = self;
        let patches = Patches {
            size: &args.patch_size,
            overlap: &args.overlap,
            pad_mode: args.pad_mode,
            pad_value: args.constant_values,
            threshold: args.threshold,
            count: args.num_patches,
            order: args.sort_fn,
        };
        let offset = args.offset.clone().unwrap_or_else(|| vec![0; args.patch_size.len()]);
        for (_, key) in present(sample, &args.keys, args.allow_missing_keys)? {
            let cut = patches.cut(image_of(sample, key)?, &offset, random);
            sample.insert(key, cut.map_err(|error| error.context(format!("in `{key}`")))?);
        }
        Ok(())
    }
}

/// Cuts images into patches that lie on a grid with a random offset.
///
/// See `GridPatchd`; the same offset for all keys. MONAI `RandGridPatchd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandGridPatchdArgs {
    /// Keys of the images.
    keys: Keys,
    /// Size of the patches, for each axis; 0 is the image's own.
    patch_size: Vec<i64>,
    /// The smallest offset, for each axis or for all; 0 if it is `null`.
    #[serde(default)]
    min_offset: Option<OneOrMany<i64>>,
    /// The largest offset, for each axis or for all; what is left beside whole patches if it is `null`.
    #[serde(default)]
    max_offset: Option<OneOrMany<i64>>,
    /// How many patches there are: others are left out, and missing ones filled; all there are if it is `null`.
    #[serde(default)]
    num_patches: Option<usize>,
    /// How much of a patch overlaps with the next one, 0 to 1; for each axis or for all.
    #[serde(default)]
    overlap: OneOrMany<f64>,
    /// Which patches are kept if there are more than `num_patches`; the first ones if it is `null`.
    #[serde(default)]
    sort_fn: Option<Order>,
    /// Only patches whose sum is below this are kept.
    #[serde(default)]
    threshold: Option<f64>,
    /// What lies beyond the border, for patches that reach there; `null`: there are none.
    #[serde(default)]
    pad_mode: Option<PadMode>,
    /// The value for `pad_mode` `constant` and for missing patches.
    #[serde(default)]
    constant_values: f64,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`RandGridPatchdArgs`].
pub struct RandGridPatchd(RandGridPatchdArgs);

impl Component for RandGridPatchd {
    type Args = RandGridPatchdArgs;

    fn new(args: RandGridPatchdArgs) -> Result<Self> {
        check_overlap(&args.overlap)?;
        Ok(Self(args))
    }
}

impl Transform for RandGridPatchd {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        let Self(args) = self;
        let Some((_, first)) = present(sample, &args.keys, args.allow_missing_keys)?.first().copied() else {
            return Ok(());
        };
        let shape = spatial_shape(sample.tensor(first)?)?;
        let n = args.patch_size.len();
        let low = match &args.min_offset {
            Some(offset) => offset.repeat(n, "min_offset")?,
            None => vec![0; n],
        };
        let high = match &args.max_offset {
            Some(offset) => offset.repeat(n, "max_offset")?,
            None => shape
                .iter()
                .zip(&args.patch_size)
                .map(|(&n, &size)| if size > 0 { n as i64 % size } else { 0 })
                .collect(),
        };
        let offset: Vec<i64> = low.iter().zip(&high).map(|(&low, &high)| random.integer(low, high + 1)).collect();
        let patches = Patches {
            size: &args.patch_size,
            overlap: &args.overlap,
            pad_mode: args.pad_mode,
            pad_value: args.constant_values,
            threshold: args.threshold,
            count: args.num_patches,
            order: args.sort_fn,
        };
        for (_, key) in present(sample, &args.keys, args.allow_missing_keys)? {
            let cut = patches.cut(image_of(sample, key)?, &offset, random);
            sample.insert(key, cut.map_err(|error| error.context(format!("in `{key}`")))?);
        }
        Ok(())
    }

    fn is_random(&self) -> bool {
        true
    }
}

byoc::register! { transforms: [GridSplitd, GridPatchd, RandGridPatchd] }
