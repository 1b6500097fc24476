//! Size and place: flips, crops, margins, sizes, `RandomErasing`.

use byoc::{Error, OneOrMany, Random, Result};
use serde::Deserialize;
use serde_json::Value as Json;
use tch::{Kind, Tensor};

use super::color::{check_probability, half};
use super::{Checked, Operation};
use crate::transforms::geometry::{PadMode, pad_axis};

macro_rules! flips {
    ($($(#[$doc:meta])* $name:ident: $axis:literal;)*) => {
        $(
            $(#[$doc])*
            #[derive(Deserialize)]
            #[serde(deny_unknown_fields)]
            pub(super) struct $name {
                #[serde(default = "half")]
                p: f64,
            }

            impl Checked for $name {
                fn check(&self) -> Result<()> {
                    check_probability(self.p)
                }
            }

            impl Operation for $name {
                fn apply(&self, tensor: &Tensor, random: &mut Random) -> Result<Tensor> {
                    Ok(if random.chance(self.p) { tensor.f_flip([$axis])? } else { tensor.shallow_clone() })
                }
            }
        )*
    };
}

flips! {
    /// Columns reversed, or the picture.
    RandomHorizontalFlip: 2;
    /// Rows reversed, or the picture.
    RandomVerticalFlip: 1;
}

/// Height and width; a single number is for both.
fn both(size: &OneOrMany<i64>) -> Result<[i64; 2]> {
    let size = size.repeat(2, "size")?;
    if size.iter().any(|&n| n < 1) {
        return Err(Error::invalid_argument(format!("`size` is {size:?}; it must be above 0")));
    }
    Ok([size[0], size[1]])
}

fn crop(tensor: &Tensor, [top, left]: [i64; 2], [height, width]: [i64; 2]) -> Result<Tensor> {
    Ok(tensor.f_narrow(1, top, height)?.f_narrow(2, left, width)?.f_contiguous()?)
}

/// What a margin is filled with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Margin {
    #[default]
    Constant,
    Edge,
    Reflect,
    Symmetric,
}

/// The widths of margins: left, top, right, bottom.
fn margins(padding: &OneOrMany<i64>) -> Result<[i64; 4]> {
    match padding {
        OneOrMany::One(all) => Ok([*all; 4]),
        OneOrMany::Many(widths) => match widths[..] {
            [all] => Ok([all; 4]),
            [x, y] => Ok([x, y, x, y]),
            [left, top, right, bottom] => Ok([left, top, right, bottom]),
            _ => {
                Err(Error::invalid_argument(format!("`padding` has {} numbers; 1, 2 or 4 are possible", widths.len())))
            }
        },
    }
}

fn pad(tensor: &Tensor, [left, top, right, bottom]: [i64; 4], margin: Margin, fill: f64) -> Result<Tensor> {
    let mode = match margin {
        Margin::Constant => return Ok(tensor.f_pad([left, right, top, bottom], "constant", fill)?),
        Margin::Edge => PadMode::Edge,
        Margin::Reflect => PadMode::Reflect,
        Margin::Symmetric => PadMode::Symmetric,
    };
    let size = tensor.size();
    let rows = pad_axis(tensor, 1, size[1], top, bottom, mode)?;
    pad_axis(&rows, 2, size[2], left, right, mode)
}

/// A margin on all sides.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pad {
    padding: OneOrMany<i64>,
    #[serde(default)]
    fill: f64,
    #[serde(default)]
    padding_mode: Margin,
}

impl Checked for Pad {
    fn check(&self) -> Result<()> {
        if margins(&self.padding)?.iter().any(|&width| width < 0) {
            return Err(Error::invalid_argument("`padding` must not be negative"));
        }
        Ok(())
    }
}

impl Operation for Pad {
    fn apply(&self, tensor: &Tensor, _: &mut Random) -> Result<Tensor> {
        pad(tensor, margins(&self.padding)?, self.padding_mode, self.fill)
    }

    fn is_random(&self) -> bool {
        false
    }
}

/// The middle; a smaller picture gets a margin of zeros first.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CenterCrop {
    size: OneOrMany<i64>,
}

impl Checked for CenterCrop {
    fn check(&self) -> Result<()> {
        both(&self.size).map(drop)
    }
}

impl Operation for CenterCrop {
    fn apply(&self, tensor: &Tensor, _: &mut Random) -> Result<Tensor> {
        let size = both(&self.size)?;
        let own = [tensor.size()[1], tensor.size()[2]];
        let missing = [(size[0] - own[0]).max(0), (size[1] - own[1]).max(0)];
        let before = missing.map(|n| n / 2);
        let after = missing.map(|n| (n + 1) / 2);
        let padded = pad(tensor, [before[1], before[0], after[1], after[0]], Margin::Constant, 0.0)?;
        let own = [padded.size()[1], padded.size()[2]];
        let start = [0, 1].map(|axis| ((own[axis] - size[axis]) as f64 / 2.0).round_ties_even() as i64);
        crop(&padded, start, size)
    }

    fn is_random(&self) -> bool {
        false
    }
}

/// A part at a random place.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RandomCrop {
    size: OneOrMany<i64>,
    /// Margins that are added first.
    #[serde(default)]
    padding: Option<OneOrMany<i64>>,
    /// Whether a smaller picture gets margins until it is large enough.
    #[serde(default)]
    pad_if_needed: bool,
    #[serde(default)]
    fill: f64,
    #[serde(default)]
    padding_mode: Margin,
}

impl Checked for RandomCrop {
    fn check(&self) -> Result<()> {
        if let Some(padding) = &self.padding {
            margins(padding)?;
        }
        both(&self.size).map(drop)
    }
}

impl Operation for RandomCrop {
    fn apply(&self, tensor: &Tensor, random: &mut Random) -> Result<Tensor> {
        let size = both(&self.size)?;
        let mut picture = tensor.shallow_clone();
        if let Some(padding) = &self.padding {
            picture = pad(&picture, margins(padding)?, self.padding_mode, self.fill)?;
        }
        let mut own = [picture.size()[1], picture.size()[2]];
        if self.pad_if_needed {
            let [y, x] = [0, 1].map(|axis| (size[axis] - own[axis]).max(0));
            picture = pad(&picture, [x, y, x, y], self.padding_mode, self.fill)?;
            own = [picture.size()[1], picture.size()[2]];
        }
        if own[0] < size[0] || own[1] < size[1] {
            return Err(Error::data(format!(
                "a crop of {size:?} does not fit into {own:?}: use a smaller `size`, or set `pad_if_needed`"
            )));
        }
        let start = [0, 1].map(|axis| random.integer(0, own[axis] - size[axis] + 1));
        crop(&picture, start, size)
    }
}

/// How values between pixels are found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Interpolation {
    Nearest,
    #[default]
    Bilinear,
    Bicubic,
}

fn resize(tensor: &Tensor, size: [i64; 2], interpolation: Interpolation, antialias: bool) -> Result<Tensor> {
    if [tensor.size()[1], tensor.size()[2]] == size {
        return Ok(tensor.shallow_clone());
    }
    let picture = tensor.f_to_kind(Kind::Float)?.f_unsqueeze(0)?;
    let resized = match (interpolation, antialias) {
        (Interpolation::Nearest, _) => picture.f_upsample_nearest2d(size, None, None)?,
        (Interpolation::Bilinear, true) => picture.f_internal_upsample_bilinear2d_aa(size, false, None, None)?,
        (Interpolation::Bilinear, false) => picture.f_upsample_bilinear2d(size, false, None, None)?,
        (Interpolation::Bicubic, true) => picture.f_internal_upsample_bicubic2d_aa(size, false, None, None)?,
        (Interpolation::Bicubic, false) => picture.f_upsample_bicubic2d(size, false, None, None)?,
    };
    let resized = resized.f_squeeze_dim(0)?;
    if tensor.is_floating_point() {
        return Ok(resized.f_to_kind(tensor.kind())?);
    }
    let resized = if interpolation == Interpolation::Bicubic { resized.f_clamp(0.0, 255.0)? } else { resized };
    Ok(resized.f_round()?.f_to_kind(tensor.kind())?)
}

fn yes() -> bool {
    true
}

/// Another size; a single number is that of the shorter side.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Resize {
    size: OneOrMany<i64>,
    #[serde(default)]
    interpolation: Interpolation,
    /// The longest that the longer side may become.
    #[serde(default)]
    max_size: Option<i64>,
    #[serde(default = "yes")]
    antialias: bool,
}

impl Checked for Resize {
    fn check(&self) -> Result<()> {
        both(&self.size).map(drop)
    }
}

impl Operation for Resize {
    fn apply(&self, tensor: &Tensor, _: &mut Random) -> Result<Tensor> {
        let own = [tensor.size()[1], tensor.size()[2]];
        let size = match &self.size {
            OneOrMany::Many(size) if size.len() == 2 => [size[0], size[1]],
            size => {
                let shorter = both(size)?[0];
                let long = own[0].max(own[1]);
                let short = own[0].min(own[1]);
                let mut new = [shorter, (shorter as f64 * long as f64 / short as f64) as i64];
                if let Some(most) = self.max_size.filter(|&most| new[1] > most) {
                    new = [(most as f64 * new[0] as f64 / new[1] as f64) as i64, most];
                }
                if own[0] <= own[1] { new } else { [new[1], new[0]] }
            }
        };
        resize(tensor, size, self.interpolation, self.antialias)
    }

    fn is_random(&self) -> bool {
        false
    }
}

/// A part of random size, shape and place, brought to a size.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RandomResizedCrop {
    size: OneOrMany<i64>,
    /// The range of the part's area as a share of the picture's.
    #[serde(default = "areas")]
    scale: [f64; 2],
    /// The range of its width divided by its height.
    #[serde(default = "ratios")]
    ratio: [f64; 2],
    #[serde(default)]
    interpolation: Interpolation,
    #[serde(default = "yes")]
    antialias: bool,
}

fn areas() -> [f64; 2] {
    [0.08, 1.0]
}

fn ratios() -> [f64; 2] {
    [3.0 / 4.0, 4.0 / 3.0]
}

impl Checked for RandomResizedCrop {
    fn check(&self) -> Result<()> {
        if self.ratio.iter().chain(&self.scale).any(|&value| value <= 0.0) {
            return Err(Error::invalid_argument("`scale` and `ratio` must be above 0"));
        }
        both(&self.size).map(drop)
    }
}

impl Operation for RandomResizedCrop {
    fn apply(&self, tensor: &Tensor, random: &mut Random) -> Result<Tensor> {
        let [height, width] = [tensor.size()[1], tensor.size()[2]];
        let area = (height * width) as f64;
        let mut part = None;
        for _ in 0..10 {
            let wanted = area * random.uniform(self.scale[0], self.scale[1]);
            let ratio = random.uniform(self.ratio[0].ln(), self.ratio[1].ln()).exp();
            let w = (wanted * ratio).sqrt().round_ties_even() as i64;
            let h = (wanted / ratio).sqrt().round_ties_even() as i64;
            if (1..=width).contains(&w) && (1..=height).contains(&h) {
                part = Some(([random.integer(0, height - h + 1), random.integer(0, width - w + 1)], [h, w]));
                break;
            }
        }
        let (start, size) = part.unwrap_or_else(|| {
            // the middle, as near to the ratios as it gets
            let own = width as f64 / height as f64;
            let (w, h) = if own < self.ratio[0] {
                (width, (width as f64 / self.ratio[0]).round_ties_even() as i64)
            } else if own > self.ratio[1] {
                ((height as f64 * self.ratio[1]).round_ties_even() as i64, height)
            } else {
                (width, height)
            };
            ([(height - h) / 2, (width - w) / 2], [h, w])
        });
        resize(&crop(tensor, start, size)?, both(&self.size)?, self.interpolation, self.antialias)
    }
}

/// A box of random size, shape and place filled, or the picture.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RandomErasing {
    #[serde(default = "half")]
    p: f64,
    /// The range of the box's area as a share of the picture's.
    #[serde(default = "small_areas")]
    scale: [f64; 2],
    /// The range of its height divided by its width.
    #[serde(default = "wide_ratios")]
    ratio: [f64; 2],
    /// A number, one for each channel, or `random`.
    #[serde(default)]
    value: Json,
    #[serde(default, rename = "inplace")]
    _inplace: bool,
}

fn small_areas() -> [f64; 2] {
    [0.02, 0.33]
}

fn wide_ratios() -> [f64; 2] {
    [0.3, 3.3]
}

/// What a box is filled with.
enum Filling {
    Noise,
    Numbers(Vec<f64>),
}

impl RandomErasing {
    fn filling(&self) -> Result<Filling> {
        match &self.value {
            Json::Null => Ok(Filling::Numbers(vec![0.0])),
            Json::String(text) if text == "random" => Ok(Filling::Noise),
            Json::Number(number) => Ok(Filling::Numbers(vec![number.as_f64().unwrap_or(0.0)])),
            other => serde_json::from_value(other.clone()).map(Filling::Numbers).map_err(|_| {
                Error::invalid_argument(format!("`value` is {other}; a number, one for each channel, or `random`"))
            }),
        }
    }
}

impl Checked for RandomErasing {
    fn check(&self) -> Result<()> {
        if self.ratio.iter().any(|&value| value <= 0.0) || self.scale[0] < 0.0 || self.scale[1] > 1.0 {
            return Err(Error::invalid_argument("`scale` must lie in 0 … 1 and `ratio` above 0"));
        }
        self.filling()?;
        check_probability(self.p)
    }
}

impl Operation for RandomErasing {
    fn apply(&self, tensor: &Tensor, random: &mut Random) -> Result<Tensor> {
        if !random.chance(self.p) {
            return Ok(tensor.shallow_clone());
        }
        let [channels, height, width] = [0, 1, 2].map(|axis| tensor.size()[axis]);
        let area = (height * width) as f64;
        for _ in 0..10 {
            let wanted = area * random.uniform(self.scale[0], self.scale[1]);
            let ratio = random.uniform(self.ratio[0].ln(), self.ratio[1].ln()).exp();
            let h = (wanted * ratio).sqrt().round_ties_even() as i64;
            let w = (wanted / ratio).sqrt().round_ties_even() as i64;
            if h >= height || w >= width {
                continue;
            }
            let filling = match self.filling()? {
                Filling::Noise => random.normal_tensor(&[channels, h, w]),
                Filling::Numbers(numbers) if numbers.len() == 1 || numbers.len() as i64 == channels => {
                    Tensor::from_slice(&numbers).f_view([-1, 1, 1])?
                }
                Filling::Numbers(numbers) => {
                    return Err(Error::data(format!("`value` has {} numbers for {channels} channels", numbers.len())));
                }
            };
            let (top, left) = (random.integer(0, height - h + 1), random.integer(0, width - w + 1));
            let out = tensor.copy();
            let mut place = out.f_narrow(1, top, h)?.f_narrow(2, left, w)?;
            place.f_copy_(&filling.f_to_kind(tensor.kind())?.f_to_device(tensor.device())?)?;
            return Ok(out);
        }
        Ok(tensor.shallow_clone())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tch::{Kind, Tensor};

    use super::super::tests::{apply, picture};

    #[test]
    fn flips_happen_as_often_as_asked() {
        let picture = picture(Kind::Float);
        let flipped = |name: &str| {
            let args = json!({"keys": "image", "name": name, "p": 0.3});
            (0..400).map(|seed| apply(args.clone(), &picture, seed)).filter(|out| *out != picture).collect::<Vec<_>>()
        };
        for (name, axis) in [("RandomHorizontalFlip", 2), ("RandomVerticalFlip", 1)] {
            let flipped = flipped(name);
            // 120 with a standard deviation of 9
            assert!((84..156).contains(&flipped.len()), "{name}: {}", flipped.len());
            assert_eq!(flipped[0], picture.flip([axis]));
        }
    }

    #[test]
    fn boxes_have_the_area_and_shape_asked_for() {
        let picture = Tensor::ones([3, 60, 50], (Kind::Float, tch::Device::Cpu));
        let args = json!({"keys": "image", "name": "RandomErasing", "p": 1.0, "scale": [0.1, 0.2], "ratio": [0.5, 2.0], "value": [7, 8, 9]});
        for seed in 0..50 {
            let out = apply(args.clone(), &picture, seed);
            let erased = out.select(0, 1).eq(8.0);
            let share = erased.sum(Kind::Double).double_value(&[]) / 3000.0;
            assert!((0.09..0.22).contains(&share), "{share}");
            let height = erased.any_dim(1, false).sum(Kind::Double).double_value(&[]);
            let width = erased.any_dim(0, false).sum(Kind::Double).double_value(&[]);
            assert!((0.45..2.2).contains(&(height / width)) && (height * width / 3000.0 - share).abs() < 1e-9);
        }
        assert_eq!(picture.sum(Kind::Double).double_value(&[]), 9000.0);
    }

    #[test]
    fn crops_are_parts_of_the_picture() {
        let picture = picture(Kind::Float);
        let args = json!({"keys": "image", "name": "RandomCrop", "size": [7, 6], "padding": 0});
        assert_eq!(apply(args, &picture, 0), picture);
        let args = json!({"keys": "image", "name": "RandomCrop", "size": 3});
        let mut places = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let out = apply(args.clone(), &picture, seed);
            assert_eq!(out.size(), [3, 3, 3]);
            let found = (0..5).flat_map(|top| (0..4).map(move |left| (top, left)));
            places.extend(found.filter(|&(top, left)| picture.narrow(1, top, 3).narrow(2, left, 3) == out));
        }
        assert_eq!(places.len(), 20);
        let args = json!({"keys": "image", "name": "RandomResizedCrop", "size": [4, 5]});
        assert_eq!(apply(args, &picture, 3).size(), [3, 4, 5]);
    }
}
