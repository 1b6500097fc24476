//! Handlers: they are played a run, whole, in two halves, without data, and after a failure.

use byoc::{EngineRole, ErrorCode, Event, Handler, Kind as ComponentKind, Sample};
use mmar_verify::rehearsal::{Note, Rehearsal, Script};
use serde_json::json;
use tch::{Kind, Tensor};

use crate::specimen::Specimen;
use crate::stimulus::script;
use crate::suite::Test;
use crate::verdict::{Found, Verdict, said};

const HANDLER: &[ComponentKind] = &[ComponentKind::HANDLER];

pub(crate) const TESTS: &[Test] = &[
    Test::of_component("handler-run", "a training with data goes through to its end", HANDLER, whole_run),
    Test::of_component("handler-empty-epoch", "epochs without a step go through", HANDLER, empty_epoch),
    Test::of_component("handler-evaluator", "it can sit in an evaluator, or says why not", HANDLER, evaluator),
    Test::of_component("handler-resume", "a resumed run goes on as if it had not been interrupted", HANDLER, resume),
    Test::of_component("handler-state", "its state is plain JSON and comes back as it was", HANDLER, state),
    Test::of_component("handler-second-run", "a second run of the same object goes through", HANDLER, second_run),
    Test::of_component("handler-failed-run", "it does no harm when the run has failed", HANDLER, failed_run),
];

/// What a step leaves for handlers, as in dialect 4.1.
fn output() -> Vec<Sample> {
    (0..2)
        .map(|item| {
            let image = |value: f64| Tensor::full([1, 4, 4, 4], value, (Kind::Float, tch::Device::Cpu));
            let mut sample = Sample::new();
            sample.insert("image", byoc::Image::new(image(f64::from(item))));
            sample.insert("label", byoc::Image::new(image(1.0)));
            sample.insert("pred", image(0.5));
            sample.insert("loss", json!(0.5));
            sample
        })
        .collect()
}

fn play(handler: &mut dyn Handler, script: Script) -> byoc::Result<Rehearsal> {
    let mut run = Rehearsal::new(script).with_output(output());
    run.perform(handler)?;
    Ok(run)
}

fn told(run: &Rehearsal) -> String {
    let stopped = run.stopped().map(|reason| format!(", stopped in epoch {}: {reason}", run.position().epoch));
    format!("{} requests{}", run.notes().len(), stopped.unwrap_or_default())
}

fn whole_run(specimen: &Specimen) -> Found {
    let run = play(specimen.handler()?.as_mut(), script())?;
    Ok(Verdict::success(told(&run)))
}

fn empty_epoch(specimen: &Specimen) -> Found {
    let script = Script { epoch_length: 0, losses: Vec::new(), metrics: Vec::new(), epochs: 2, ..script() };
    gentle(play(specimen.handler()?.as_mut(), script), "epochs without a step")
}

fn evaluator(specimen: &Specimen) -> Found {
    let script = Script { role: EngineRole::Evaluator, losses: Vec::new(), epochs: 1, ..script() };
    gentle(play(specimen.handler()?.as_mut(), script), "an evaluator, which has no loss and no learning rate,")
}

/// An error in words is an answer, too.
fn gentle(outcome: byoc::Result<Rehearsal>, what: &str) -> Found {
    match outcome {
        Ok(run) => Ok(Verdict::success(told(&run))),
        Err(error) if error.code() == ErrorCode::PANICKED => Err(Verdict::failed(
            format!("{what} make it panic: {}", said(&error)),
            "take `engine.state().loss` and `.metrics` for what they are: there may be none",
        )),
        Err(error) => Err(Verdict::warning(
            format!("{what} end in an error: {}", said(&error)),
            "do nothing where there is nothing to do, unless the config is wrong to name it here",
        )),
    }
}

/// The requests after an epoch.
fn after(notes: &[Note], epoch: u64) -> Vec<Note> {
    notes.iter().filter(|note| note.epoch > epoch).cloned().collect()
}

fn resume(specimen: &Specimen) -> Found {
    // within a plateau, where whatever waits for something better has waited for a while
    const HALF: u64 = 9;
    let whole = play(specimen.handler()?.as_mut(), script())?;

    let mut first = specimen.handler()?;
    let mut run = Rehearsal::new(script()).with_output(output());
    run.fire(Event::Started, first.as_mut())?;
    run.epochs(first.as_mut(), HALF)?;
    let kept = first.state()?;
    drop(first);

    let mut second = specimen.handler()?;
    // as the engine resumes: the handler hears of the start, then gets its state back
    run.fire(Event::Started, second.as_mut())?;
    second.load_state(&kept)?;
    run.epochs(second.as_mut(), script().epochs)?;
    run.fire(Event::Completed, second.as_mut())?;

    let (expected, found) = (after(whole.notes(), HALF), after(run.notes(), HALF));
    if expected == found {
        return Ok(Verdict::success(format!("{} requests after the resume, as without it", found.len())));
    }
    let first_difference = expected.iter().zip(&found).find(|(a, b)| a != b);
    let shown = match first_difference {
        Some((a, b)) => format!("in epoch {} {:?} instead of {:?}", a.epoch, b.request, a.request),
        None => format!("{} requests instead of {}", found.len(), expected.len()),
    };
    Err(Verdict::failed(
        format!("after a resume it does something else: {shown}"),
        "give everything that later events depend on in `state`, and take it back in `load_state`",
    ))
}

fn state(specimen: &Specimen) -> Found {
    let mut handler = specimen.handler()?;
    play(handler.as_mut(), script())?;
    let state = handler.state()?;
    let mut other = specimen.handler()?;
    other.load_state(&state)?;
    let again = other.state()?;
    if state == again {
        let size = state.to_string().len();
        return Ok(Verdict::success(if state.is_null() { "none".to_owned() } else { format!("{size} bytes") }));
    }
    Err(Verdict::failed(
        format!("what was loaded is not what is given again: {state} and {again}"),
        "take back in `load_state` every value that `state` gives",
    ))
}

fn second_run(specimen: &Specimen) -> Found {
    let mut handler = specimen.handler()?;
    play(handler.as_mut(), script())?;
    // an evaluator within a training starts anew at each validation
    gentle(play(handler.as_mut(), script()), "a second run")
}

fn failed_run(specimen: &Specimen) -> Found {
    let mut handler = specimen.handler()?;
    let mut run = Rehearsal::new(script()).with_output(output());
    run.fire(Event::Started, handler.as_mut())?;
    run.epochs(handler.as_mut(), 2)?;
    let before = run.notes().len();
    match run.fire(Event::ExceptionRaised, handler.as_mut()) {
        Ok(()) => Ok(Verdict::success(format!("{} requests", run.notes().len() - before))),
        Err(error) => Err(Verdict::warning(
            format!("it fails once more when the run has failed: {}", said(&error)),
            "do in `ExceptionRaised` only what cannot fail, or nothing",
        )),
    }
}
