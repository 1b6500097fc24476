//! What MyRandAdditiveNoised promises: how often, how much, the same noise for all keys, and nothing changed in place.

use byoc::{Component, Random, Result, Sample, Transform, args};
use myTransformation::MyRandAdditiveNoised;
use serde_json::json;
use tch::{Kind, Tensor, kind::FLOAT_CPU};

fn transform(value: serde_json::Value) -> Result<MyRandAdditiveNoised> {
    MyRandAdditiveNoised::new(args::parse(&value)?)
}

fn sample(size: &[i64]) -> Sample {
    let mut sample = Sample::new();
    sample.insert("image", Tensor::zeros(size, FLOAT_CPU));
    sample.insert("other", Tensor::ones(size, FLOAT_CPU));
    sample
}

#[test]
fn noise_is_between_0_and_max_add_and_shared_by_keys_and_channels() {
    let transform = transform(json!({ "keys": ["image", "other"], "prob": 1.0, "max_add": 0.4 })).unwrap();
    let before = sample(&[2, 16, 16, 16]);
    let mut after = before.shallow_clone();
    transform.apply(&mut after, &mut Random::from_seed(1)).unwrap();
    let noise = after.tensor("image").unwrap();
    let (low, high, mean) = (noise.min(), noise.max(), noise.mean(Kind::Double).double_value(&[]));
    assert!(low.double_value(&[]) >= 0.0 && high.double_value(&[]) < 0.4, "{low} {high}");
    assert!((mean - 0.2).abs() < 0.01, "{mean}");
    assert_eq!(noise.get(0), noise.get(1));
    assert!((after.tensor("other").unwrap() - 1.0 - noise).abs().max().double_value(&[]) < 1e-6);
    assert_eq!(before.tensor("image").unwrap().max().double_value(&[]), 0.0, "the input stays as it was");
}

#[test]
fn it_acts_as_often_as_prob_says_and_the_same_for_the_same_seed() {
    let transform = transform(json!({ "keys": "image", "prob": 0.3 })).unwrap();
    let run = |seed| {
        let mut sample = sample(&[1, 2]);
        transform.apply(&mut sample, &mut Random::from_seed(seed)).unwrap();
        sample.tensor("image").unwrap().double_value(&[0, 0])
    };
    let acted = (0..2000).filter(|&seed| run(seed) > 0.0).count();
    // three standard deviations of a binomial distribution
    assert!((540..660).contains(&acted), "{acted}");
    assert_eq!(run(7), run(7));
    assert!(transform.is_random());
}

#[test]
fn mistakes_are_refused() {
    for (value, part) in [
        (json!({ "keys": "image", "prob": 1.5 }), "`prob` must be between 0 and 1, found 1.5"),
        (json!({ "keys": [] }), "`keys` must name at least one image"),
        (json!({ "prob": 0.5 }), "missing field `keys`"),
        (json!({ "keys": "image", "max": 1 }), "unknown field `max`"),
    ] {
        let error = transform(value).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
    let transform = transform(json!({ "keys": ["image", "other"], "prob": 1.0 })).unwrap();
    let mut unequal = sample(&[1, 4]);
    unequal.insert("other", Tensor::ones([1, 5], FLOAT_CPU));
    let error = transform.apply(&mut unequal, &mut Random::from_seed(0)).unwrap_err();
    assert!(error.to_string().starts_with("all `keys` must have the same size: `other` is [1, 5]"), "{error}");
}
