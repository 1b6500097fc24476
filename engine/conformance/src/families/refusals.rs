//! Inputs that make no sense: an error is right, a number may be, a panic is not, and a crash never.

use byoc::{ErrorCode, Kind, Random};
use tch::Tensor;

use crate::object::Response;
use crate::specimen::Specimen;
use crate::stimulus::{Pattern, Plan, Stimulus};
use crate::suite::Test;
use crate::verdict::{Found, Verdict, said};

const BATCHES: &[Kind] = &[Kind::NETWORK, Kind::LOSS, Kind::METRIC];
const PAIRS: &[Kind] = &[Kind::LOSS, Kind::METRIC];

pub(crate) const TESTS: &[Test] = &[
    Test::of_component("empty-batch", "an empty batch is taken or refused in words", BATCHES, empty_batch),
    Test::of_component("wrong-shape", "tensors of other shapes are refused in words", BATCHES, wrong_shape),
    Test::of_component(
        "sizes-that-differ",
        "input and target of different sizes are refused",
        PAIRS,
        sizes_that_differ,
    ),
    Test::of_component("missing-key", "a sample without its keys is refused in words", &[Kind::TRANSFORM], missing_key),
    Test::of_component(
        "wrong-value",
        "a text in the place of an image is refused in words",
        &[Kind::TRANSFORM],
        wrong_value,
    ),
];

/// What a new object makes of an input.
fn answer(specimen: &Specimen, stimulus: &Stimulus) -> Result<byoc::Result<Response>, Verdict> {
    let mut object = specimen.make()?;
    Ok(object.respond(stimulus))
}

/// An error or a result is fine; a panic, which the engine survives, is worth a word.
fn taken_or_refused(specimen: &Specimen, stimulus: &Stimulus, what: &str) -> Found {
    match answer(specimen, stimulus)? {
        Ok(_) => Ok(Verdict::success(format!("{what} is taken"))),
        Err(error) if error.code() == ErrorCode::PANICKED => Err(panicked(what, &error)),
        Err(error) => Ok(Verdict::success(format!("{what} is refused: {error}"))),
    }
}

fn panicked(what: &str, error: &byoc::Error) -> Verdict {
    Verdict::warning(
        format!("{what} makes it panic: {}", said(error)),
        "give an error instead: tch's `f_…` functions with `?` in the place of operators and plain functions, and \
         `byoc::ensure!` for the shapes you expect",
    )
}

fn empty_batch(specimen: &Specimen) -> Found {
    let mut random = Random::from_seed(specimen.seed);
    let stimulus = match specimen.plan()? {
        Plan::Network(plan) => Stimulus::Network(plan.with_batch(0).draw(&mut random)),
        Plan::Pair(plan) => {
            let (first, second) = plan.with_batch(0).draw(&mut random);
            Stimulus::Pair(first, second)
        }
        _ => return Ok(Verdict::skipped("it takes no batches")),
    };
    taken_or_refused(specimen, &stimulus, "an empty batch")
}

fn wrong_shape(specimen: &Specimen) -> Found {
    let mut random = Random::from_seed(specimen.seed);
    let nothing = || Tensor::zeros([0i64; 0], tch::kind::FLOAT_CPU);
    let stimuli = match specimen.plan()? {
        Plan::Network(plan) => {
            let channels = plan.shape.get(1).copied().unwrap_or(1) + 1;
            vec![
                ("another number of channels", Stimulus::Network(plan.with_channels(channels).draw(&mut random))),
                (
                    "an image without an axis",
                    Stimulus::Network(random.normal_tensor(&plan.shape[..plan.shape.len() - 1])),
                ),
                ("a single number", Stimulus::Network(nothing())),
            ]
        }
        Plan::Pair(plan) => {
            let (first, second) = plan.draw(&mut random);
            vec![
                (
                    "a target of six axes",
                    Stimulus::Pair(first.shallow_clone(), Tensor::zeros([7, 5, 3, 2, 2, 2], tch::kind::FLOAT_CPU)),
                ),
                ("a single number as input", Stimulus::Pair(nothing(), second)),
                ("a single number as target", Stimulus::Pair(first, nothing())),
            ]
        }
        _ => return Ok(Verdict::skipped("it takes no batches")),
    };
    for (what, stimulus) in &stimuli {
        taken_or_refused(specimen, stimulus, what)?;
    }
    Ok(Verdict::success(format!("{} wrong shapes are refused or taken", stimuli.len())))
}

fn sizes_that_differ(specimen: &Specimen) -> Found {
    let Plan::Pair(plan) = specimen.plan()? else { return Ok(Verdict::skipped("it takes no pair of tensors")) };
    let (first, second) = plan.with_longer_second().draw(&mut Random::from_seed(specimen.seed));
    let what = format!("{:?} with {:?}", first.size(), second.size());
    let stimulus = Stimulus::Pair(first, second);
    if answer(specimen, &stimulus)?.is_ok() {
        return Err(Verdict::warning(
            format!("it takes {what} and gives a number"),
            "compare the sizes first: `byoc::ensure!(input.size()[2..] == target.size()[2..], …)`",
        ));
    }
    taken_or_refused(specimen, &stimulus, &what)
}

fn missing_key(specimen: &Specimen) -> Found {
    let Plan::Sample(_) = specimen.plan()? else { return Ok(Verdict::skipped("it takes no samples")) };
    let stimulus = Stimulus::Sample(byoc::Sample::new(), Random::from_seed(specimen.seed));
    taken_or_refused(specimen, &stimulus, "a sample without any key")
}

fn wrong_value(specimen: &Specimen) -> Found {
    let Plan::Sample(plan) = specimen.plan()? else { return Ok(Verdict::skipped("it takes no samples")) };
    let mut random = Random::from_seed(specimen.seed);
    let mut sample = plan.draw(&mut random, Pattern::Noise);
    for key in &plan.keys {
        sample.insert(key.clone(), serde_json::json!("a text"));
    }
    taken_or_refused(specimen, &Stimulus::Sample(sample, random), "a text in the place of an image")
}
