//! Transforms of dictionaries; random ones with a single possible outcome.

use std::collections::BTreeMap;

use byoc::{Affine, Constructor, Image, Kind, Random, Sample, Value};
use mmar_components as _;
use mmar_loader::Registry;
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use tch::Tensor;

use crate::table::{Input, Summary, expect_none};

#[derive(Deserialize)]
struct Entry {
    path: String,
    args: Json,
    inputs: BTreeMap<String, Input>,
    /// Inputs that are images, with [`AFFINE`].
    #[serde(default)]
    affine: Vec<String>,
    /// Plain values of the sample.
    #[serde(default)]
    json: Map<String, Json>,
    #[serde(default = "tolerance")]
    tolerance: f64,
    /// What is under the keys afterwards; samples that came of one are stacked.
    outputs: BTreeMap<String, Summary>,
    #[serde(default)]
    affines: BTreeMap<String, Vec<Vec<f64>>>,
    /// Numbers in the items `KEY_meta_dict`.
    #[serde(default)]
    noted: BTreeMap<String, BTreeMap<String, f64>>,
}

fn tolerance() -> f64 {
    1e-4
}

const AFFINE: Affine = [[0.9, 0.1, 0., -10.], [-0.1, 1.1, 0.05, 5.], [0., 0.02, 2., 20.], [0., 0., 0., 1.]];

/// The affine of an image of so many axes: 2-D ones leave the third as it is.
fn affine(rank: usize) -> Affine {
    let mut affine = AFFINE;
    if rank == 2 {
        affine[2] = [0., 0., 1., 0.];
        for row in &mut affine[..2] {
            row[2] = 0.0;
        }
    }
    affine
}

#[test]
fn transforms_do_what_pythons_do() {
    let entries: Vec<Entry> = serde_json::from_str(include_str!("transforms.json")).unwrap();
    let mut registry = Registry::with_builtins();
    let mut problem = |entry: &Entry| {
        check(entry, &mut registry).err().map(|problem| format!("{} {}: {problem}", entry.path, entry.args))
    };
    expect_none(&entries.iter().filter_map(&mut problem).collect::<Vec<_>>());
}

fn check(entry: &Entry, registry: &mut Registry) -> Result<(), String> {
    let text = |error: byoc::Error| error.to_string();
    let found = registry.find(Kind::TRANSFORM, &entry.path).map_err(|error| error.to_string())?;
    let Constructor::Transform(create) = found.constructor else {
        return Err("is no transform".to_owned());
    };
    let transform = create(&entry.args).map_err(text)?;
    let mut sample = Sample::new();
    for (key, input) in &entry.inputs {
        let tensor = input.make(key);
        let value = if entry.affine.contains(key) {
            let affine = affine(tensor.dim() - 1);
            Value::Image(Image { affine, ..Image::new(tensor) })
        } else {
            Value::Tensor(tensor)
        };
        sample.insert(key, value);
    }
    for (key, value) in &entry.json {
        sample.insert(key, value.clone());
    }
    let samples = transform.apply_many(sample, &mut Random::from_seed(3)).map_err(text)?;
    for (key, expected) in &entry.outputs {
        let values = samples.iter().map(|sample| tensor_of(sample.get(key).map_err(text)?));
        let values = values.collect::<Result<Vec<_>, String>>()?;
        let all = if values.len() == 1 { values[0].shallow_clone() } else { Tensor::stack(&values, 0) };
        expected.compare(&all, entry.tolerance).map_err(|problem| format!("`{key}`: {problem}"))?;
    }
    for (key, expected) in &entry.affines {
        let affine = samples[0].image(key).map_err(text)?.affine;
        let axes: &[usize] = if expected.len() == 3 { &[0, 1, 3] } else { &[0, 1, 2, 3] };
        let close = axes.iter().zip(expected).all(|(&i, row)| {
            axes.iter().zip(row).all(|(&j, expected)| (affine[i][j] - expected).abs() <= 1e-5 * (1.0 + expected.abs()))
        });
        if !close {
            return Err(format!("the affine of `{key}` is {affine:?} instead of {expected:?}"));
        }
    }
    for (key, names) in &entry.noted {
        let dictionary = samples[0].json(&format!("{key}_meta_dict")).map_err(text)?;
        for (name, expected) in names {
            let found = dictionary[name].as_f64().unwrap_or(f64::NAN);
            if (found - expected).is_nan() || (found - expected).abs() > 1e-5 * (1.0 + expected.abs()) {
                return Err(format!("`{name}` of `{key}` is {found} instead of {expected}"));
            }
        }
    }
    Ok(())
}

fn tensor_of(value: &Value) -> Result<Tensor, String> {
    if let Some(tensor) = value.as_tensor() {
        return Ok(tensor.shallow_clone());
    }
    let Value::Json(Json::Array(rows)) = value else { return Err("is no tensor".to_owned()) };
    let rows: Vec<Vec<f64>> = serde_json::from_value(Json::Array(rows.clone())).map_err(|error| error.to_string())?;
    Ok(Tensor::from_slice2(&rows))
}
