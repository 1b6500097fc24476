//! Connected components of a mask, by runs and a union-find over them.

/// The components of a mask.
#[derive(Debug)]
pub struct Components {
    /// For each voxel the number of its component, from 1 in raster order of their first voxels; 0 is background.
    pub labels: Vec<u32>,
    /// Voxels of each component; entry 0 is the background.
    pub sizes: Vec<u64>,
}

/// A stretch of mask voxels along the last axis.
#[derive(Clone, Copy)]
struct Run {
    start: usize,
    end: usize,
}

/// Labels the components of a mask in C order with this shape of one to three axes.
///
/// `connectivity` is the number of axes along which neighbours may differ at once: 1 gives the 6 neighbours that share a
/// face, the number of axes gives all 26.
pub fn label_components(mask: &[bool], shape: &[usize], connectivity: usize) -> Components {
    let columns = shape.last().copied().unwrap_or(0);
    if mask.is_empty() || columns == 0 {
        return Components { labels: Vec::new(), sizes: vec![0] };
    }
    let rows_per_plane = if shape.len() > 2 { shape[1] } else { 1 };
    let rows = mask.len() / columns;
    let mut runs: Vec<Run> = Vec::new();
    let mut first_of_row = Vec::with_capacity(rows + 1);
    for row in mask.chunks_exact(columns) {
        first_of_row.push(runs.len());
        let mut from = 0;
        while let Some(start) = row[from..].iter().position(|&inside| inside).map(|i| i + from) {
            let end = row[start..].iter().position(|&inside| !inside).map_or(columns, |i| i + start);
            runs.push(Run { start, end });
            from = end;
        }
    }
    first_of_row.push(runs.len());
    let mut parent: Vec<u32> = (0..runs.len() as u32).collect();
    for row in 0..rows {
        let (plane, line) = (row / rows_per_plane, row % rows_per_plane);
        // rows seen before that touch this one, and along how many axes they are displaced
        let before = [(0, -1), (-1, 0), (-1, -1), (-1, 1)];
        for (planes, lines) in before {
            let axes = usize::from(planes != 0) + usize::from(lines != 0);
            let (Some(plane), Some(line)) = (plane.checked_add_signed(planes), line.checked_add_signed(lines)) else {
                continue;
            };
            if axes > connectivity || line >= rows_per_plane {
                continue;
            }
            let other = plane * rows_per_plane + line;
            let reach = usize::from(axes < connectivity);
            join_rows(
                &runs,
                first_of_row[row]..first_of_row[row + 1],
                first_of_row[other]..first_of_row[other + 1],
                reach,
                &mut parent,
            );
        }
    }
    let mut number = vec![0u32; runs.len()];
    let mut sizes = vec![0u64];
    let mut labels = vec![0u32; mask.len()];
    for row in 0..rows {
        for run in first_of_row[row]..first_of_row[row + 1] {
            let root = find(&mut parent, run as u32) as usize;
            if number[root] == 0 {
                number[root] = sizes.len() as u32;
                sizes.push(0);
            }
            let Run { start, end } = runs[run];
            sizes[number[root] as usize] += (end - start) as u64;
            labels[row * columns + start..row * columns + end].fill(number[root]);
        }
    }
    sizes[0] = mask.len() as u64 - sizes.iter().sum::<u64>();
    Components { labels, sizes }
}

/// Joins the runs of two rows that touch; with a `reach` of 1 also over the corner.
fn join_rows(runs: &[Run], a: std::ops::Range<usize>, b: std::ops::Range<usize>, reach: usize, parent: &mut [u32]) {
    let (mut i, mut j) = (a.start, b.start);
    while i < a.end && j < b.end {
        if runs[i].start < runs[j].end + reach && runs[j].start < runs[i].end + reach {
            let (x, y) = (find(parent, i as u32), find(parent, j as u32));
            let (low, high) = (x.min(y), x.max(y));
            parent[high as usize] = low;
        }
        if runs[i].end < runs[j].end { i += 1 } else { j += 1 }
    }
}

fn find(parent: &mut [u32], mut run: u32) -> u32 {
    while parent[run as usize] != run {
        parent[run as usize] = parent[parent[run as usize] as usize];
        run = parent[run as usize];
    }
    run
}

#[cfg(test)]
mod tests {
    use super::label_components;

    /// The definition, by flooding.
    fn flood(mask: &[bool], shape: [usize; 3], connectivity: i64) -> Vec<u32> {
        let mut labels = vec![0; mask.len()];
        let mut next = 0;
        let at = |x: i64, y: i64, z: i64| ((x * shape[1] as i64 + y) * shape[2] as i64 + z) as usize;
        for seed in 0..mask.len() {
            if !mask[seed] || labels[seed] != 0 {
                continue;
            }
            next += 1;
            let mut open = vec![seed];
            labels[seed] = next;
            while let Some(index) = open.pop() {
                let (x, y, z) = (
                    (index / shape[2] / shape[1]) as i64,
                    (index / shape[2] % shape[1]) as i64,
                    (index % shape[2]) as i64,
                );
                for dx in -1i64..=1 {
                    for dy in -1i64..=1 {
                        for dz in -1i64..=1 {
                            let (x, y, z) = (x + dx, y + dy, z + dz);
                            let inside = x >= 0
                                && y >= 0
                                && z >= 0
                                && x < shape[0] as i64
                                && y < shape[1] as i64
                                && z < shape[2] as i64;
                            if inside
                                && dx.abs() + dy.abs() + dz.abs() <= connectivity
                                && mask[at(x, y, z)]
                                && labels[at(x, y, z)] == 0
                            {
                                labels[at(x, y, z)] = next;
                                open.push(at(x, y, z));
                            }
                        }
                    }
                }
            }
        }
        labels
    }

    #[test]
    fn labels_are_those_of_flooding() {
        let shape = [6, 7, 9];
        let mut state = 12345u32;
        for density in [2, 3, 5] {
            let mask: Vec<bool> = (0..6 * 7 * 9)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 16).is_multiple_of(density)
                })
                .collect();
            for connectivity in 1..=3 {
                let found = label_components(&mask, &shape, connectivity);
                assert_eq!(found.labels, flood(&mask, shape, connectivity as i64), "{connectivity}");
                assert_eq!(found.sizes.iter().sum::<u64>(), 6 * 7 * 9);
            }
            let flat = label_components(&mask, &[42, 9], 2);
            assert_eq!(flat.labels, flood(&mask, [1, 42, 9], 2));
        }
    }
}
