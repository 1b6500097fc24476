//! `TorchVisiond`, `RandTorchVisiond`: transforms of pictures under torchvision's names.
//!
//! Pictures are (C, H, W), of integers from 0 to the dtype's highest value or of floats from 0 to 1; results have the
//! dtype of the picture and are computed as torchvision computes them on tensors.

mod color;
mod filter;
mod picture;
#[cfg(test)]
mod reference;
mod shape;

use byoc::{Component, Error, Keys, Random, Result, Sample, Transform};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};
use tch::Tensor;

use super::common::map_tensors;

/// One of torchvision's transforms.
trait Operation: Send {
    fn apply(&self, picture: &Tensor, random: &mut Random) -> Result<Tensor>;

    fn is_random(&self) -> bool {
        true
    }
}

type Made = Result<Box<dyn Operation>>;
type Make = fn(&Map<String, Json>) -> Made;

/// The transforms there are: torchvision's name and what makes one of its arguments.
const OPERATIONS: &[(&str, Make)] = &[
    ("CenterCrop", make::<shape::CenterCrop>),
    ("ColorJitter", make::<color::ColorJitter>),
    ("GaussianBlur", make::<filter::GaussianBlur>),
    ("Grayscale", make::<color::Grayscale>),
    ("Normalize", make::<color::Normalize>),
    ("Pad", make::<shape::Pad>),
    ("RandomAdjustSharpness", make::<filter::RandomAdjustSharpness>),
    ("RandomAutocontrast", make::<color::RandomAutocontrast>),
    ("RandomCrop", make::<shape::RandomCrop>),
    ("RandomErasing", make::<shape::RandomErasing>),
    ("RandomGrayscale", make::<color::RandomGrayscale>),
    ("RandomHorizontalFlip", make::<shape::RandomHorizontalFlip>),
    ("RandomInvert", make::<color::RandomInvert>),
    ("RandomPosterize", make::<color::RandomPosterize>),
    ("RandomResizedCrop", make::<shape::RandomResizedCrop>),
    ("RandomSolarize", make::<color::RandomSolarize>),
    ("RandomVerticalFlip", make::<shape::RandomVerticalFlip>),
    ("Resize", make::<shape::Resize>),
];

/// What MONAI has in place of some that are missing.
const INSTEAD: &[(&str, &str)] = &[
    ("ElasticTransform", "Rand2DElasticd"),
    ("RandomAffine", "RandAffined"),
    ("RandomEqualize", "HistogramNormalized"),
    ("RandomPerspective", "RandAffined"),
    ("RandomRotation", "RandRotated"),
    ("ToTensor", "ToTensord"),
];

fn make<T: Operation + DeserializeOwned + Checked + 'static>(args: &Map<String, Json>) -> Made {
    let operation: T =
        T::deserialize(Json::Object(args.clone())).map_err(|error| Error::invalid_argument(error.to_string()))?;
    operation.check()?;
    Ok(Box::new(operation))
}

/// Arguments that are looked at before anything runs.
trait Checked {
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

fn operation(name: &str, args: &Map<String, Json>) -> Made {
    let short = name.rsplit('.').next().unwrap_or(name);
    let Some((_, make)) = OPERATIONS.iter().find(|(known, _)| *known == short) else {
        let instead = INSTEAD.iter().find(|(missing, _)| *missing == short);
        let hint = if let Some((_, monai)) = instead {
            format!("use `{monai}`")
        } else {
            let names: Vec<_> = OPERATIONS.iter().map(|(name, _)| format!("`{name}`")).collect();
            format!("there are {}", names.join(", "))
        };
        return Err(Error::invalid_argument(format!("torchvision's `{name}` is not available; {hint}")));
    };
    make(args).map_err(|error| error.context(format!("the arguments of torchvision's `{short}`")))
}

/// Applies a transform of torchvision: `name` is its class, all other arguments are its own.
///
/// Each key on its own. Affines stay as they are, as in MONAI. MONAI `TorchVisiond`, `RandTorchVisiond`.
#[derive(Deserialize, JsonSchema)]
pub struct TorchVisiondArgs {
    /// Keys of the pictures.
    keys: Keys,
    /// The class: `ColorJitter`, `RandomHorizontalFlip` …
    name: String,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
    /// The transform's arguments under torchvision's names.
    #[serde(flatten)]
    args: Map<String, Json>,
}

/// See [`TorchVisiondArgs`].
pub struct TorchVisiond {
    args: TorchVisiondArgs,
    operation: Box<dyn Operation>,
}

impl Component for TorchVisiond {
    type Args = TorchVisiondArgs;

    fn new(args: TorchVisiondArgs) -> Result<Self> {
        let operation = operation(&args.name, &args.args)?;
        Ok(Self { args, operation })
    }
}

byoc::register! {
    transforms: [
        TorchVisiond = "TorchVisiond" | "TorchVisionD" | "TorchVisionDict" | "RandTorchVisiond" | "RandTorchVisionD"
            | "RandTorchVisionDict",
    ],
}

impl Transform for TorchVisiond {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        map_tensors(sample, &self.args.keys, self.args.allow_missing_keys, |_, tensor| {
            if tensor.dim() != 3 {
                return Err(Error::data(format!("it has shape {:?}; a picture (C, H, W) is expected", tensor.size())));
            }
            self.operation.apply(tensor, random)
        })
    }

    fn is_random(&self) -> bool {
        self.operation.is_random()
    }
}

#[cfg(test)]
mod tests {
    use byoc::{Component, Random, Sample, Transform};
    use serde_json::{Value, json};
    use tch::{Kind, Tensor};

    use super::TorchVisiond;

    pub(super) fn made(args: Value) -> byoc::Result<TorchVisiond> {
        TorchVisiond::new(serde_json::from_value(args).unwrap())
    }

    pub(super) fn apply(args: Value, picture: &Tensor, seed: u64) -> Tensor {
        let mut sample = Sample::new();
        sample.insert("image", picture.shallow_clone());
        made(args).unwrap().apply(&mut sample, &mut Random::from_seed(seed)).unwrap();
        sample.tensor("image").unwrap().shallow_clone()
    }

    /// A picture of colours, from 0 to 255 or from 0 to 1.
    pub(super) fn picture(kind: Kind) -> Tensor {
        let values = (Tensor::arange(3 * 7 * 6, (Kind::Int64, tch::Device::Cpu)) * 53).remainder(256);
        let values = values.view([3, 7, 6]).to_kind(Kind::Float);
        if kind == Kind::Uint8 { values.to_kind(kind) } else { values / 255.0 }
    }

    #[test]
    fn what_there_is_not_is_told_with_what_there_is() {
        let error = made(json!({"keys": "image", "name": "RandomRotation", "degrees": 10})).err().unwrap();
        assert_eq!(error.to_string(), "torchvision's `RandomRotation` is not available; use `RandRotated`");
        let error = made(json!({"keys": "image", "name": "ColourJitter"})).err().unwrap().to_string();
        assert!(error.contains("there are `CenterCrop`, `ColorJitter`,"), "{error}");
        let error = made(json!({"keys": "image", "name": "ColorJitter", "brightnes": 1})).err().unwrap().to_string();
        assert!(
            error.starts_with("the arguments of torchvision's `ColorJitter`: unknown field `brightnes`"),
            "{error}"
        );
    }
}
