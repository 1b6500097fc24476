//! Precision, recall and F scores as ignite counts them.

use byoc::{Component, Error, Metric, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Device, Kind, Tensor};

use super::accumulated::number;
use super::labelled::Labelled;

byoc::register! { metrics: [Precision, Recall, Fbeta] }

/// Fraction of the predicted positives that are positive (ignite `Precision`).
///
/// Prediction and ground truth are both zeros and ones, or class scores (B, C, …) against class numbers (B, …), or with
/// `is_multilabel` zeros and ones for each label, (B, C, …). The result `value` has a number per class where they are
/// not averaged; the metric's own value is their mean.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PrecisionArgs {
    /// How classes are put together: false for not at all, null for not at all and both classes of a binary problem,
    /// true or `macro` for their mean, `weighted` for their mean by the number of positives, `micro` for one count of
    /// all, `samples` for the mean over items (multilabel).
    average: AverageArgument,
    /// Whether an item may have several labels.
    is_multilabel: bool,
}

/// Fraction of the positives that are predicted (ignite `Recall`).
///
/// Takes what `Precision` takes.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RecallArgs {
    /// How classes are put together; see `Precision`.
    average: AverageArgument,
    /// Whether an item may have several labels.
    is_multilabel: bool,
}

/// Weighted harmonic mean of precision and recall (ignite `Fbeta`).
///
/// Takes what `Precision` takes, one label for each item.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FbetaArgs {
    /// How many times more recall counts than precision, above 0.
    beta: f64,
    /// Whether the classes are averaged; else the result `value` has a number per class.
    #[serde(default = "yes")]
    average: bool,
}

fn yes() -> bool {
    true
}

/// ignite's `average`: a flag, a word, or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
enum AverageArgument {
    Flag(bool),
    Word(AverageWord),
    #[schemars(with = "()")]
    Nothing(()),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum AverageWord {
    Macro,
    Micro,
    Weighted,
    Samples,
}

impl Default for AverageArgument {
    fn default() -> Self {
        Self::Flag(false)
    }
}

/// What is added to denominators, so that a class without positives has 0.
const EPS: f64 = 1e-20;

/// See [`PrecisionArgs`].
#[derive(Debug)]
pub struct Precision(Fraction);

/// See [`RecallArgs`].
#[derive(Debug)]
pub struct Recall(Fraction);

/// See [`FbetaArgs`].
#[derive(Debug)]
pub struct Fbeta {
    args: FbetaArgs,
    precision: Fraction,
    recall: Fraction,
}

impl Component for Precision {
    type Args = PrecisionArgs;

    fn new(args: PrecisionArgs) -> Result<Self> {
        Ok(Self(Fraction::new(args.average, args.is_multilabel, Positives::Predicted)))
    }
}

impl Component for Recall {
    type Args = RecallArgs;

    fn new(args: RecallArgs) -> Result<Self> {
        Ok(Self(Fraction::new(args.average, args.is_multilabel, Positives::Actual)))
    }
}

impl Component for Fbeta {
    type Args = FbetaArgs;

    fn new(args: FbetaArgs) -> Result<Self> {
        if args.beta.is_nan() || args.beta <= 0.0 {
            return Err(Error::invalid_argument(format!("`beta` must be above 0, found {}", args.beta)));
        }
        let fraction = |positives| Fraction::new(AverageArgument::default(), false, positives);
        Ok(Self { args, precision: fraction(Positives::Predicted), recall: fraction(Positives::Actual) })
    }
}

macro_rules! of_one_fraction {
    ($metric:ident) => {
        impl Metric for $metric {
            fn reset(&mut self) {
                self.0.reset();
            }

            fn state(&self) -> Result<Vec<(String, Tensor)>> {
                Ok(self.0.state(""))
            }

            fn load_state(&mut self, state: &[(String, Tensor)]) -> Result<()> {
                self.0.load_state("", state);
                Ok(())
            }

            fn update(&mut self, y_pred: &Tensor, y: &Tensor) -> Result<()> {
                self.0.update(y_pred, y)
            }

            fn compute(&self) -> Result<f64> {
                number(&self.0.value()?)
            }

            fn results(&self) -> Result<Vec<(String, Tensor)>> {
                Ok(vec![("value".to_owned(), self.0.value()?)])
            }
        }
    };
}

of_one_fraction!(Precision);
of_one_fraction!(Recall);

impl Metric for Fbeta {
    fn reset(&mut self) {
        self.precision.reset();
        self.recall.reset();
    }

    fn state(&self) -> Result<Vec<(String, Tensor)>> {
        Ok(self.precision.state("precision_").into_iter().chain(self.recall.state("recall_")).collect())
    }

    fn load_state(&mut self, state: &[(String, Tensor)]) -> Result<()> {
        self.precision.load_state("precision_", state);
        self.recall.load_state("recall_", state);
        Ok(())
    }

    fn update(&mut self, y_pred: &Tensor, y: &Tensor) -> Result<()> {
        self.precision.update(y_pred, y)?;
        self.recall.update(y_pred, y)
    }

    fn compute(&self) -> Result<f64> {
        number(&self.value()?)
    }

    fn results(&self) -> Result<Vec<(String, Tensor)>> {
        Ok(vec![("value".to_owned(), self.value()?)])
    }
}

impl Fbeta {
    fn value(&self) -> Result<Tensor> {
        let (precision, recall) = (self.precision.value()?, self.recall.value()?);
        let square = self.args.beta * self.args.beta;
        let denominator = precision.f_mul_scalar(square)?.f_add(&recall)?.f_add_scalar(1e-15)?;
        let score = precision.f_mul(&recall)?.f_mul_scalar(1.0 + square)?.f_div(&denominator)?;
        Ok(if self.args.average { score.f_mean(Kind::Double)? } else { score })
    }
}

/// Which positives a fraction is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Positives {
    Predicted,
    Actual,
}

/// True positives and the positives that they are a fraction of, per class, or as the average asks for.
#[derive(Debug)]
struct Fraction {
    average: AverageArgument,
    is_multilabel: bool,
    of: Positives,
    counts: Option<Counts>,
}

#[derive(Debug)]
struct Counts {
    numerator: Tensor,
    denominator: Tensor,
    /// Actual positives, for the weighted mean.
    weight: Tensor,
}

impl Fraction {
    fn new(average: AverageArgument, is_multilabel: bool, of: Positives) -> Self {
        Self { average, is_multilabel, of, counts: None }
    }

    fn word(&self) -> Option<AverageWord> {
        match self.average {
            AverageArgument::Flag(true) => Some(AverageWord::Macro),
            AverageArgument::Word(word) => Some(word),
            AverageArgument::Flag(false) | AverageArgument::Nothing(()) => None,
        }
    }

    fn reset(&mut self) {
        self.counts = None;
    }

    fn state(&self, prefix: &str) -> Vec<(String, Tensor)> {
        let Some(Counts { numerator, denominator, weight }) = &self.counts else { return Vec::new() };
        let named = [("numerator", numerator), ("denominator", denominator), ("weight", weight)];
        named.map(|(name, tensor)| (format!("{prefix}{name}"), tensor.shallow_clone())).into()
    }

    fn load_state(&mut self, prefix: &str, state: &[(String, Tensor)]) {
        let get = |name: &str| {
            state.iter().find(|(known, _)| *known == format!("{prefix}{name}")).map(|(_, it)| it.shallow_clone())
        };
        if let (Some(numerator), Some(denominator), Some(weight)) =
            (get("numerator"), get("denominator"), get("weight"))
        {
            self.counts = Some(Counts { numerator, denominator, weight });
        }
    }

    fn update(&mut self, y_pred: &Tensor, y: &Tensor) -> Result<()> {
        let both_classes = self.average != AverageArgument::Flag(false);
        let labelled = Labelled::new(y_pred, y, self.is_multilabel)?;
        let samples = self.word() == Some(AverageWord::Samples);
        if samples && !self.is_multilabel {
            return Err(Error::invalid_argument("`average` `samples` needs `is_multilabel: true`"));
        }
        let (predicted, actual) = labelled.columns(both_classes)?;
        let correct = predicted.f_mul(&actual)?;
        let of = if self.of == Positives::Predicted { &predicted } else { &actual };
        let items = |tensor: &Tensor| {
            tensor.f_sum_dim_intlist([0i64].as_slice(), false, Kind::Double)?.f_to_device(Device::Cpu)
        };
        let all = |tensor: &Tensor| tensor.f_sum(Kind::Double)?.f_to_device(Device::Cpu);
        let (numerator, denominator) = match self.word() {
            Some(AverageWord::Samples) => {
                let labels = |tensor: &Tensor| tensor.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Double);
                let fraction = labels(&correct)?.f_div(&labels(of)?.f_add_scalar(EPS)?)?;
                (all(&fraction)?, Tensor::from(actual.size()[0] as f64))
            }
            Some(AverageWord::Micro) => (all(&correct)?, all(of)?),
            _ => (items(&correct)?, items(of)?),
        };
        let new = Counts { numerator, denominator, weight: items(&actual)? };
        self.counts = Some(match self.counts.take() {
            Some(counts) => Counts {
                numerator: counts.numerator.f_add(&new.numerator)?,
                denominator: counts.denominator.f_add(&new.denominator)?,
                weight: counts.weight.f_add(&new.weight)?,
            },
            None => new,
        });
        Ok(())
    }

    /// One number, or one per class.
    fn value(&self) -> Result<Tensor> {
        let Some(Counts { numerator, denominator, weight }) = &self.counts else {
            return Err(Error::data("the metric has seen no data since the epoch began"));
        };
        if self.word() == Some(AverageWord::Samples) {
            return Ok(numerator.f_div(denominator)?);
        }
        let fraction = numerator.f_div(&denominator.f_add_scalar(EPS)?)?;
        Ok(match self.word() {
            Some(AverageWord::Weighted) => {
                let weights = weight.f_div(&weight.f_sum(Kind::Double)?.f_add_scalar(EPS)?)?;
                fraction.f_mul(&weights)?.f_sum(Kind::Double)?
            }
            Some(AverageWord::Macro) => fraction.f_mean(Kind::Double)?,
            _ => fraction,
        })
    }
}

#[cfg(test)]
mod tests {
    use byoc::{Component, Metric};
    use serde_json::json;

    use super::*;

    #[test]
    fn every_spelling_of_the_average_is_understood() {
        let average = |args| byoc::args::parse::<PrecisionArgs>(&args).unwrap().average;
        assert_eq!(average(json!({})), AverageArgument::Flag(false));
        assert_eq!(average(json!({ "average": true })), AverageArgument::Flag(true));
        assert_eq!(average(json!({ "average": null })), AverageArgument::Nothing(()));
        assert_eq!(average(json!({ "average": "micro" })), AverageArgument::Word(AverageWord::Micro));
    }

    #[test]
    fn a_run_can_go_on_within_an_epoch() {
        let mut first = Fbeta::new(byoc::args::parse(&json!({ "beta": 2.0 })).unwrap()).unwrap();
        let y_pred = Tensor::from_slice(&[1i64, 0, 1, 1]);
        let y = Tensor::from_slice(&[1i64, 1, 0, 1]);
        first.update(&y_pred, &y).unwrap();
        let mut second = Fbeta::new(byoc::args::parse(&json!({ "beta": 2.0 })).unwrap()).unwrap();
        assert!(second.compute().is_err());
        second.load_state(&first.state().unwrap()).unwrap();
        first.update(&y, &y_pred).unwrap();
        second.update(&y, &y_pred).unwrap();
        assert_eq!(first.compute().unwrap(), second.compute().unwrap());
    }
}
