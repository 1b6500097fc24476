//! Weights that are not stored but computed from the names of the tensors, so that a case with a large network stays
//! a small file. The rule is part of the format of reference cases (`crc32-murmur3`).

use byoc::NamedTensor;
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use tch::Tensor;

/// The `fill` of a case.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Fill {
    rule: String,
    seed: u32,
    /// Name → shape of the whole state, in order.
    pub(crate) state: Map<String, Json>,
    sum: Option<f64>,
}

impl Fill {
    /// Fills every floating tensor of a network and compares the sum with the case's.
    pub(crate) fn apply(&self, state: &mut [NamedTensor]) -> Result<(), String> {
        if self.rule != "crc32-murmur3" {
            return Err(format!("the case's fill rule is `{}`; this version knows `crc32-murmur3`", self.rule));
        }
        let (mut sum, mut magnitude) = (0.0, 0.0);
        // in the case's order: of a tensor with two names the last one counts, as when Python loads a state dict
        for name in self.state.keys() {
            let Some(NamedTensor { tensor, .. }) =
                state.iter_mut().find(|named| named.name == *name && named.tensor.is_floating_point())
            else {
                continue;
            };
            let shape = tensor.size();
            let values = values(name, &shape, self.seed);
            sum += values.iter().copied().map(f64::from).sum::<f64>();
            magnitude += values.iter().copied().map(|value| f64::from(value).abs()).sum::<f64>();
            let filled = Tensor::from_slice(&values).view(shape.as_slice());
            tch::no_grad(|| tensor.f_copy_(&filled)).map_err(|error| byoc::torch_message(&error.to_string()))?;
        }
        match self.sum {
            Some(expected) if (sum - expected).abs() > 1e-6 * magnitude => {
                Err(format!("the filled weights sum up to {sum}, the case says {expected}"))
            }
            _ => Ok(()),
        }
    }
}

/// The values of a floating tensor with this name and shape.
pub fn values(name: &str, shape: &[i64], seed: u32) -> Vec<f32> {
    let n = shape.iter().product::<i64>();
    let leaf = name.rsplit('.').next().unwrap_or(name);
    let d = shape.len();
    let value = |u: f64| match leaf {
        "running_var" => 0.5 + u,
        "running_mean" => (2.0 * u - 1.0) * 0.1,
        "bias" if d == 1 => (2.0 * u - 1.0) * 0.1,
        _ if d <= 1 && n == 1 => 0.1 + 0.3 * u,
        _ if d <= 1 => 0.75 + 0.5 * u,
        _ => (2.0 * u - 1.0) * (3.0 / (n as f64 / shape[0] as f64)).sqrt(),
    };
    uniform(name, n, seed).map(|u| value(u) as f32).collect()
}

/// So many numbers in [0, 1) that follow from the name.
pub fn uniform(name: &str, count: i64, seed: u32) -> impl Iterator<Item = f64> {
    let s = crc32(name.as_bytes()) ^ seed;
    (0..count).map(move |i| f64::from(hash((i as u32).wrapping_mul(2_654_435_761).wrapping_add(s)) >> 8) / 16_777_216.0)
}

/// The finaliser of Appleby's third murmur hash.
fn hash(mut h: u32) -> u32 {
    h ^= h >> 16;
    h = h.wrapping_mul(0x85EB_CA6B);
    h ^= h >> 13;
    h = h.wrapping_mul(0xC2B2_AE35);
    h ^ (h >> 16)
}

/// CRC-32 of IEEE 802.3, as zlib computes it.
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[cfg(test)]
mod tests {
    use super::{crc32, values};

    #[test]
    fn the_worked_example_of_the_format() {
        let name = "conv1.weight";
        assert_eq!(0xCA7D_5594 ^ crc32(name.as_bytes()), 0x0135_24A1);
        let values = values(name, &[64, 1, 7, 3], 20_260_001);
        let expected = [0.262_235_432_863_235_5, -0.262_579_947_710_037_23, 0.285_963_952_541_351_3];
        for (value, expected) in values.into_iter().zip(expected) {
            assert_eq!(f64::from(value), expected);
        }
    }
}
