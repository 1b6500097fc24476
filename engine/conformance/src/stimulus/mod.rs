//! Inputs for a component of which nothing is known: the likely ones are tried until one is taken.

mod network;
mod pair;
mod sample;
mod script;

use byoc::{Error, ErrorCode, Kind, Random, Sample, Value};
use mmar_verify::rehearsal::Script;
use tch::Tensor;

pub(crate) use network::NetworkPlan;
pub(crate) use pair::{Content, PairPlan};
pub(crate) use sample::{AFFINE, Pattern, SamplePlan, applied, place};
pub(crate) use script::script;

use crate::specimen::Specimen;
use crate::verdict::{Verdict, said};

/// What a component is called with.
pub(crate) enum Stimulus {
    /// The input of a network.
    Network(Tensor),
    /// Input and target of a loss, prediction and ground truth of a metric.
    Pair(Tensor, Tensor),
    /// A sample, and the generator for a random transform.
    Sample(Sample, Random),
    /// A run with a handler.
    Script(Script),
}

impl Stimulus {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Network(_) => "the input of a network",
            Self::Pair(..) => "prediction and target",
            Self::Sample(..) => "a sample",
            Self::Script(_) => "a run",
        }
    }

    /// The same values in tensors of their own: a component that changes its input in place must not be taken for one that
    /// repeats itself badly.
    pub(crate) fn copy(&self) -> Self {
        match self {
            Self::Network(x) => Self::Network(x.copy()),
            Self::Pair(first, second) => Self::Pair(first.copy(), second.copy()),
            Self::Sample(sample, random) => {
                let mut own = Sample::new();
                for (key, value) in sample.iter() {
                    let copy = match value {
                        Value::Image(image) => Value::Image(image.with_tensor(image.tensor.copy())),
                        Value::Tensor(tensor) => Value::Tensor(tensor.copy()),
                        Value::Json(json) => Value::Json(json.clone()),
                    };
                    own.insert(key, copy);
                }
                Self::Sample(own, random.clone())
            }
            Self::Script(script) => Self::Script(script.clone()),
        }
    }

    /// The tensors, by their names.
    pub(crate) fn tensors(&self) -> Vec<(String, &Tensor)> {
        match self {
            Self::Network(x) => vec![("x".to_owned(), x)],
            Self::Pair(first, second) => vec![("the first input".to_owned(), first), ("the second".to_owned(), second)],
            Self::Sample(sample, _) => {
                sample.iter().filter_map(|(key, value)| Some((key.to_owned(), value.as_tensor()?))).collect()
            }
            Self::Script(_) => Vec::new(),
        }
    }
}

/// How inputs are made that the component takes.
#[derive(Debug)]
pub(crate) enum Plan {
    Network(NetworkPlan),
    Pair(PairPlan),
    Sample(SamplePlan),
    Script,
}

impl Plan {
    /// Tries likely inputs until the component takes one.
    pub(crate) fn find(specimen: &Specimen) -> Result<Self, Verdict> {
        match specimen.descriptor.kind {
            Kind::NETWORK => NetworkPlan::find(specimen).map(Self::Network),
            Kind::LOSS | Kind::METRIC => PairPlan::find(specimen).map(Self::Pair),
            Kind::TRANSFORM => SamplePlan::find(specimen).map(Self::Sample),
            Kind::HANDLER => Ok(Self::Script),
            kind => Err(Verdict::skipped(format!("there are no tests of a {kind}"))),
        }
    }

    /// The input of this number.
    pub(crate) fn stimulus(&self, seed: u64, number: u64) -> Stimulus {
        let mut random = Random::from_seed(Random::derive_seed(&[seed, number]));
        match self {
            Self::Network(plan) => Stimulus::Network(plan.draw(&mut random)),
            Self::Pair(plan) => {
                let (first, second) = plan.draw(&mut random);
                Stimulus::Pair(first, second)
            }
            Self::Sample(plan) => {
                let sample = plan.draw(&mut random, Pattern::Noise);
                Stimulus::Sample(sample, random)
            }
            Self::Script => Stimulus::Script(script()),
        }
    }
}

/// Why none of the inputs that were tried was taken. The error that tells most is that of the likeliest input; a panic
/// of it is the author's business, not that of whoever guesses inputs.
fn none_taken(specimen: &Specimen, tried: &str, names: &str, error: Option<&Error>) -> Verdict {
    let reason = error.map_or_else(|| "nothing was tried".to_owned(), said);
    let given = !specimen.given.shapes.is_empty();
    if given || error.is_some_and(|error| error.code() == ErrorCode::PANICKED) {
        return Verdict::failed(
            format!("it takes none of these inputs: {tried}; {reason}"),
            format!("make it give an error instead of a panic, or give shapes of {names} with `--args FILE`"),
        );
    }
    Verdict::skipped(format!(
        "it takes none of these inputs: {tried}; {reason}. Give shapes of {names} with `--args FILE`"
    ))
}
