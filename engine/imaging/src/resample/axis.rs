//! One axis of an aligned resampling: for each output index the source voxels it comes from.

use super::{Interpolation, Options, Padding};

/// Two source voxels and their weights for each output index; a nearest table uses only the first ones.
pub(super) struct Table {
    pub(super) low: Vec<usize>,
    pub(super) high: Vec<usize>,
    pub(super) low_weight: Vec<f64>,
    pub(super) high_weight: Vec<f64>,
    /// Whether each output voxel is the source voxel of the same index.
    pub(super) is_identity: bool,
    /// Whether each output voxel lies inside of the volume; else weights may be zero.
    pub(super) is_inside: bool,
}

impl Table {
    /// The table of `n` source and `m` output voxels, with output voxel i at `step` · i + `offset`.
    pub(super) fn new(n: usize, m: usize, step: f64, offset: f64, options: Options) -> Self {
        let mut table = Self {
            low: Vec::with_capacity(m),
            high: Vec::with_capacity(m),
            low_weight: Vec::with_capacity(m),
            high_weight: Vec::with_capacity(m),
            is_identity: n == m,
            is_inside: true,
        };
        for i in 0..m {
            let place = options.place(step * i as f64 + offset, n);
            let (low, fraction) = match options.interpolation {
                Interpolation::Linear => (place.floor(), place - place.floor()),
                Interpolation::Nearest => (place.round_ties_even(), 0.0),
            };
            table.push(low, fraction, n, options.padding);
            table.is_identity &= table.low[i] == i && table.low_weight[i] == 1.0;
        }
        table
    }

    fn push(&mut self, low: f64, fraction: f64, n: usize, padding: Padding) {
        let last = n as f64 - 1.0;
        let weight = |index: f64, weight: f64| {
            if padding == Padding::Zeros && !(0.0..=last).contains(&index) { 0.0 } else { weight }
        };
        let (low_weight, high_weight) = (weight(low, 1.0 - fraction), weight(low + 1.0, fraction));
        self.is_inside &= low_weight + high_weight == 1.0;
        self.low.push(low.clamp(0.0, last) as usize);
        self.high.push((low + 1.0).clamp(0.0, last) as usize);
        self.low_weight.push(low_weight);
        self.high_weight.push(high_weight);
    }
}
