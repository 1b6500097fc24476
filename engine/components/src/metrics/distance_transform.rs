//! Distance of every voxel of a grid to the nearest marked one.

use std::collections::VecDeque;

use mmar_imaging::region::{chessboard_distances, euclidean_distances};

/// How distance is measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum DistanceMetric {
    /// Along the straight line.
    #[default]
    Euclidean,
    /// The largest of the differences along the axes, in voxels.
    Chessboard,
    /// The sum of the differences along the axes, in voxels.
    Taxicab,
}

/// Distances on a grid of three axes, the last fastest; axes that an image lacks have size 1. At least one voxel must
/// be marked.
pub(super) fn distances(marked: &[bool], shape: [usize; 3], metric: DistanceMetric, spacing: [f64; 3]) -> Vec<f32> {
    match metric {
        DistanceMetric::Euclidean => {
            euclidean_distances(marked, shape, spacing).into_iter().map(|distance| distance as f32).collect()
        }
        DistanceMetric::Taxicab => steps(marked, shape),
        DistanceMetric::Chessboard => {
            let others: Vec<bool> = marked.iter().map(|marked| !marked).collect();
            chessboard_distances(&others, &shape).into_iter().map(|distance| distance as f32).collect()
        }
    }
}

/// Steps along the axes, counted by a flood from all marked voxels at once.
fn steps(marked: &[bool], shape: [usize; 3]) -> Vec<f32> {
    let neighbours: [[isize; 3]; 6] = [[-1, 0, 0], [1, 0, 0], [0, -1, 0], [0, 1, 0], [0, 0, -1], [0, 0, 1]];
    let mut distances: Vec<f32> = marked.iter().map(|marked| if *marked { 0.0 } else { f32::INFINITY }).collect();
    let mut front: VecDeque<usize> = (0..marked.len()).filter(|i| marked[*i]).collect();
    while let Some(at) = front.pop_front() {
        let place = [at / (shape[1] * shape[2]), at / shape[2] % shape[1], at % shape[2]];
        for step in &neighbours {
            let mut next = [0; 3];
            let inside = (0..3).all(|axis| {
                next[axis] = place[axis].wrapping_add_signed(step[axis]);
                next[axis] < shape[axis]
            });
            if !inside {
                continue;
            }
            let index = (next[0] * shape[1] + next[1]) * shape[2] + next[2];
            if distances[index].is_infinite() {
                distances[index] = distances[at] + 1.0;
                front.push_back(index);
            }
        }
    }
    distances
}

#[cfg(test)]
mod tests {
    use super::{DistanceMetric, distances};

    /// Every voxel against every marked one.
    fn brute_force(marked: &[bool], shape: [usize; 3], metric: DistanceMetric, spacing: [f64; 3]) -> Vec<f32> {
        let place = |i: usize| [i / (shape[1] * shape[2]), i / shape[2] % shape[1], i % shape[2]];
        let between = |a: [usize; 3], b: [usize; 3]| {
            let d = [0, 1, 2].map(|axis| a[axis].abs_diff(b[axis]) as f64);
            match metric {
                DistanceMetric::Euclidean => (0..3).map(|axis| (d[axis] * spacing[axis]).powi(2)).sum::<f64>().sqrt(),
                DistanceMetric::Chessboard => d[0].max(d[1]).max(d[2]),
                DistanceMetric::Taxicab => d.iter().sum(),
            }
        };
        let sources: Vec<_> = (0..marked.len()).filter(|i| marked[*i]).map(place).collect();
        (0..marked.len())
            .map(|i| sources.iter().map(|source| between(place(i), *source)).fold(f64::INFINITY, f64::min) as f32)
            .collect()
    }

    #[test]
    fn distances_are_those_of_a_search_over_all_pairs() {
        let mut random = byoc::Random::from_seed(5);
        for shape in [[1, 1, 9], [1, 7, 6], [5, 4, 6]] {
            for metric in [DistanceMetric::Euclidean, DistanceMetric::Chessboard, DistanceMetric::Taxicab] {
                for density in [0.02, 0.3] {
                    let mut marked: Vec<bool> = (0..shape.iter().product()).map(|_| random.chance(density)).collect();
                    marked[3] = true;
                    let spacing = [2.5, 1.0, 0.7];
                    let found = distances(&marked, shape, metric, spacing);
                    let expected = brute_force(&marked, shape, metric, spacing);
                    for (found, expected) in found.iter().zip(&expected) {
                        assert!((found - expected).abs() < 1e-5, "{metric:?} {shape:?}: {found} for {expected}");
                    }
                }
            }
        }
    }
}
