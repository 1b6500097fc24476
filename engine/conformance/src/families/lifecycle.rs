//! What holds for components of every kind: they come and go, repeat themselves, leave their inputs alone.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use byoc::{ErrorCode, Kind};
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber, span};

use crate::memory::growth;
use crate::object::{Object, Response};
use crate::specimen::Specimen;
use crate::stimulus::Stimulus;
use crate::suite::Test;
use crate::verdict::{Found, Verdict, said};

const WITH_TENSORS: &[Kind] = &[Kind::NETWORK, Kind::LOSS, Kind::METRIC, Kind::TRANSFORM];

pub(crate) const TESTS: &[Test] = &[
    Test::of_component("create-leak", "making it and dropping it leaves no memory behind", &[], create_leak),
    Test::of_component("call-leak", "calling it leaves no memory behind", &[], call_leak),
    Test::of_component("deterministic", "the same input gives the same result, bit for bit", &[], deterministic),
    Test::of_component("independent", "what one object did changes nothing for another", &[], independent),
    Test::of_component(
        "input-unchanged",
        "the tensors that it is given stay as they are",
        WITH_TENSORS,
        input_unchanged,
    ),
    Test::of_component("after-error", "after an error it works as before", WITH_TENSORS, after_error),
    Test::of_component("after-panic", "after a panic it says so, and a new object works", WITH_TENSORS, after_panic),
    Test::of_component("logs", "what it logs arrives at the engine", &[], logs),
];

fn create_leak(specimen: &Specimen) -> Found {
    let args = specimen.args();
    specimen.make()?;
    growth("make and drop", || specimen.make_with(&args).map(drop).map_err(Verdict::from))
}

fn call_leak(specimen: &Specimen) -> Found {
    let stimulus = specimen.stimulus(0)?;
    let mut object = specimen.make()?;
    growth("call", || object.respond(&stimulus).map(drop).map_err(Verdict::from))
}

fn deterministic(specimen: &Specimen) -> Found {
    let stimulus = specimen.stimulus(0)?;
    let help = "draw from no clock, no operating system and no global state; keep nothing from one call for the next, \
                and sum in a fixed order";
    if specimen.descriptor.kind == Kind::HANDLER {
        // a handler remembers its run, so each run has a handler of its own
        let (first, second) = (specimen.answer(&stimulus)?, specimen.answer(&stimulus)?);
        return same(&first, &second, "two handlers in the same run ask for different things", help);
    }
    let mut object = specimen.make()?;
    let first = object.respond(&stimulus.copy())?.copy();
    for _ in 0..3 {
        let again = object.respond(&stimulus.copy())?;
        same(&first, &again, "the same call gives another result", help)?;
    }
    Ok(Verdict::success("four calls, one result"))
}

fn independent(specimen: &Specimen) -> Found {
    let stimulus = specimen.stimulus(0)?;
    let mut first = specimen.make()?;
    let alone = first.respond(&stimulus.copy())?.copy();
    let is_handler = specimen.descriptor.kind == Kind::HANDLER;
    if !is_handler && alone.difference(&first.respond(&stimulus.copy())?)?.is_some() {
        return Ok(Verdict::skipped("one object alone does not repeat itself, see `deterministic`"));
    }
    let mut other = specimen.make()?;
    for number in 1..8 {
        other.respond(&specimen.stimulus(number)?)?;
    }
    let after = specimen.answer(&stimulus)?;
    same(
        &alone,
        &after,
        "a new object gives another result after other objects have worked",
        "keep state in the struct, not in a `static` or a `thread_local`: a run has several objects of a component",
    )
}

fn same(first: &Response, second: &Response, found: &str, help: &str) -> Found {
    match first.difference(second)? {
        None => Ok(Verdict::success("the same, bit for bit")),
        Some(difference) => Err(Verdict::failed(format!("{found}: {difference}"), help)),
    }
}

fn input_unchanged(specimen: &Specimen) -> Found {
    let stimulus = specimen.stimulus(0)?;
    let before: Vec<_> = stimulus.tensors().into_iter().map(|(name, tensor)| (name, tensor.copy())).collect();
    let mut object = specimen.make()?;
    object.respond(&stimulus)?;
    for ((name, before), (_, after)) in before.iter().zip(stimulus.tensors()) {
        if let Some(difference) = crate::numbers::difference(before, after)? {
            return Err(Verdict::failed(
                format!("it changes {name} in place: {difference}"),
                "make new tensors: the engine keeps what it gave in caches and in the graph. Take `f_relu`, not \
                 `f_relu_`, `f_add`, not `+=`",
            ));
        }
    }
    Ok(Verdict::success(format!("{} tensors", before.len())))
}

/// Something that no component of the kind can work with.
fn impossible(specimen: &Specimen) -> Result<Stimulus, Verdict> {
    use crate::stimulus::Plan;
    let nothing = || tch::Tensor::zeros([0], (tch::Kind::Float, tch::Device::Cpu));
    Ok(match specimen.plan()? {
        Plan::Network(_) => Stimulus::Network(nothing()),
        Plan::Pair(plan) => {
            let (first, _) = plan.draw(&mut byoc::Random::from_seed(0));
            let three = tch::Tensor::zeros([7, 5, 3, 2, 2, 2], (tch::Kind::Float, tch::Device::Cpu));
            Stimulus::Pair(first, three)
        }
        Plan::Sample(_) => Stimulus::Sample(byoc::Sample::new(), byoc::Random::from_seed(0)),
        Plan::Script => return Err(Verdict::skipped("a handler takes any run")),
    })
}

fn after_error(specimen: &Specimen) -> Found {
    let stimulus = specimen.stimulus(0)?;
    let expected = specimen.steady_answer(&stimulus)?;
    let mut object = specimen.make()?;
    match object.respond(&impossible(specimen)?) {
        Ok(_) => return Ok(Verdict::skipped("nothing that was tried gives an error")),
        Err(error) if error.code() == ErrorCode::PANICKED => {
            return Ok(Verdict::skipped("what was tried gives a panic, see `after-panic`"));
        }
        Err(_) => {}
    }
    let after = object.respond(&stimulus.copy())?;
    same(
        &expected,
        &after,
        "after an error it gives another result",
        "change the state of the object only when nothing can fail any more",
    )
}

fn after_panic(specimen: &Specimen) -> Found {
    let stimulus = specimen.stimulus(0)?;
    let expected = specimen.steady_answer(&stimulus)?;
    let mut object = specimen.make()?;
    let panic = match object.respond(&impossible(specimen)?) {
        Err(error) if error.code() == ErrorCode::PANICKED => error,
        _ => return Ok(Verdict::skipped("nothing that was tried makes it panic")),
    };
    match object.respond(&stimulus) {
        Err(error) if error.code() == ErrorCode::POISONED => {}
        Err(error) => return Err(error.into()),
        Ok(_) => {
            return Err(Verdict::failed(
                "after a panic it goes on as if nothing had happened",
                "leave the catching of panics to `export_plugin!`",
            ));
        }
    }
    let after = specimen.answer(&stimulus)?;
    same(
        &expected,
        &after,
        "after a panic of one object, a new one gives another result",
        "keep no state that a panic can leave half changed outside the object",
    )?;
    Err(Verdict::warning(
        format!("it panics on an input that it cannot take: {}", said(&panic)),
        "give an error instead: tch's `f_…` functions with `?`, and `byoc::ensure!` for what you expect",
    ))
}

/// Counts the events that came out of a plugin.
struct Witness(Arc<Mutex<Vec<String>>>);

impl Subscriber for Witness {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
    }

    fn event(&self, event: &Event<'_>) {
        // that is what `byoc` calls an event that it brings over
        if event.metadata().name() == "plugin event" {
            let mut message = Message::default();
            event.record(&mut message);
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(message.0);
        }
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

fn logs(specimen: &Specimen) -> Found {
    let stimulus = specimen.stimulus(0)?;
    let lines = Arc::new(Mutex::new(Vec::new()));
    let witness = Witness(Arc::clone(&lines));
    tracing::subscriber::with_default(witness, || {
        let mut object = specimen.make()?;
        object.respond(&stimulus).map(drop).map_err(Verdict::from)
    })?;
    let lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(match lines.first() {
        Some(first) => Verdict::success(format!("{} events, the first: {first}", lines.len())),
        None => Verdict::skipped("it logs nothing"),
    })
}

/// An object for as long as a test needs it, whatever its kind.
pub(crate) fn exercised(specimen: &Specimen, count: u64) -> Result<Object, Verdict> {
    let mut object = specimen.make()?;
    for number in 0..count {
        object.respond(&specimen.stimulus(number)?)?;
    }
    Ok(object)
}
