//! The values of a sample as such: `CopyItemsd`, `ConcatItemsd`, `SelectItemsd`, `DeleteItemsd`, `SplitDimd`.

use byoc::{Component, Error, Image, Keys, Random, Result, Sample, Transform, Value};
use mmar_imaging::affine::{multiply, translation};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Tensor;

use super::common::{default, image_of, present};

/// Puts copies of values under other keys.
///
/// MONAI `CopyItemsd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CopyItemsdArgs {
    /// Keys of the values.
    keys: Keys,
    /// How many copies of each.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    times: usize,
    /// Keys of the copies: first one for each value, then again for the next copy. Left out, `KEY_0`, `KEY_1` …
    #[serde(default)]
    names: Option<Keys>,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

fn one() -> usize {
    1
}

/// See [`CopyItemsdArgs`].
pub struct CopyItemsd {
    args: CopyItemsdArgs,
    names: Vec<String>,
}

impl Component for CopyItemsd {
    type Args = CopyItemsdArgs;

    fn new(args: CopyItemsdArgs) -> Result<Self> {
        let needed = args.times * args.keys.len();
        let names = match &args.names {
            Some(names) => names.0.clone(),
            None => (0..args.times).flat_map(|i| args.keys.iter().map(move |key| format!("{key}_{i}"))).collect(),
        };
        if args.times == 0 || names.len() != needed {
            return Err(Error::invalid_argument(format!(
                "{} `names` are given for {} keys copied {} times",
                names.len(),
                args.keys.len(),
                args.times
            )));
        }
        Ok(Self { args, names })
    }
}

impl Transform for CopyItemsd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        for (position, key) in present(sample, &self.args.keys, self.args.allow_missing_keys)? {
            for name in self.names.iter().skip(position).step_by(self.args.keys.len()) {
                if sample.contains(name) {
                    return Err(Error::data(format!(
                        "there is a `{name}` already; choose another name for the copy of `{key}`"
                    )));
                }
                let copy = sample.get(key)?.shallow_clone();
                sample.insert(name, copy);
            }
        }
        Ok(())
    }
}

/// Joins tensors along an axis under a new key.
///
/// MONAI `ConcatItemsd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConcatItemsdArgs {
    /// Keys of the tensors.
    keys: Keys,
    /// Key of the result.
    name: String,
    /// The axis; 0 is that of the channels.
    #[serde(default)]
    dim: i64,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`ConcatItemsdArgs`].
pub struct ConcatItemsd(ConcatItemsdArgs);

impl Component for ConcatItemsd {
    type Args = ConcatItemsdArgs;

    fn new(args: ConcatItemsdArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

impl Transform for ConcatItemsd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let Self(args) = self;
        let keys = present(sample, &args.keys, args.allow_missing_keys)?;
        let tensors = keys.iter().map(|(_, key)| sample.tensor(key)).collect::<Result<Vec<_>>>()?;
        let Some((_, first)) = keys.first() else { return Ok(()) };
        let joined = Tensor::f_cat(&tensors, args.dim)?;
        let value = match sample.get(first)? {
            Value::Image(image) => Value::Image(image.with_tensor(joined)),
            _ => Value::Tensor(joined),
        };
        sample.insert(&args.name, value);
        Ok(())
    }
}

/// Keeps some keys and drops the others.
///
/// MONAI `SelectItemsd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SelectItemsdArgs {
    /// Keys to keep.
    keys: Keys,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`SelectItemsdArgs`].
pub struct SelectItemsd(SelectItemsdArgs);

impl Component for SelectItemsd {
    type Args = SelectItemsdArgs;

    fn new(args: SelectItemsdArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

impl Transform for SelectItemsd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let mut kept = Sample::new();
        for (_, key) in present(sample, &self.0.keys, self.0.allow_missing_keys)? {
            kept.insert(key, sample.get(key)?.shallow_clone());
        }
        *sample = kept;
        Ok(())
    }
}

/// Drops keys.
///
/// MONAI `DeleteItemsd`; a key that is not there is no error.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteItemsdArgs {
    /// Keys to drop.
    keys: Keys,
}

/// See [`DeleteItemsdArgs`].
pub struct DeleteItemsd(DeleteItemsdArgs);

impl Component for DeleteItemsd {
    type Args = DeleteItemsdArgs;

    fn new(args: DeleteItemsdArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

impl Transform for DeleteItemsd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        for key in &self.0.keys {
            sample.remove(key);
        }
        Ok(())
    }
}

/// Splits tensors along an axis, the channels by default, into keys of their own: `KEY_0`, `KEY_1` …
///
/// MONAI `SplitDimd`, in 0.8 `SplitChanneld`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitDimdArgs {
    /// Keys of the tensors.
    keys: Keys,
    /// What comes behind the key and `_`, one for each part; numbers if it is `null`.
    #[serde(default)]
    output_postfixes: Option<Vec<String>>,
    /// The axis.
    #[serde(default, alias = "channel_dim")]
    #[schemars(extend("x-aliases" = ["channel_dim"]))]
    dim: i64,
    /// Whether the parts keep the axis, with a size of 1.
    #[serde(default = "default::yes")]
    keepdim: bool,
    /// Whether the affine of a part of a spatial axis starts where the part does.
    #[serde(default = "default::yes")]
    update_meta: bool,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`SplitDimdArgs`].
pub struct SplitDimd(SplitDimdArgs);

impl Component for SplitDimd {
    type Args = SplitDimdArgs;

    fn new(args: SplitDimdArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

impl Transform for SplitDimd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let Self(args) = self;
        for (_, key) in present(sample, &args.keys, args.allow_missing_keys)? {
            let image = image_of(sample, key)?;
            let rank = image.tensor.dim() as i64;
            let dim = if args.dim < 0 { args.dim + rank } else { args.dim };
            let parts = image.tensor.f_split(1, dim)?;
            if let Some(postfixes) = &args.output_postfixes
                && postfixes.len() != parts.len()
            {
                return Err(Error::invalid_argument(format!(
                    "`{key}` has {} parts, but {} `output_postfixes` are given",
                    parts.len(),
                    postfixes.len()
                )));
            }
            for (index, part) in parts.iter().enumerate() {
                let name = match &args.output_postfixes {
                    Some(postfixes) => format!("{key}_{}", postfixes[index]),
                    None => format!("{key}_{index}"),
                };
                if sample.contains(&name) {
                    return Err(Error::data(format!("there is a `{name}` already; choose other `output_postfixes`")));
                }
                let tensor = if args.keepdim { part.shallow_clone() } else { part.f_squeeze_dim(dim)? };
                let mut split: Image = image.with_tensor(tensor);
                if args.update_meta && (1..=3).contains(&dim) {
                    let mut shift = [0.0; 3];
                    shift[dim as usize - 1] = index as f64;
                    split.affine = multiply(&split.affine, &translation(&shift));
                }
                sample.insert(name, split);
            }
        }
        Ok(())
    }
}

byoc::register! {
    transforms: [CopyItemsd, ConcatItemsd, SelectItemsd, DeleteItemsd, SplitDimd = "SplitDimd" | "SplitChanneld" | "SplitChannelD"],
}
