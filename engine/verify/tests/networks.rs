//! Networks without a reference case, and arguments that those leave out, against numbers of MONAI: names and shapes
//! of all parameters and buffers, outputs, and the gradient with respect to the input.
//!
//! `networks/make.py` makes the table `networks/numbers.json` of the list `networks/cases.jsonl`, with Python.

use byoc::{BuiltNetwork, Constructor, Kind};
use mmar_components as _;
use mmar_loader::Registry;
use mmar_verify::fill::{crc32, uniform, values};
use serde::Deserialize;
use serde_json::Value as Json;
use tch::Tensor;

const SEED: u32 = 20_260_001;

#[derive(Deserialize)]
struct Entry {
    network: String,
    args: Json,
    /// The input's shape; without one only names and shapes are compared.
    input: Option<Vec<i64>>,
    #[serde(default)]
    mode: String,
    /// CRC-32 of all names with their shapes, sorted.
    state: String,
    /// CRC-32 of the names of the parameters in their order.
    parameters: String,
    #[serde(default)]
    outputs: Vec<Summary>,
    gradient: Option<Summary>,
}

/// What is kept of a tensor.
#[derive(Deserialize)]
struct Summary {
    shape: Vec<i64>,
    sum: f64,
    /// The sum of the absolute values.
    magnitude: f64,
    samples: Vec<f64>,
}

#[test]
fn networks_compute_what_monais_do() {
    let entries: Vec<Entry> = serde_json::from_str(include_str!("networks/numbers.json")).unwrap();
    let problems: Vec<String> = entries
        .iter()
        .filter_map(|entry| check(entry).err().map(|problem| format!("{} {}: {problem}", entry.network, entry.args)))
        .collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

fn check(entry: &Entry) -> Result<(), String> {
    let found = Registry::with_builtins().find(Kind::NETWORK, &entry.network).map_err(|error| error.to_string())?;
    let Constructor::Network(create) = found.constructor else {
        return Err("is no network".to_owned());
    };
    let mut built = create(&entry.args).map_err(|error| error.to_string())?;
    check_names(&built, entry)?;
    let Some(shape) = &entry.input else {
        return Ok(());
    };
    // of several names of a tensor the first counts
    built.state.sort_by(|a, b| b.name.cmp(&a.name));
    for named in built.state.iter_mut().filter(|named| named.tensor.is_floating_point()) {
        let filled = Tensor::from_slice(&values(&named.name, &named.tensor.size(), SEED)).view_as(&named.tensor);
        tch::no_grad(|| named.tensor.copy_(&filled));
    }
    let x: Vec<f32> = uniform("x", shape.iter().product(), SEED).map(|u| (2.0 * u - 1.0) as f32).collect();
    let x = Tensor::from_slice(&x).view(shape.as_slice()).set_requires_grad(true);
    let inputs = [x.shallow_clone()];
    let outputs = built.network.forward_all(&inputs, entry.mode == "train").map_err(|error| error.to_string())?;
    if outputs.len() != entry.outputs.len() {
        return Err(format!("{} outputs instead of {}", outputs.len(), entry.outputs.len()));
    }
    let mut total = Tensor::from(0f32);
    for (index, (output, expected)) in outputs.iter().zip(&entry.outputs).enumerate() {
        compare(output, expected).map_err(|problem| format!("output {index}: {problem}"))?;
        if output.requires_grad() {
            total += output.square().mean(tch::Kind::Float);
        }
    }
    total.backward();
    match &entry.gradient {
        Some(expected) => compare(&x.grad(), expected).map_err(|problem| format!("gradient: {problem}")),
        None => Ok(()),
    }
}

fn check_names(built: &BuiltNetwork, entry: &Entry) -> Result<(), String> {
    let mut lines: Vec<String> = built
        .state
        .iter()
        .map(|named| format!("{} {:?}\n", named.name, named.tensor.size()).replace(' ', ""))
        .collect();
    lines.sort();
    let state = format!("{:08x}", crc32(lines.concat().as_bytes()));
    if state != entry.state {
        return Err(format!("names or shapes differ: {} of them here", lines.len()));
    }
    let names: Vec<&str> =
        built.state.iter().filter(|named| named.trainable).map(|named| named.name.as_str()).collect();
    let parameters = format!("{:08x}", crc32(names.join("\n").as_bytes()));
    if parameters != entry.parameters {
        return Err(format!("the order of the parameters differs: {names:?}"));
    }
    Ok(())
}

fn compare(tensor: &Tensor, expected: &Summary) -> Result<(), String> {
    if tensor.size() != expected.shape {
        return Err(format!("shape {:?} instead of {:?}", tensor.size(), expected.shape));
    }
    let flat = Vec::<f64>::try_from(tensor.detach().to_kind(tch::Kind::Double).flatten(0, -1))
        .map_err(|error| error.to_string())?;
    let n = flat.len() as u64;
    let mean = expected.magnitude / n as f64;
    let close = |a: f64, b: f64, scale: f64| (a - b).abs() <= 2e-4 * b.abs() + 2e-4 * scale;
    for (i, &sample) in expected.samples.iter().enumerate() {
        let found = flat[((i as u64 * 2_654_435_761 + 12345) % n) as usize];
        if !close(found, sample, mean) {
            return Err(format!("sample {i} is {found} instead of {sample}, where values are about {mean}"));
        }
    }
    let sum: f64 = flat.iter().sum();
    if !close(sum, expected.sum, 0.1 * expected.magnitude) {
        return Err(format!("the sum is {sum} instead of {}", expected.sum));
    }
    Ok(())
}
