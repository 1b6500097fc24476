//! Generalised Wasserstein Dice loss.

use byoc::{Component, Error, Loss, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind, Tensor};

use super::reduction::Reduction;
use super::target::{channels, check_classes, class_error, full_precision};

byoc::register! {
    losses: [GeneralizedWassersteinDiceLoss = "GeneralizedWassersteinDiceLoss" | "generalized_wasserstein_dice"],
}

/// Dice loss that knows how far classes are apart (MONAI `GeneralizedWassersteinDiceLoss`; Fidon et al. 2017).
///
/// Takes logits (B, C, spatial…) and a class map (B, 1, spatial…) or (B, spatial…). Class 0 is the background.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GeneralizedWassersteinDiceLossArgs {
    /// Distances between the classes, one row for each; divided by the largest.
    dist_matrix: Vec<Vec<f64>>,
    /// How the classes are weighed.
    #[serde(default)]
    weighting_mode: WeightingMode,
    /// `mean` or `sum` over the items, or `none`: (B).
    #[serde(default)]
    reduction: Reduction,
    /// Added to the numerator.
    #[serde(default = "smooth")]
    smooth_nr: f64,
    /// Added to the denominator.
    #[serde(default = "smooth")]
    smooth_dr: f64,
}

fn smooth() -> f64 {
    1e-5
}

/// How the classes are weighed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[schemars(inline)]
enum WeightingMode {
    /// The background not at all, the others equally.
    #[default]
    #[serde(rename = "default")]
    Default,
    /// By the inverse of their volume (Tilborghs et al. 2020).
    #[serde(rename = "GDL")]
    Gdl,
}

/// See [`GeneralizedWassersteinDiceLossArgs`].
#[derive(Debug)]
pub struct GeneralizedWassersteinDiceLoss {
    /// (C, C), row by row.
    distances: Vec<f64>,
    classes: i64,
    args: GeneralizedWassersteinDiceLossArgs,
}

impl Component for GeneralizedWassersteinDiceLoss {
    type Args = GeneralizedWassersteinDiceLossArgs;

    fn new(args: GeneralizedWassersteinDiceLossArgs) -> Result<Self> {
        let classes = args.dist_matrix.len();
        if classes == 0 || args.dist_matrix.iter().any(|row| row.len() != classes) {
            return Err(Error::invalid_argument(format!(
                "`dist_matrix` must have as many columns as rows, found {classes} rows of {:?}",
                args.dist_matrix.iter().map(Vec::len).collect::<Vec<_>>()
            )));
        }
        let distances = args.dist_matrix.concat();
        let largest = distances.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if largest.is_nan() || largest <= 0.0 {
            return Err(Error::invalid_argument("`dist_matrix` must hold a distance above 0"));
        }
        let distances = distances.into_iter().map(|distance| distance / largest).collect();
        Ok(Self { distances, classes: classes as i64, args })
    }
}

impl Loss for GeneralizedWassersteinDiceLoss {
    fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let input = full_precision(input)?;
        let found = channels(&input)?;
        if found != self.classes {
            return Err(Error::data(format!(
                "`dist_matrix` is for {} classes, but the network's output has {found} channels",
                self.classes
            )));
        }
        let batch = input.size()[0];
        let probabilities = input.f_reshape([batch, found, -1])?.f_softmax(1, None::<Kind>)?;
        let items = target.size().first().copied().unwrap_or(1);
        let target = target.f_to_kind(Kind::Int64)?.f_reshape([items, 1, -1])?;
        let (size, voxels) = (probabilities.size(), target.size());
        if size[0] != voxels[0] || size[2] != voxels[2] {
            return Err(Error::data(format!(
                "the label has {voxels:?} voxels (B, 1, voxels), the network's output {size:?}; the label must be a class map"
            )));
        }
        check_classes(&target, self.classes, None)?;
        let of_voxels = |values: &Tensor| {
            values.f_gather(1, &target, false).map_err(|error| class_error(&target, self.classes, error))
        };
        let sum = |values: &Tensor| values.f_sum_dim_intlist([1i64, 2].as_slice(), false, None::<Kind>);

        // how far the prediction of each voxel is from its class
        let distances = Tensor::from_slice(&self.distances).f_view([self.classes, self.classes])?;
        let distances = distances.f_to_kind(probabilities.kind())?.f_to_device(probabilities.device())?;
        let products = torch_ext::autocast::with(input.device(), None, || distances.f_matmul(&probabilities))?;
        let error = of_voxels(&products)?;
        let weights = of_voxels(&self.weights(&target)?.f_to_kind(error.kind())?.f_expand_as(&probabilities)?)?;
        let right = sum(&weights.f_mul(&error.f_neg()?.f_add_scalar(1)?)?)?.f_mul_scalar(2)?;
        let denominator = match self.args.weighting_mode {
            WeightingMode::Default => right.f_add(&sum(&error)?)?,
            WeightingMode::Gdl => sum(&weights.f_mul(&error.f_neg()?.f_add_scalar(2)?)?)?,
        };
        let dice = right.f_add_scalar(self.args.smooth_nr)?.f_div(&denominator.f_add_scalar(self.args.smooth_dr)?)?;
        self.args.reduction.apply(dice.f_neg()?.f_add_scalar(1)?)
    }
}

impl GeneralizedWassersteinDiceLoss {
    /// The weight of each class, (B, C, 1).
    fn weights(&self, target: &Tensor) -> Result<Tensor> {
        let batch = target.size()[0];
        let options = (Kind::Float, target.device());
        match self.args.weighting_mode {
            WeightingMode::Default => {
                let weights = Tensor::f_ones([batch, self.classes, 1], options)?;
                let _ = weights.f_narrow(1, 0, 1)?.f_zero_()?;
                Ok(weights)
            }
            WeightingMode::Gdl => {
                let numbers = Tensor::f_arange(self.classes, (Kind::Int64, target.device()))?.f_view([1, -1, 1])?;
                let members = target.f_eq_tensor(&numbers)?;
                let volumes = members.f_sum_dim_intlist([2i64].as_slice(), true, Kind::Float)?;
                Ok(volumes.f_add_scalar(1)?.f_reciprocal()?)
            }
        }
    }
}
