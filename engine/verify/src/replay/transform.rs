//! Transforms: an item is built, goes through one transform or a chain, and its values are collected.

use byoc::{Kind as ComponentKind, Random, Sample, Value};
use serde_json::{Map, Value as Json};
use tch::Tensor;

use super::item::{self, affine_tensor, json_tensor};
use super::saved_files;
use super::{Replay, Stop, find, make_transform, with_references};
use crate::case::{Case, Named};
use crate::compare::Actual;
use crate::components::Components;

pub(super) fn replay(case: &Case, components: &mut dyn Components) -> Replay {
    let chain = match case.field::<Option<Vec<Named>>>("chain")? {
        Some(chain) => chain,
        None => vec![Named { name: case.name.clone(), args: case.args.clone() }],
    };
    let before: Vec<Named> = case.field("pre_transforms")?;
    // all of them first: a case whose component is not built is missing, not broken half way
    for step in before.iter().chain(&chain) {
        find(components, ComponentKind::TRANSFORM, &step.name)?;
    }

    let folder = tempfile::tempdir()?;
    let mut sample = item::build(case)?;
    let after_pre: Vec<String> = case.field("after_pre")?;
    if !before.is_empty() {
        sample = before_chain(case, components, sample, &before, &after_pre)?;
    }
    let mut samples = vec![sample];
    for step in &chain {
        samples = apply(components, step, samples, &folder.path().to_string_lossy())?;
    }

    let mut actual = Actual::default();
    collect(case, &samples, &mut actual)?;
    saved_files::collect(case, components, folder.path(), &mut actual)?;
    Ok(actual)
}

/// `Invertd`: some keys are held back while the transforms to be inverted run, then join with a copy of the metadata
/// of the image that they are like.
fn before_chain(
    case: &Case,
    components: &mut dyn Components,
    mut sample: Sample,
    steps: &[Named],
    held_back: &[String],
) -> Replay<Sample> {
    let held: Vec<_> = held_back.iter().filter_map(|key| Some((key, sample.remove(key)?))).collect();
    let mut samples = vec![sample];
    for step in steps {
        samples = apply(components, step, samples, "")?;
    }
    let mut sample = samples.pop().ok_or_else(|| "`pre_transforms` of the case gave no item".to_owned())?;
    let like: Option<String> = case.field("pred_like")?;
    for (key, value) in held {
        let value = match (&like, value.as_tensor()) {
            (Some(like), Some(tensor)) => Value::Image(sample.image(like)?.with_tensor(tensor.shallow_clone())),
            _ => value,
        };
        sample.insert(key.clone(), value);
    }
    Ok(sample)
}

/// One step over every sample there is. Random transforms have one possible outcome in a case, so any seed does.
fn apply(components: &mut dyn Components, step: &Named, samples: Vec<Sample>, folder: &str) -> Replay<Vec<Sample>> {
    let args = with_folder(&with_references(&step.args), folder);
    let transform = make_transform(components, &step.name, &args).map_err(|stop| match stop {
        Stop::Error(message) => Stop::Error(format!("`{}`: {message}", step.name)),
        other => other,
    })?;
    let mut random = Random::from_seed(0);
    let mut applied = Vec::new();
    for sample in samples {
        let result = transform.apply_many(sample, &mut random);
        applied.extend(result.map_err(|error| Stop::Error(format!("`{}`: {error}", step.name)))?);
    }
    Ok(applied)
}

fn with_folder(args: &Json, folder: &str) -> Json {
    match args {
        Json::String(text) => text.replace("{OUT}", folder).into(),
        Json::Array(values) => values.iter().map(|value| with_folder(value, folder)).collect(),
        Json::Object(map) => map.iter().map(|(key, value)| (key.clone(), with_folder(value, folder))).collect(),
        _ => args.clone(),
    }
}

fn collect(case: &Case, samples: &[Sample], actual: &mut Actual) -> Replay<()> {
    let collect_as: Map<String, Json> = case.field("collect_as")?;
    let summarize: Option<i64> = case.field("summarize")?;
    for key in case.field::<Vec<String>>("collect")? {
        let values: Vec<&Value> = samples.iter().filter_map(|sample| sample.get(&key).ok()).collect();
        let as_json = collect_as.get(&key).is_some_and(|kind| kind == "json");
        match values.as_slice() {
            [] => {}
            [Value::Json(Json::String(text))] => {
                let parsed = serde_json::from_str(text).unwrap_or_else(|_| Json::String(text.clone()));
                actual.json.insert(key, parsed);
            }
            [Value::Json(json)] if as_json => {
                actual.json.insert(key, json.clone());
            }
            [value] if as_json => {
                actual.json.insert(key, item::to_json(value)?);
            }
            [value] => {
                let tensor = item::to_tensor(value)?;
                if let Value::Image(image) = value {
                    let name = format!("out.{key}_affine");
                    let matrix = affine_tensor(&image.affine, case.tensors.get(&name));
                    actual.insert(name, matrix);
                }
                insert(actual, format!("out.{key}"), tensor, summarize)?;
            }
            several => {
                let tensors = several.iter().map(|value| item::to_tensor(value)).collect::<Replay<Vec<_>>>()?;
                insert(actual, format!("out.{key}"), Tensor::f_stack(&tensors, 0)?, summarize)?;
            }
        }
    }
    for (key, fields) in case.field::<Map<String, Json>>("collect_meta")? {
        let fields: Vec<String> = serde_json::from_value(fields).map_err(|error| format!("`collect_meta`: {error}"))?;
        for field in fields {
            if let Some(value) = samples.first().and_then(|sample| item::metadata(sample, &key, &field)) {
                actual.json.insert(format!("{key}.{field}"), value);
            }
        }
    }
    Ok(())
}

/// Large outputs are compared by their statistics and by samples at fixed positions.
fn insert(actual: &mut Actual, key: String, tensor: Tensor, summarize: Option<i64>) -> Replay<()> {
    let n = tensor.numel() as i64;
    let Some(count) = summarize.filter(|&count| n > count) else {
        actual.insert(key, tensor);
        return Ok(());
    };
    let shape = Json::from(tensor.size());
    actual.insert(format!("{key}.shape"), json_tensor(&shape)?);
    let flat = tensor.f_to_kind(tch::Kind::Double)?.f_reshape([-1])?;
    let positive = flat.f_gt(0.0)?.f_sum(tch::Kind::Double)?;
    let stats = [
        flat.f_sum(tch::Kind::Double)?,
        flat.f_mean(tch::Kind::Double)?,
        flat.f_std(false)?,
        flat.f_min()?,
        flat.f_max()?,
        positive,
    ];
    actual.insert(format!("{key}.stats"), Tensor::f_stack(&stats, 0)?);
    let position = |i: i64| ((i as u64).wrapping_mul(2_654_435_761).wrapping_add(12_345) % n as u64) as i64;
    let positions: Vec<i64> = (0..count).map(position).collect();
    actual.insert(format!("{key}.samples"), flat.f_index_select(0, &Tensor::from_slice(&positions))?);
    Ok(())
}
