//! Rotated grids: each output voxel looks its neighbours up.

use rayon::prelude::*;

use super::{Interpolation, Options, Padding, Sample};
use crate::affine::Affine;

/// Rows of the output that are handled together: neighbouring rows read the same source rows.
const BLOCK: usize = 16;

pub(super) fn resample<T: Sample>(
    source: &[T],
    source_shape: [usize; 3],
    matrix: &Affine,
    target_shape: [usize; 3],
    options: Options,
    target: &mut [T],
) {
    let position = |[x, y, z]: [usize; 3]| {
        std::array::from_fn(|axis| {
            let m = &matrix[axis];
            m[0] * x as f64 + m[1] * y as f64 + m[2] * z as f64 + m[3]
        })
    };
    resample_at(source, source_shape, target_shape, options, position, target);
}

/// The source at a position for each output voxel.
pub(super) fn resample_at<T: Sample>(
    source: &[T],
    source_shape: [usize; 3],
    target_shape: [usize; 3],
    options: Options,
    position: impl Fn([usize; 3]) -> [f64; 3] + Sync,
    target: &mut [T],
) {
    let [_, rows, columns] = target_shape;
    let grid = Grid { source, shape: source_shape, options };
    target.par_chunks_mut(columns * BLOCK.min(rows)).enumerate().for_each(|(block, out)| {
        let first = block * BLOCK.min(rows);
        for (row, out) in out.chunks_exact_mut(columns).enumerate() {
            let (x, y) = ((first + row) / rows, (first + row) % rows);
            for (z, value) in out.iter_mut().enumerate() {
                *value = grid.at(position([x, y, z]));
            }
        }
    });
}

struct Grid<'a, T> {
    source: &'a [T],
    shape: [usize; 3],
    options: Options,
}

impl<T: Sample> Grid<'_, T> {
    fn at(&self, position: [f64; 3]) -> T {
        let place: [f64; 3] = std::array::from_fn(|axis| self.options.place(position[axis], self.shape[axis]));
        match self.options.interpolation {
            Interpolation::Nearest => self.voxel(place.map(f64::round_ties_even)).unwrap_or_default(),
            Interpolation::Linear => T::from_f64(self.linear(place)),
        }
    }

    fn voxel(&self, index: [f64; 3]) -> Option<T> {
        let inside = index.iter().zip(self.shape).all(|(&i, n)| i >= 0.0 && i < n as f64);
        let [x, y, z] = index.map(|i| i as usize);
        if inside { self.source.get((x * self.shape[1] + y) * self.shape[2] + z).copied() } else { None }
    }

    fn linear(&self, place: [f64; 3]) -> f64 {
        let low = place.map(f64::floor);
        let fraction: [f64; 3] = std::array::from_fn(|axis| place[axis] - low[axis]);
        let [nx, ny, nz] = self.shape;
        let start = low.map(|i| i as usize);
        // all eight neighbours are there, and finite weights make the order of the sum the only choice
        let whole = low.iter().all(|&i| i >= 0.0) && start[0] + 1 < nx && start[1] + 1 < ny && start[2] + 1 < nz;
        if whole {
            let base = (start[0] * ny + start[1]) * nz + start[2];
            let pair = |offset: usize| {
                let values = &self.source[base + offset..][..2];
                values[0].to_f64() * (1.0 - fraction[2]) + values[1].to_f64() * fraction[2]
            };
            let rows = [[pair(0), pair(nz)], [pair(ny * nz), pair(ny * nz + nz)]];
            let planes = rows.map(|[a, b]| a * (1.0 - fraction[1]) + b * fraction[1]);
            return planes[0] * (1.0 - fraction[0]) + planes[1] * fraction[0];
        }
        let clamped = self.options.padding != Padding::Zeros;
        let mut sum = 0.0;
        for corner in 0..8usize {
            let mut weight = 1.0;
            let index = std::array::from_fn(|axis| {
                let high = corner >> axis & 1 == 1;
                weight *= if high { fraction[axis] } else { 1.0 - fraction[axis] };
                let i = low[axis] + if high { 1.0 } else { 0.0 };
                if clamped { i.clamp(0.0, self.shape[axis] as f64 - 1.0) } else { i }
            });
            if weight != 0.0
                && let Some(value) = self.voxel(index)
            {
                sum += weight * value.to_f64();
            }
        }
        sum
    }
}
