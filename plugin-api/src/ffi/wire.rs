//! The byte format of what is too rich for a C struct: samples, the engine's state, a handler's requests.
//!
//! Self-describing where values are free (JSON values carry their type), in a fixed order where they are not. Floats
//! cross bit by bit, so a NaN loss stays NaN, which JSON text could not say. Tensors do not go into the bytes: they
//! travel beside them, in the order in which the bytes mention them. All numbers are little-endian.
//!
//! Records grow at their end: a reader takes what it knows and ignores the rest, and takes a default for what an older
//! writer did not send.

use std::cell::OnceCell;
use std::path::PathBuf;

use serde_json::{Map, Number, Value as Json};
use tch::Tensor;

use crate::sample::{Arrived, Slot, ValueKind};
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

/// In front of each value: what it is, or that it is still what the call brought.
mod tag {
    pub(super) const JSON: u8 = 0;
    pub(super) const TENSOR: u8 = 1;
    pub(super) const IMAGE: u8 = 2;
    /// The value that the call brought under this key.
    pub(super) const KEPT: u8 = 3;
    /// The value that the call brought under this key, with another tensor.
    pub(super) const KEPT_BUT_TENSOR: u8 = 4;
}

/// Writes a sample. Its tensors go beside it, in the order of `tensors`.
///
/// `answers` is the call that the sample answers, if it does: what that call brought and nobody changed is only
/// mentioned.
pub(crate) fn write_sample<'a>(sample: &'a Sample, answers: Option<u64>, tensors: &mut Vec<&'a Tensor>) -> Vec<u8> {
    let slots = sample.slots();
    let mut out = Writer(Vec::with_capacity(64 + 768 * slots.len()));
    out.count(slots.len());
    for (key, slot) in slots {
        out.text(key);
        match slot {
            Slot::Arrived(arrived) => {
                let kept = answers == Some(arrived.call);
                match (kept, arrived.kind) {
                    (true, _) if !arrived.replaced => {
                        out.byte(tag::KEPT);
                        continue;
                    }
                    (true, _) => out.byte(tag::KEPT_BUT_TENSOR),
                    (false, ValueKind::Json) => out.byte(tag::JSON),
                    (false, ValueKind::Tensor) => out.byte(tag::TENSOR),
                    (false, ValueKind::Image) => out.byte(tag::IMAGE),
                }
                if !kept {
                    out.blob(|out| out.0.extend(&arrived.bytes));
                }
            }
            Slot::Value(Value::Json(json)) => {
                out.byte(tag::JSON);
                out.blob(|out| out.json(json));
            }
            Slot::Value(Value::Tensor(_)) => {
                out.byte(tag::TENSOR);
                out.blob(|_| {});
            }
            Slot::Value(Value::Image(image)) => {
                out.byte(tag::IMAGE);
                out.blob(|out| out.image(image));
            }
        }
        tensors.extend(slot.tensor());
    }
    out.0
}

/// Reads a sample that a call brought; `next` gives its tensors one after the other. The values are unpacked when they
/// are looked at.
pub(crate) fn read_sample(bytes: &[u8], call: u64, mut next: impl FnMut() -> Result<Tensor>) -> Result<Sample> {
    read(bytes, |_, arrived| match arrived {
        Entry::Value(kind, bytes) => {
            let tensor = if kind == ValueKind::Json { None } else { Some(next()?) };
            let bytes = bytes.to_vec();
            Ok(Slot::Arrived(Arrived { call, kind, bytes, tensor, replaced: false, unpacked: OnceCell::new() }))
        }
        Entry::Kept { .. } => Err(malformed("a reference to an earlier value")),
    })
}

/// Reads a sample that answers a call; `original` gives what the call brought under a key.
pub(crate) fn read_answer(
    bytes: &[u8],
    mut original: impl FnMut(&str) -> Option<Slot>,
    mut next: impl FnMut() -> Result<Tensor>,
) -> Result<Sample> {
    read(bytes, |key, arrived| match arrived {
        Entry::Value(kind, bytes) => {
            let tensor = if kind == ValueKind::Json { None } else { Some(next()?) };
            Ok(Slot::Value(unpack_or_fail(kind, bytes, tensor)?))
        }
        Entry::Kept { with_tensor } => {
            let Some(mut slot) = original(key) else { return Err(malformed(&format!("`{key}` as kept"))) };
            if with_tensor {
                slot.set_tensor(next()?);
            }
            Ok(slot)
        }
    })
}

enum Entry<'a> {
    Value(ValueKind, &'a [u8]),
    Kept { with_tensor: bool },
}

fn read(bytes: &[u8], mut slot: impl FnMut(&str, Entry<'_>) -> Result<Slot>) -> Result<Sample> {
    let mut from = Reader(bytes);
    let mut sample = Sample::new();
    for _ in 0..from.count()? {
        let key = from.text()?;
        let entry = match from.byte()? {
            tag::JSON => Entry::Value(ValueKind::Json, from.blob()?),
            tag::TENSOR => Entry::Value(ValueKind::Tensor, from.blob()?),
            tag::IMAGE => Entry::Value(ValueKind::Image, from.blob()?),
            tag::KEPT => Entry::Kept { with_tensor: false },
            tag::KEPT_BUT_TENSOR => Entry::Kept { with_tensor: true },
            other => return Err(malformed(&format!("a value of kind {other}"))),
        };
        let slot = slot(key, entry)?;
        sample.insert_slot(key.to_owned(), slot);
    }
    Ok(sample)
}

/// A value that arrived. Bytes that make no sense are a bug of the boundary, of which the log tells; the tensor, which
/// is what counts, is there.
pub(crate) fn unpack(kind: ValueKind, bytes: &[u8], tensor: Option<&Tensor>) -> Value {
    let tensor = || tensor.map(Tensor::shallow_clone);
    unpack_or_fail(kind, bytes, tensor()).unwrap_or_else(|error| {
        tracing::error!("a value of a sample was lost: {error}");
        tensor().map_or(Value::Json(Json::Null), Value::Tensor)
    })
}

fn unpack_or_fail(kind: ValueKind, bytes: &[u8], tensor: Option<Tensor>) -> Result<Value> {
    let mut from = Reader(bytes);
    match (kind, tensor) {
        (ValueKind::Json, _) => Ok(Value::Json(from.json()?)),
        (ValueKind::Tensor, Some(tensor)) => Ok(Value::Tensor(tensor)),
        (ValueKind::Image, Some(tensor)) => Ok(Value::Image(from.image(tensor)?)),
        (_, None) => Err(malformed("an image without its tensor")),
    }
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

    /// A part with its length in front, which a reader can pass over.
    fn blob(&mut self, write: impl FnOnce(&mut Self)) {
        let start = self.0.len();
        self.count(0);
        write(self);
        let length = (self.0.len() - start - 4) as u32;
        self.0[start..start + 4].copy_from_slice(&length.to_le_bytes());
    }

    fn image(&mut self, image: &Image) {
        image.affine.iter().flatten().for_each(|value| self.float(*value));
        self.object(&image.meta);
        self.count(image.history.len());
        for operation in &image.history {
            self.text(&operation.transform);
            self.text(&operation.operation);
            self.json(&operation.parameters);
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

    fn blob(&mut self) -> Result<&'a [u8]> {
        let length = self.count()?;
        self.take(length)
    }

    fn image(&mut self, tensor: Tensor) -> Result<Image> {
        let mut affine: Affine = [[0.0; 4]; 4];
        for value in affine.iter_mut().flatten() {
            *value = self.float()?;
        }
        let meta = self.object()?;
        let mut history = Vec::new();
        for _ in 0..self.count()? {
            let transform = self.text()?.to_owned();
            let operation = self.text()?.to_owned();
            history.push(AppliedOperation { transform, operation, parameters: self.json()? });
        }
        Ok(Image { tensor, affine, meta, history })
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
        Request, event_number, event_of, read_answer, read_requests, read_sample, read_state, write_requests,
        write_sample, write_state,
    };
    use crate::{
        AppliedOperation, CheckpointRequest, EngineRole, EngineState, Error, Event, Image, Result, Sample, Value,
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

    /// As the other side gets it.
    fn sent(sample: &Sample, call: u64) -> Sample {
        let mut tensors = Vec::new();
        let bytes = write_sample(sample, None, &mut tensors);
        let mut tensors = tensors.into_iter();
        read_sample(&bytes, call, || next(&mut tensors)).expect("a sample")
    }

    /// As the host gets the answer to a call that brought `original`.
    fn answered(sample: &Sample, call: u64, mut original: Sample) -> (Sample, usize) {
        let mut tensors = Vec::new();
        let bytes = write_sample(sample, Some(call), &mut tensors);
        let mut tensors = tensors.into_iter();
        let answer = read_answer(&bytes, |key| original.remove_slot(key), || next(&mut tensors));
        (answer.expect("a sample"), bytes.len())
    }

    fn next<'a>(tensors: &mut impl Iterator<Item = &'a Tensor>) -> Result<Tensor> {
        tensors.next().map(Tensor::shallow_clone).ok_or_else(|| Error::data("too few"))
    }

    fn assert_equal(a: &Sample, b: &Sample) {
        assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
        let (image, other) = (a.image("image").expect("there"), b.image("image").expect("there"));
        assert_eq!((image.affine, &image.meta, &image.history), (other.affine, &other.meta, &other.history));
        assert_eq!(image.tensor.data_ptr(), other.tensor.data_ptr());
        assert_eq!(a.json("name").expect("there"), b.json("name").expect("there"));
        assert!(matches!(b.get("label"), Ok(Value::Tensor(_))));
    }

    #[test]
    fn a_sample_comes_back_whole_and_with_the_same_storage() {
        let sample = sample();
        let there = sent(&sample, 1);
        assert_equal(&sample, &there);
        // looked at, but not changed: the answer only mentions it
        let (back, length) = answered(&there, 1, sample.shallow_clone());
        assert_equal(&sample, &back);
        assert!(length < 60, "{length}");
        // the answer to another call says everything again
        let (back, length) = answered(&there, 2, Sample::new());
        assert_equal(&sample, &back);
        assert!(length > 200, "{length}");
    }

    #[test]
    fn what_was_changed_comes_back_changed() {
        let original = sample();
        let mut there = sent(&original, 7);
        there.set_tensor("image", Tensor::from_slice(&[9f32])).expect("set");
        there.set_tensor("label", Tensor::from_slice(&[8i64])).expect("set");
        assert_eq!(there.image("image").expect("there").tensor.double_value(&[0]), 9.0);
        there.set_tensor("image", Tensor::from_slice(&[10f32])).expect("set");
        assert_eq!(there.image("image").expect("there").tensor.double_value(&[0]), 10.0);
        there.remove("name");
        there.insert("added", json!(1));
        let copy = there.shallow_clone();
        let (back, _) = answered(&copy, 7, original.shallow_clone());
        assert_eq!(back.keys().collect::<Vec<_>>(), ["added", "image", "label"]);
        assert_eq!(back.tensor("label").expect("there").int64_value(&[0]), 8);
        let image = back.image("image").expect("there");
        assert_eq!((image.tensor.double_value(&[0]), image.affine[0][3]), (10.0, -17.25));

        let mut there = sent(&original, 8);
        if let Ok(Value::Image(image)) = there.get_mut("image") {
            image.meta.clear();
        }
        let (back, _) = answered(&there, 8, original);
        assert!(back.image("image").expect("there").meta.is_empty());
    }

    #[test]
    fn cut_bytes_are_errors() {
        let mut tensors = Vec::new();
        let sample = sample();
        let bytes = write_sample(&sample, None, &mut tensors);
        for length in 0..bytes.len() {
            let tensor = || Ok(Tensor::from_slice(&[0f32]));
            assert!(read_answer(&bytes[..length], |_| None, tensor).is_err(), "{length}");
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
