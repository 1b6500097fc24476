//! Colours: `ColorJitter`, `Normalize`, `Grayscale`, `RandomGrayscale`, `RandomInvert`, `RandomSolarize`,
//! `RandomPosterize`, `RandomAutocontrast`.

use byoc::{Error, OneOrMany, Random, Result};
use serde::Deserialize;
use tch::{Kind, Tensor};

use super::picture::Picture;
use super::{Checked, Operation};

/// Brightness, contrast, saturation and hue changed by random factors, in random order.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ColorJitter {
    /// x for factors of 1 - x … 1 + x, or their range.
    #[serde(default)]
    brightness: OneOrMany<f64>,
    #[serde(default)]
    contrast: OneOrMany<f64>,
    #[serde(default)]
    saturation: OneOrMany<f64>,
    /// x for shifts of -x … x of the whole circle, or their range.
    #[serde(default)]
    hue: OneOrMany<f64>,
}

/// The range of an argument around a centre; `None` if it changes nothing.
fn jitter(name: &str, value: &OneOrMany<f64>, centre: f64) -> Result<Option<(f64, f64)>> {
    let (low, high) = match value {
        OneOrMany::One(value) if *value >= 0.0 => (centre - value, centre + value),
        OneOrMany::Many(range) if range.len() == 2 && range[0] <= range[1] => (range[0], range[1]),
        other => {
            return Err(Error::invalid_argument(format!(
                "`{name}` is {other:?}; a number from 0 on, or the two ends of a range"
            )));
        }
    };
    // a factor is not negative
    let low = if centre > 0.0 { low.max(0.0) } else { low };
    if centre == 0.0 && (low < -0.5 || high > 0.5) {
        return Err(Error::invalid_argument(format!("`{name}` shifts by more than half of the circle")));
    }
    Ok(if low == centre && high == centre { None } else { Some((low, high)) })
}

impl ColorJitter {
    fn ranges(&self) -> Result<[Option<(f64, f64)>; 4]> {
        Ok([
            jitter("brightness", &self.brightness, 1.0)?,
            jitter("contrast", &self.contrast, 1.0)?,
            jitter("saturation", &self.saturation, 1.0)?,
            jitter("hue", &self.hue, 0.0)?,
        ])
    }
}

impl Checked for ColorJitter {
    fn check(&self) -> Result<()> {
        self.ranges().map(drop)
    }
}

impl Operation for ColorJitter {
    fn apply(&self, tensor: &Tensor, random: &mut Random) -> Result<Tensor> {
        let order = random.permutation(4);
        let factors = self.ranges()?.map(|range| range.map(|(low, high)| random.uniform(low, high)));
        let mut picture = Picture::of(tensor)?;
        for which in order {
            let Some(factor) = factors[which] else { continue };
            match which {
                0 => picture.blend(factor as f32, |_, _| 0.0),
                1 => adjust_contrast(&mut picture, factor as f32),
                2 => adjust_saturation(&mut picture, factor as f32),
                _ => adjust_hue(&mut picture, factor as f32),
            }
        }
        picture.into_tensor()
    }
}

fn adjust_contrast(picture: &mut Picture, factor: f32) {
    let grey = picture.grey();
    let mean = grey.iter().map(|&value| f64::from(value)).sum::<f64>() / grey.len().max(1) as f64;
    picture.blend(factor, |_, _| mean as f32);
}

fn adjust_saturation(picture: &mut Picture, factor: f32) {
    if picture.planes.len() == 3 {
        let grey = picture.grey();
        picture.blend(factor, |_, pixel| grey[pixel]);
    }
}

fn adjust_hue(picture: &mut Picture, shift: f32) {
    if picture.planes.len() != 3 {
        return;
    }
    let (scale, whole, bound) = (picture.bound, picture.whole, picture.bound);
    for pixel in 0..picture.planes[0].len() {
        let rgb: [f32; 3] = std::array::from_fn(|channel| picture.planes[channel][pixel] / scale);
        let [hue, saturation, value] = to_hsv(rgb);
        // Python's remainder is not negative
        let turned = from_hsv([(hue + shift).rem_euclid(1.0), saturation, value]);
        for (plane, value) in picture.planes.iter_mut().zip(turned) {
            // whole numbers as torchvision converts them: each has the same share of 0 … 1
            plane[pixel] = if whole { (value * (bound + 1.0 - 1e-3)).trunc() } else { value };
        }
    }
}

fn to_hsv([red, green, blue]: [f32; 3]) -> [f32; 3] {
    let (highest, lowest) = (red.max(green).max(blue), red.min(green).min(blue));
    let range = highest - lowest;
    let grey = highest == lowest;
    let saturation = range / if grey { 1.0 } else { highest };
    let divisor = if grey { 1.0 } else { range };
    let [from_red, from_green, from_blue] = [red, green, blue].map(|value| (highest - value) / divisor);
    let sextant = if highest == red {
        from_blue - from_green
    } else if highest == green {
        2.0 + from_red - from_blue
    } else {
        4.0 + from_green - from_red
    };
    [(sextant / 6.0 + 1.0) % 1.0, saturation, highest]
}

fn from_hsv([hue, saturation, value]: [f32; 3]) -> [f32; 3] {
    let sextant = (hue * 6.0).floor();
    let part = hue * 6.0 - sextant;
    let p = (value * (1.0 - saturation)).clamp(0.0, 1.0);
    let q = (value * (1.0 - saturation * part)).clamp(0.0, 1.0);
    let t = (value * (1.0 - saturation * (1.0 - part))).clamp(0.0, 1.0);
    match sextant as i32 % 6 {
        0 => [value, t, p],
        1 => [q, value, p],
        2 => [p, value, t],
        3 => [p, q, value],
        4 => [t, p, value],
        _ => [value, p, q],
    }
}

/// Each channel's mean subtracted, then divided by its standard deviation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Normalize {
    mean: Vec<f64>,
    std: Vec<f64>,
    #[serde(default, rename = "inplace")]
    _inplace: bool,
}

impl Checked for Normalize {
    fn check(&self) -> Result<()> {
        if self.std.contains(&0.0) {
            return Err(Error::invalid_argument("`std` is 0 for a channel: it cannot be divided by"));
        }
        Ok(())
    }
}

impl Operation for Normalize {
    fn apply(&self, tensor: &Tensor, _: &mut Random) -> Result<Tensor> {
        if !tensor.is_floating_point() {
            return Err(Error::data(format!("it is of {:?}; `Normalize` needs floats", tensor.kind())));
        }
        let per_channel = |values: &[f64]| -> Result<Tensor> {
            let channels = tensor.size()[0];
            if values.len() != 1 && values.len() as i64 != channels {
                return Err(Error::data(format!("{} numbers for {channels} channels", values.len())));
            }
            let numbers = Tensor::from_slice(values).f_view([-1, 1, 1])?;
            Ok(numbers.f_to_kind(tensor.kind())?.f_to_device(tensor.device())?)
        };
        Ok(tensor.f_sub(&per_channel(&self.mean)?)?.f_div(&per_channel(&self.std)?)?)
    }

    fn is_random(&self) -> bool {
        false
    }
}

fn one() -> usize {
    1
}

/// Shades of grey, in one channel or the same in three.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Grayscale {
    #[serde(default = "one")]
    num_output_channels: usize,
}

impl Checked for Grayscale {
    fn check(&self) -> Result<()> {
        if [1, 3].contains(&self.num_output_channels) {
            return Ok(());
        }
        Err(Error::invalid_argument("`num_output_channels` must be 1 or 3"))
    }
}

impl Operation for Grayscale {
    fn apply(&self, tensor: &Tensor, _: &mut Random) -> Result<Tensor> {
        let mut picture = Picture::of(tensor)?;
        picture.planes = vec![picture.grey(); self.num_output_channels];
        picture.into_tensor()
    }

    fn is_random(&self) -> bool {
        false
    }
}

fn tenth() -> f64 {
    0.1
}

pub(super) fn half() -> f64 {
    0.5
}

pub(super) fn check_probability(p: f64) -> Result<()> {
    if (0.0..=1.0).contains(&p) {
        return Ok(());
    }
    Err(Error::invalid_argument(format!("`p` is {p}, but must lie between 0 and 1")))
}

/// Shades of grey in as many channels, or the picture.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RandomGrayscale {
    #[serde(default = "tenth")]
    p: f64,
}

impl Checked for RandomGrayscale {
    fn check(&self) -> Result<()> {
        check_probability(self.p)
    }
}

impl Operation for RandomGrayscale {
    fn apply(&self, tensor: &Tensor, random: &mut Random) -> Result<Tensor> {
        if !random.chance(self.p) {
            return Ok(tensor.shallow_clone());
        }
        let mut picture = Picture::of(tensor)?;
        picture.planes = vec![picture.grey(); picture.planes.len()];
        picture.into_tensor()
    }
}

/// A change of each value, or none.
fn each(tensor: &Tensor, change: impl Fn(&Picture, f32) -> f32) -> Result<Tensor> {
    let mut picture = Picture::of(tensor)?;
    let mut planes = std::mem::take(&mut picture.planes);
    for value in planes.iter_mut().flatten() {
        *value = change(&picture, *value);
    }
    picture.planes = planes;
    picture.into_tensor()
}

/// The negative, or the picture.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RandomInvert {
    #[serde(default = "half")]
    p: f64,
}

impl Checked for RandomInvert {
    fn check(&self) -> Result<()> {
        check_probability(self.p)
    }
}

impl Operation for RandomInvert {
    fn apply(&self, tensor: &Tensor, random: &mut Random) -> Result<Tensor> {
        if !random.chance(self.p) {
            return Ok(tensor.shallow_clone());
        }
        each(tensor, |picture, value| picture.bound - value)
    }
}

/// The negative of all values from a threshold on, or the picture.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RandomSolarize {
    threshold: f64,
    #[serde(default = "half")]
    p: f64,
}

impl Checked for RandomSolarize {
    fn check(&self) -> Result<()> {
        check_probability(self.p)
    }
}

impl Operation for RandomSolarize {
    fn apply(&self, tensor: &Tensor, random: &mut Random) -> Result<Tensor> {
        if !random.chance(self.p) {
            return Ok(tensor.shallow_clone());
        }
        each(tensor, |picture, value| if f64::from(value) >= self.threshold { picture.bound - value } else { value })
    }
}

/// Only so many bits of each value, or the picture, which must be uint8.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RandomPosterize {
    bits: u32,
    #[serde(default = "half")]
    p: f64,
}

impl Checked for RandomPosterize {
    fn check(&self) -> Result<()> {
        if self.bits > 8 {
            return Err(Error::invalid_argument(format!("`bits` is {}; a value has 8", self.bits)));
        }
        check_probability(self.p)
    }
}

impl Operation for RandomPosterize {
    fn apply(&self, tensor: &Tensor, random: &mut Random) -> Result<Tensor> {
        if tensor.kind() != Kind::Uint8 {
            return Err(Error::data(format!("it is of {:?}; `RandomPosterize` needs uint8", tensor.kind())));
        }
        if !random.chance(self.p) {
            return Ok(tensor.shallow_clone());
        }
        let step = 2f32.powi(8 - self.bits as i32);
        each(tensor, |_, value| (value / step).floor() * step)
    }
}

/// Each channel's range stretched to all values, or the picture.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RandomAutocontrast {
    #[serde(default = "half")]
    p: f64,
}

impl Checked for RandomAutocontrast {
    fn check(&self) -> Result<()> {
        check_probability(self.p)
    }
}

impl Operation for RandomAutocontrast {
    fn apply(&self, tensor: &Tensor, random: &mut Random) -> Result<Tensor> {
        if !random.chance(self.p) {
            return Ok(tensor.shallow_clone());
        }
        let mut picture = Picture::of(tensor)?;
        let mut planes = std::mem::take(&mut picture.planes);
        for plane in &mut planes {
            let low = plane.iter().copied().fold(f32::INFINITY, f32::min);
            let high = plane.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            // a channel of one value stays
            let (low, scale) = if high > low { (low, picture.bound / (high - low)) } else { (0.0, 1.0) };
            for value in plane.iter_mut() {
                *value = picture.held((*value - low) * scale);
            }
        }
        picture.planes = planes;
        picture.into_tensor()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tch::{Kind, Tensor};

    use super::super::tests::{apply, made};

    fn arguments(name: &str, args: &Value) -> Value {
        let mut all = json!({"keys": "image", "name": name});
        all.as_object_mut().unwrap().extend(args.as_object().unwrap().clone());
        all
    }

    #[test]
    fn jitter_stays_in_its_ranges() {
        let args = arguments("ColorJitter", &json!({"brightness": 0.25}));
        let grey = Tensor::full([3, 4, 4], 0.5, (Kind::Float, tch::Device::Cpu));
        let mut seen = Vec::new();
        for seed in 0..200 {
            seen.push(apply(args.clone(), &grey, seed).double_value(&[0, 0, 0]));
        }
        assert!(seen.iter().all(|value| (0.375..=0.625).contains(value)));
        assert!(seen.iter().any(|value| *value < 0.4) && seen.iter().any(|value| *value > 0.6));
        assert!(made(arguments("ColorJitter", &json!({"hue": 0.6}))).is_err());
        assert!(made(arguments("ColorJitter", &json!({"contrast": -1}))).is_err());
    }
}
