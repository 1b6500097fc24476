//! Where the windows lie: plain geometry, no tensors.

/// The first index of every window along one axis, so that the whole axis is covered and no window reaches beyond it.
///
/// Neighbours are `roi · (1 - overlap)` apart, rounded down; the last window is moved back to end with the axis
/// (MONAI `dense_patch_slices`).
pub(super) fn starts(size: i64, roi: i64, overlap: f64) -> Vec<i64> {
    let interval = if roi == size { roi } else { ((roi as f64 * (1.0 - overlap)) as i64).max(1) };
    let mut starts = Vec::new();
    let mut start = 0;
    loop {
        starts.push(start.min(size - roi));
        if start + roi >= size {
            return starts;
        }
        start += interval;
    }
}

/// The corners of all windows of an image, the last axis fastest.
pub(super) fn corners(starts: &[Vec<i64>]) -> Vec<Vec<i64>> {
    let mut corners = vec![Vec::new()];
    for axis in starts {
        corners = corners
            .iter()
            .flat_map(|corner| {
                axis.iter().map(move |start| {
                    let mut longer = corner.clone();
                    longer.push(*start);
                    longer
                })
            })
            .collect();
    }
    corners
}

#[cfg(test)]
mod tests {
    use super::{corners, starts};

    #[test]
    fn windows_cover_the_axis_and_stay_within() {
        assert_eq!(starts(10, 10, 0.5), [0]);
        assert_eq!(starts(10, 4, 0.0), [0, 4, 6]);
        assert_eq!(starts(10, 4, 0.5), [0, 2, 4, 6]);
        assert_eq!(starts(4, 3, 0.9), [0, 1]);
        for (size, roi, overlap) in [(37, 16, 0.25), (64, 16, 0.6), (17, 16, 0.75), (5, 1, 0.5)] {
            let starts = starts(size, roi, overlap);
            assert_eq!((starts[0], starts[starts.len() - 1] + roi), (0, size));
            assert!(starts.windows(2).all(|pair| pair[0] < pair[1] && pair[1] - pair[0] <= roi), "{starts:?}");
        }
    }

    #[test]
    fn the_last_axis_runs_fastest() {
        assert_eq!(corners(&[vec![0, 4], vec![0, 1]]), [[0, 0], [0, 1], [4, 0], [4, 1]]);
    }
}
