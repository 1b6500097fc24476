//! Channel axes: `EnsureChannelFirstd`, `AddChanneld`, `AsChannelFirstd`, `AsChannelLastd`, `RepeatChanneld`,
//! `RemoveRepeatedChanneld`, `SqueezeDimd`, `Transposed`.

use byoc::{Component, Error, Image, Keys, OneOrMany, Random, Result, Sample, Transform};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::common::{default, map_images, map_tensors};

/// Where a channel axis is: an index, or that there is none.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum ChannelDim {
    /// The index of the axis, negative ones from the end.
    Index(i64),
    /// `no_channel`
    None(String),
}

/// Puts the channel axis first, adding one if there is none.
///
/// Where the axis is says the metadata of `LoadImaged`, or `channel_dim`. MONAI `EnsureChannelFirstd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnsureChannelFirstdArgs {
    /// Keys of the images.
    keys: Keys,
    /// Whether it is an error not to know where the channel axis is.
    #[serde(default = "default::yes")]
    strict_check: bool,
    /// Where the channel axis is, if not where the metadata say: an index or `no_channel`.
    #[serde(default)]
    channel_dim: Option<ChannelDim>,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
    /// For compatibility: metadata travel with the image.
    #[serde(default, rename = "meta_keys")]
    _meta_keys: Option<Keys>,
    /// For compatibility: metadata travel with the image.
    #[serde(default, rename = "meta_key_postfix")]
    _meta_key_postfix: Option<OneOrMany<String>>,
}

/// See [`EnsureChannelFirstdArgs`].
pub struct EnsureChannelFirstd(EnsureChannelFirstdArgs);

impl Component for EnsureChannelFirstd {
    type Args = EnsureChannelFirstdArgs;

    fn new(args: EnsureChannelFirstdArgs) -> Result<Self> {
        if let Some(ChannelDim::None(name)) = &args.channel_dim
            && name != "no_channel"
        {
            return Err(Error::invalid_argument(format!("`channel_dim` is an index or `no_channel`, not `{name}`")));
        }
        Ok(Self(args))
    }
}

impl Transform for EnsureChannelFirstd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        map_images(sample, &self.0.keys, self.0.allow_missing_keys, |_, image| {
            if self.0.channel_dim.is_none() && !image.meta.contains_key("original_channel_dim") && !self.0.strict_check
            {
                return Ok(image);
            }
            channel_first(image, self.0.channel_dim.as_ref())
        })
    }
}

/// The image with its channel axis first.
pub(super) fn channel_first(mut image: Image, channel_dim: Option<&ChannelDim>) -> Result<Image> {
    let dim = match channel_dim {
        Some(ChannelDim::Index(index)) => json!(index),
        Some(ChannelDim::None(_)) => json!("no_channel"),
        None => image.meta.get("original_channel_dim").cloned().ok_or_else(|| {
            Error::data("where its channel axis is is not known: it was not loaded by `LoadImaged`; give `channel_dim`")
        })?,
    };
    image.tensor = match dim.as_i64() {
        None => image.tensor.f_unsqueeze(0)?,
        Some(index) => image.tensor.f_movedim_int(index, 0)?.f_contiguous()?,
    };
    image.meta.insert("original_channel_dim".to_owned(), if dim == Json::Null { json!("no_channel") } else { dim });
    Ok(image)
}

/// Adds a channel axis of 1 in front.
///
/// MONAI's `AddChanneld`, which it removed in 1.3: `EnsureChannelFirstd` knows by itself whether one is needed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddChanneldArgs {
    /// Keys of the images.
    keys: Keys,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`AddChanneldArgs`].
pub struct AddChanneld(AddChanneldArgs);

impl Component for AddChanneld {
    type Args = AddChanneldArgs;

    fn new(args: AddChanneldArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

impl Transform for AddChanneld {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        map_tensors(sample, &self.0.keys, self.0.allow_missing_keys, |_, tensor| Ok(tensor.f_unsqueeze(0)?))
    }
}

/// Moves an axis to the front.
///
/// MONAI's `AsChannelFirstd`, which it removed in 1.3.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AsChannelFirstdArgs {
    /// Keys of the images.
    keys: Keys,
    /// The axis that holds the channels.
    #[serde(default = "last")]
    channel_dim: i64,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

fn last() -> i64 {
    -1
}

/// See [`AsChannelFirstdArgs`].
pub struct AsChannelFirstd(AsChannelFirstdArgs);

impl Component for AsChannelFirstd {
    type Args = AsChannelFirstdArgs;

    fn new(args: AsChannelFirstdArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

impl Transform for AsChannelFirstd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        map_tensors(sample, &self.0.keys, self.0.allow_missing_keys, |_, tensor| {
            Ok(tensor.f_movedim_int(self.0.channel_dim, 0)?.f_contiguous()?)
        })
    }
}

/// Moves an axis, the first one by default, to the end.
///
/// MONAI `AsChannelLastd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AsChannelLastdArgs {
    /// Keys of the images.
    keys: Keys,
    /// The axis that holds the channels.
    #[serde(default)]
    channel_dim: i64,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`AsChannelLastdArgs`].
pub struct AsChannelLastd(AsChannelLastdArgs);

impl Component for AsChannelLastd {
    type Args = AsChannelLastdArgs;

    fn new(args: AsChannelLastdArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

impl Transform for AsChannelLastd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        map_tensors(sample, &self.0.keys, self.0.allow_missing_keys, |_, tensor| {
            Ok(tensor.f_movedim_int(self.0.channel_dim, -1)?.f_contiguous()?)
        })
    }
}

/// Repeats each channel.
///
/// MONAI `RepeatChanneld`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RepeatChanneldArgs {
    /// Keys of the images.
    keys: Keys,
    /// How often.
    #[schemars(range(min = 1))]
    repeats: i64,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`RepeatChanneldArgs`].
pub struct RepeatChanneld(RepeatChanneldArgs);

impl Component for RepeatChanneld {
    type Args = RepeatChanneldArgs;

    fn new(args: RepeatChanneldArgs) -> Result<Self> {
        if args.repeats < 1 {
            return Err(Error::invalid_argument(format!("`repeats` is {}, but must be 1 or more", args.repeats)));
        }
        Ok(Self(args))
    }
}

impl Transform for RepeatChanneld {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        map_tensors(sample, &self.0.keys, self.0.allow_missing_keys, |_, tensor| {
            Ok(tensor.f_repeat_interleave_self_int(self.0.repeats, 0, None)?)
        })
    }
}

/// Removes an axis of 1.
///
/// MONAI `SqueezeDimd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqueezeDimdArgs {
    /// Keys of the tensors.
    keys: Keys,
    /// The axis; all axes of 1 if it is `null`.
    #[serde(default = "first")]
    dim: Option<i64>,
    /// Whether a spatial axis is taken out of the affine, too.
    #[serde(default = "default::yes")]
    update_meta: bool,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

#[expect(clippy::unnecessary_wraps, reason = "the type of the field")]
fn first() -> Option<i64> {
    Some(0)
}

/// See [`SqueezeDimdArgs`].
pub struct SqueezeDimd(SqueezeDimdArgs);

impl Component for SqueezeDimd {
    type Args = SqueezeDimdArgs;

    fn new(args: SqueezeDimdArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

impl Transform for SqueezeDimd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        map_images(sample, &self.0.keys, self.0.allow_missing_keys, |_, mut image| {
            let Some(dim) = self.0.dim else {
                image.tensor = image.tensor.f_squeeze()?;
                return Ok(image);
            };
            let size = image.tensor.size();
            let index = if dim < 0 { dim + size.len() as i64 } else { dim };
            if usize::try_from(index).ok().and_then(|index| size.get(index)) != Some(&1) {
                return Err(Error::data(format!(
                    "axis {dim} cannot be squeezed: the shape is {size:?}, and only an axis of 1 can"
                )));
            }
            image.tensor = image.tensor.f_squeeze_dim(index)?;
            if self.0.update_meta && (1..=3).contains(&index) {
                image.affine = without_axis(&image.affine, index as usize - 1);
            }
            Ok(image)
        })
    }
}

/// The affine without a row and a column; the rest moves up.
fn without_axis(affine: &byoc::Affine, axis: usize) -> byoc::Affine {
    let kept: Vec<usize> = (0..3).filter(|&i| i != axis).collect();
    let mut out = byoc::IDENTITY_AFFINE;
    for (i, &row) in kept.iter().enumerate() {
        for (j, &column) in kept.iter().enumerate() {
            out[i][j] = affine[row][column];
        }
        out[i][3] = affine[row][3];
    }
    out
}

/// Keeps one of each so many channels, the opposite of `RepeatChanneld`.
///
/// MONAI `RemoveRepeatedChanneld`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveRepeatedChanneldArgs {
    /// Keys of the images.
    keys: Keys,
    /// How often each channel is there.
    #[schemars(range(min = 1))]
    repeats: i64,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`RemoveRepeatedChanneldArgs`].
pub struct RemoveRepeatedChanneld(RemoveRepeatedChanneldArgs);

impl Component for RemoveRepeatedChanneld {
    type Args = RemoveRepeatedChanneldArgs;

    fn new(args: RemoveRepeatedChanneldArgs) -> Result<Self> {
        if args.repeats < 1 {
            return Err(Error::invalid_argument(format!("`repeats` is {}, but must be at least 1", args.repeats)));
        }
        Ok(Self(args))
    }
}

impl Transform for RemoveRepeatedChanneld {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        map_tensors(sample, &self.0.keys, self.0.allow_missing_keys, |_, tensor| {
            let channels = tensor.size().first().copied().unwrap_or(0);
            if channels < 2 {
                return Err(Error::data(format!("it has {channels} channels; at least 2 are expected")));
            }
            Ok(tensor.f_slice(0, 0, channels, self.0.repeats)?.f_contiguous()?)
        })
    }
}

/// Reorders all axes, channels included.
///
/// MONAI `Transposed`; the affine stays as it is.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TransposedArgs {
    /// Keys of the tensors.
    keys: Keys,
    /// The old axes in their new order; reversed if it is `null`.
    indices: Option<Vec<i64>>,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`TransposedArgs`].
pub struct Transposed(TransposedArgs);

impl Component for Transposed {
    type Args = TransposedArgs;

    fn new(args: TransposedArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

impl Transform for Transposed {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        map_tensors(sample, &self.0.keys, self.0.allow_missing_keys, |_, tensor| {
            let order = self.0.indices.clone().unwrap_or_else(|| (0..tensor.dim() as i64).rev().collect());
            Ok(tensor.f_permute(&order)?.f_contiguous()?)
        })
    }
}

byoc::register! {
    transforms: [EnsureChannelFirstd, AddChanneld, AsChannelFirstd, AsChannelLastd, RepeatChanneld, RemoveRepeatedChanneld,
        SqueezeDimd, Transposed],
}
