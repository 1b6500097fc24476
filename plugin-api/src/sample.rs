//! What flows through transforms: a map from key to value.

mod slot;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use tch::Tensor;

pub(crate) use slot::{Arrived, Slot, ValueKind};

use crate::{Error, Result};

/// A 4 × 4 matrix from voxel index (i, j, k, 1) to position in mm, right-anterior-superior; 2-D data leaves the third
/// axis as it is.
pub type Affine = [[f64; 4]; 4];

/// The affine of data without geometry.
pub const IDENTITY_AFFINE: Affine = [[1., 0., 0., 0.], [0., 1., 0., 0.], [0., 0., 1., 0.], [0., 0., 0., 1.]];

/// One item of a data list on its way through the transforms, or one batch after collation.
///
/// Keys are those of the data list (`image`, `label`) and those that transforms and the engine add (`pred`, `loss`).
#[derive(Debug, Default)]
pub struct Sample {
    values: BTreeMap<String, Slot>,
}

/// A value of a [`Sample`].
#[derive(Debug)]
pub enum Value {
    /// Voxels with their geometry.
    Image(Image),
    /// A tensor without geometry.
    Tensor(Tensor),
    /// A number, a text (a path before loading), a list of points …
    Json(Json),
}

/// A tensor with the place of its voxels in the patient, MONAI's `MetaTensor`.
#[derive(Debug)]
pub struct Image {
    /// Channel first: (C, X, Y[, Z]); as loaded, before `EnsureChannelFirstd`, (X, Y[, Z]).
    pub tensor: Tensor,
    /// Where the voxels lie now.
    pub affine: Affine,
    /// What the file said: `filename_or_obj`, `original_affine`, `spatial_shape`, `original_channel_dim` …
    pub meta: Map<String, Json>,
    /// The spatial operations so far, oldest first: what `Invertd` undoes.
    pub history: Vec<AppliedOperation>,
}

/// A spatial operation that was applied to an [`Image`], with everything that is needed to undo it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AppliedOperation {
    /// The component that did it: `Spacingd`.
    pub transform: String,
    /// What it did, in the words of the inverse: `resample`, `crop`, `pad`, `flip` …
    pub operation: String,
    /// The numbers of it, private to whoever inverts it.
    pub parameters: Json,
}

impl Image {
    /// An image that comes from nowhere: identity affine, no metadata.
    pub fn new(tensor: Tensor) -> Self {
        Self { tensor, affine: IDENTITY_AFFINE, meta: Map::new(), history: Vec::new() }
    }

    /// The same image with other voxels: geometry and metadata are kept.
    #[must_use]
    pub fn with_tensor(&self, tensor: Tensor) -> Self {
        Self { tensor, affine: self.affine, meta: self.meta.clone(), history: self.history.clone() }
    }

    /// The same image; the voxels are shared.
    #[must_use]
    pub fn shallow_clone(&self) -> Self {
        self.with_tensor(self.tensor.shallow_clone())
    }
}

impl Value {
    /// The tensor of an image or a tensor.
    pub fn as_tensor(&self) -> Option<&Tensor> {
        match self {
            Self::Image(image) => Some(&image.tensor),
            Self::Tensor(tensor) => Some(tensor),
            Self::Json(_) => None,
        }
    }

    /// The same value; tensors are shared.
    #[must_use]
    pub fn shallow_clone(&self) -> Self {
        match self {
            Self::Image(image) => Self::Image(image.shallow_clone()),
            Self::Tensor(tensor) => Self::Tensor(tensor.shallow_clone()),
            Self::Json(json) => Self::Json(json.clone()),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Image(_) => "an image",
            Self::Tensor(_) => "a tensor",
            Self::Json(Json::String(_)) => "a text",
            Self::Json(_) => "a plain value",
        }
    }
}

impl From<Image> for Value {
    fn from(image: Image) -> Self {
        Self::Image(image)
    }
}

impl From<Tensor> for Value {
    fn from(tensor: Tensor) -> Self {
        Self::Tensor(tensor)
    }
}

impl From<Json> for Value {
    fn from(json: Json) -> Self {
        Self::Json(json)
    }
}

impl Sample {
    /// A sample without values.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is such a key.
    pub fn contains(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// The keys, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Keys and values, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values.iter().map(|(key, slot)| (key.as_str(), slot.value()))
    }

    /// Keys and values as they are kept.
    pub(crate) fn slots(&self) -> impl ExactSizeIterator<Item = (&str, &Slot)> {
        self.values.iter().map(|(key, slot)| (key.as_str(), slot))
    }

    /// Puts a value under a key as it is kept.
    pub(crate) fn insert_slot(&mut self, key: String, slot: Slot) {
        self.values.insert(key, slot);
    }

    /// Takes a value out as it is kept.
    pub(crate) fn remove_slot(&mut self, key: &str) -> Option<Slot> {
        self.values.remove(key)
    }

    /// The value under a key; an error that lists the keys there are, if it is missing.
    #[track_caller]
    pub fn get(&self, key: &str) -> Result<&Value> {
        match self.values.get(key) {
            Some(slot) => Ok(slot.value()),
            None => Err(self.missing(key)),
        }
    }

    /// The value under a key, to change it.
    #[track_caller]
    pub fn get_mut(&mut self, key: &str) -> Result<&mut Value> {
        if !self.contains(key) {
            return Err(self.missing(key));
        }
        let slot = self.values.get_mut(key).map(Slot::value_mut);
        slot.ok_or_else(|| Error::data(format!("the sample has no key `{key}`")))
    }

    /// The tensor of the image or tensor under a key.
    #[track_caller]
    pub fn tensor(&self, key: &str) -> Result<&Tensor> {
        let Some(slot) = self.values.get(key) else { return Err(self.missing(key)) };
        if let Some(tensor) = slot.tensor() {
            return Ok(tensor);
        }
        let kind = slot.value().kind();
        Err(Error::data(format!("`{key}` is {kind}, not a tensor: load it first (`LoadImaged`)")))
    }

    /// The image under a key.
    #[track_caller]
    pub fn image(&self, key: &str) -> Result<&Image> {
        match self.get(key)? {
            Value::Image(image) => Ok(image),
            other => {
                Err(Error::data(format!("`{key}` is {}, not an image: load it first (`LoadImaged`)", other.kind())))
            }
        }
    }

    /// The plain value under a key.
    #[track_caller]
    pub fn json(&self, key: &str) -> Result<&Json> {
        match self.get(key)? {
            Value::Json(json) => Ok(json),
            other => Err(Error::data(format!("`{key}` is {}, not a plain value", other.kind()))),
        }
    }

    /// Puts a value under a key, in place of the one there may be.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        self.values.insert(key.into(), Slot::Value(value.into()));
    }

    /// Replaces the tensor under a key; an image keeps its geometry and metadata.
    #[track_caller]
    pub fn set_tensor(&mut self, key: &str, tensor: Tensor) -> Result<()> {
        match self.values.get_mut(key) {
            Some(slot) => slot.set_tensor(tensor),
            None => return Err(self.missing(key)),
        }
        Ok(())
    }

    /// Takes a value out.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        self.values.remove(key).map(Slot::into_value)
    }

    /// The same sample; tensors are shared.
    #[must_use]
    pub fn shallow_clone(&self) -> Self {
        Self { values: self.values.iter().map(|(key, slot)| (key.clone(), slot.shallow_clone())).collect() }
    }

    #[track_caller]
    fn missing(&self, key: &str) -> Error {
        let keys: Vec<_> = self.keys().map(|key| format!("`{key}`")).collect();
        Error::data(format!("the sample has no key `{key}`; it has {}", keys.join(", ")))
    }
}

impl FromIterator<(String, Value)> for Sample {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(values: I) -> Self {
        Self { values: values.into_iter().map(|(key, value)| (key, Slot::Value(value))).collect() }
    }
}

impl IntoIterator for Sample {
    type Item = (String, Value);
    type IntoIter = std::vec::IntoIter<(String, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        let values: Vec<_> = self.values.into_iter().map(|(key, slot)| (key, slot.into_value())).collect();
        values.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::Sample;

    #[test]
    fn a_missing_key_is_told_with_the_keys_there_are() {
        let mut sample = Sample::new();
        sample.insert("label", tch::Tensor::from_slice(&[1i64]));
        sample.insert("image", tch::Tensor::from_slice(&[1i64]));
        let error = sample.tensor("imgae").unwrap_err();
        assert_eq!(error.to_string(), "the sample has no key `imgae`; it has `image`, `label`");
    }
}
