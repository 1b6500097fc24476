//! Algebra of affines: 4 × 4 matrices from voxel index (i, j, k, 1) to millimetres, right-anterior-superior.
//!
//! Data of fewer than three axes uses the upper left block and leaves the other axes as in the identity. All in
//! float64: a spacing taken from a header's float32 `pixdim` would shift the last voxels of a large volume.

use crate::{Error, Result};

/// Row-major 4 × 4 matrix; the last row is (0, 0, 0, 1).
pub type Affine = [[f64; 4]; 4];

/// The affine that does nothing.
pub const IDENTITY: Affine = [[1., 0., 0., 0.], [0., 1., 0., 0.], [0., 0., 1., 0.], [0., 0., 0., 1.]];

/// Below this difference two affines count as the same (MONAI's `AFFINE_TOL`).
pub const TOLERANCE: f64 = 1e-3;

/// The product `a` · `b`: first `b`, then `a`.
pub fn multiply(a: &Affine, b: &Affine) -> Affine {
    let mut product = [[0.0; 4]; 4];
    for (row, out) in a.iter().zip(&mut product) {
        for (column, value) in out.iter_mut().enumerate() {
            *value = (0..4).map(|k| row[k] * b[k][column]).sum();
        }
    }
    product
}

/// Solves `a` · X = `b`, by elimination with partial pivoting.
pub fn solve(a: &Affine, b: &Affine) -> Result<Affine> {
    let (mut a, mut x) = (*a, *b);
    for column in 0..4 {
        let pivot = (column..4).max_by(|&i, &j| a[i][column].abs().total_cmp(&a[j][column].abs())).unwrap_or(column);
        if a[pivot][column] == 0.0 || !a[pivot][column].is_finite() {
            return Err(Error::Geometry(format!(
                "the affine {b:?} cannot be expressed in {a:?}: it is not invertible"
            )));
        }
        a.swap(column, pivot);
        x.swap(column, pivot);
        for row in column + 1..4 {
            let factor = a[row][column] / a[column][column];
            if factor != 0.0 {
                for k in 0..4 {
                    a[row][k] -= factor * a[column][k];
                    x[row][k] -= factor * x[column][k];
                }
            }
        }
    }
    for row in (0..4).rev() {
        for k in 0..4 {
            let known: f64 = (row + 1..4).map(|j| a[row][j] * x[j][k]).sum();
            x[row][k] = (x[row][k] - known) / a[row][row];
        }
    }
    Ok(x)
}

/// The inverse; an error for a singular matrix.
pub fn inverse(a: &Affine) -> Result<Affine> {
    solve(a, &IDENTITY)
}

/// The part of an affine that concerns `rank` axes; the rest is the identity (MONAI's `to_affine_nd`).
pub fn restrict(a: &Affine, rank: usize) -> Affine {
    let mut out = IDENTITY;
    for i in 0..rank.min(3) {
        out[i][..rank.min(3)].copy_from_slice(&a[i][..rank.min(3)]);
        if rank > 1 {
            out[i][3] = a[i][3];
        }
    }
    out
}

/// Size of a voxel along each axis: the norms of the first `rank` columns over the first `rank` rows. A norm of 0
/// becomes 1.
pub fn spacing(a: &Affine, rank: usize) -> [f64; 3] {
    let mut spacing = [1.0; 3];
    for (axis, value) in spacing.iter_mut().enumerate().take(rank) {
        let norm = (0..rank.min(3)).map(|row| a[row][axis] * a[row][axis]).sum::<f64>().sqrt();
        *value = if norm == 0.0 { 1.0 } else { norm };
    }
    spacing
}

/// Whether |a - b| ≤ `tolerance` + 1e-5 |b| for every element.
pub fn close(a: &Affine, b: &Affine, tolerance: f64) -> bool {
    a.iter().flatten().zip(b.iter().flatten()).all(|(a, b)| (a - b).abs() <= tolerance + 1e-5 * b.abs())
}

/// A shift by so many voxels along the first axes.
pub fn translation(shift: &[f64]) -> Affine {
    let mut out = IDENTITY;
    for (row, shift) in out.iter_mut().zip(shift) {
        row[3] = *shift;
    }
    out
}

/// A scaling of the first axes.
pub fn scaling(factors: &[f64]) -> Affine {
    let mut out = IDENTITY;
    for (axis, factor) in factors.iter().enumerate().take(3) {
        out[axis][axis] = *factor;
    }
    out
}

/// A rotation: one angle in the plane of 2-D data, or the angles about the axes x, y, z of 3-D data, applied as
/// intrinsic rotations in this order (MONAI's `create_rotate`, order `XYZ`).
pub fn rotation(rank: usize, radians: &[f64]) -> Affine {
    let planes: &[(usize, usize)] = if rank == 2 { &[(0, 1)] } else { &[(1, 2), (2, 0), (0, 1)] };
    radians.iter().zip(planes).fold(IDENTITY, |product, (angle, &(i, j))| {
        let (sin, cos) = angle.sin_cos();
        let mut turn = IDENTITY;
        turn[i][i] = cos;
        turn[i][j] = -sin;
        turn[j][i] = sin;
        turn[j][j] = cos;
        multiply(&product, &turn)
    })
}

/// A shear with its coefficients in the order xy, yx for 2-D and xy, xz, yx, yz, zx, zy for 3-D data (MONAI's
/// `create_shear`); missing ones are 0.
pub fn shear(rank: usize, coefficients: &[f64]) -> Affine {
    let places: &[(usize, usize)] =
        if rank == 2 { &[(0, 1), (1, 0)] } else { &[(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)] };
    coefficients.iter().zip(places).fold(IDENTITY, |product, (coefficient, &(i, j))| {
        let mut step = IDENTITY;
        step[i][j] = *coefficient;
        multiply(&step, &product)
    })
}

/// From the index of a resized grid to the index of the original one (MONAI's `scale_affine`): voxel borders coincide,
/// or with `align_corners` the centres of the outermost voxels.
pub fn resizing(from: &[usize], to: &[usize], align_corners: bool) -> Affine {
    let mut out = IDENTITY;
    if from == to {
        return out;
    }
    for (axis, (&old, &new)) in from.iter().zip(to).enumerate().take(3) {
        if align_corners {
            out[axis][axis] = if new == 1 { 0.0 } else { (old as f64 - 1.0) / (new as f64 - 1.0) };
        } else {
            let factor = old as f64 / new.max(1) as f64;
            out[axis][axis] = factor;
            out[axis][3] = (factor - 1.0) / 2.0;
        }
    }
    out
}

/// The affine with these voxel sizes, without translation (MONAI's `zoom_affine`): the axes keep their directions and
/// lose their shears, or with `diagonal` they become those of the patient.
pub fn with_spacing(a: &Affine, spacing: &[f64], rank: usize, diagonal: bool) -> Result<Affine> {
    if diagonal {
        return Ok(scaling(&spacing[..rank]));
    }
    // R = Q·U with an upper triangular U of positive diagonal; Cholesky of RᵀR gives U
    let gram = |i: usize, j: usize| (0..rank).map(|k| a[k][i] * a[k][j]).sum::<f64>();
    let mut upper = [[0.0; 3]; 3];
    for j in 0..rank {
        for i in 0..=j {
            let known: f64 = (0..i).map(|k| upper[k][i] * upper[k][j]).sum();
            let rest = gram(i, j) - known;
            upper[i][j] = if i == j { rest.sqrt() } else { rest / upper[i][i] };
        }
        if upper[j][j].is_nan() || upper[j][j] <= 0.0 {
            return Err(Error::Geometry(format!("the affine {a:?} is singular: its axes do not span the space")));
        }
    }
    let mut out = IDENTITY;
    for i in 0..rank {
        // row i of Q solves Q·U = R
        let mut q = [0.0; 3];
        for j in 0..rank {
            let known: f64 = (0..j).map(|k| q[k] * upper[k][j]).sum();
            q[j] = (a[i][j] - known) / upper[j][j];
            out[i][j] = q[j] * spacing[j].abs();
        }
    }
    Ok(out)
}

/// How large a grid of affine `to` must be to cover a volume of this shape and affine `from`, and where its first voxel
/// lies in mm (MONAI's `compute_shape_offset`). With `scale_extent` the borders of the voxels are covered, not their
/// centres.
pub fn covering_grid(
    shape: &[usize],
    from: &Affine,
    to: &Affine,
    scale_extent: bool,
) -> Result<(Vec<usize>, Vec<f64>)> {
    let rank = shape.len();
    let relative = solve(to, from)?;
    let point = |m: &Affine, p: &[f64; 3]| -> [f64; 3] {
        std::array::from_fn(|i| m[i][0] * p[0] + m[i][1] * p[1] + m[i][2] * p[2] + m[i][3])
    };
    let corners: Vec<[f64; 3]> = (0..1usize << rank)
        .map(|bits| {
            std::array::from_fn(|axis| match shape.get(axis) {
                None => 0.0,
                Some(&n) => {
                    // the last axis changes fastest, as in numpy's meshgrid with `ij`
                    let far = bits >> (rank - 1 - axis) & 1 == 1;
                    let (near, end) = if scale_extent { (-0.5, n as f64 - 0.5) } else { (0.0, n as f64 - 1.0) };
                    if far { end } else { near }
                }
            })
        })
        .collect();
    let seen: Vec<[f64; 3]> = corners.iter().map(|corner| point(&relative, corner)).collect();
    let lowest = |axis: usize| seen.iter().map(|p| p[axis]).fold(f64::INFINITY, f64::min);
    let highest = |axis: usize| seen.iter().map(|p| p[axis]).fold(f64::NEG_INFINITY, f64::max);
    let new_shape: Vec<usize> = (0..rank)
        .map(|axis| {
            (highest(axis) - lowest(axis) + if scale_extent { 0.0 } else { 1.0 }).round_ties_even().max(0.0) as usize
        })
        .collect();
    let first = seen.iter().position(|p| (0..rank).all(|axis| (lowest(axis) - p[axis]).abs() <= 1e-8));
    let mut offset = if let Some(index) = first {
        point(from, &corners[index])
    } else {
        // no corner is the lowest in all axes: the centres of both grids coincide
        let half =
            |n: &[usize]| -> [f64; 3] { std::array::from_fn(|axis| n.get(axis).map_or(0.0, |&n| n as f64 / 2.0)) };
        let (source, target) = (point(from, &half(shape)), point(to, &half(&new_shape)));
        std::array::from_fn(|i| source[i] - (target[i] - to[i][3]))
    };
    if scale_extent {
        let inner: [f64; 3] = std::array::from_fn(|axis| match shape.get(axis) {
            Some(&n) => 0.5 * (n as f64 / new_shape[axis] as f64 - 1.0),
            None => 0.0,
        });
        let moved = point(from, &inner);
        for (value, moved) in offset.iter_mut().zip(moved) {
            let sign = if *value == 0.0 { 0.0 } else { value.signum() };
            *value = moved.abs() * sign;
        }
    }
    Ok((new_shape, offset[..rank].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBLIQUE: Affine = [[0.9, -0.2, 0.1, -50.], [0.3, 1.1, -0.4, 20.], [-0.1, 0.5, 2.4, 7.], [0., 0., 0., 1.]];

    #[test]
    fn the_inverse_undoes_an_affine() {
        let product = multiply(&inverse(&OBLIQUE).unwrap(), &OBLIQUE);
        assert!(close(&product, &IDENTITY, 1e-12), "{product:?}");
        let mut singular = OBLIQUE;
        singular[2] = singular[1];
        assert!(inverse(&singular).is_err());
    }

    #[test]
    fn new_spacing_keeps_the_directions_and_drops_the_shears() {
        let zoomed = with_spacing(&OBLIQUE, &[1.0, 2.0, 3.0], 3, false).unwrap();
        let norms = spacing(&zoomed, 3);
        for (norm, expected) in norms.iter().zip([1.0, 2.0, 3.0]) {
            assert!((norm - expected).abs() < 1e-12, "{norms:?}");
        }
        for (i, j) in [(0, 1), (0, 2), (1, 2)] {
            let dot: f64 = (0..3).map(|k| zoomed[k][i] * zoomed[k][j]).sum();
            assert!(dot.abs() < 1e-12, "axes {i} and {j} are not orthogonal");
        }
        let first: Vec<f64> = (0..3).map(|k| OBLIQUE[k][0] / spacing(&OBLIQUE, 3)[0]).collect();
        assert!((0..3).all(|k| (zoomed[k][0] - first[k]).abs() < 1e-12), "the first axis turned");
    }

    #[test]
    fn a_covering_grid_starts_at_the_first_voxel() {
        // numpy.round: 7.5 voxels become 8, 8.5 become 8
        let from = scaling(&[0.5, 1.0, 2.0]);
        let (shape, offset) = covering_grid(&[14, 3, 4], &from, &IDENTITY, false).unwrap();
        assert_eq!((shape, offset), (vec![8, 3, 7], vec![0.0; 3]));
        let (shape, _) = covering_grid(&[16, 3, 4], &from, &IDENTITY, false).unwrap();
        assert_eq!(shape[0], 8);
    }

    #[test]
    fn quarter_turns_move_axes() {
        let turn = rotation(3, &[0.0, 0.0, std::f64::consts::FRAC_PI_2]);
        assert!((turn[0][1] + 1.0).abs() < 1e-15 && (turn[1][0] - 1.0).abs() < 1e-15);
        let turn = rotation(3, &[0.0, std::f64::consts::FRAC_PI_2]);
        assert!((turn[0][2] - 1.0).abs() < 1e-15 && (turn[2][0] + 1.0).abs() < 1e-15);
    }
}
