//! Euclidean distances to marked voxels.

/// Euclidean distance of each voxel to the nearest marked one, infinite if none is marked.
///
/// The grid has three axes in C order and this size of a voxel; axes that an image lacks have size 1. Exact, axis by axis
/// (Felzenszwalb and Huttenlocher 2012, distance transforms of sampled functions): the squared distance along an axis is
/// the lower envelope of one parabola per voxel.
pub fn euclidean_distances(marked: &[bool], shape: [usize; 3], spacing: [f64; 3]) -> Vec<f64> {
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
    squared.into_iter().map(f64::sqrt).collect()
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
    use super::euclidean_distances;

    #[test]
    fn distances_are_those_of_the_definition() {
        let (shape, spacing) = ([5, 6, 7], [2.5, 1.0, 0.7]);
        let marked: Vec<bool> = (0..210).map(|i: usize| (i * 7919 + i / 3).is_multiple_of(37)).collect();
        let place = |i: usize| [i / 42, i / 7 % 6, i % 7];
        let between = |i: usize, j: usize| -> f64 {
            (0..3)
                .map(|axis| (place(i)[axis].abs_diff(place(j)[axis]) as f64 * spacing[axis]).powi(2))
                .sum::<f64>()
                .sqrt()
        };
        let found = euclidean_distances(&marked, shape, spacing);
        for (i, found) in found.iter().enumerate() {
            let expected = (0..210).filter(|&j| marked[j]).map(|j| between(i, j)).fold(f64::INFINITY, f64::min);
            assert!((found - expected).abs() < 1e-9, "{i}: {found} for {expected}");
        }
    }
}
