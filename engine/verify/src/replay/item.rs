//! The item that a transform case starts with, and the values that it ends with.

use byoc::{Affine, IDENTITY_AFFINE, Image, Sample, Value};
use serde_json::{Map, Value as Json, json};
use tch::{Kind, Tensor};

use super::{Replay, Stop};
use crate::case::Case;

/// Builds the item from tensors, plain values and files.
pub(super) fn build(case: &Case) -> Replay<Sample> {
    let mut sample = Sample::new();
    for name in &case.inputs {
        if name.strip_suffix("_affine").is_some_and(|stem| case.inputs.iter().any(|other| other == stem)) {
            continue;
        }
        let tensor = case.input(name)?.copy();
        let value = match case.optional_input(&format!("{name}_affine")) {
            Some(affine) => Value::Image(image(tensor, affine)?),
            None => Value::Tensor(tensor),
        };
        sample.insert(name.clone(), value);
    }
    for (key, value) in case.field::<Map<String, Json>>("in_json")? {
        sample.insert(key, value);
    }
    let folder = case.file.parent().map(std::path::Path::to_owned).unwrap_or_default();
    for (key, file) in case.field::<Map<String, Json>>("files")? {
        let absolute =
            |file: &Json| file.as_str().map(|file| Json::from(folder.join(file).to_string_lossy().into_owned()));
        let path = match &file {
            Json::Array(files) => files.iter().map(absolute).collect::<Option<Json>>(),
            file => absolute(file),
        };
        let path = path.ok_or_else(|| format!("the file of key `{key}` of the case is {file}, not a path"))?;
        sample.insert(key, path);
    }
    Ok(sample)
}

/// An image with the metadata that a reader would have given it.
fn image(tensor: Tensor, affine: &Tensor) -> Replay<Image> {
    let matrix = affine_of(affine)?;
    let mut image = Image::new(tensor);
    image.affine = matrix;
    image.meta.insert("original_affine".to_owned(), json!(matrix));
    image.meta.insert("affine".to_owned(), json!(matrix));
    image.meta.insert("spatial_shape".to_owned(), json!(image.tensor.size().get(1..).unwrap_or_default()));
    Ok(image)
}

/// A 4 × 4 affine; a 3 × 3 one (2-D) leaves the third axis as it is.
fn affine_of(tensor: &Tensor) -> Replay<Affine> {
    let n = match tensor.size().as_slice() {
        [4, 4] => 4,
        [3, 3] => 3,
        other => {
            return Err(Stop::Error(format!("an affine of the case has shape {other:?}; it must be 4 × 4 or 3 × 3")));
        }
    };
    let values = Vec::<f64>::try_from(tensor.f_to_kind(Kind::Double)?.f_reshape([-1])?)?;
    let mut affine = IDENTITY_AFFINE;
    let place = |i: usize| if n == 3 && i == 2 { 3 } else { i };
    for row in 0..n {
        for column in 0..n {
            affine[place(row)][place(column)] = values[row * n + column];
        }
    }
    Ok(affine)
}

/// The affine in the size that is expected: 3 × 3 for 2-D images that started with one.
pub(super) fn affine_tensor(affine: &Affine, expected: Option<&Tensor>) -> Tensor {
    let rows: &[usize] =
        if expected.is_some_and(|expected| expected.size() == [3, 3]) { &[0, 1, 3] } else { &[0, 1, 2, 3] };
    let n = rows.len() as i64;
    let values: Vec<f64> = rows.iter().flat_map(|&i| rows.iter().map(move |&j| affine[i][j])).collect();
    Tensor::from_slice(&values).view([n, n])
}

/// A value as a tensor; lists are stacked.
pub(super) fn to_tensor(value: &Value) -> Replay<Tensor> {
    match value {
        Value::Image(image) => Ok(image.tensor.shallow_clone()),
        Value::Tensor(tensor) => Ok(tensor.shallow_clone()),
        Value::Json(json) => json_tensor(json),
    }
}

/// A number, or nested lists of numbers, as a float64 tensor.
pub(super) fn json_tensor(json: &Json) -> Replay<Tensor> {
    match json {
        Json::Array(values) if values.is_empty() => Ok(Tensor::f_empty([0], (Kind::Double, tch::Device::Cpu))?),
        Json::Array(values) => {
            let tensors = values.iter().map(json_tensor).collect::<Replay<Vec<_>>>()?;
            Ok(Tensor::f_stack(&tensors, 0)?)
        }
        Json::Number(number) => Ok(Tensor::from(number.as_f64().unwrap_or(f64::NAN))),
        Json::Bool(value) => Ok(Tensor::from(f64::from(u8::from(*value)))),
        other => Err(Stop::Error(format!("expected numbers, found {other}"))),
    }
}

/// A value as JSON; tensors become nested lists, of integers where they hold integers.
pub(super) fn to_json(value: &Value) -> Replay<Json> {
    let Some(tensor) = value.as_tensor() else {
        return match value {
            Value::Json(json) => Ok(json.clone()),
            _ => Ok(Json::Null),
        };
    };
    if tensor.dim() > 0 {
        let parts = (0..tensor.size()[0]).map(|i| to_json(&Value::Tensor(tensor.f_select(0, i)?)));
        return parts.collect();
    }
    Ok(if tensor.is_floating_point() { tensor.f_double_value(&[])?.into() } else { tensor.f_int64_value(&[])?.into() })
}

/// A field of an image's metadata: of the item `KEY_meta_dict` if there is one, else of the image itself.
pub(super) fn metadata(sample: &Sample, key: &str, field: &str) -> Option<Json> {
    let dictionary = sample.json(&format!("{key}_meta_dict")).ok().and_then(|meta| meta.get(field).cloned());
    dictionary.or_else(|| sample.image(key).ok()?.meta.get(field).cloned())
}
