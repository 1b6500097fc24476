//! Surfaces that run between voxels, with the size of their pieces.
//!
//! A piece of surface lies in each square (2-D) or cube (3-D) of neighbouring voxel centres that are not all alike. Its
//! corners are half way between a voxel inside the mask and one outside; how large it is follows from which of the
//! voxels are inside (Nikolov et al. 2018, <https://arxiv.org/abs/1809.04430>; Lorensen and Cline 1987).

use byoc::{Error, Result};

/// The sizes of the pieces for one voxel size: lengths in two dimensions, areas in three.
#[derive(Debug, Clone)]
pub(super) struct ElementSizes {
    /// By which of the four or eight voxels are inside, the last axis running fastest.
    sizes: Vec<f64>,
    dims: usize,
}

/// Pieces of surface on the grid of voxel corners.
#[derive(Debug)]
pub(super) struct Elements {
    /// Where there are any.
    pub(super) is_surface: Vec<bool>,
    /// Of those that there are, in their order.
    pub(super) sizes: Vec<f64>,
    pub(super) shape: [usize; 3],
}

impl ElementSizes {
    /// For voxels of this size; the last `dims` axes count.
    #[track_caller]
    pub(super) fn new(spacing: [f64; 3], dims: usize) -> Result<Self> {
        let sizes = match dims {
            2 => (0..16).map(|code| length(code, [spacing[1], spacing[2]])).collect(),
            3 => (0..256).map(|code| area(code, spacing)).collect(),
            _ => {
                return Err(Error::data(format!("`use_subvoxels` is for masks of 2 or 3 dimensions, found {dims}")));
            }
        };
        Ok(Self { sizes, dims })
    }

    /// The surface of a mask; beyond the image there is nothing.
    pub(super) fn surface(&self, mask: &[bool], shape: [usize; 3]) -> Elements {
        let extra = [usize::from(self.dims == 3), 1, 1];
        let corners = [0, 1, 2].map(|axis| shape[axis] + extra[axis]);
        let voxel = |place: [usize; 3]| {
            let at = |axis: usize| place[axis].checked_sub(extra[axis]).filter(|at| *at < shape[axis]);
            match (at(0), at(1), at(2)) {
                (Some(x), Some(y), Some(z)) => mask[(x * shape[1] + y) * shape[2] + z],
                _ => false,
            }
        };
        let mut elements = Elements { is_surface: Vec::new(), sizes: Vec::new(), shape: corners };
        for x in 0..corners[0] {
            for y in 0..corners[1] {
                for z in 0..corners[2] {
                    let code = (0..self.sizes.len().ilog2() as usize).fold(0, |code, corner| {
                        let step = [corner >> 2 & 1, corner >> 1 & 1, corner & 1];
                        code | usize::from(voxel([x + step[0], y + step[1], z + step[2]])) << corner
                    });
                    let is_surface = code != 0 && code + 1 != self.sizes.len();
                    elements.is_surface.push(is_surface);
                    if is_surface {
                        elements.sizes.push(self.sizes[code]);
                    }
                }
            }
        }
        elements
    }
}

/// The length of the line that separates the corners of a square. Two inside corners that face each other are cut off
/// one by one.
fn length(code: usize, [first, second]: [f64; 2]) -> f64 {
    let across = 0.5 * first.hypot(second);
    match code {
        0b0000 | 0b1111 => 0.0,
        0b0110 | 0b1001 => 2.0 * across,
        0b0011 | 0b1100 => second,
        0b0101 | 0b1010 => first,
        _ => across,
    }
}

/// The area of the surface that separates the corners of a cube. Whichever corners are fewer, those inside or those
/// outside, are cut off one by one where they face each other across a side.
fn area(code: usize, spacing: [f64; 3]) -> f64 {
    let fewer = if code.count_ones() <= 4 { code } else { 255 - code };
    polygons(fewer).iter().map(|polygon| polygon_area(polygon, spacing)).sum()
}

/// A corner of a polygon: the middle of an edge of the cube.
type Point = [f64; 3];

/// The corners of each side of the cube, in a circle.
const SIDES: [[usize; 4]; 6] = [[0, 1, 3, 2], [4, 5, 7, 6], [0, 1, 5, 4], [2, 3, 7, 6], [0, 2, 6, 4], [1, 3, 7, 5]];

/// The outlines of the surface around these corners.
fn polygons(code: usize) -> Vec<Vec<Point>> {
    let inside = |corner: usize| code >> corner & 1 == 1;
    // each crossed edge is in two sides, and so has two neighbours
    let mut neighbours: Vec<(usize, Vec<usize>)> = Vec::new();
    let mut connect = |from: usize, to: usize| match neighbours.iter_mut().find(|(edge, _)| *edge == from) {
        Some((_, others)) => others.push(to),
        None => neighbours.push((from, vec![to])),
    };
    for side in SIDES {
        let edge = |i: usize| {
            let (a, b) = (side[i % 4], side[(i + 1) % 4]);
            a.min(b) * 8 + a.max(b)
        };
        for start in (0..4).filter(|&i| inside(side[i]) && !inside(side[(i + 3) % 4])) {
            let run = (0..4).take_while(|&i| inside(side[(start + i) % 4])).count();
            let (before, after) = (edge(start + 3), edge(start + run - 1));
            connect(before, after);
            connect(after, before);
        }
    }
    let mut polygons = Vec::new();
    let mut seen = Vec::new();
    for (first, _) in &neighbours {
        let mut polygon = Vec::new();
        let mut next = Some(*first).filter(|edge| !seen.contains(edge));
        while let Some(edge) = next {
            seen.push(edge);
            polygon.push(middle(edge));
            let others = neighbours.iter().find(|(known, _)| *known == edge).map(|(_, others)| others);
            next = others.and_then(|others| others.iter().copied().find(|edge| !seen.contains(edge)));
        }
        if !polygon.is_empty() {
            polygons.push(polygon);
        }
    }
    polygons
}

fn middle(edge: usize) -> Point {
    let (a, b) = (edge / 8, edge % 8);
    [2, 1, 0].map(|bit| f64::from(((a >> bit & 1) + (b >> bit & 1)) as u8) / 2.0)
}

/// The area of a polygon as a fan of triangles, from the corner that makes it largest in a cube with equal sides.
fn polygon_area(polygon: &[Point], spacing: [f64; 3]) -> f64 {
    let fan = |start: usize, scale: [f64; 3]| -> f64 {
        let at = |i: usize| {
            let point = polygon[(start + i) % polygon.len()];
            [0, 1, 2].map(|axis| point[axis] * scale[axis])
        };
        (1..polygon.len() - 1).map(|i| triangle_area(at(0), at(i), at(i + 1))).sum()
    };
    let starts = 0..polygon.len();
    let largest = starts.max_by(|a, b| fan(*a, [1.0; 3]).total_cmp(&fan(*b, [1.0; 3])));
    largest.map_or(0.0, |start| fan(start, spacing))
}

fn triangle_area(a: Point, b: Point, c: Point) -> f64 {
    let (u, v) = ([0, 1, 2].map(|axis| b[axis] - a[axis]), [0, 1, 2].map(|axis| c[axis] - a[axis]));
    let cross = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
    0.5 * cross.iter().map(|x| x * x).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::{ElementSizes, area};

    #[test]
    fn areas_are_those_of_monais_table() {
        // `create_table_neighbour_code_to_surface_area((1, 1, 1))` and `((0.5, 2, 1))`, whose sum does not depend on
        // how the corners are numbered
        for (spacing, sum, largest) in [([1.0; 3], 241.343_138, 1.573_132), ([0.5, 2.0, 1.0], 309.163_224, 2.236_068)] {
            let areas: Vec<f64> = (0..256).map(|code| area(code, spacing)).collect();
            assert!((areas.iter().sum::<f64>() - sum).abs() < 1e-3, "{}", areas.iter().sum::<f64>());
            assert!((areas.iter().copied().fold(0.0, f64::max) - largest).abs() < 1e-5);
        }
    }

    #[test]
    fn a_box_has_its_sides_and_cut_off_edges() {
        let sizes = ElementSizes::new([1.0, 2.0, 3.0], 2).unwrap();
        // one row of three voxels in an image of 1 × 5 voxels: two long sides and four corners cut off
        let elements = sizes.surface(&[false, true, true, true, false], [1, 1, 5]);
        assert_eq!(elements.shape, [1, 2, 6]);
        let expected = 4.0 * 3.0 + 4.0 * 0.5 * 2f64.hypot(3.0);
        assert!((elements.sizes.iter().sum::<f64>() - expected).abs() < 1e-12);
        assert!(ElementSizes::new([1.0; 3], 1).is_err());
    }
}
