//! The byte format of what is too rich for a C struct: samples, the engine's state, a handler's requests.
//!
//! Self-describing where values are free (JSON values carry their type), in a fixed order where they are not. Floats
//! cross bit by bit, so a NaN loss stays NaN, which JSON text could not say. Tensors do not go into the bytes: they
//! travel beside them, in the order in which the bytes mention them. All numbers are little-endian.
//!
//! Records grow at their end, and a reader ignores what it does not know. A host is never older than its plugins, so
//! that it may send more than a plugin reads, and never less.

mod engine;
mod sample;

use std::path::PathBuf;

use serde_json::{Map, Number, Value as Json};
use tch::Tensor;

use crate::{Affine, AppliedOperation, CheckpointRequest, Error, Image, Result};

pub(crate) use engine::{Request, event_number, event_of, read_requests, read_state, write_requests, write_state};
pub(crate) use sample::{read_answer, read_sample, unpack, write_sample};

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
                for value in values {
                    self.json(value);
                }
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
