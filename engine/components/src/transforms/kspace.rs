//! Artefacts of the Fourier domain, MRI's k-space: `GibbsNoised`, `RandGibbsNoised`, `KSpaceSpikeNoised`,
//! `RandKSpaceSpikeNoised`.

use byoc::{Component, Error, Keys, OneOrMany, Random, Result, Sample, Transform};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Device, Kind, Tensor};
use torch_ext::view;

use super::common::{default, map_tensors, probability, spatial_shape};

/// The spatial axes of a (C, spatial…) tensor.
fn axes(tensor: &Tensor) -> Result<Vec<i64>> {
    Ok((1..=spatial_shape(tensor)?.len() as i64).collect())
}

/// The Fourier transform of the channels, frequency 0 in the middle.
fn forward(tensor: &Tensor) -> Result<Tensor> {
    let axes = axes(tensor)?;
    let spectrum = tensor.f_to_kind(Kind::Float)?.f_fft_fftn(None::<&[i64]>, axes.as_slice(), "backward")?;
    Ok(spectrum.f_fft_fftshift(axes.as_slice())?)
}

/// The real part of what such a spectrum belongs to.
fn backward(spectrum: &Tensor) -> Result<Tensor> {
    let axes: Vec<i64> = (1..spectrum.dim() as i64).collect();
    let centred = spectrum.f_fft_ifftshift(axes.as_slice())?;
    Ok(centred.f_fft_ifftn(None::<&[i64]>, axes.as_slice(), "backward")?.f_real()?.f_contiguous()?)
}

/// Cuts high frequencies, which gives the rings of Gibbs' phenomenon at edges.
///
/// MONAI `GibbsNoised`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GibbsNoisedArgs {
    /// Keys of the images.
    keys: Keys,
    /// How much is cut: 0 nothing, 1 all.
    #[serde(default = "half")]
    #[schemars(range(min = 0.0, max = 1.0))]
    alpha: f64,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
    /// For compatibility with MONAI 0.8.
    #[serde(default, rename = "as_tensor_output")]
    _as_tensor_output: bool,
}

fn half() -> f64 {
    0.5
}

/// See [`GibbsNoisedArgs`].
pub struct GibbsNoised(GibbsNoisedArgs);

impl Component for GibbsNoised {
    type Args = GibbsNoisedArgs;

    fn new(args: GibbsNoisedArgs) -> Result<Self> {
        if !(0.0..=1.0).contains(&args.alpha) {
            return Err(Error::invalid_argument(format!("`alpha` is {}, but must lie between 0 and 1", args.alpha)));
        }
        Ok(Self(args))
    }
}

/// Keeps the frequencies inside a ball around the middle.
fn gibbs(tensor: &Tensor, alpha: f64) -> Result<Tensor> {
    let shape = spatial_shape(tensor)?;
    let longest = shape.iter().copied().max().unwrap_or(0) as f64;
    let radius = (1.0 - alpha) * longest * std::f64::consts::SQRT_2 / 2.0;
    let size: Vec<i64> = shape.iter().map(|&n| n as i64).collect();
    let mask = view::build::<f32>(&size, |out| {
        for (index, value) in out.iter_mut().enumerate() {
            let mut rest = index;
            let mut square = 0.0;
            for &n in shape.iter().rev() {
                let distance = (rest % n) as f64 - (n as f64 - 1.0) / 2.0;
                square += distance * distance;
                rest /= n;
            }
            *value = f32::from(u8::from(square.sqrt() <= radius));
        }
    });
    backward(&forward(tensor)?.f_mul(&mask.f_to_device(tensor.device())?)?)
}

impl Transform for GibbsNoised {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        map_tensors(sample, &self.0.keys, self.0.allow_missing_keys, |_, tensor| gibbs(tensor, self.0.alpha))
    }
}

/// Cuts high frequencies beyond a random limit.
///
/// See `GibbsNoised`; all keys alike. MONAI `RandGibbsNoised`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandGibbsNoisedArgs {
    /// Keys of the images.
    keys: Keys,
    /// Probability that it does anything.
    #[serde(default = "default::tenth")]
    #[schemars(range(min = 0.0, max = 1.0))]
    prob: f64,
    /// The range of how much is cut; a single number x stands for 0 … x.
    #[serde(default = "all")]
    alpha: OneOrMany<f64>,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
    /// For compatibility with MONAI 0.8.
    #[serde(default, rename = "as_tensor_output")]
    _as_tensor_output: bool,
}

fn all() -> OneOrMany<f64> {
    OneOrMany::Many(vec![0.0, 1.0])
}

/// See [`RandGibbsNoisedArgs`].
pub struct RandGibbsNoised {
    args: RandGibbsNoisedArgs,
    range: [f64; 2],
}

impl Component for RandGibbsNoised {
    type Args = RandGibbsNoisedArgs;

    fn new(args: RandGibbsNoisedArgs) -> Result<Self> {
        probability(args.prob)?;
        let range = match &args.alpha {
            OneOrMany::One(high) => [0.0, *high],
            OneOrMany::Many(range) if range.len() == 2 => [range[0], range[1]],
            OneOrMany::Many(range) => {
                return Err(Error::invalid_argument(format!("`alpha` has {} numbers; a range has two", range.len())));
            }
        };
        if range[0] < 0.0 || range[1] > 1.0 || range[0] > range[1] {
            return Err(Error::invalid_argument(format!("`alpha` is {range:?}, but must be a range within 0 … 1")));
        }
        Ok(Self { args, range })
    }
}

impl Transform for RandGibbsNoised {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        if !random.chance(self.args.prob) {
            return Ok(());
        }
        let alpha = random.uniform(self.range[0], self.range[1]);
        map_tensors(sample, &self.args.keys, self.args.allow_missing_keys, |_, tensor| gibbs(tensor, alpha))
    }

    fn is_random(&self) -> bool {
        true
    }
}

/// Sets single frequencies to an intensity, which gives stripes.
///
/// MONAI `KSpaceSpikeNoised`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KSpaceSpikeNoisedArgs {
    /// Keys of the images.
    keys: Keys,
    /// The frequency as an index into the spectrum, its middle being frequency 0: one number for each spatial axis, or
    /// the channel and these; or a list of such places.
    loc: Places,
    /// Logarithm of the magnitude there, for each place; 2.5 times the channel's mean if it is `null`.
    #[serde(default)]
    k_intensity: Option<OneOrMany<f64>>,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
    /// For compatibility with MONAI 0.8.
    #[serde(default, rename = "as_tensor_output")]
    _as_tensor_output: bool,
}

/// One place in a spectrum or several.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum Places {
    /// A single one.
    One(Vec<i64>),
    /// A list of them.
    Many(Vec<Vec<i64>>),
}

/// See [`KSpaceSpikeNoisedArgs`].
pub struct KSpaceSpikeNoised(KSpaceSpikeNoisedArgs);

impl Component for KSpaceSpikeNoised {
    type Args = KSpaceSpikeNoisedArgs;

    fn new(args: KSpaceSpikeNoisedArgs) -> Result<Self> {
        match (&args.loc, &args.k_intensity) {
            (Places::Many(places), Some(intensities)) => {
                let n = intensities.clone().into_vec().len();
                if n != places.len() {
                    return Err(Error::invalid_argument(format!(
                        "`loc` has {} places, but `k_intensity` {n} numbers",
                        places.len()
                    )));
                }
            }
            (Places::One(_), Some(OneOrMany::Many(_))) => {
                return Err(Error::invalid_argument("`k_intensity` is a list, but `loc` a single place"));
            }
            _ => {}
        }
        Ok(Self(args))
    }
}

/// A place of which a channel may be named, and the logarithm of the magnitude there.
struct Spike {
    place: Vec<i64>,
    intensity: f64,
}

/// The logarithms of the magnitudes of a spectrum, in main memory, and its phases.
fn polar_form(spectrum: &Tensor) -> Result<(Tensor, Tensor)> {
    let magnitude = spectrum.f_abs()?.f_add_scalar(1e-10)?.f_log()?;
    Ok((magnitude.f_to_device(Device::Cpu)?.f_contiguous()?, spectrum.f_angle()?))
}

/// 2.5 times the mean of each channel of such logarithms.
fn usual_intensities(logarithms: &Tensor) -> Result<Vec<f64>> {
    let axes: Vec<i64> = (1..logarithms.dim() as i64).collect();
    let means = logarithms.f_mean_dim(axes.as_slice(), false, Kind::Float)?.f_mul_scalar(2.5)?;
    Ok(Vec::try_from(means.f_to_kind(Kind::Double)?)?)
}

fn with_spikes(logarithms: &Tensor, phases: &Tensor, spikes: &[Spike]) -> Result<Tensor> {
    let changed = logarithms.copy();
    for Spike { place, intensity } in spikes {
        let mut part = changed.shallow_clone();
        if place.len() + 1 == part.dim() {
            for &index in place {
                part = part.f_select(1, index)?;
            }
        } else {
            for &index in place {
                part = part.f_select(0, index)?;
            }
        }
        let _ = part.f_fill_tensor_(&Tensor::from(*intensity as f32))?;
    }
    backward(&Tensor::f_polar(&changed.f_exp()?.f_to_device(phases.device())?, phases)?)
}

impl KSpaceSpikeNoised {
    fn add(&self, tensor: &Tensor) -> Result<Tensor> {
        let rank = tensor.dim();
        let places = match &self.0.loc {
            Places::One(place) => std::slice::from_ref(place),
            Places::Many(places) => places.as_slice(),
        };
        for place in places {
            let size = tensor.size();
            let behind = rank.checked_sub(place.len()).filter(|missing| *missing <= 1);
            let fits = behind
                .is_some_and(|missing| place.iter().zip(&size[missing..]).all(|(index, n)| (0..*n).contains(index)));
            if !fits {
                return Err(Error::invalid_argument(format!(
                    "`loc` names {place:?}, which is no place in the spectrum of an image of shape {size:?}"
                )));
            }
        }
        let (logarithms, phases) = polar_form(&forward(tensor)?)?;
        let spikes: Vec<Spike> = match (&self.0.loc, &self.0.k_intensity) {
            (_, Some(intensities)) => {
                let intensities = intensities.clone().into_vec();
                places
                    .iter()
                    .zip(intensities)
                    .map(|(place, intensity)| Spike { place: place.clone(), intensity })
                    .collect()
            }
            // a place without a channel gets in each one what is usual there
            (Places::One(place), None) => {
                let usual = usual_intensities(&logarithms)?;
                let all = |place: &[i64]| -> Vec<Spike> {
                    let channels = usual.iter().enumerate();
                    channels
                        .map(|(channel, &intensity)| Spike {
                            place: std::iter::once(channel as i64).chain(place.iter().copied()).collect(),
                            intensity,
                        })
                        .collect()
                };
                if place.len() < rank {
                    all(place)
                } else {
                    vec![Spike { place: place.clone(), intensity: usual[place[0] as usize] }]
                }
            }
            // MONAI pairs the i-th place with the i-th channel
            (Places::Many(places), None) => {
                let usual = usual_intensities(&logarithms)?;
                places.iter().zip(usual).map(|(place, intensity)| Spike { place: place.clone(), intensity }).collect()
            }
        };
        with_spikes(&logarithms, &phases, &spikes)
    }
}

impl Transform for KSpaceSpikeNoised {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        map_tensors(sample, &self.0.keys, self.0.allow_missing_keys, |_, tensor| self.add(tensor))
    }
}

/// Sets a random frequency to a random intensity.
///
/// Each key has its own. MONAI `RandKSpaceSpikeNoised`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandKSpaceSpikeNoisedArgs {
    /// Keys of the images.
    keys: Keys,
    /// Probability that it does anything.
    #[serde(default = "default::tenth")]
    #[schemars(range(min = 0.0, max = 1.0))]
    prob: f64,
    /// The range of the logarithm of the magnitude, for all channels or, with `channel_wise`, for each; 0.95 … 1.1 times
    /// 2.5 times the channel's mean if it is `null`.
    #[serde(default)]
    intensity_range: Option<Ranges>,
    /// Whether each channel has a frequency of its own.
    #[serde(default = "default::yes")]
    channel_wise: bool,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
    /// For compatibility with MONAI 0.8.
    #[serde(default, rename = "as_tensor_output")]
    _as_tensor_output: bool,
}

/// One range or one for each channel.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum Ranges {
    /// For all channels.
    All([f64; 2]),
    /// For each channel.
    Each(Vec<[f64; 2]>),
}

/// See [`RandKSpaceSpikeNoisedArgs`].
pub struct RandKSpaceSpikeNoised(RandKSpaceSpikeNoisedArgs);

impl Component for RandKSpaceSpikeNoised {
    type Args = RandKSpaceSpikeNoisedArgs;

    fn new(args: RandKSpaceSpikeNoisedArgs) -> Result<Self> {
        probability(args.prob)?;
        if !args.channel_wise && matches!(args.intensity_range, Some(Ranges::Each(_))) {
            return Err(Error::invalid_argument("`intensity_range` is a list of ranges, which needs `channel_wise`"));
        }
        Ok(Self(args))
    }
}

impl RandKSpaceSpikeNoised {
    fn add(&self, tensor: &Tensor, random: &mut Random) -> Result<Tensor> {
        let (logarithms, phases) = polar_form(&forward(tensor)?)?;
        let size = tensor.size();
        let channels = size[0] as usize;
        let ranges = match &self.0.intensity_range {
            Some(Ranges::All(range)) => vec![*range; channels],
            Some(Ranges::Each(ranges)) if ranges.len() == channels => ranges.clone(),
            Some(Ranges::Each(ranges)) => {
                return Err(Error::invalid_argument(format!(
                    "`intensity_range` has {} ranges, but the image has {channels} channels",
                    ranges.len()
                )));
            }
            None => usual_intensities(&logarithms)?.iter().map(|usual| [usual * 0.95, usual * 1.1]).collect(),
        };
        let mut place = || -> Vec<i64> { size[1..].iter().map(|&n| random.integer(0, n)).collect() };
        let places: Vec<Vec<i64>> =
            if self.0.channel_wise { (0..channels).map(|_| place()).collect() } else { vec![place(); channels] };
        // MONAI draws one intensity where one range is for all channels and they are not looked at on their own
        let shared = !self.0.channel_wise && matches!(self.0.intensity_range, Some(Ranges::All(_)));
        let mut intensities: Vec<f64> = Vec::with_capacity(channels);
        for range in &ranges {
            let drawn = match intensities.first() {
                Some(&first) if shared => first,
                _ => random.uniform(range[0], range[1]),
            };
            intensities.push(drawn);
        }
        let spikes: Vec<Spike> = places
            .into_iter()
            .zip(intensities)
            .enumerate()
            .map(|(channel, (place, intensity))| Spike {
                place: std::iter::once(channel as i64).chain(place).collect(),
                intensity,
            })
            .collect();
        with_spikes(&logarithms, &phases, &spikes)
    }
}

impl Transform for RandKSpaceSpikeNoised {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        if !random.chance(self.0.prob) {
            return Ok(());
        }
        map_tensors(sample, &self.0.keys, self.0.allow_missing_keys, |_, tensor| self.add(tensor, random))
    }

    fn is_random(&self) -> bool {
        true
    }
}

byoc::register! { transforms: [GibbsNoised, RandGibbsNoised, KSpaceSpikeNoised, RandKSpaceSpikeNoised] }
