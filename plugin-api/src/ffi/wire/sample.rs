//! Samples on the wire.
//!
//! A side that gets a sample unpacks a value when somebody looks at it, and an answer only mentions what nobody changed:
//! most transforms touch one tensor of a sample, and the metadata of its images is far more work than that.

use std::cell::OnceCell;

use serde_json::Value as Json;
use tch::Tensor;

use super::{Reader, Writer, malformed};
use crate::sample::{Arrived, Slot, ValueKind};
use crate::{Result, Sample, Value};

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

#[cfg(test)]
mod tests {
    use super::{read_answer, read_sample, write_sample};
    use crate::{AppliedOperation, Error, Image, Result, Sample, Value};
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
}
