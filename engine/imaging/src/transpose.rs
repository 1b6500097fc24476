//! Between the order of files (first axis fastest) and that of tensors (last axis fastest), converting on the way.

use rayon::prelude::*;

/// Columns of the first axis that are handled together: their reads fill whole cache lines.
const BLOCK: usize = 64;

/// Rows that are collected before they are written: the tile of both fits into the first-level cache. Without it each
/// value would be written to another line, and with sizes that are powers of two all of these lines share one place in
/// the cache.
const ROWS: usize = 64;

/// For each index of the axes after the first one, in C order, its offset in a file.
fn offsets(shape: &[usize]) -> Vec<usize> {
    let mut offsets = vec![0];
    let mut stride = shape.first().copied().unwrap_or(1);
    for &n in shape.iter().skip(1) {
        offsets = offsets.iter().flat_map(|&base| (0..n).map(move |i| base + i * stride)).collect();
        stride *= n;
    }
    offsets
}

/// Fills `out`, in C order, from a file with the first axis fastest; `read(start, row)` fills a row with the elements
/// from `start` on.
pub(crate) fn from_file_order<T: Copy + Default + Send>(
    shape: &[usize],
    out: &mut [T],
    read: impl Fn(usize, &mut [T]) + Sync,
) {
    let columns = shape.first().copied().unwrap_or(1);
    let rest = offsets(shape);
    if columns == 0 || rest.is_empty() {
        return;
    }
    out.par_chunks_mut(BLOCK * rest.len()).enumerate().for_each(|(block, out)| {
        let first = block * BLOCK;
        let width = out.len() / rest.len();
        let mut row = [T::default(); BLOCK];
        let mut tile = [T::default(); BLOCK * ROWS];
        for (tile_index, offsets) in rest.chunks(ROWS).enumerate() {
            for (r, &offset) in offsets.iter().enumerate() {
                read(offset + first, &mut row[..width]);
                for (x, &value) in row[..width].iter().enumerate() {
                    tile[x * ROWS + r] = value;
                }
            }
            let start = tile_index * ROWS;
            for x in 0..width {
                let line = &mut out[x * rest.len() + start..][..offsets.len()];
                line.copy_from_slice(&tile[x * ROWS..][..offsets.len()]);
            }
        }
    });
}

/// Calls `write(place, value)` … the other way round: fills `out`, first axis fastest, with `size` bytes per element.
pub(crate) fn to_file_order(shape: &[usize], size: usize, out: &mut [u8], write: impl Fn(usize, &mut [u8]) + Sync) {
    let columns = shape.first().copied().unwrap_or(1);
    let rest = offsets(shape);
    if columns == 0 || rest.is_empty() {
        return;
    }
    // the rows of the file, each with its index in C order of the other axes
    let mut rows: Vec<usize> = (0..rest.len()).collect();
    rows.sort_by_key(|&r| rest[r]);
    out.par_chunks_mut(columns * size).zip(rows.par_iter()).for_each(|(row, &r)| {
        for (x, element) in row.chunks_exact_mut(size).enumerate() {
            write(x * rest.len() + r, element);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_agree_with_the_definition() {
        for shape in [vec![70, 3, 5], vec![130, 9, 15], vec![4, 2], vec![7], vec![3, 4, 2, 5]] {
            let n: usize = shape.iter().product();
            let mut c_order = vec![0usize; n];
            from_file_order(&shape, &mut c_order, |start, row| {
                row.iter_mut().enumerate().for_each(|(x, value)| *value = start + x);
            });
            let mut expected = Vec::new();
            let mut index = vec![0; shape.len()];
            for _ in 0..n {
                let mut stride = 1;
                expected.push(
                    index
                        .iter()
                        .zip(&shape)
                        .map(|(i, n)| {
                            let part = i * stride;
                            stride *= n;
                            part
                        })
                        .sum::<usize>(),
                );
                for axis in (0..shape.len()).rev() {
                    index[axis] += 1;
                    if index[axis] < shape[axis] {
                        break;
                    }
                    index[axis] = 0;
                }
            }
            assert_eq!(c_order, expected, "{shape:?}");
            let mut bytes = vec![0; n * 8];
            to_file_order(&shape, 8, &mut bytes, |place, out| {
                out.copy_from_slice(&(c_order[place] as u64).to_le_bytes());
            });
            let back: Vec<u64> = bytes.chunks_exact(8).map(|b| u64::from_le_bytes(b.try_into().unwrap())).collect();
            assert_eq!(back, (0..n as u64).collect::<Vec<_>>(), "{shape:?}");
        }
    }
}
