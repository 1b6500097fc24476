//! The smallest box that holds all chosen voxels.

use rayon::prelude::*;

/// Low and high of plane, row and column.
type Found = Option<([usize; 3], [usize; 3])>;

/// First and last index + 1 along each axis of the voxels that `is_chosen` chooses; `None` if it chooses none.
///
/// `volumes` are the channels to look at, each in C order with this shape of one to three axes.
pub fn bounding_box<T: Copy + Sync>(
    volumes: &[&[T]],
    shape: &[usize],
    is_chosen: impl Fn(T) -> bool + Sync,
) -> Option<(Vec<usize>, Vec<usize>)> {
    let columns = *shape.last()?;
    if columns == 0 {
        return None;
    }
    let rows_per_plane = if shape.len() > 2 { shape[1] } else { 1 };
    let join = |a: Found, b: Found| match (a, b) {
        (Some((low_a, high_a)), Some((low_b, high_b))) => {
            Some((std::array::from_fn(|i| low_a[i].min(low_b[i])), std::array::from_fn(|i| high_a[i].max(high_b[i]))))
        }
        (found, None) | (None, found) => found,
    };
    let in_block = |block: usize, values: &[T]| -> Found {
        let mut found: Found = None;
        for (row, values) in values.chunks_exact(columns).enumerate() {
            let Some(first) = values.iter().position(|&value| is_chosen(value)) else { continue };
            // only what lies beyond the box so far needs a look from behind
            let known = found.map_or(first, |(_, high)| (high[2] - 1).max(first));
            let last = values[known..].iter().rposition(|&value| is_chosen(value)).map_or(first, |i| i + known);
            let row = block * rows_per_plane + row;
            let (plane, row) = (row / rows_per_plane, row % rows_per_plane);
            found = join(found, Some(([plane, row, first], [plane + 1, row + 1, last + 1])));
        }
        found
    };
    let found = volumes
        .iter()
        .map(|volume| {
            let blocks = volume.par_chunks(columns * rows_per_plane).enumerate();
            blocks.map(|(block, values)| in_block(block, values)).reduce(|| None, join)
        })
        .fold(None, join)?;
    let axes: &[usize] = match shape.len() {
        1 => &[2],
        2 => &[0, 2],
        _ => &[0, 1, 2],
    };
    Some((axes.iter().map(|&axis| found.0[axis]).collect(), axes.iter().map(|&axis| found.1[axis]).collect()))
}

#[cfg(test)]
mod tests {
    use super::bounding_box;

    #[test]
    fn boxes_in_one_to_three_axes() {
        let mut volume = vec![0; 5 * 6 * 7];
        for (x, y, z) in [(1, 5, 2), (3, 4, 6), (2, 4, 0)] {
            volume[(x * 6 + y) * 7 + z] = 1;
        }
        let chosen = |value: i32| value > 0;
        assert_eq!(bounding_box(&[&volume], &[5, 6, 7], chosen), Some((vec![1, 4, 0], vec![4, 6, 7])));
        assert_eq!(bounding_box(&[&volume], &[30, 7], chosen), Some((vec![11, 0], vec![23, 7])));
        assert_eq!(bounding_box(&[&volume[..35]], &[35], chosen), None);
        assert_eq!(bounding_box(&[&[0, 1, 1, 0][..], &[0, 0, 0, 1]], &[4], chosen), Some((vec![1], vec![4])));
    }
}
