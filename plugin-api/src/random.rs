//! The random generator that the engine hands to random transforms.
//!
//! Each call of a random transform gets its own generator, derived from the run's seed, the epoch, the item and the
//! transform's position in the chain. So a run draws the same numbers with 0 or 16 workers, and a transform needs no
//! state of its own. Never draw from a clock, from the operating system or from libtorch's global generator.

mod xoshiro;

use rand::{Rng, RngCore};
use rand_distr::{Distribution, StandardNormal};
use tch::Tensor;

use xoshiro::Xoshiro256PlusPlus;

/// A seeded generator: equal seeds give equal draws on every machine.
#[derive(Debug, Clone)]
pub struct Random {
    generator: Xoshiro256PlusPlus,
}

impl Random {
    /// A generator with this seed.
    pub fn from_seed(seed: u64) -> Self {
        Self { generator: Xoshiro256PlusPlus::from_seed(seed) }
    }

    /// The generator's whole state. With [`Random::from_state`] it crosses the plugin boundary and back, so that a
    /// plugin draws exactly what a built-in component would draw in its place.
    pub(crate) fn state(&self) -> [u64; 4] {
        self.generator.state()
    }

    /// A generator that goes on where the one with this state stood.
    pub(crate) fn from_state(state: [u64; 4]) -> Self {
        Self { generator: Xoshiro256PlusPlus::from_state(state) }
    }

    /// A seed that is different for each list of numbers, however alike they are.
    pub fn derive_seed(parts: &[u64]) -> u64 {
        // SplitMix64's finaliser (Steele, Lea, Flood 2014) over a running sum: each part changes every bit of the result
        parts.iter().fold(0x9E37_79B9_7F4A_7C15, |state: u64, part| {
            let mut z = (state ^ part).wrapping_add(0x9E37_79B9_7F4A_7C15);
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^ (z >> 31)
        })
    }

    /// Any 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.generator.next_u64()
    }

    /// A number in `low..high`; `low` when the range is empty.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.generator.random::<f64>()
    }

    /// An integer in `low..high`; `low` when the range is empty.
    pub fn integer(&mut self, low: i64, high: i64) -> i64 {
        if high <= low { low } else { self.generator.random_range(low..high) }
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.generator.random::<f64>() < probability
    }

    /// A draw from the normal distribution.
    pub fn normal(&mut self, mean: f64, standard_deviation: f64) -> f64 {
        let draw: f64 = StandardNormal.sample(&mut self.generator);
        mean + standard_deviation * draw
    }

    /// A float32 tensor of this shape with draws from `0..1`.
    pub fn uniform_tensor(&mut self, shape: &[i64]) -> Tensor {
        let values: Vec<f32> = (0..numel(shape)).map(|_| self.generator.random::<f32>()).collect();
        Tensor::from_slice(&values).view(shape)
    }

    /// A float32 tensor of this shape with draws from the standard normal distribution.
    pub fn normal_tensor(&mut self, shape: &[i64]) -> Tensor {
        let values: Vec<f32> = (0..numel(shape)).map(|_| StandardNormal.sample(&mut self.generator)).collect();
        Tensor::from_slice(&values).view(shape)
    }

    /// A random order of `0..n` (Fisher and Yates).
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(i, self.generator.random_range(0..=i));
        }
        order
    }
}

fn numel(shape: &[i64]) -> i64 {
    shape.iter().product()
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn equal_seeds_give_equal_draws_and_similar_parts_different_seeds() {
        let draws = |seed| {
            let mut random = Random::from_seed(seed);
            (0..4).map(|_| random.next_u64()).collect::<Vec<_>>()
        };
        assert_eq!(draws(7), draws(7));
        assert_ne!(draws(7), draws(8));
        let seeds = [[0, 0, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0]].map(|parts| Random::derive_seed(&parts));
        for (i, seed) in seeds.iter().enumerate() {
            assert!(!seeds[..i].contains(seed), "{seeds:?}");
        }
    }

    #[test]
    fn permutation_holds_each_index_once() {
        let mut order = Random::from_seed(3).permutation(100);
        assert_ne!(order, (0..100).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
    }
}
