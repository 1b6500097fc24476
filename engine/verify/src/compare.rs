//! Whether what a component gave is what the case expects.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value as Json};
use tch::{Kind, Tensor};

use crate::case::Case;

/// What a replay computed: tensors by their full keys, and values that are not tensors.
#[derive(Debug, Default)]
pub struct Actual {
    /// `out.loss`, `grad.input` …
    pub tensors: BTreeMap<String, Tensor>,
    /// As `out_json` of the case.
    pub json: Map<String, Json>,
}

impl Actual {
    /// Adds a tensor; it need not be expected.
    pub fn insert(&mut self, key: impl Into<String>, tensor: Tensor) {
        self.tensors.insert(key.into(), tensor);
    }
}

/// How close a value must be: `|a - b| <= atol + rtol·|b|`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Tolerance {
    #[serde(flatten)]
    all: Limits,
    #[serde(default)]
    per_output: BTreeMap<String, Limits>,
}

/// The numbers of a [`Tolerance`].
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct Limits {
    /// Relative to the expected value.
    #[serde(default)]
    pub rtol: f64,
    /// Absolute.
    #[serde(default)]
    pub atol: f64,
    /// Fraction of elements that may be off (nearest-neighbour ties).
    #[serde(default)]
    pub max_mismatch_fraction: f64,
}

impl Tolerance {
    /// The limits for an output.
    pub fn of(&self, key: &str) -> Limits {
        let mut limits = self.per_output.get(key).copied().unwrap_or(self.all);
        if key.ends_with("_affine") || key.ends_with("_coord") {
            limits.max_mismatch_fraction = 0.0;
        }
        limits
    }
}

/// Compares everything that the case expects. `Ok` tells the largest deviation, `Err` what is wrong.
pub fn compare(case: &Case, actual: &Actual) -> Result<String, String> {
    let mut wrong = Vec::new();
    let mut largest: Option<(f64, &str)> = None;
    for key in &case.outputs {
        let Some(expected) = case.tensors.get(key) else {
            wrong.push(format!("`{key}` is listed in `outputs`, but not stored"));
            continue;
        };
        let Some(found) = actual.tensors.get(key) else {
            let produced: Vec<_> =
                actual.tensors.keys().filter(|key| key.starts_with("out.")).map(String::as_str).collect();
            wrong.push(format!("`{key}` was not produced; there is {}", list(&produced)));
            continue;
        };
        match compare_tensor(found, expected, case.tolerance.of(key)) {
            Ok(deviation) if largest.is_none_or(|(other, _)| deviation > other) => largest = Some((deviation, key)),
            Ok(_) => {}
            Err(message) => wrong.push(format!("`{key}`: {message}{}", hint(case, key, found))),
        }
    }
    for (key, expected) in &case.out_json {
        match actual.json.get(key) {
            Some(found) if json_equal(found, expected, key) => {}
            Some(found) => wrong.push(format!("`{key}` is {found}, expected {expected}")),
            None => wrong.push(format!("`{key}` was not produced, expected {expected}")),
        }
    }
    if wrong.is_empty() {
        return Ok(largest.map_or_else(String::new, |(value, key)| format!("largest deviation {value:.1e} (`{key}`)")));
    }
    let more = wrong.len().saturating_sub(4);
    wrong.truncate(4);
    let mut message = wrong.join("; ");
    if more > 0 {
        message = format!("{message}; and {more} more");
    }
    Err(message)
}

/// `out08.loss` for `out.loss`: what an older MONAI gave.
fn hint(case: &Case, key: &str, found: &Tensor) -> &'static str {
    let older = key.split_once('.').map(|(prefix, rest)| format!("{prefix}08.{rest}"));
    match older.and_then(|older| case.tensors.get(&older)) {
        Some(older) if compare_tensor(found, older, case.tolerance.of(key)).is_ok() => " (matches MONAI 0.8.1)",
        _ => "",
    }
}

/// Compares two tensors; dtypes may differ. `Ok` is the largest deviation among finite values.
pub fn compare_tensor(found: &Tensor, expected: &Tensor, limits: Limits) -> Result<f64, String> {
    let shape = expected.size();
    if found.size() != shape {
        return Err(format!("shape {:?}, expected {shape:?}", found.size()));
    }
    let (found, expected) = (values(found)?, values(expected)?);
    let mut off = 0_usize;
    let mut largest = 0.0;
    let mut worst: Option<(f64, usize)> = None;
    for (i, (&a, &b)) in found.iter().zip(&expected).enumerate() {
        if a == b || (a.is_nan() && b.is_nan()) {
            continue;
        }
        let deviation = (a - b).abs();
        if deviation <= limits.atol + limits.rtol * b.abs() && b.is_finite() {
            largest = f64::max(largest, deviation);
            continue;
        }
        off += 1;
        let deviation = if deviation.is_nan() { f64::INFINITY } else { deviation };
        if worst.is_none_or(|(other, _)| deviation > other) {
            worst = Some((deviation, i));
        }
    }
    let Some((deviation, at)) = worst else { return Ok(largest) };
    if off as f64 <= limits.max_mismatch_fraction * expected.len() as f64 {
        return Ok(largest);
    }
    Err(format!(
        "{off} of {} values deviate, most by {deviation:.3e} at {:?}: found {}, expected {} ± {:.1e}",
        expected.len(),
        position(at, &shape),
        found[at],
        expected[at],
        limits.atol + limits.rtol * expected[at].abs(),
    ))
}

fn values(tensor: &Tensor) -> Result<Vec<f64>, String> {
    let flat =
        tensor.detach().f_to_kind(Kind::Double).and_then(|tensor| tensor.f_to(tch::Device::Cpu)?.f_reshape([-1]));
    flat.and_then(Vec::try_from).map_err(|error| byoc::torch_message(&error.to_string()))
}

fn position(mut flat: usize, shape: &[i64]) -> Vec<usize> {
    let mut position: Vec<usize> = shape
        .iter()
        .rev()
        .map(|&size| {
            let index = flat % size as usize;
            flat /= size as usize;
            index
        })
        .collect();
    position.reverse();
    position
}

/// Equal as JSON; numbers by value, so that 1 equals 1.0, and `pixdim` entries as the float32 that they are in a file.
fn json_equal(found: &Json, expected: &Json, key: &str) -> bool {
    match (found, expected) {
        (Json::Number(a), Json::Number(b)) => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) if key == "pixdim" => a as f32 == b as f32,
            (a, b) => a == b,
        },
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| json_equal(a, b, key)),
        (Json::Object(a), Json::Object(b)) => {
            b.iter().all(|(key, b)| a.get(key).is_some_and(|a| json_equal(a, b, key))) && a.len() == b.len()
        }
        (a, b) => a == b,
    }
}

pub(crate) fn list(names: &[&str]) -> String {
    if names.is_empty() {
        return "nothing".to_owned();
    }
    let shown: Vec<_> = names.iter().take(8).map(|name| format!("`{name}`")).collect();
    let more = names.len() - shown.len();
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tch::Tensor;

    use super::{Limits, compare_tensor, json_equal};

    const CLOSE: Limits = Limits { rtol: 1e-3, atol: 1e-6, max_mismatch_fraction: 0.0 };

    #[test]
    fn nan_equals_nan_and_infinity_the_same_infinity() {
        let expected = Tensor::from_slice(&[f64::NAN, f64::INFINITY, 1.0]);
        assert!(compare_tensor(&expected.copy(), &expected, CLOSE).is_ok());
        for wrong in [[0.0, f64::INFINITY, 1.0], [f64::NAN, f64::NEG_INFINITY, 1.0], [f64::NAN, 3.0, 1.0]] {
            assert!(compare_tensor(&Tensor::from_slice(&wrong), &expected, CLOSE).is_err(), "{wrong:?}");
        }
        assert!(compare_tensor(&Tensor::from_slice(&[f64::NAN]), &Tensor::from_slice(&[1.0]), CLOSE).is_err());
    }

    #[test]
    fn shapes_must_be_equal_but_dtypes_need_not() {
        let scalar = Tensor::from(1.0);
        assert!(compare_tensor(&scalar.reshape([1]), &scalar, CLOSE).unwrap_err().contains("shape [1], expected []"));
        assert!(compare_tensor(&Tensor::from_slice(&[true]), &Tensor::from_slice(&[1i64]), CLOSE).is_ok());
    }

    #[test]
    fn a_fraction_of_mismatches_may_be_allowed() {
        let expected = Tensor::from_slice(&[0.0f32, 0.0, 0.0, 0.0]);
        let found = Tensor::from_slice(&[0.0f32, 0.0, 0.0, 5.0]);
        let message = compare_tensor(&found, &expected, CLOSE).unwrap_err();
        assert!(message.starts_with("1 of 4 values deviate, most by 5.000e0 at [3]"), "{message}");
        assert!(compare_tensor(&found, &expected, Limits { max_mismatch_fraction: 0.25, ..CLOSE }).is_ok());
    }

    #[test]
    fn pixdim_is_compared_as_float32() {
        let header = |value: f64| json!({ "pixdim": [1.0, value] });
        assert!(json_equal(&header(0.9), &header(f64::from(0.9f32)), "file0.header"));
        assert!(!json_equal(&header(0.9), &header(0.91), "file0.header"));
        assert!(!json_equal(&json!([0.9]), &json!([f64::from(0.9f32)]), "other"));
    }
}
