//! Inputs of losses and metrics: what a network said, and what is true.

use byoc::{Kind as ComponentKind, Random, Result};
use tch::{Kind, Tensor};

use super::none_taken;
use crate::numbers::all_finite;
use crate::object::{Object, evaluate};
use crate::specimen::Specimen;
use crate::verdict::Verdict;

/// What the second input holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// One channel for each class, zeros and ones.
    OneHot,
    /// One channel with class indices, as float32.
    Classes,
    /// No channel axis, class indices as int64.
    Indices,
    /// Numbers like those of the first input.
    Numbers,
}

/// Two inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PairPlan {
    /// (B, C, spatial…)
    pub(crate) first: Vec<i64>,
    pub(crate) second: Vec<i64>,
    pub(crate) content: Content,
    /// Whether the first input holds zeros and ones, too: a prediction that has been made discrete.
    pub(crate) discrete: bool,
}

impl PairPlan {
    pub(crate) fn find(specimen: &Specimen) -> Result<Self, Verdict> {
        let is_metric = specimen.descriptor.kind == ComponentKind::METRIC;
        let mut error = None;
        let mut infinite = None;
        for plan in candidates(specimen, is_metric) {
            let (first, second) = plan.draw(&mut Random::from_seed(specimen.seed));
            let outcome = match specimen.make()? {
                Object::Loss(loss) => tch::no_grad(|| evaluate(loss.as_ref(), &first, &second)),
                Object::Metric(mut metric) => {
                    metric.reset();
                    metric.update(&first, &second).and_then(|()| Ok(Tensor::from(metric.compute()?)))
                }
                _ => return Err(Verdict::skipped("it is neither a loss nor a metric")),
            };
            match outcome {
                Ok(value) if all_finite(&value)? => return Ok(plan),
                Ok(_) => infinite = infinite.or(Some(plan)),
                Err(refused) => error = error.or(Some(refused)),
            }
        }
        let names = if is_metric { "`y_pred` and `y`" } else { "`input` and `target`" };
        let tried = "(2, 2, 5, 4, 3) or (2, 2, 6, 5) with a target of the same shape, of one channel or of none";
        infinite.ok_or_else(|| none_taken(specimen, tried, names, error.as_ref()))
    }

    /// The two inputs: the first float32 between 0 and 1, so that it may stand for logits and for probabilities.
    pub(crate) fn draw(&self, random: &mut Random) -> (Tensor, Tensor) {
        let classes = self.first.get(1).copied().unwrap_or(2).max(2);
        let first = if self.discrete {
            one_hot_or_binary(random, &self.first)
        } else {
            random.uniform_tensor(&self.first) * 0.9 + 0.05
        };
        let second = match self.content {
            Content::OneHot => one_hot_or_binary(random, &self.second),
            Content::Classes => class_map(random, &self.second, classes).to_kind(Kind::Float),
            Content::Indices => class_map(random, &self.second, classes),
            Content::Numbers => random.uniform_tensor(&self.second) * 0.9 + 0.05,
        };
        (first, second)
    }

    /// The same with another size of the batch.
    pub(crate) fn with_batch(&self, batch: i64) -> Self {
        let with = |shape: &[i64]| -> Vec<i64> {
            shape.iter().enumerate().map(|(axis, size)| if axis == 0 { batch } else { *size }).collect()
        };
        Self { first: with(&self.first), second: with(&self.second), ..self.clone() }
    }

    /// The same with a second input that is longer along its last axis.
    pub(crate) fn with_longer_second(&self) -> Self {
        let mut second = self.second.clone();
        if let Some(last) = second.last_mut() {
            *last += 1;
        }
        Self { second, ..self.clone() }
    }
}

fn candidates(specimen: &Specimen, is_metric: bool) -> Vec<PairPlan> {
    let given = |name: &str| specimen.given.shapes.get(name).cloned();
    let (first_name, second_name) = if is_metric { ("y_pred", "y") } else { ("input", "target") };
    let shapes = match (given(first_name), given(second_name)) {
        (Some(first), second) => {
            let second = second.unwrap_or_else(|| first.clone());
            let content = content_of(&first, &second);
            let plan = |discrete, content| PairPlan { first: first.clone(), second: second.clone(), content, discrete };
            return vec![plan(is_metric, content), plan(!is_metric, content), plan(false, Content::Numbers)];
        }
        _ => [[2, 2, 5, 4, 3].as_slice(), &[2, 2, 6, 5], &[4, 3]],
    };
    // an argument that makes one-hot of a class map wants a class map; else the target is like the input
    let wants_classes = specimen.args().get("to_onehot_y").is_some_and(|value| value == true);
    let mut plans = Vec::new();
    for first in shapes {
        let one_channel: Vec<i64> =
            first.iter().enumerate().map(|(axis, size)| if axis == 1 { 1 } else { *size }).collect();
        let no_channel = [&first[..1], &first[2..]].concat();
        let plan = |second: &[i64], content| PairPlan {
            first: first.to_owned(),
            second: second.to_owned(),
            content,
            discrete: is_metric,
        };
        let mut of_shape = vec![
            plan(&one_channel, Content::Classes),
            plan(first, Content::OneHot),
            plan(&no_channel, Content::Indices),
            plan(first, Content::Numbers),
        ];
        if is_metric || (!wants_classes && specimen.descriptor.schema.pointer("/properties/to_onehot_y").is_some()) {
            of_shape.swap(0, 1);
        }
        if is_metric {
            of_shape.extend(of_shape.clone().into_iter().map(|plan| PairPlan { discrete: false, ..plan }));
        }
        plans.extend(of_shape);
    }
    plans
}

fn content_of(first: &[i64], second: &[i64]) -> Content {
    if second.len() < first.len() {
        Content::Indices
    } else if second.get(1) == Some(&1) && first.get(1) != Some(&1) {
        Content::Classes
    } else {
        Content::OneHot
    }
}

/// Class indices as int64, every class in every item if there is room, else in the batch.
fn class_map(random: &mut Random, shape: &[i64], classes: i64) -> Tensor {
    let count = shape.iter().product::<i64>();
    let per_item = shape.iter().skip(1).product::<i64>().max(1);
    let values: Vec<i64> = (0..count)
        .map(|i| {
            let drawn = random.integer(0, classes);
            let place = if per_item < classes { i } else { i % per_item };
            if place < classes { place } else { drawn }
        })
        .collect();
    Tensor::from_slice(&values).view(shape)
}

/// (B, C, spatial…) with exactly one 1 along C; for one channel zeros and ones.
fn one_hot_or_binary(random: &mut Random, shape: &[i64]) -> Tensor {
    let channels = shape.get(1).copied().unwrap_or(1);
    if channels < 2 || shape.len() < 2 {
        return class_map(random, shape, 2).to_kind(Kind::Float);
    }
    let one_channel: Vec<i64> =
        shape.iter().enumerate().map(|(axis, size)| if axis == 1 { 1 } else { *size }).collect();
    let classes = class_map(random, &one_channel, channels);
    Tensor::zeros(shape, (Kind::Float, tch::Device::Cpu)).scatter_value(1, &classes, 1.0)
}

#[cfg(test)]
mod tests {
    use byoc::Random;
    use tch::Kind;

    use super::{Content, PairPlan};

    fn plan(second: &[i64], content: Content) -> PairPlan {
        PairPlan { first: vec![2, 3, 4, 5], second: second.to_vec(), content, discrete: false }
    }

    #[test]
    fn contents_are_what_their_names_say() {
        let random = || Random::from_seed(5);
        let (first, one_hot) = plan(&[2, 3, 4, 5], Content::OneHot).draw(&mut random());
        assert!(first.min().double_value(&[]) >= 0.05 && first.max().double_value(&[]) <= 0.95);
        let sums = one_hot.sum_dim_intlist(1, false, Kind::Float);
        assert_eq!((sums.min().double_value(&[]), sums.max().double_value(&[])), (1.0, 1.0));

        let (_, classes) = plan(&[2, 1, 4, 5], Content::Classes).draw(&mut random());
        assert_eq!((classes.kind(), classes.max().double_value(&[])), (Kind::Float, 2.0));
        let (_, indices) = plan(&[2, 4, 5], Content::Indices).draw(&mut random());
        assert_eq!((indices.kind(), indices.max().int64_value(&[])), (Kind::Int64, 2));

        // scores of items without an image: every class is somewhere in the batch
        let scores = PairPlan { first: vec![4, 3], second: vec![4, 3], content: Content::OneHot, discrete: false };
        let (_, one_hot) = scores.draw(&mut random());
        assert!(one_hot.sum_dim_intlist(0, false, Kind::Float).min().double_value(&[]) >= 1.0);
        let (first, second) = plan(&[2, 1, 4, 5], Content::Classes).with_batch(0).draw(&mut random());
        assert_eq!((first.size(), second.size()), (vec![0, 3, 4, 5], vec![0, 1, 4, 5]));
        assert_eq!(plan(&[2, 1, 4, 5], Content::Classes).with_longer_second().second, [2, 1, 4, 6]);
    }
}
