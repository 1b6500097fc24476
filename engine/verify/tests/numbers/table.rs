//! What the tables have in common: inputs that follow from their names, and what is kept of a tensor.

use mmar_verify::fill::uniform;
use serde::Deserialize;
use tch::{Kind, Tensor};

pub(crate) const SEED: u32 = 20_260_001;

/// An input that follows from its name.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Input {
    shape: Vec<i64>,
    low: Option<f64>,
    high: Option<f64>,
    /// Class numbers below it, in place of numbers from `low` to `high`.
    classes: Option<f64>,
    /// The first of the class numbers.
    #[serde(default)]
    first: f64,
    /// 1 or -1.
    #[serde(default)]
    signs: bool,
    /// Integers.
    #[serde(default)]
    whole: bool,
    /// 1 where a number from 0 to 1 is above it, else 0.
    threshold: Option<f64>,
    /// 0 but for these: each a value and where it is.
    marks: Option<Vec<Vec<f64>>>,
}

impl Input {
    pub(crate) fn of_shape(shape: &[i64]) -> Self {
        Self {
            shape: shape.to_vec(),
            low: None,
            high: None,
            classes: None,
            first: 0.0,
            signs: false,
            whole: false,
            threshold: None,
            marks: None,
        }
    }

    pub(crate) fn make(&self, name: &str) -> Tensor {
        let (low, high) = (self.low.unwrap_or(-1.0), self.high.unwrap_or(1.0));
        let value = |u: f64| match self.classes {
            _ if self.signs => {
                if u < 0.5 {
                    -1.0
                } else {
                    1.0
                }
            }
            Some(classes) => (u * classes).floor() + self.first,
            None => match self.threshold {
                Some(threshold) => f64::from(u8::from(u > threshold)),
                None => low + (high - low) * u,
            },
        };
        if let Some(marks) = &self.marks {
            return self.marked(marks);
        }
        let values: Vec<f32> = uniform(name, self.shape.iter().product(), SEED).map(|u| value(u) as f32).collect();
        let tensor = Tensor::from_slice(&values).view(self.shape.as_slice());
        if self.whole { tensor.to_kind(Kind::Int64) } else { tensor }
    }
}

impl Input {
    fn marked(&self, marks: &[Vec<f64>]) -> Tensor {
        let mut values = vec![0f32; self.shape.iter().product::<i64>() as usize];
        for mark in marks {
            let place = mark[1..].iter().zip(&self.shape);
            let index = place.fold(0, |index, (&at, &n)| index * n as usize + at as usize);
            values[index] = mark[0] as f32;
        }
        Tensor::from_slice(&values).view(self.shape.as_slice())
    }
}

/// What is kept of a tensor.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Summary {
    shape: Vec<i64>,
    sum: f64,
    /// The sum of the absolute values.
    magnitude: f64,
    samples: Vec<f64>,
}

impl Summary {
    /// An error that says where a tensor is another one. `tolerance` is relative.
    pub(crate) fn compare(&self, tensor: &Tensor, tolerance: f64) -> Result<(), String> {
        if tensor.size() != self.shape {
            return Err(format!("shape {:?} instead of {:?}", tensor.size(), self.shape));
        }
        let flat = Vec::<f64>::try_from(tensor.detach().to_kind(Kind::Double).flatten(0, -1));
        let flat = flat.map_err(|error| error.to_string())?;
        let n = flat.len() as u64;
        let mean = self.magnitude / n as f64;
        let close = |a: f64, b: f64, scale: f64| (a - b).abs() <= tolerance * (b.abs() + scale);
        for (i, &sample) in self.samples.iter().enumerate() {
            let found = flat[((i as u64 * 2_654_435_761 + 12345) % n) as usize];
            if !close(found, sample, mean) {
                return Err(format!("sample {i} is {found} instead of {sample}, where values are about {mean}"));
            }
        }
        let sum: f64 = flat.iter().sum();
        if !close(sum, self.sum, 0.1 * self.magnitude) {
            return Err(format!("the sum is {sum} instead of {}", self.sum));
        }
        Ok(())
    }
}

/// Fails with the problems of all entries of a table.
pub(crate) fn expect_none(problems: &[String]) {
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
