//! Where a prediction is wrong, and a click there: `FindDiscrepancyRegionsd`, `AddRandomGuidanced`.

use byoc::{Component, Error, Random, Result, Sample, Transform, Value};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;
use tch::{Kind, Tensor};
use torch_ext::view;

use super::click;
use super::guidance::{Guidance, items};
use crate::transforms::common::float_values;

/// Finds where a prediction misses the label and where it goes beyond.
///
/// Both are foreground above 0.5. The result is (2, C, …): 1 where the label is foreground and the prediction is not, then
/// 1 where it is the other way round. MONAI `monai.apps.deepgrow.transforms.FindDiscrepancyRegionsd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FindDiscrepancyRegionsdArgs {
    /// Key of the label.
    #[serde(default = "label")]
    label: String,
    /// Key of the prediction.
    #[serde(default = "pred")]
    pred: String,
    /// Key for the result.
    #[serde(default = "discrepancy")]
    discrepancy: String,
    /// Whether it works on each item of a batch: (B, C, …) gives (B, 2, C, …).
    #[serde(default)]
    batched: bool,
}

fn label() -> String {
    "label".to_owned()
}

fn pred() -> String {
    "pred".to_owned()
}

fn discrepancy() -> String {
    "discrepancy".to_owned()
}

fn guidance() -> String {
    "guidance".to_owned()
}

/// See [`FindDiscrepancyRegionsdArgs`].
pub struct FindDiscrepancyRegionsd(FindDiscrepancyRegionsdArgs);

impl Component for FindDiscrepancyRegionsd {
    type Args = FindDiscrepancyRegionsdArgs;

    fn new(args: FindDiscrepancyRegionsdArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

impl Transform for FindDiscrepancyRegionsd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        let Self(args) = self;
        let (label, pred) = (sample.tensor(&args.label)?, sample.tensor(&args.pred)?);
        if label.size() != pred.size() {
            return Err(Error::data(format!(
                "`{}` has shape {:?}, but `{}` has {:?}",
                args.label,
                label.size(),
                args.pred,
                pred.size()
            )));
        }
        let (label, pred) = (label.f_gt(0.5)?, pred.f_to_device(label.device())?.f_gt(0.5)?);
        let missed = label.f_logical_and(&pred.f_logical_not()?)?;
        let beyond = pred.f_logical_and(&label.f_logical_not()?)?;
        let both = Tensor::f_stack(&[missed, beyond], i64::from(args.batched))?;
        sample.insert(&args.discrepancy, both.f_to_kind(Kind::Float)?);
        Ok(())
    }
}

/// Adds a click where a prediction is wrong, with a probability that the sample holds.
///
/// Positive where the prediction misses more than it goes beyond the label, else negative; drawn as by
/// `AddInitialSeedPointd`. The other list gets a point of -1, and the guidance becomes a JSON text. MONAI
/// `monai.apps.deepgrow.transforms.AddRandomGuidanced`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddRandomGuidancedArgs {
    /// Key of the guidance.
    #[serde(default = "guidance")]
    guidance: String,
    /// Key of the result of `FindDiscrepancyRegionsd`.
    #[serde(default = "discrepancy")]
    discrepancy: String,
    /// Key of the probability of a click.
    #[serde(default = "probability")]
    probability: String,
    /// Whether it works on each item of a batch, each with its own probability.
    #[serde(default)]
    batched: bool,
}

fn probability() -> String {
    "probability".to_owned()
}

/// See [`AddRandomGuidancedArgs`].
pub struct AddRandomGuidanced(AddRandomGuidancedArgs);

impl Component for AddRandomGuidanced {
    type Args = AddRandomGuidancedArgs;

    fn new(args: AddRandomGuidancedArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

impl Transform for AddRandomGuidanced {
    fn apply(&self, sample: &mut Sample, random: &mut Random) -> Result<()> {
        let Self(args) = self;
        let clicks = sample.get(&args.guidance)?;
        let discrepancy = sample.tensor(&args.discrepancy)?;
        let probabilities = self.probabilities(sample.get(&args.probability)?)?;
        let guidance = if args.batched {
            let (clicks, regions) = (items(clicks, &args.guidance)?, discrepancy.f_unbind(0)?);
            if clicks.len() != regions.len() || (probabilities.len() != 1 && probabilities.len() != regions.len()) {
                return Err(Error::data(format!(
                    "`{}` has {} items, `{}` {} and `{}` {}",
                    args.guidance,
                    clicks.len(),
                    args.discrepancy,
                    regions.len(),
                    args.probability,
                    probabilities.len()
                )));
            }
            clicks
                .iter()
                .zip(&regions)
                .enumerate()
                .map(|(item, (clicks, regions))| {
                    let probability = probabilities[item.min(probabilities.len() - 1)];
                    self.extend(clicks, regions, probability, random)
                })
                .collect::<Result<Json>>()?
        } else {
            let [probability] = probabilities[..] else {
                return Err(Error::data(format!(
                    "`{}` has {} numbers; one is expected, or `batched`",
                    args.probability,
                    probabilities.len()
                )));
            };
            self.extend(clicks, discrepancy, probability, random)?
        };
        sample.insert(&args.guidance, guidance);
        Ok(())
    }

    fn is_random(&self) -> bool {
        true
    }
}

impl AddRandomGuidanced {
    fn probabilities(&self, value: &Value) -> Result<Vec<f64>> {
        let key = &self.0.probability;
        let numbers: Option<Vec<f64>> = match value {
            Value::Json(Json::Array(list)) => list.iter().map(Json::as_f64).collect(),
            Value::Json(json) => json.as_f64().map(|number| vec![number]),
            other => match other.as_tensor() {
                Some(tensor) => Some(Vec::try_from(tensor.f_to_kind(Kind::Double)?.f_reshape([-1])?)?),
                None => None,
            },
        };
        numbers.filter(|numbers| !numbers.is_empty()).ok_or_else(|| Error::data(format!("`{key}` is not a number")))
    }

    /// The guidance with another click, as JSON text.
    fn extend(&self, clicks: &Value, regions: &Tensor, probability: f64, random: &mut Random) -> Result<Json> {
        let key = &self.0.guidance;
        let mut guidance = Guidance::of(clicks, key)?;
        guidance.pair(key)?;
        if random.chance(probability)
            && let Some((list, click)) = self.click(regions, random)?
        {
            guidance.clicks[1 - list].push(vec![-1; click.len()]);
            guidance.clicks[list].push(click);
        }
        Ok(guidance.to_text())
    }

    /// A click and which list it belongs to; `None` where nothing is wrong.
    fn click(&self, regions: &Tensor, random: &mut Random) -> Result<Option<(usize, Vec<i64>)>> {
        let size = regions.size();
        if size.first() != Some(&2) || size.len() < 3 {
            return Err(Error::data(format!(
                "`{}` has shape {size:?}; (2, C, …) is expected, as `FindDiscrepancyRegionsd` gives it",
                self.0.discrepancy
            )));
        }
        let shape: Vec<usize> = size[1..].iter().map(|&n| n as usize).collect();
        let voxels: usize = shape.iter().product();
        let values = float_values(regions)?;
        let (missed, beyond) = view::slice::<f32>(&values)?.split_at(voxels);
        let sum = |values: &[f32]| values.iter().map(|&value| f64::from(value)).sum::<f64>();
        let list = usize::from(sum(missed) < sum(beyond));
        let region: Vec<bool> = [missed, beyond][list].iter().map(|&value| value > 0.0).collect();
        Ok(click::draw(&region, &shape, random)?.map(|click| (list, click)))
    }
}

byoc::register! { transforms: [FindDiscrepancyRegionsd, AddRandomGuidanced] }

#[cfg(test)]
mod tests {
    use byoc::{Component, Random, Sample, Transform};
    use serde_json::{Value, json};
    use tch::{Kind, Tensor};

    use super::AddRandomGuidanced;

    #[test]
    fn a_batch_gets_clicks_where_its_predictions_are_wrong() {
        let args = json!({"batched": true});
        let transform = AddRandomGuidanced::new(serde_json::from_value(args).unwrap()).unwrap();
        let regions = Tensor::zeros([3, 2, 1, 8, 8], (Kind::Float, tch::Device::Cpu));
        let set = |item: i64, list: i64, row: i64, column: i64| {
            let _ = regions.narrow(0, item, 1).narrow(1, list, 1).narrow(3, row, 1).narrow(4, column, 1).fill_(1.0);
        };
        set(0, 0, 2, 3);
        set(1, 1, 6, 5);
        set(2, 0, 1, 1);
        let mut sample = Sample::new();
        sample.insert("discrepancy", regions);
        sample.insert("guidance", json!(["[[[1,1,1]],[[-1,-1,-1]]]", "[[],[]]", "[[],[]]"]));
        sample.insert("probability", Tensor::from_slice(&[1f32, 1.0, 0.0]));
        transform.apply(&mut sample, &mut Random::from_seed(0)).unwrap();
        let Value::Array(texts) = sample.json("guidance").unwrap() else { panic!() };
        let parsed: Vec<Value> =
            texts.iter().map(|text| serde_json::from_str(text.as_str().unwrap()).unwrap()).collect();
        assert_eq!(
            json!(parsed),
            json!([[[[1, 1, 1], [1, 2, 3]], [[-1, -1, -1], [-1, -1, -1]]], [[[-1, -1, -1]], [[1, 6, 5]]], [[], []]])
        );
    }
}
