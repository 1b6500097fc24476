//! Dice overlap that weights classes by their size.

use byoc::{Component, Metric, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind, Tensor};

use super::accumulated::{Accumulated, MetricReduction};
use super::pair::{ignore_mask, same_shape, spatial_sum};

byoc::register! {
    metrics: [GeneralizedDiceScore, GeneralizedDice = "compute_generalized_dice"],
}

/// How a class's volume v becomes its weight.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum WeightType {
    /// 1 / v²
    #[default]
    Square,
    /// 1 / v
    Simple,
    /// 1
    Uniform,
}

/// Dice overlap with classes weighted by their inverse volume (MONAI `GeneralizedDiceScore`).
///
/// Prediction and ground truth are one-hot masks (B, C, spatial…). A reduction over the classes sums them before
/// dividing. Two empty masks give 1.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GeneralizedDiceScoreArgs {
    /// Whether channel 0, the background, counts.
    include_background: bool,
    /// Over what the values are put together.
    reduction: MetricReduction,
    /// How a class's volume becomes its weight.
    weight_type: WeightType,
    /// Voxels of this class, or of no class for any other value, do not count.
    ignore_index: Option<i64>,
    /// Accepted as MONAI has it.
    epsilon: f64,
}

impl Default for GeneralizedDiceScoreArgs {
    fn default() -> Self {
        Self {
            include_background: true,
            reduction: MetricReduction::Mean,
            weight_type: WeightType::Square,
            ignore_index: None,
            epsilon: 1e-8,
        }
    }
}

/// See [`GeneralizedDiceScoreArgs`].
#[derive(Debug)]
pub struct GeneralizedDiceScore {
    reduction: MetricReduction,
    score: Score,
    values: Accumulated,
}

impl Component for GeneralizedDiceScore {
    type Args = GeneralizedDiceScoreArgs;

    fn new(args: GeneralizedDiceScoreArgs) -> Result<Self> {
        use MetricReduction::{Mean, MeanChannel, Sum, SumChannel};
        let score = Score {
            include_background: args.include_background,
            weight_type: args.weight_type,
            sum_over_classes: matches!(args.reduction, Sum | Mean | MeanChannel | SumChannel),
            ignore_index: args.ignore_index,
        };
        Ok(Self { reduction: args.reduction, score, values: Accumulated::default() })
    }
}

impl Metric for GeneralizedDiceScore {
    fn reset(&mut self) {
        self.values.reset();
    }

    fn state(&self) -> Result<Vec<(String, Tensor)>> {
        self.values.state()
    }

    fn load_state(&mut self, state: &[(String, Tensor)]) -> Result<()> {
        self.values.load_state(state);
        Ok(())
    }

    fn update(&mut self, y_pred: &Tensor, y: &Tensor) -> Result<()> {
        let score = self.score.per_item(y_pred, y)?;
        self.values.push(&score)
    }

    fn compute(&self) -> Result<f64> {
        self.values.reduced(self.reduction)
    }

    fn details(&self) -> Option<Tensor> {
        self.values.details()
    }

    fn results(&self) -> Result<Vec<(String, Tensor)>> {
        self.values.results(self.reduction)
    }
}

/// Generalised Dice per item and class, or per item (MONAI `compute_generalized_dice`).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GeneralizedDiceArgs {
    /// Whether channel 0, the background, counts.
    include_background: bool,
    /// How a class's volume becomes its weight.
    weight_type: WeightType,
    /// Whether the classes are summed before dividing.
    sum_over_classes: bool,
    /// Voxels of this class, or of no class for any other value, do not count.
    ignore_index: Option<i64>,
    /// Accepted as MONAI has it.
    epsilon: f64,
}

impl Default for GeneralizedDiceArgs {
    fn default() -> Self {
        Self {
            include_background: true,
            weight_type: WeightType::Square,
            sum_over_classes: false,
            ignore_index: None,
            epsilon: 1e-8,
        }
    }
}

/// See [`GeneralizedDiceArgs`].
#[derive(Debug)]
pub struct GeneralizedDice(GeneralizedDiceScore);

impl Component for GeneralizedDice {
    type Args = GeneralizedDiceArgs;

    fn new(args: GeneralizedDiceArgs) -> Result<Self> {
        let GeneralizedDiceArgs { include_background, weight_type, sum_over_classes, ignore_index, .. } = args;
        let score = Score { include_background, weight_type, sum_over_classes, ignore_index };
        Ok(Self(GeneralizedDiceScore { reduction: MetricReduction::Mean, score, values: Accumulated::default() }))
    }
}

impl Metric for GeneralizedDice {
    fn reset(&mut self) {
        self.0.reset();
    }

    fn state(&self) -> Result<Vec<(String, Tensor)>> {
        self.0.state()
    }

    fn load_state(&mut self, state: &[(String, Tensor)]) -> Result<()> {
        self.0.load_state(state)
    }

    fn update(&mut self, y_pred: &Tensor, y: &Tensor) -> Result<()> {
        self.0.update(y_pred, y)
    }

    fn compute(&self) -> Result<f64> {
        self.0.compute()
    }

    fn details(&self) -> Option<Tensor> {
        self.0.details()
    }
}

#[derive(Debug)]
struct Score {
    include_background: bool,
    weight_type: WeightType,
    sum_over_classes: bool,
    ignore_index: Option<i64>,
}

impl Score {
    fn per_item(&self, y_pred: &Tensor, y: &Tensor) -> Result<Tensor> {
        same_shape(y_pred, y, 3)?;
        let (mut y_pred, mut y) = (y_pred.shallow_clone(), y.shallow_clone());
        if let Some(mask) = ignore_mask(&y, self.ignore_index)? {
            y_pred = y_pred.f_mul(&mask)?;
            y = y.f_mul(&mask)?;
        }
        let classes = y_pred.size()[1];
        let used = (i64::from(!self.include_background)..classes).filter(|class| Some(*class) != self.ignore_index);
        let used: Vec<i64> = used.collect();
        if used.is_empty() {
            return Ok(Tensor::f_zeros([y_pred.size()[0], 1], (Kind::Float, y_pred.device()))?);
        }
        let used = Tensor::from_slice(&used).f_to_device(y.device())?;
        let sum = |tensor: &Tensor| -> Result<Tensor> { Ok(spatial_sum(tensor)?.f_index_select(1, &used)?) };
        let intersection = sum(&y.f_mul(&y_pred)?)?;
        let (truth, predicted) = (sum(&y)?, sum(&y_pred)?);
        let weight = self.class_weights(&truth)?;
        let over_classes = |tensor: Tensor| -> Result<Tensor> {
            if self.sum_over_classes { Ok(tensor.f_sum_dim_intlist([1].as_slice(), true, None)?) } else { Ok(tensor) }
        };
        let numerator = over_classes(intersection.f_mul(&weight)?)?.f_mul_scalar(2.0)?;
        let denominator = over_classes(truth.f_add(&predicted)?.f_mul(&weight)?)?;
        // both empty agree; 0 / 0 is nothing else
        let score = numerator.f_div(&denominator)?;
        let empty = denominator.f_eq(0)?;
        Ok(score.f_masked_fill(&empty, 1.0)?)
    }

    /// Absent classes get the largest weight of the others of their item, or 1.
    fn class_weights(&self, volume: &Tensor) -> Result<Tensor> {
        let weight = match self.weight_type {
            WeightType::Square => volume.f_square()?.f_reciprocal()?,
            WeightType::Simple => volume.f_reciprocal()?,
            WeightType::Uniform => return Ok(volume.f_ones_like()?),
        };
        let absent = weight.f_isinf()?;
        let weight = weight.f_masked_fill(&absent, 0.0)?;
        let largest = weight.f_amax([1].as_slice(), true)?;
        let largest = largest.f_masked_fill(&largest.f_le(0)?, 1.0)?;
        Ok(weight.f_add(&absent.f_to_kind(weight.kind())?.f_mul(&largest)?)?)
    }
}

#[cfg(test)]
mod tests {
    use byoc::{Component, Metric};
    use tch::Tensor;

    use super::{GeneralizedDiceScore, GeneralizedDiceScoreArgs};

    #[test]
    fn two_empty_masks_agree_and_one_does_not() {
        let value = |prediction: [f32; 2]| {
            let mut metric = GeneralizedDiceScore::new(GeneralizedDiceScoreArgs::default()).unwrap();
            let mask = |values: [f32; 2]| Tensor::from_slice(&values).view([1, 1, 2]);
            metric.update(&mask(prediction), &mask([0.0, 0.0])).unwrap();
            metric.compute().unwrap()
        };
        assert_eq!(value([0.0, 0.0]), 1.0);
        assert_eq!(value([0.0, 1.0]), 0.0);
    }
}
