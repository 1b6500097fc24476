//! Aligned grids: axis after axis.

use rayon::prelude::*;

use super::axis::Table;
use super::{Interpolation, Sample};

pub(super) fn resample<T: Sample>(
    source: &[T],
    source_shape: [usize; 3],
    tables: &[Table; 3],
    target_shape: [usize; 3],
    interpolation: Interpolation,
    target: &mut [T],
) {
    let plane = target_shape[1] * target_shape[2];
    let planes = target.par_chunks_mut(plane).enumerate();
    match interpolation {
        Interpolation::Nearest => planes.for_each(|(x, out)| nearest_plane(source, source_shape, tables, x, out)),
        Interpolation::Linear => {
            planes.for_each_init(Scratch::default, |scratch, (x, out)| {
                linear_plane(source, source_shape, tables, x, scratch, out);
            });
        }
    }
}

fn nearest_plane<T: Sample>(source: &[T], shape: [usize; 3], [xs, ys, zs]: &[Table; 3], x: usize, out: &mut [T]) {
    let rows = out.chunks_exact_mut(zs.low.len());
    let inside = xs.is_inside && ys.is_inside && zs.is_inside;
    for (y, out) in rows.enumerate() {
        let start = (xs.low[x] * shape[1] + ys.low[y]) * shape[2];
        let row = &source[start..start + shape[2]];
        if inside && zs.is_identity {
            out.copy_from_slice(row);
        } else if inside {
            for (value, &z) in out.iter_mut().zip(&zs.low) {
                *value = row[z];
            }
        } else {
            let seen = xs.low_weight[x] * ys.low_weight[y];
            for ((value, &z), weight) in out.iter_mut().zip(&zs.low).zip(&zs.low_weight) {
                *value = if seen * weight > 0.0 { row[z] } else { T::default() };
            }
        }
    }
}

/// Memory of one thread.
#[derive(Default)]
struct Scratch {
    plane: Vec<f64>,
    row: Vec<f64>,
}

/// A plane of the output: first the source planes on both sides are mixed, then rows of that, then voxels of the row.
/// In CT the last axis is the coarse one, which grows most: it comes last, when nothing is computed twice any more.
fn linear_plane<T: Sample>(
    source: &[T],
    shape: [usize; 3],
    [xs, ys, zs]: &[Table; 3],
    x: usize,
    scratch: &mut Scratch,
    out: &mut [T],
) {
    let Scratch { plane, row } = scratch;
    let size = shape[1] * shape[2];
    let planes = [xs.low[x], xs.high[x]].map(|x| &source[x * size..(x + 1) * size]);
    plane.clear();
    mix(planes, [xs.low_weight[x], xs.high_weight[x]], T::to_f64, plane);
    for (y, out) in out.chunks_exact_mut(zs.low.len()).enumerate() {
        let rows = [ys.low[y], ys.high[y]].map(|y| &plane[y * shape[2]..(y + 1) * shape[2]]);
        row.clear();
        mix(rows, [ys.low_weight[y], ys.high_weight[y]], |value| value, row);
        if zs.is_identity {
            for (value, mixed) in out.iter_mut().zip(row.iter()) {
                *value = T::from_f64(*mixed);
            }
            continue;
        }
        let indices = zs.low.iter().zip(&zs.high);
        let weights = zs.low_weight.iter().zip(&zs.high_weight);
        for ((value, (&low, &high)), (low_weight, high_weight)) in out.iter_mut().zip(indices).zip(weights) {
            *value = T::from_f64(row[low] * low_weight + row[high] * high_weight);
        }
    }
}

/// Appends a · w₀ + b · w₁. A weight of 0 leaves its side out, so that an infinite voxel there does no harm.
fn mix<T: Copy>([a, b]: [&[T]; 2], weights: [f64; 2], to_f64: impl Fn(T) -> f64, out: &mut Vec<f64>) {
    match weights {
        [low, 0.0] => out.extend(a.iter().map(|&a| to_f64(a) * low)),
        [0.0, high] => out.extend(b.iter().map(|&b| to_f64(b) * high)),
        [low, high] => out.extend(a.iter().zip(b).map(|(&a, &b)| to_f64(a) * low + to_f64(b) * high)),
    }
}
