//! The engine's state and events, and a handler's requests, on the wire.

use super::{Reader, Writer, malformed};
use crate::{CheckpointRequest, EngineRole, EngineState, Event, Result};

/// What a handler asked for, carried out when it has returned.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Request {
    /// [`Engine::request_stop`](crate::Engine::request_stop)
    Stop(String),
    /// [`Engine::record`](crate::Engine::record)
    Record(String, f64),
    /// [`Engine::run_validation`](crate::Engine::run_validation)
    RunValidation,
    /// [`Engine::step_lr_scheduler`](crate::Engine::step_lr_scheduler)
    StepLrScheduler(Option<f64>),
    /// [`Engine::save_checkpoint`](crate::Engine::save_checkpoint)
    SaveCheckpoint(CheckpointRequest),
    /// [`Engine::load_checkpoint`](crate::Engine::load_checkpoint)
    LoadCheckpoint(CheckpointRequest),
}

/// The number of an event on the wire.
pub(crate) fn event_number(event: Event) -> u32 {
    match event {
        Event::Started => 1,
        Event::EpochStarted => 2,
        Event::IterationStarted => 3,
        Event::IterationCompleted => 4,
        Event::EpochCompleted => 5,
        Event::Completed => 6,
        Event::ExceptionRaised => 7,
    }
}

/// The event of a number; a newer host may send events that this plugin has not heard of.
pub(crate) fn event_of(number: u32) -> Option<Event> {
    let known = [
        Event::Started,
        Event::EpochStarted,
        Event::IterationStarted,
        Event::IterationCompleted,
        Event::EpochCompleted,
        Event::Completed,
        Event::ExceptionRaised,
    ];
    known.into_iter().find(|event| event_number(*event) == number)
}

/// Writes the engine's state.
pub(crate) fn write_state(state: &EngineState) -> Vec<u8> {
    let mut out = Writer(Vec::with_capacity(256));
    out.byte(match state.role {
        EngineRole::Trainer => 0,
        EngineRole::Evaluator => 1,
    });
    for number in [state.epoch, state.max_epochs, state.iteration, state.epoch_length] {
        out.integer(number);
    }
    out.option(state.loss, Writer::float);
    out.count(state.metrics.len());
    for (label, value) in &state.metrics {
        out.text(label);
        out.float(*value);
    }
    out.option(state.key_metric.as_deref(), Writer::text);
    out.option(state.best_metric, |out, (value, epoch)| {
        out.float(value);
        out.integer(epoch);
    });
    out.byte(u8::from(state.is_new_best));
    out.count(state.learning_rates.len());
    state.learning_rates.iter().for_each(|rate| out.float(*rate));
    out.0
}

/// Reads the engine's state.
pub(crate) fn read_state(bytes: &[u8]) -> Result<EngineState> {
    let mut from = Reader(bytes);
    let role = if from.byte()? == 0 { EngineRole::Trainer } else { EngineRole::Evaluator };
    let [epoch, max_epochs, iteration, epoch_length] =
        [from.integer()?, from.integer()?, from.integer()?, from.integer()?];
    let loss = from.option(Reader::float)?;
    let metrics = (0..from.count()?).map(|_| Ok((from.text()?.to_owned(), from.float()?))).collect::<Result<_>>()?;
    let key_metric = from.option(Reader::text)?.map(str::to_owned);
    let best_metric = from.option(|from| Ok((from.float()?, from.integer()?)))?;
    let is_new_best = from.byte()? != 0;
    let learning_rates = (0..from.count()?).map(|_| from.float()).collect::<Result<_>>()?;
    Ok(EngineState {
        role,
        epoch,
        max_epochs,
        iteration,
        epoch_length,
        loss,
        metrics,
        key_metric,
        best_metric,
        is_new_best,
        learning_rates,
    })
}

/// Writes what a handler asked for.
pub(crate) fn write_requests(requests: &[Request]) -> Result<Vec<u8>> {
    let mut out = Writer(Vec::new());
    out.count(requests.len());
    for request in requests {
        match request {
            Request::Stop(reason) => {
                out.byte(1);
                out.text(reason);
            }
            Request::Record(label, value) => {
                out.byte(2);
                out.text(label);
                out.float(*value);
            }
            Request::RunValidation => out.byte(3),
            Request::StepLrScheduler(metric) => {
                out.byte(4);
                out.option(*metric, Writer::float);
            }
            Request::SaveCheckpoint(request) => {
                out.byte(5);
                out.checkpoint(request)?;
            }
            Request::LoadCheckpoint(request) => {
                out.byte(6);
                out.checkpoint(request)?;
            }
        }
    }
    Ok(out.0)
}

/// Reads what a handler asked for.
pub(crate) fn read_requests(bytes: &[u8]) -> Result<Vec<Request>> {
    let mut from = Reader(bytes);
    let mut requests = Vec::new();
    for _ in 0..from.count()? {
        requests.push(match from.byte()? {
            1 => Request::Stop(from.text()?.to_owned()),
            2 => Request::Record(from.text()?.to_owned(), from.float()?),
            3 => Request::RunValidation,
            4 => Request::StepLrScheduler(from.option(Reader::float)?),
            5 => Request::SaveCheckpoint(from.checkpoint()?),
            6 => Request::LoadCheckpoint(from.checkpoint()?),
            other => return Err(malformed(&format!("a request of kind {other}"))),
        });
    }
    Ok(requests)
}

#[cfg(test)]
mod tests {
    use super::{Request, event_number, event_of, read_requests, read_state, write_requests, write_state};
    use crate::{CheckpointRequest, EngineRole, EngineState, Event};

    #[test]
    fn the_state_keeps_every_bit_and_tolerates_more_fields() {
        let state = EngineState {
            role: EngineRole::Evaluator,
            epoch: 3,
            max_epochs: 10,
            iteration: 70,
            epoch_length: 32,
            loss: Some(f64::NAN),
            metrics: [("val_mean_dice".to_owned(), f64::INFINITY)].into(),
            key_metric: Some("val_mean_dice".into()),
            best_metric: Some((0.1 + 0.2, 2)),
            is_new_best: true,
            learning_rates: vec![1e-4],
        };
        let mut bytes = write_state(&state);
        bytes.extend([1, 2, 3]);
        let back = read_state(&bytes).expect("a state");
        assert!(back.loss.expect("a loss").is_nan());
        let without_loss = |state: &EngineState| format!("{:?}", EngineState { loss: None, ..state.clone() });
        assert_eq!(without_loss(&state), without_loss(&back));
    }

    #[test]
    fn requests_and_events_come_back() {
        let checkpoint = CheckpointRequest {
            path: "models/a.pt".into(),
            objects: vec![("model".into(), "model".into())],
            strict: true,
        };
        let requests = vec![
            Request::Stop("enough".into()),
            Request::Record("x".into(), -0.5),
            Request::RunValidation,
            Request::StepLrScheduler(None),
            Request::StepLrScheduler(Some(2.0)),
            Request::SaveCheckpoint(checkpoint.clone()),
            Request::LoadCheckpoint(checkpoint),
        ];
        let bytes = write_requests(&requests).expect("bytes");
        assert_eq!(read_requests(&bytes).expect("requests"), requests);
        assert_eq!(event_of(event_number(Event::Completed)), Some(Event::Completed));
        assert_eq!(event_of(99), None);
    }
}
