//! Accuracy as ignite counts it.

use byoc::{Component, Error, Metric, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind, Tensor};

use super::labelled::Labelled;

byoc::register! { metrics: [Accuracy] }

/// Fraction of correct predictions (ignite `Accuracy`).
///
/// Prediction and ground truth of the same shape are compared element by element, which for one-hot masks means over
/// all channels and voxels; both must hold zeros and ones. Scores (B, C, …) against class numbers (B, …) are compared
/// by their largest channel.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AccuracyArgs {
    /// Whether all channels of an item must be right for it to count.
    is_multilabel: bool,
}

/// See [`AccuracyArgs`].
#[derive(Debug)]
pub struct Accuracy {
    args: AccuracyArgs,
    correct: i64,
    examples: i64,
}

impl Component for Accuracy {
    type Args = AccuracyArgs;

    fn new(args: AccuracyArgs) -> Result<Self> {
        Ok(Self { args, correct: 0, examples: 0 })
    }
}

impl Metric for Accuracy {
    fn reset(&mut self) {
        self.correct = 0;
        self.examples = 0;
    }

    fn state(&self) -> Result<Vec<(String, Tensor)>> {
        Ok(vec![("counts".to_owned(), Tensor::from_slice(&[self.correct, self.examples]))])
    }

    fn load_state(&mut self, state: &[(String, Tensor)]) -> Result<()> {
        let counts = state.iter().find(|(name, _)| name == "counts");
        let Some((_, counts)) = counts else { return Ok(()) };
        let [correct, examples] = Vec::<i64>::try_from(counts.f_to_kind(Kind::Int64)?)?[..] else {
            return Err(Error::data(format!(
                "the saved `counts` must be two numbers, found shape {:?}",
                counts.size()
            )));
        };
        (self.correct, self.examples) = (correct, examples);
        Ok(())
    }

    fn update(&mut self, y_pred: &Tensor, y: &Tensor) -> Result<()> {
        let correct = Labelled::new(y_pred, y, self.args.is_multilabel)?.correct()?;
        self.correct += correct.f_sum(Kind::Int64)?.f_int64_value(&[])?;
        self.examples += correct.numel() as i64;
        Ok(())
    }

    fn compute(&self) -> Result<f64> {
        if self.examples == 0 {
            return Err(Error::data("the metric has seen no data since the epoch began"));
        }
        Ok(self.correct as f64 / self.examples as f64)
    }
}

#[cfg(test)]
mod tests {
    use byoc::{Component, Metric, Result};
    use tch::Tensor;

    use super::{Accuracy, AccuracyArgs};

    fn accuracy(is_multilabel: bool, y_pred: &Tensor, y: &Tensor) -> Result<f64> {
        let mut metric = Accuracy::new(AccuracyArgs { is_multilabel })?;
        metric.update(y_pred, y)?;
        metric.compute()
    }

    #[test]
    fn one_hot_masks_are_compared_over_channels_and_voxels() {
        let y_pred = Tensor::from_slice(&[1f32, 0.0, 0.0, 0.0, 1.0, 1.0]).view([1, 2, 3]);
        let y = Tensor::from_slice(&[1f32, 1.0, 0.0, 0.0, 0.0, 1.0]).view([1, 2, 3]);
        assert_eq!(accuracy(false, &y_pred, &y).unwrap(), 4.0 / 6.0);
        assert_eq!(accuracy(true, &y_pred, &y).unwrap(), 2.0 / 3.0);
    }

    #[test]
    fn scores_are_compared_with_class_numbers() {
        let scores = Tensor::from_slice(&[0.1f32, 0.9, 0.8, 0.2]).view([2, 2]);
        assert_eq!(accuracy(false, &scores, &Tensor::from_slice(&[1i64, 1])).unwrap(), 0.5);
    }

    #[test]
    fn scores_in_place_of_masks_are_told() {
        let scores = Tensor::from_slice(&[0.1f32, 0.9]).view([1, 2]);
        let error = accuracy(false, &scores, &scores).unwrap_err().to_string();
        assert!(error.contains("from 0.1") && error.contains("AsDiscreted"), "{error}");
        let error = accuracy(false, &scores, &Tensor::from_slice(&[1i64, 0, 1])).unwrap_err().to_string();
        assert!(error.contains("[3]") && error.contains("[1, 2]"), "{error}");
    }
}
