//! Distance of every voxel of a grid to the nearest marked one.

use std::collections::VecDeque;

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
        DistanceMetric::Euclidean => euclidean(marked, shape, spacing),
        DistanceMetric::Taxicab => steps(marked, shape, |step| step.iter().filter(|d| **d != 0).count() == 1),
        DistanceMetric::Chessboard => steps(marked, shape, |_| true),
    }
}

/// Steps between neighbours, counted by a flood from all marked voxels at once.
fn steps(marked: &[bool], shape: [usize; 3], allowed: impl Fn(&[isize; 3]) -> bool) -> Vec<f32> {
    let range = -1isize..=1;
    let neighbours: Vec<[isize; 3]> = range
        .clone()
        .flat_map(|x| range.clone().flat_map(move |y| (-1isize..=1).map(move |z| [x, y, z])))
        .filter(|step| *step != [0, 0, 0] && allowed(step))
        .collect();
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

/// Exact Euclidean distances, axis by axis (Felzenszwalb and Huttenlocher 2012, distance transforms of sampled
/// functions): the squared distance along an axis is the lower envelope of one parabola per voxel.
fn euclidean(marked: &[bool], shape: [usize; 3], spacing: [f64; 3]) -> Vec<f32> {
    let mut squared: Vec<f64> = marked.iter().map(|marked| if *marked { 0.0 } else { f64::INFINITY }).collect();
    let strides = [shape[1] * shape[2], shape[2], 1];
    for axis in (0..3).filter(|axis| shape[*axis] > 1) {
        let (n, stride) = (shape[axis], strides[axis]);
        let mut line = vec![0.0; n];
        let mut envelope = Envelope::with_capacity(n);
        for start in (0..squared.len()).filter(|i| i / stride % n == 0) {
            for (i, value) in line.iter_mut().enumerate() {
                *value = squared[start + i * stride];
            }
            envelope.build(&line, spacing[axis]);
            envelope.evaluate(&line, spacing[axis], |i, value| squared[start + i * stride] = value);
        }
    }
    squared.into_iter().map(|squared| squared.sqrt() as f32).collect()
}

/// The lower envelope of parabolas of equal width.
struct Envelope {
    /// Where the parabolas that are lowest somewhere have their vertex.
    vertices: Vec<usize>,
    /// From where on each is the lowest.
    from: Vec<f64>,
}

impl Envelope {
    fn with_capacity(n: usize) -> Self {
        Self { vertices: Vec::with_capacity(n), from: Vec::with_capacity(n) }
    }

    fn build(&mut self, heights: &[f64], spacing: f64) {
        self.vertices.clear();
        self.from.clear();
        for (i, height) in heights.iter().enumerate().filter(|(_, height)| height.is_finite()) {
            let x = i as f64 * spacing;
            loop {
                let Some(&last) = self.vertices.last() else {
                    self.vertices.push(i);
                    self.from.push(f64::NEG_INFINITY);
                    break;
                };
                let last_x = last as f64 * spacing;
                let crossing = ((height + x * x) - (heights[last] + last_x * last_x)) / (2.0 * (x - last_x));
                if self.from.last().is_some_and(|from| crossing <= *from) {
                    self.vertices.pop();
                    self.from.pop();
                } else {
                    self.vertices.push(i);
                    self.from.push(crossing);
                    break;
                }
            }
        }
    }

    fn evaluate(&self, heights: &[f64], spacing: f64, mut set: impl FnMut(usize, f64)) {
        if self.vertices.is_empty() {
            return;
        }
        let mut lowest = 0;
        for i in 0..heights.len() {
            let x = i as f64 * spacing;
            while self.from.get(lowest + 1).is_some_and(|from| *from < x) {
                lowest += 1;
            }
            let vertex = self.vertices[lowest];
            let distance = x - vertex as f64 * spacing;
            set(i, distance * distance + heights[vertex]);
        }
    }
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
