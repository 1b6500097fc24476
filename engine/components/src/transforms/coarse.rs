//! Boxes at random places changed: `RandCoarseDropoutd`, `RandCoarseShuffled`.

use byoc::{Component, Error, Keys, OneOrMany, Random, Result, Sample, Transform};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind, Tensor};
use torch_ext::view;

use super::common::{default, map_tensors, present, probability, sizes_or, spatial_shape};

/// How many boxes there are and how large they are.
struct Holes {
    count: usize,
    most: Option<usize>,
    size: OneOrMany<i64>,
    largest: Option<OneOrMany<i64>>,
}

/// Start and size of a box along each axis.
type Hole = Vec<(i64, i64)>;

impl Holes {
    fn check(&self) -> Result<()> {
        if self.count == 0 {
            return Err(Error::invalid_argument("`holes` is 0; at least one is needed"));
        }
        if self.most.is_some_and(|most| most < self.count) {
            return Err(Error::invalid_argument("`max_holes` must not be smaller than `holes`"));
        }
        Ok(())
    }

    fn draw(&self, shape: &[usize], random: &mut Random) -> Result<Vec<Hole>> {
        let smallest = sizes_or(&self.size, shape, "spatial_size")?;
        let largest = match &self.largest {
            Some(largest) => Some(sizes_or(largest, shape, "max_spatial_size")?),
            None => None,
        };
        let count = match self.most {
            Some(most) => random.integer(self.count as i64, most as i64 + 1) as usize,
            None => self.count,
        };
        let mut holes = Vec::with_capacity(count);
        let mut size = smallest;
        for _ in 0..count {
            if let Some(largest) = &largest {
                // as in MONAI, the size of one box is the smallest of the next
                size = size
                    .iter()
                    .zip(largest)
                    .map(|(&low, &high)| random.integer(low as i64, high as i64 + 1) as usize)
                    .collect();
            }
            let hole = size.iter().zip(shape).map(|(&size, &n)| {
                let size = size.min(n) as i64;
                (random.integer(0, n as i64 - size + 1), size)
            });
            holes.push(hole.collect());
        }
        Ok(holes)
    }
}

/// The part of a (C, spatial…) tensor in a box.
fn part(tensor: &Tensor, hole: &Hole) -> Result<Tensor> {
    let mut part = tensor.shallow_clone();
    for (axis, &(start, size)) in hole.iter().enumerate() {
        part = part.f_narrow(axis as i64 + 1, start, size)?;
    }
    Ok(part)
}

/// Draws the boxes for the first key, whose shape the others must share.
fn draw(
    sample: &Sample,
    keys: &Keys,
    allow_missing: bool,
    holes: &Holes,
    random: &mut Random,
) -> Result<Option<(Vec<usize>, Vec<Hole>)>> {
    let Some((_, first)) = present(sample, keys, allow_missing)?.first().copied() else { return Ok(None) };
    let shape = spatial_shape(sample.tensor(first)?)?;
    let drawn = holes.draw(&shape, random)?;
    Ok(Some((shape, drawn)))
}

fn check_shape(tensor: &Tensor, shape: &[usize]) -> Result<()> {
    let own = spatial_shape(tensor)?;
    if own != shape {
        return Err(Error::data(format!("its shape is {own:?}, but that of the first image {shape:?}")));
    }
    Ok(())
}

/// Fills boxes at random places, or all but these.
///
/// The same boxes for all keys. MONAI `RandCoarseDropoutd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandCoarseDropoutdArgs {
    /// Keys of the images.
    keys: Keys,
    /// How many boxes; with `max_holes` at least so many.
    #[schemars(range(min = 1))]
    holes: usize,
    /// Size of the boxes, with `max_spatial_size` the smallest; for each axis or for all; 0 or -1 is the image's own.
    spatial_size: OneOrMany<i64>,
    /// Whether the boxes are filled; else what is outside of them.
    #[serde(default = "default::yes")]
    dropout_holes: bool,
    /// What they are filled with: a number, or numbers drawn from a range; from that of the image if it is `null`.
    #[serde(default)]
    fill_value: Option<OneOrMany<f64>>,
    /// The most boxes; their number is drawn if it is given.
    #[serde(default)]
    max_holes: Option<usize>,
    /// The largest size; it is drawn if it is given.
    #[serde(default)]
    max_spatial_size: Option<OneOrMany<i64>>,
    /// Probability that it does anything.
    #[serde(default = "default::tenth")]
    #[schemars(range(min = 0.0, max = 1.0))]
    prob: f64,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`RandCoarseDropoutdArgs`].
pub struct RandCoarseDropoutd {
    args: RandCoarseDropoutdArgs,
    holes: Holes,
}

impl Component for RandCoarseDropoutd {
    type Args = RandCoarseDropoutdArgs;

    fn new(args: RandCoarseDropoutdArgs) -> Result<Self> {
        probability(args.prob)?;
        if let Some(OneOrMany::Many(range)) = &args.fill_value
            && range.len() != 2
        {
            return Err(Error::invalid_argument(format!(
                "`fill_value` has {} numbers; one, or the two ends of a range",
                range.len()
            )));
        }
        let holes = Holes {
            count: args.holes,
            most: args.max_holes,
            size: args.spatial_size.clone(),
            largest: args.max_spatial_size.clone(),
        };
        holes.check()?;
        Ok(Self { args, holes })
    }
}

impl RandCoarseDropoutd {
    /// A tensor of this size to fill with.
    fn filling(&self, size: &[i64], image: &Tensor, random: &mut Random) -> Result<Tensor> {
        let (low, high) = match &self.args.fill_value {
            Some(OneOrMany::One(value)) => (*value, *value),
            Some(OneOrMany::Many(range)) => (range[0], range[1]),
            None => (image.f_min()?.f_double_value(&[])?, image.f_max()?.f_double_value(&[])?),
        };
        let values = if low == high {
            Tensor::f_full(size, low, (Kind::Float, tch::Device::Cpu))?
        } else {
            random.uniform_tensor(size).f_mul_scalar(high - low)?.f_add_scalar(low)?
        };
        Ok(values.f_to_kind(image.kind())?.f_to_device(image.device())?)
    }

    fn drop_out(&self, tensor: &Tensor, holes: &[Hole], random: &mut Random) -> Result<Tensor> {
        if self.args.dropout_holes {
            let out = tensor.copy();
            for hole in holes {
                let mut place = part(&out, hole)?;
                place.f_copy_(&self.filling(&place.size(), tensor, random)?)?;
            }
            return Ok(out);
        }
        let out = self.filling(&tensor.size(), tensor, random)?;
        for hole in holes {
            part(&out, hole)?.f_copy_(&part(tensor, hole)?)?;
        }
        Ok(out)
    }
}

impl Transform for RandCoarseDropoutd {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        let Self { args, holes } = self;
        if !random.chance(args.prob) {
            return Ok(());
        }
        let Some((shape, drawn)) = draw(sample, &args.keys, args.allow_missing_keys, holes, random)? else {
            return Ok(());
        };
        map_tensors(sample, &args.keys, args.allow_missing_keys, |_, tensor| {
            check_shape(tensor, &shape)?;
            self.drop_out(tensor, &drawn, random)
        })
    }

    fn is_random(&self) -> bool {
        true
    }
}

/// Shuffles the voxels in boxes at random places, each channel on its own.
///
/// The same boxes for all keys. MONAI `RandCoarseShuffled`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandCoarseShuffledArgs {
    /// Keys of the images.
    keys: Keys,
    /// How many boxes; with `max_holes` at least so many.
    #[schemars(range(min = 1))]
    holes: usize,
    /// Size of the boxes, with `max_spatial_size` the smallest; for each axis or for all; 0 or -1 is the image's own.
    spatial_size: OneOrMany<i64>,
    /// The most boxes; their number is drawn if it is given.
    #[serde(default)]
    max_holes: Option<usize>,
    /// The largest size; it is drawn if it is given.
    #[serde(default)]
    max_spatial_size: Option<OneOrMany<i64>>,
    /// Probability that it does anything.
    #[serde(default = "default::tenth")]
    #[schemars(range(min = 0.0, max = 1.0))]
    prob: f64,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`RandCoarseShuffledArgs`].
pub struct RandCoarseShuffled {
    args: RandCoarseShuffledArgs,
    holes: Holes,
}

impl Component for RandCoarseShuffled {
    type Args = RandCoarseShuffledArgs;

    fn new(args: RandCoarseShuffledArgs) -> Result<Self> {
        probability(args.prob)?;
        let holes = Holes {
            count: args.holes,
            most: args.max_holes,
            size: args.spatial_size.clone(),
            largest: args.max_spatial_size.clone(),
        };
        holes.check()?;
        Ok(Self { args, holes })
    }
}

impl Transform for RandCoarseShuffled {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        let Self { args, holes } = self;
        if !random.chance(args.prob) {
            return Ok(());
        }
        let Some((shape, drawn)) = draw(sample, &args.keys, args.allow_missing_keys, holes, random)? else {
            return Ok(());
        };
        map_tensors(sample, &args.keys, args.allow_missing_keys, |_, tensor| {
            check_shape(tensor, &shape)?;
            let out = tensor.copy();
            for hole in &drawn {
                for channel in part(&out, hole)?.f_unbind(0)? {
                    let order: Vec<i64> =
                        random.permutation(channel.numel()).into_iter().map(|index| index as i64).collect();
                    let length = order.len() as i64;
                    let order = view::from_vec(order, &[length]).f_to_device(channel.device())?;
                    let shuffled = channel.f_reshape([-1])?.f_index_select(0, &order)?.f_view_as(&channel)?;
                    channel.shallow_clone().f_copy_(&shuffled)?;
                }
            }
            Ok(out)
        })
    }

    fn is_random(&self) -> bool {
        true
    }
}

byoc::register! { transforms: [RandCoarseDropoutd, RandCoarseShuffled] }

#[cfg(test)]
mod tests {
    use byoc::{Component, Random, Sample, Transform};
    use serde_json::{Value, json};
    use tch::{Kind, Tensor};

    use super::{RandCoarseDropoutd, RandCoarseShuffled};

    fn apply<T: Transform + Component>(args: Value, seed: u64) -> [Tensor; 2] {
        let transform = T::new(serde_json::from_value(args).unwrap()).unwrap();
        let mut sample = Sample::new();
        let image = Tensor::arange(2 * 10 * 12, (Kind::Float, tch::Device::Cpu)).view([2, 10, 12]);
        sample.insert("image", image.shallow_clone());
        sample.insert("other", image.shallow_clone());
        transform.apply(&mut sample, &mut Random::from_seed(seed)).unwrap();
        // the input may be shared with a cache
        assert_eq!(image.double_value(&[1, 9, 11]), 239.0);
        ["image", "other"].map(|key| sample.tensor(key).unwrap().shallow_clone())
    }

    #[test]
    fn boxes_are_filled_or_all_but_these() {
        let mut counts = std::collections::BTreeSet::new();
        for seed in 0..30 {
            let args = json!({"keys": ["image", "other"], "holes": 1, "max_holes": 3, "spatial_size": [2, 3], "fill_value": -7, "prob": 1.0});
            let [image, other] = apply::<RandCoarseDropoutd>(args, seed);
            assert_eq!(image, other);
            let filled = image.eq(-7.0).sum(Kind::Int64).int64_value(&[]);
            assert!((12..=36).contains(&filled) && filled % 2 == 0, "{filled}");
            counts.insert(filled);
            let args = json!({"keys": "image", "holes": 1, "spatial_size": 3, "max_spatial_size": [5, 5], "dropout_holes": false, "fill_value": [500, 600], "prob": 1.0});
            let [image, _] = apply::<RandCoarseDropoutd>(args, seed);
            let kept = image.lt(300.0).sum(Kind::Int64).int64_value(&[]);
            assert!((18..=50).contains(&kept), "{kept}");
            assert!(image.max().double_value(&[]) < 600.0);
        }
        assert!(counts.contains(&12) && counts.contains(&36), "{counts:?}");
    }

    #[test]
    fn shuffled_voxels_stay_in_their_box_and_channel() {
        let args = json!({"keys": "image", "holes": 1, "spatial_size": [4, 5], "prob": 1.0});
        let [image, original] = apply::<RandCoarseShuffled>(args, 3);
        for channel in 0..2 {
            let (new, old) = (image.select(0, channel), original.select(0, channel));
            let moved = new.ne_tensor(&old);
            let changed = moved.sum(Kind::Int64).int64_value(&[]);
            assert!((10..=20).contains(&changed), "{changed}");
            let rows = moved.any_dim(1, false).sum(Kind::Int64).int64_value(&[]);
            let columns = moved.any_dim(0, false).sum(Kind::Int64).int64_value(&[]);
            assert!(rows <= 4 && columns <= 5);
            let sorted = |tensor: Tensor| tensor.view([-1]).sort(0, false).0;
            assert_eq!(sorted(new), sorted(old));
        }
    }
}
