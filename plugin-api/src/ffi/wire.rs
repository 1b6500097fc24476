//! The byte format of what is too rich for a C struct: samples, the engine's state, a handler's requests.
//!
//! Self-describing where values are free (JSON values carry their type), in a fixed order where they are not. Floats
//! cross bit by bit, so a NaN loss stays NaN, which JSON text could not say. Tensors do not go into the bytes: they
//! travel beside them, in the order in which the bytes mention them. All numbers are little-endian.
//!
//! Records grow at their end: a reader takes what it knows and ignores the rest, and takes a default for what an older
//! writer did not send.

use std::path::PathBuf;

use serde_json::{Map, Number, Value as Json};
use tch::Tensor;

use crate::{
    Affine, AppliedOperation, CheckpointRequest, EngineRole, EngineState, Error, Event, Image, Result, Sample, Value,
};

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

/// Writes a sample; its tensors are those of [`tensors_of`].
pub(crate) fn write_sample(sample: &Sample) -> Vec<u8> {
    let mut out = Writer(Vec::with_capacity(256));
    out.count(sample.iter().count());
    for (key, value) in sample.iter() {
        out.text(key);
        match value {
            Value::Json(json) => {
                out.byte(0);
                out.json(json);
            }
            Value::Tensor(_) => out.byte(1),
            Value::Image(image) => {
                out.byte(2);
                image.affine.iter().flatten().for_each(|value| out.float(*value));
                out.object(&image.meta);
                out.count(image.history.len());
                for operation in &image.history {
                    out.text(&operation.transform);
                    out.text(&operation.operation);
                    out.json(&operation.parameters);
                }
            }
        }
    }
    out.0
}

/// The tensors of a sample in the order of its bytes.
pub(crate) fn tensors_of(sample: &Sample) -> impl Iterator<Item = &Tensor> {
    sample.iter().filter_map(|(_, value)| value.as_tensor())
}

/// The tensors of a sample in the order of its bytes, for the side that gives it away.
pub(crate) fn into_tensors(sample: Sample) -> impl Iterator<Item = Tensor> {
    sample.into_iter().filter_map(|(_, value)| match value {
        Value::Image(image) => Some(image.tensor),
        Value::Tensor(tensor) => Some(tensor),
        Value::Json(_) => None,
    })
}

/// Reads a sample; `next` gives its tensors one after the other.
pub(crate) fn read_sample(bytes: &[u8], mut next: impl FnMut() -> Result<Tensor>) -> Result<Sample> {
    let mut from = Reader(bytes);
    let mut sample = Sample::new();
    for _ in 0..from.count()? {
        let key = from.text()?.to_owned();
        let value = match from.byte()? {
            0 => Value::Json(from.json()?),
            1 => Value::Tensor(next()?),
            2 => {
                let mut affine: Affine = [[0.0; 4]; 4];
                for value in affine.iter_mut().flatten() {
                    *value = from.float()?;
                }
                let meta = from.object()?;
                let mut history = Vec::new();
                for _ in 0..from.count()? {
                    let transform = from.text()?.to_owned();
                    let operation = from.text()?.to_owned();
                    history.push(AppliedOperation { transform, operation, parameters: from.json()? });
                }
                Value::Image(Image { tensor: next()?, affine, meta, history })
            }
            other => return Err(malformed(&format!("a value of kind {other}"))),
        };
        sample.insert(key, value);
    }
    Ok(sample)
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

fn malformed(what: &str) -> Error {
    Error::data(format!("the plugin boundary carried {what}, which this side does not know"))
}

struct Writer(Vec<u8>);

impl Writer {
    fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    fn count(&mut self, value: usize) {
        self.0.extend((value as u32).to_le_bytes());
    }

    fn integer(&mut self, value: u64) {
        self.0.extend(value.to_le_bytes());
    }

    fn float(&mut self, value: f64) {
        self.0.extend(value.to_le_bytes());
    }

    fn text(&mut self, value: &str) {
        self.count(value.len());
        self.0.extend(value.as_bytes());
    }

    fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.byte(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    fn object(&mut self, map: &Map<String, Json>) {
        self.count(map.len());
        for (key, value) in map {
            self.text(key);
            self.json(value);
        }
    }

    fn json(&mut self, value: &Json) {
        match value {
            Json::Null => self.byte(0),
            Json::Bool(value) => self.byte(1 + u8::from(*value)),
            Json::Number(number) => {
                if let Some(value) = number.as_i64() {
                    self.byte(3);
                    self.integer(value.cast_unsigned());
                } else if let Some(value) = number.as_u64() {
                    self.byte(4);
                    self.integer(value);
                } else {
                    self.byte(5);
                    self.float(number.as_f64().unwrap_or(f64::NAN));
                }
            }
            Json::String(value) => {
                self.byte(6);
                self.text(value);
            }
            Json::Array(values) => {
                self.byte(7);
                self.count(values.len());
                values.iter().for_each(|value| self.json(value));
            }
            Json::Object(map) => {
                self.byte(8);
                self.object(map);
            }
        }
    }

    fn checkpoint(&mut self, request: &CheckpointRequest) -> Result<()> {
        let Some(path) = request.path.to_str() else {
            return Err(Error::data(format!("the path `{}` is not valid UTF-8", request.path.display())));
        };
        self.text(path);
        self.count(request.objects.len());
        for (key, object) in &request.objects {
            self.text(key);
            self.text(object);
        }
        self.byte(u8::from(request.strict));
        Ok(())
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        match self.0.split_at_checked(length) {
            Some((taken, rest)) => {
                self.0 = rest;
                Ok(taken)
            }
            None => Err(Error::data("the plugin boundary carried a record that ends too early")),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    fn count(&mut self) -> Result<usize> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    fn integer(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn float(&mut self) -> Result<f64> {
        Ok(f64::from_le_bytes(self.array()?))
    }

    fn text(&mut self) -> Result<&'a str> {
        let length = self.count()?;
        std::str::from_utf8(self.take(length)?).map_err(|_| malformed("a text that is not UTF-8"))
    }

    fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<Option<T>> {
        if self.byte()? == 0 { Ok(None) } else { read(self).map(Some) }
    }

    fn object(&mut self) -> Result<Map<String, Json>> {
        let count = self.count()?;
        let mut map = Map::with_capacity(count.min(self.0.len()));
        for _ in 0..count {
            let key = self.text()?.to_owned();
            map.insert(key, self.json()?);
        }
        Ok(map)
    }

    fn json(&mut self) -> Result<Json> {
        Ok(match self.byte()? {
            0 => Json::Null,
            1 => Json::Bool(false),
            2 => Json::Bool(true),
            3 => Json::Number(self.integer()?.cast_signed().into()),
            4 => Json::Number(self.integer()?.into()),
            5 => Number::from_f64(self.float()?).map_or(Json::Null, Json::Number),
            6 => Json::String(self.text()?.to_owned()),
            7 => {
                let count = self.count()?;
                let mut values = Vec::with_capacity(count.min(self.0.len()));
                for _ in 0..count {
                    values.push(self.json()?);
                }
                Json::Array(values)
            }
            8 => Json::Object(self.object()?),
            other => return Err(malformed(&format!("a JSON value of kind {other}"))),
        })
    }

    fn checkpoint(&mut self) -> Result<CheckpointRequest> {
        let path = PathBuf::from(self.text()?);
        let count = self.count()?;
        let objects =
            (0..count).map(|_| Ok((self.text()?.to_owned(), self.text()?.to_owned()))).collect::<Result<_>>()?;
        Ok(CheckpointRequest { path, objects, strict: self.byte()? != 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Request, event_number, event_of, into_tensors, read_requests, read_sample, read_state, tensors_of,
        write_requests, write_sample, write_state,
    };
    use crate::{
        AppliedOperation, CheckpointRequest, EngineRole, EngineState, Error, Event, IDENTITY_AFFINE, Image, Sample,
        Value,
    };
    use serde_json::json;
    use tch::Tensor;

    fn sample() -> Sample {
        let mut image = Image::new(Tensor::from_slice(&[1f32, 2.0]));
        image.affine[0][3] = -17.25;
        image.meta = json!({"filename_or_obj": "a.nii.gz", "pixdim": [1.0, 0.1, 3], "big": u64::MAX, "none": null})
            .as_object()
            .cloned()
            .unwrap_or_default();
        image.history.push(AppliedOperation {
            transform: "Flipd".into(),
            operation: "flip".into(),
            parameters: json!({"axes": [0], "exact": true}),
        });
        let mut sample = Sample::new();
        sample.insert("image", image);
        sample.insert("label", Tensor::from_slice(&[3i64]));
        sample.insert("name", json!({"text": "\u{e9}", "negative": -3}));
        sample
    }

    #[test]
    fn a_sample_comes_back_whole_and_with_the_same_storage() {
        let sample = sample();
        let bytes = write_sample(&sample);
        let mut tensors = tensors_of(&sample).map(Tensor::shallow_clone).collect::<Vec<_>>().into_iter();
        let back = read_sample(&bytes, || tensors.next().ok_or_else(|| Error::data("too few"))).expect("a sample");
        let (a, b) = (sample.image("image").expect("there"), back.image("image").expect("there"));
        assert_eq!((a.affine, &a.meta, &a.history), (b.affine, &b.meta, &b.history));
        assert_ne!(a.affine, IDENTITY_AFFINE);
        assert_eq!(a.tensor.data_ptr(), b.tensor.data_ptr());
        assert_eq!(sample.json("name").expect("there"), back.json("name").expect("there"));
        assert!(matches!(back.get("label"), Ok(Value::Tensor(_))));
        assert_eq!(into_tensors(back).count(), 2);
    }

    #[test]
    fn cut_bytes_are_errors() {
        let bytes = write_sample(&sample());
        for length in 0..bytes.len() {
            assert!(read_sample(&bytes[..length], || Ok(Tensor::from_slice(&[0f32]))).is_err(), "{length}");
        }
    }

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
