//! xoshiro256++ 1.0 (Blackman and Vigna 2019, public domain), with its state in the open: the plugin boundary carries
//! it across, which the generators of the `rand` family do not allow without a serialiser.

use rand::RngCore;

/// The generator. Draws as `rand_xoshiro::Xoshiro256PlusPlus` with the same seed.
#[derive(Debug, Clone)]
pub(super) struct Xoshiro256PlusPlus {
    s: [u64; 4],
}

impl Xoshiro256PlusPlus {
    /// Fills the state from `SplitMix64`, as the authors recommend.
    pub(super) fn from_seed(mut seed: u64) -> Self {
        let s = std::array::from_fn(|_| {
            seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = seed;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^ (z >> 31)
        });
        Self { s }
    }

    pub(super) fn state(&self) -> [u64; 4] {
        self.s
    }

    pub(super) fn from_state(s: [u64; 4]) -> Self {
        // the state of zeros never leaves itself; no generator comes to stand there
        if s == [0; 4] { Self::from_seed(0) } else { Self { s } }
    }
}

impl RngCore for Xoshiro256PlusPlus {
    fn next_u32(&mut self) -> u32 {
        // the lowest bits are the weakest
        (self.next_u64() >> 32) as u32
    }

    fn next_u64(&mut self) -> u64 {
        let s = &mut self.s;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let draw = self.next_u64().to_le_bytes();
            chunk.copy_from_slice(&draw[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Xoshiro256PlusPlus;
    use rand::{RngCore, SeedableRng};

    #[test]
    fn it_draws_as_the_published_generator_does() {
        for seed in [0, 1, 42, u64::MAX] {
            let mut ours = Xoshiro256PlusPlus::from_seed(seed);
            let mut theirs = rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(seed);
            for _ in 0..1000 {
                assert_eq!(ours.next_u64(), theirs.next_u64());
            }
            assert_eq!(ours.next_u32(), theirs.next_u32());
            let (mut a, mut b) = ([0; 16], [0; 16]);
            ours.fill_bytes(&mut a);
            theirs.fill_bytes(&mut b);
            assert_eq!(a, b);
        }
    }

    #[test]
    fn a_state_goes_on_where_it_was_taken() {
        let mut generator = Xoshiro256PlusPlus::from_seed(7);
        generator.next_u64();
        let mut other = Xoshiro256PlusPlus::from_state(generator.state());
        assert_eq!(generator.next_u64(), other.next_u64());
    }
}
