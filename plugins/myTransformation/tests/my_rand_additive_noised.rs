//! What the noise does to a sample, drawn from a given generator.

use byoc::{Component, Random, Result, Sample, Transform};
use myTransformation::MyRandAdditiveNoised;
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

fn sample() -> Sample {
    let mut sample = Sample::new();
    sample.insert("image", Tensor::ones([2, 4, 5, 3], (Kind::Float, Device::Cpu)));
    sample.insert("other", Tensor::zeros([1, 4, 5, 3], (Kind::Float, Device::Cpu)));
    sample
}

fn noised(args: Value, seed: u64) -> Result<Sample> {
    let transform = MyRandAdditiveNoised::new(serde_json::from_value(args)?)?;
    let mut sample = sample();
    transform.apply(&mut sample, &mut Random::from_seed(seed))?;
    Ok(sample)
}

#[test]
fn all_channels_and_keys_get_the_same_noise() {
    let sample = noised(json!({"keys": ["image", "other"], "prob": 1.0, "max_add": 0.4}), 7).unwrap();
    let image = sample.tensor("image").unwrap() - 1.0;
    let other = sample.tensor("other").unwrap();
    for channel in 0..2 {
        assert!(image.get(channel).allclose(&other.get(0), 0.0, 1e-6, false));
    }
    let (low, high) = (other.min().double_value(&[]), other.max().double_value(&[]));
    assert!((0.0..0.1).contains(&low) && (0.3..0.4).contains(&high), "{low} to {high}");
    let again = noised(json!({"keys": ["image", "other"], "prob": 1.0, "max_add": 0.4}), 7).unwrap();
    assert_eq!(again.tensor("other").unwrap(), other);
}

#[test]
fn it_happens_as_often_as_asked() {
    let changed = |prob: f64| {
        (0..400)
            .filter(|&seed| {
                let sample = noised(json!({"keys": "other", "prob": prob}), seed).unwrap();
                sample.tensor("other").unwrap().max().double_value(&[]) > 0.0
            })
            .count()
    };
    assert_eq!(changed(0.0), 0);
    assert_eq!(changed(1.0), 400);
    // 120 with a standard deviation of 9
    assert!((85..=155).contains(&changed(0.3)));
}

#[test]
fn wrong_arguments_and_shapes_are_told() {
    let error = noised(json!({"keys": "image", "prob": 2}), 0).err().unwrap();
    assert_eq!(error.to_string(), "`prob` is 2, but must lie between 0 and 1");
    let transform =
        MyRandAdditiveNoised::new(serde_json::from_value(json!({"keys": ["image", "label"], "prob": 1.0})).unwrap())
            .unwrap();
    let mut sample = sample();
    sample.insert("label", Tensor::zeros([1, 2, 2, 2], (Kind::Float, Device::Cpu)));
    let error = transform.apply(&mut sample, &mut Random::from_seed(0)).unwrap_err().to_string();
    assert_eq!(error, "`label` has shape [1, 2, 2, 2], but the noise was made for `image`: [1, 4, 5, 3]");
}
