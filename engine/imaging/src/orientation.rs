//! Which way the axes of a volume run: `RAS`, `LPI`, …
//!
//! As nibabel's `orientations` module defines it: each voxel axis is matched with the patient axis that it is closest
//! to, best match first.

use crate::affine::{self, Affine, IDENTITY};
use crate::{Error, Result};

/// Where an axis of a volume points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Axis {
    /// Index of the target axis.
    pub target: usize,
    /// Whether it runs against it.
    pub flipped: bool,
}

/// One [`Axis`] for each axis of a volume.
pub type Orientation = Vec<Axis>;

/// Letters at the low and the high end of the patient axes: left to right, posterior to anterior, inferior to superior.
pub const RAS_LABELS: [(char, char); 3] = [('L', 'R'), ('P', 'A'), ('I', 'S')];

/// How the axes of a volume with this affine run in the patient (nibabel's `io_orientation`).
pub fn of_affine(a: &Affine, rank: usize) -> Result<Orientation> {
    let mut r = nearest_rotation(a, rank)?;
    let mut order: Vec<usize> = (0..rank).collect();
    let strongest = |r: &Affine, axis: usize| (0..rank).map(|row| r[row][axis] * r[row][axis]).fold(0.0, f64::max);
    order.sort_by(|&i, &j| strongest(&r, j).total_cmp(&strongest(&r, i)));
    let mut out = vec![Axis { target: 0, flipped: false }; rank];
    for axis in order {
        let mut target = 0;
        for row in 1..rank {
            if r[row][axis].abs() > r[target][axis].abs() {
                target = row;
            }
        }
        if r[target][axis].abs() <= 1e-8 {
            return Err(Error::Geometry(format!("axis {axis} of the affine {a:?} has no direction")));
        }
        out[axis] = Axis { target, flipped: r[target][axis] < 0.0 };
        r[target] = [0.0; 4];
    }
    Ok(out)
}

/// The orientation that a code such as `RAS` names; `labels` are the letters at both ends of each patient axis.
pub fn of_codes(codes: &str, labels: &[(char, char)]) -> Result<Orientation> {
    let mut out = Orientation::new();
    for code in codes.chars() {
        let found = labels.iter().enumerate().find_map(|(target, &(low, high))| {
            let upper = code.to_ascii_uppercase();
            if code == high || upper == high {
                Some(Axis { target, flipped: false })
            } else if code == low || upper == low {
                Some(Axis { target, flipped: true })
            } else {
                None
            }
        });
        match found {
            Some(axis) if out.iter().any(|known| known.target == axis.target) => {
                return Err(Error::Geometry(format!("`{codes}` names the axis of `{code}` twice")));
            }
            Some(axis) => out.push(axis),
            None => {
                let known: Vec<String> = labels.iter().map(|(low, high)| format!("`{low}`/`{high}`")).collect();
                return Err(Error::Geometry(format!(
                    "`{code}` in `{codes}` is no axis code; they are {}",
                    known.join(", ")
                )));
            }
        }
    }
    Ok(out)
}

/// The letters of an orientation.
pub fn codes(orientation: &[Axis], labels: &[(char, char)]) -> String {
    orientation.iter().map(|axis| if axis.flipped { labels[axis.target].0 } else { labels[axis.target].1 }).collect()
}

/// For each axis of a volume oriented as `start` the axis of `end` that it becomes (nibabel's `ornt_transform`).
pub fn between(start: &[Axis], end: &[Axis]) -> Result<Orientation> {
    start
        .iter()
        .map(|from| {
            let target = end.iter().position(|to| to.target == from.target);
            target.map(|target| Axis { target, flipped: from.flipped != end[target].flipped })
        })
        .collect::<Option<_>>()
        .ok_or_else(|| Error::Geometry("the two orientations do not name the same axes".to_owned()))
}

/// The order in which the axes must be taken (after flipping): numpy's `argsort` of the targets.
pub fn permutation(change: &[Axis]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..change.len()).collect();
    order.sort_by_key(|&axis| change[axis].target);
    order
}

/// From the index of the reoriented volume to the index of the one with this shape (nibabel's `inv_ornt_aff`).
pub fn index_change(change: &[Axis], shape: &[usize]) -> Affine {
    let mut out = IDENTITY;
    for (axis, to) in change.iter().enumerate() {
        out[axis] = [0.0; 4];
        out[axis][to.target] = if to.flipped { -1.0 } else { 1.0 };
        out[axis][3] = if to.flipped { shape[axis] as f64 - 1.0 } else { 0.0 };
    }
    out
}

/// The rotation (or reflection) that is closest to an affine without its voxel sizes: the orthogonal factor of its
/// polar decomposition, by Higham's Newton iteration.
pub(crate) fn nearest_rotation(a: &Affine, rank: usize) -> Result<Affine> {
    let size = affine::spacing(a, rank);
    let mut x = IDENTITY;
    for i in 0..rank {
        for j in 0..rank {
            x[i][j] = a[i][j] / size[j];
        }
    }
    for _ in 0..100 {
        let inverse = affine::inverse(&x)?;
        let mut next = IDENTITY;
        let mut change = 0.0_f64;
        for i in 0..rank {
            for j in 0..rank {
                next[i][j] = 0.5 * (x[i][j] + inverse[j][i]);
                change = change.max((next[i][j] - x[i][j]).abs());
            }
        }
        x = next;
        if change < 1e-15 {
            break;
        }
    }
    Ok(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_typical_affines() {
        let cases: [(Affine, &str); 4] = [
            (IDENTITY, "RAS"),
            ([[-0.8, 0., 0., 0.], [0., -0.8, 0., 0.], [0., 0., 5., 0.], [0., 0., 0., 1.]], "LPS"),
            ([[0., 0., 2., 0.], [-0.8, 0., 0., 0.], [0., 1.2, 0., 0.], [0., 0., 0., 1.]], "PSR"),
            ([[0.8, 0.5, 0., 0.], [-0.5, 0.8, 0., 0.], [0., 0., -1., 0.], [0., 0., 0., 1.]], "RAI"),
        ];
        for (affine, expected) in cases {
            assert_eq!(codes(&of_affine(&affine, 3).unwrap(), &RAS_LABELS), expected);
        }
    }

    #[test]
    fn a_change_maps_corners_onto_corners() {
        let start = of_codes("PSR", &RAS_LABELS).unwrap();
        let change = between(&start, &of_codes("RAS", &RAS_LABELS).unwrap()).unwrap();
        assert_eq!(permutation(&change), [2, 0, 1]);
        let m = index_change(&change, &[4, 5, 6]);
        // the first axis ran to posterior: its last voxel is the first along the new second axis
        assert_eq!(m[0], [0., -1., 0., 3.]);
        assert_eq!(m[1], [0., 0., 1., 0.]);
        assert_eq!(m[2], [1., 0., 0., 0.]);
    }

    #[test]
    fn wrong_codes_are_named() {
        let message = of_codes("RAX", &RAS_LABELS).unwrap_err().to_string();
        assert_eq!(message, "`X` in `RAX` is no axis code; they are `L`/`R`, `P`/`A`, `I`/`S`");
        assert!(of_codes("RLS", &RAS_LABELS).unwrap_err().to_string().contains("twice"));
    }
}
