//! Clicks as they travel in a sample.

use byoc::{Error, Result, Value};
use serde_json::{Value as Json, json};
use tch::{Kind, Tensor};

/// Clicks of one image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Guidance {
    /// Lists of points, the positive ones first, then the negative ones. A point with a negative coordinate stands for
    /// none.
    pub(super) clicks: Vec<Vec<Vec<i64>>>,
    /// The slice of a volume that they lie in.
    pub(super) slice: Option<i64>,
}

impl Guidance {
    /// From a JSON text, from lists of numbers, or from a tensor (2, points, axes).
    pub(super) fn of(value: &Value, key: &str) -> Result<Self> {
        let json = json_of(value, key)?;
        Self::parse(&json).ok_or_else(|| {
            Error::data(format!(
                "`{key}` is {json}, which is no guidance: a list of positive and a list of negative clicks is expected"
            ))
        })
    }

    fn parse(json: &Json) -> Option<Self> {
        let mut guidance = Self::default();
        for part in json.as_array()? {
            match part {
                Json::Array(points) => guidance.clicks.push(points.iter().map(point).collect::<Option<_>>()?),
                number => guidance.slice = Some(integer(number)?),
            }
        }
        Some(guidance)
    }

    /// Positive and negative clicks.
    pub(super) fn pair(&self, key: &str) -> Result<[&[Vec<i64>]; 2]> {
        match &self.clicks[..] {
            [positive, negative] => Ok([positive, negative]),
            other => Err(Error::data(format!(
                "`{key}` has {} lists of clicks; a positive and a negative one are expected",
                other.len()
            ))),
        }
    }

    /// As lists of numbers.
    pub(super) fn to_json(&self) -> Json {
        let mut parts: Vec<Json> = self.clicks.iter().map(|points| json!(points)).collect();
        parts.extend(self.slice.map(|slice| json!(slice)));
        Json::Array(parts)
    }

    /// As a JSON text, which stays one value when items become a batch.
    pub(super) fn to_text(&self) -> Json {
        Json::String(self.to_json().to_string())
    }
}

/// A value as lists of numbers.
fn json_of(value: &Value, key: &str) -> Result<Json> {
    match value {
        Value::Json(Json::String(text)) => serde_json::from_str(text)
            .map_err(|error| Error::data(format!("`{key}` is a text, but not one of JSON: {error}"))),
        Value::Json(json) => Ok(json.clone()),
        other => match other.as_tensor() {
            Some(tensor) => numbers(tensor),
            None => Err(Error::data(format!("`{key}` holds no clicks"))),
        },
    }
}

/// A single list of clicks.
pub(super) fn points_of(value: &Value, key: &str) -> Result<Vec<Vec<i64>>> {
    let json = json_of(value, key)?;
    let points = json.as_array().and_then(|points| points.iter().map(point).collect::<Option<_>>());
    points.ok_or_else(|| Error::data(format!("`{key}` is {json}, not a list of clicks")))
}

fn point(json: &Json) -> Option<Vec<i64>> {
    json.as_array()?.iter().map(integer).collect()
}

/// A whole number, or a float cut towards zero.
fn integer(json: &Json) -> Option<i64> {
    json.as_i64().or_else(|| json.as_f64().map(|value| value as i64))
}

/// A tensor of numbers as nested lists of integers.
fn numbers(tensor: &Tensor) -> Result<Json> {
    if tensor.dim() == 0 {
        return Ok(json!(tensor.f_to_kind(Kind::Int64)?.f_int64_value(&[])?));
    }
    tensor.f_unbind(0)?.iter().map(numbers).collect()
}

/// The values under a key for each item of a batch.
pub(super) fn items(value: &Value, key: &str) -> Result<Vec<Value>> {
    match value {
        Value::Json(Json::Array(items)) => Ok(items.iter().cloned().map(Value::Json).collect()),
        Value::Json(Json::String(text)) => match serde_json::from_str(text) {
            Ok(Json::Array(items)) => Ok(items.into_iter().map(Value::Json).collect()),
            _ => Err(Error::data(format!("`{key}` is a text, not the clicks of a batch"))),
        },
        Value::Json(other) => Err(Error::data(format!("`{key}` is {other}, not a value for each item of a batch"))),
        other => match other.as_tensor() {
            Some(tensor) if tensor.dim() > 0 => Ok(tensor.f_unbind(0)?.into_iter().map(Value::Tensor).collect()),
            _ => Err(Error::data(format!("`{key}` is one number, not a value for each item of a batch"))),
        },
    }
}

/// An integer under a key, as a plain value or as a tensor of one element.
pub(super) fn index_of(value: &Value, key: &str) -> Result<Option<i64>> {
    match value {
        Value::Json(Json::Null) => Ok(None),
        Value::Json(json) => {
            integer(json).map(Some).ok_or_else(|| Error::data(format!("`{key}` is {json}, not the index of a slice")))
        }
        other => match other.as_tensor() {
            Some(tensor) if tensor.numel() == 1 => {
                Ok(Some(tensor.f_reshape([1])?.f_to_kind(Kind::Int64)?.f_int64_value(&[0])?))
            }
            _ => Err(Error::data(format!("`{key}` is not the index of a slice"))),
        },
    }
}

#[cfg(test)]
mod tests {
    use byoc::Value;
    use serde_json::json;
    use tch::Tensor;

    use super::Guidance;

    #[test]
    fn clicks_come_as_text_as_lists_and_as_tensors() {
        let lists = json!([[[1, 4, 5], [-1, -1, -1]], [[1, 10, 2], [1, 3, 3]]]);
        let guidance = Guidance::of(&Value::Json(lists.clone()), "guidance").unwrap();
        assert_eq!(guidance.to_json(), lists);
        assert_eq!(Guidance::of(&Value::Json(guidance.to_text()), "guidance").unwrap(), guidance);
        let tensor = Tensor::from_slice(&[1f32, 4., 5., -1., -1., -1., 1., 10., 2., 1., 3., 3.]).view([2, 2, 3]);
        assert_eq!(Guidance::of(&Value::Tensor(tensor), "guidance").unwrap(), guidance);
        let with_slice = Guidance::of(&Value::Json(json!([[[5, 7]], [], 6])), "guidance").unwrap();
        assert_eq!((with_slice.slice, with_slice.pair("guidance").unwrap()[1].len()), (Some(6), 0));
        let error = Guidance::of(&Value::Json(json!({"a": 1})), "guidance").unwrap_err().to_string();
        assert!(error.contains("which is no guidance"), "{error}");
    }
}
