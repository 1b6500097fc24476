//! Multiple-instance learning: one label for a bag of images.

mod encoder;

use byoc::nn::{Linear, pool};
use byoc::{Error, Network, NetworkComponent, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind, Tensor, nn};

use super::defaults;
use super::torchvision::Backbone;
use encoder::{Encoder, EncoderOptions};

byoc::register! {
    networks: [MILModel = "MILModel" | "milmodel"],
}

/// Classifier of bags of images, such as the patches of a slide (MONAI `MILModel`).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MILModelArgs {
    /// Number of classes.
    pub num_classes: i64,
    /// How the images of a bag are put together.
    #[serde(default)]
    pub mil_mode: MILMode,
    /// Pretrained weights are not included; a checkpoint can be loaded instead.
    #[serde(default = "defaults::yes")]
    pub pretrained: bool,
    /// torchvision `ResNet` that looks at each image; `resnet50` if null.
    #[serde(default)]
    pub backbone: Option<String>,
    /// Not used: the backbones know their number of features.
    #[serde(default)]
    pub backbone_num_features: Option<i64>,
    /// Layers of each transformer.
    #[serde(default = "four")]
    pub trans_blocks: usize,
    /// Dropout within the transformers.
    #[serde(default)]
    pub trans_dropout: f64,
}

fn four() -> usize {
    4
}

/// How the images of a bag become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum MILMode {
    /// The mean of their scores.
    Mean,
    /// The largest of their scores, class by class.
    Max,
    /// The mean of their features, weighed by attention (Ilse et al. 2018, <https://arxiv.org/abs/1802.04712>).
    #[default]
    Att,
    /// The same after a transformer (Myronenko et al. 2021, <https://arxiv.org/abs/2111.01556>).
    AttTrans,
    /// The same with a transformer for each stage of `resnet50`.
    AttTransPyramid,
}

/// The network of [`MILModelArgs`].
///
/// (B, images, 3, H, W) → (B, `num_classes`).
#[derive(Debug)]
pub struct MILModel {
    mode: MILMode,
    attention: Option<[Linear; 2]>,
    transformers: Vec<Encoder>,
    /// What makes the second and third of a pyramid's inputs narrower.
    narrowing: Vec<Linear>,
    scores: Linear,
    backbone: Backbone,
}

/// Features of the pyramid's first three transformers.
const NARROW: i64 = 256;

impl NetworkComponent for MILModel {
    type Args = MILModelArgs;

    fn new(args: MILModelArgs, path: &nn::Path<'_>) -> Result<Self> {
        let mode = args.mil_mode;
        if args.num_classes < 1 {
            return Err(Error::invalid_argument(format!("`num_classes` must be positive, found {}", args.num_classes)));
        }
        if mode == MILMode::AttTransPyramid && args.backbone.is_some() {
            return Err(Error::invalid_argument(
                "`mil_mode` `att_trans_pyramid` has a backbone of its own: leave `backbone` out",
            ));
        }
        defaults::warn_of_pretrained(args.pretrained, "MILModel");
        let name = args.backbone.as_deref().unwrap_or("resnet50");
        // the backbone's channels decide the layers that MONAI registers before it
        let features = Backbone::channels_of(name)?;
        let options = |features| EncoderOptions { features, layers: args.trans_blocks, dropout: args.trans_dropout };
        let pooled = features + if mode == MILMode::AttTransPyramid { NARROW } else { 0 };
        let attention = match mode {
            MILMode::Mean | MILMode::Max => None,
            _ => {
                let path = path / "attention";
                Some([Linear::new(&(&path / 0), pooled, 2048)?, Linear::new(&(&path / 2), 2048, 1)?])
            }
        };
        let path_of = path / "transformer";
        let mut transformers = Vec::new();
        let mut narrowing = Vec::new();
        match mode {
            MILMode::AttTrans => transformers.push(Encoder::new(&path_of, options(features))?),
            MILMode::AttTransPyramid => {
                transformers.push(Encoder::new(&(&path_of / 0), options(NARROW))?);
                for (index, inputs) in [(1, 512 + NARROW), (2, 1024 + NARROW)] {
                    let path = &path_of / index;
                    narrowing.push(Linear::new(&(&path / 0), inputs, NARROW)?);
                    transformers.push(Encoder::new(&(&path / 1), options(NARROW))?);
                }
                transformers.push(Encoder::new(&(&path_of / 3), options(pooled))?);
            }
            _ => {}
        }
        let scores = Linear::new(&(path / "myfc"), pooled, args.num_classes)?;
        let net = path / "net";
        let backbone = Backbone::new(name, &|name, _| &net / name)?;
        Ok(Self { mode, attention, transformers, narrowing, scores, backbone })
    }
}

impl MILModel {
    /// The mean over the images of a bag, (B, images, features) → (B, features), weighed by attention.
    fn attend(&self, x: &Tensor) -> Result<Tensor> {
        let Some([hidden, weight]) = &self.attention else {
            return Err(Error::msg("this mode has no attention"));
        };
        let weights = weight.forward(&hidden.forward(x)?.f_tanh()?)?.f_softmax(1, None::<Kind>)?;
        Ok(x.f_mul(&weights)?.f_sum_dim_intlist([1i64].as_slice(), false, None::<Kind>)?)
    }

    /// The transformers over the stages, each of which sees what the one before it gave.
    fn pyramid(&self, stages: &[Tensor], train: bool) -> Result<Tensor> {
        let mut y: Option<Tensor> = None;
        for (index, (stage, transformer)) in stages.iter().zip(&self.transformers).enumerate() {
            let mut x = match &y {
                Some(y) => Tensor::f_cat(&[y, stage], 2)?,
                None => stage.shallow_clone(),
            };
            if let Some(narrow) = index.checked_sub(1).and_then(|index| self.narrowing.get(index)) {
                x = narrow.forward(&x)?;
            }
            y = Some(transformer.forward(&x, train)?);
        }
        y.ok_or_else(|| Error::msg("the network has no stages"))
    }
}

impl Network for MILModel {
    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let size = x.size();
        let [_, images, 3, _, _] = size.as_slice() else {
            return Err(Error::data(format!("expected bags of images, (B, images, 3, H, W), found shape {size:?}")));
        };
        let stages = self.backbone.stages(&x.f_flatten(0, 1)?, train)?;
        let of_bags = |stage: &Tensor| -> Result<Tensor> {
            Ok(pool::adaptive_average(stage, 1)?.f_flatten(1, -1)?.f_unflatten(0, [-1, *images])?)
        };
        let features = of_bags(&stages[3])?;
        match self.mode {
            MILMode::Mean => {
                let scores = self.scores.forward(&features)?;
                Ok(scores.f_mean_dim([1i64].as_slice(), false, None::<Kind>)?)
            }
            MILMode::Max => Ok(self.scores.forward(&features)?.f_max_dim(1, false)?.0),
            MILMode::Att => self.scores.forward(&self.attend(&features)?),
            MILMode::AttTrans => {
                let [transformer, ..] = self.transformers.as_slice() else {
                    return Err(Error::msg("this mode has no transformer"));
                };
                self.scores.forward(&self.attend(&transformer.forward(&features, train)?)?)
            }
            MILMode::AttTransPyramid => {
                let stages = stages.iter().map(of_bags).collect::<Result<Vec<_>>>()?;
                self.scores.forward(&self.attend(&self.pyramid(&stages, train)?)?)
            }
        }
    }
}
