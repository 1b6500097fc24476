//! Chessboard distances: for each voxel of a mask, steps to the nearest voxel outside, diagonal ones allowed.

/// Distances in a mask of one to three axes in C order; 0 outside of the mask, and -1 everywhere if nothing is outside
/// (scipy's `distance_transform_cdt`). What lies beyond the border does not count as outside.
///
/// Two sweeps over the volume, exact for this metric (Rosenfeld and Pfaltz 1966, sequential operations in digital
/// picture processing).
pub fn chessboard_distances(mask: &[bool], shape: &[usize]) -> Vec<i32> {
    if mask.iter().all(|&inside| inside) {
        return vec![-1; mask.len()];
    }
    let columns = shape.last().copied().unwrap_or(1);
    let rows = if shape.len() > 1 { shape[shape.len() - 2] } else { 1 };
    // no distance is larger than the longest axis
    let far = shape.iter().copied().max().unwrap_or(0) as i32;
    let mut distances: Vec<i32> = mask.iter().map(|&inside| if inside { far } else { 0 }).collect();
    let mut lowest = vec![0; columns];
    let row_count = distances.len() / columns.max(1);
    for row in 0..row_count {
        sweep_row(&mut distances, row, rows, columns, row_count, &mut lowest, Direction::Forward);
    }
    for row in (0..row_count).rev() {
        sweep_row(&mut distances, row, rows, columns, row_count, &mut lowest, Direction::Backward);
    }
    distances
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forward,
    Backward,
}

/// Takes over what the rows that the sweep has passed say, then what the row's own voxels say.
fn sweep_row(
    distances: &mut [i32],
    row: usize,
    rows: usize,
    columns: usize,
    row_count: usize,
    lowest: &mut [i32],
    direction: Direction,
) {
    let (plane, line) = (row / rows, row % rows);
    let step = if direction == Direction::Forward { -1 } else { 1 };
    lowest.fill(i32::MAX - 1);
    for (planes, lines) in [(0, step), (step, -1), (step, 0), (step, 1)] {
        let (Some(plane), Some(line)) = (plane.checked_add_signed(planes), line.checked_add_signed(lines)) else {
            continue;
        };
        let other = plane * rows + line;
        if line < rows && other < row_count {
            let values = &distances[other * columns..(other + 1) * columns];
            for (lowest, &value) in lowest.iter_mut().zip(values) {
                *lowest = (*lowest).min(value);
            }
        }
    }
    let own = &mut distances[row * columns..(row + 1) * columns];
    for column in 0..columns {
        let near = &lowest[column.saturating_sub(1)..(column + 2).min(columns)];
        let nearest = near.iter().copied().min().unwrap_or(i32::MAX - 1);
        own[column] = own[column].min(nearest + 1);
    }
    match direction {
        Direction::Forward => (1..columns).for_each(|i| own[i] = own[i].min(own[i - 1] + 1)),
        Direction::Backward => (1..columns).rev().for_each(|i| own[i - 1] = own[i - 1].min(own[i] + 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::chessboard_distances;

    #[test]
    fn distances_are_those_of_the_definition() {
        let shape = [5, 8, 9];
        let place = |i: usize| [i / 72, i / 9 % 8, i % 9];
        let mask: Vec<bool> = (0..360).map(|i: usize| !(i * 7919 + i / 5).is_multiple_of(41)).collect();
        let expected: Vec<i32> = (0..360)
            .map(|i| {
                let outside = (0..360).filter(|&j| !mask[j]);
                let far = |j: usize| (0..3).map(|axis| place(i)[axis].abs_diff(place(j)[axis])).max().unwrap();
                outside.map(far).min().unwrap() as i32
            })
            .collect();
        assert!(expected.iter().any(|&distance| distance > 2));
        assert_eq!(chessboard_distances(&mask, &shape), expected);
    }

    #[test]
    fn flat_masks_and_masks_without_an_outside() {
        // scipy.ndimage.distance_transform_cdt([1, 1, 0, 1, 1, 1]) and ([[1, 1], [1, 1]])
        assert_eq!(chessboard_distances(&[true, true, false, true, true, true], &[6]), [2, 1, 0, 1, 2, 3]);
        assert_eq!(chessboard_distances(&[true; 4], &[2, 2]), [-1; 4]);
    }
}
