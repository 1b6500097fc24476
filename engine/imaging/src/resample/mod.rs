//! Resampling a volume onto another grid, with the numbers of PyTorch's `grid_sample` in float64.
//!
//! A matrix takes the index of an output voxel to a position among the source voxels. Without rotation the three axes
//! are independent: a trilinear resampling is three one-dimensional passes and a nearest one three index tables, which
//! is tens of times faster than sampling a grid of positions. Rotated volumes take the general way.

mod axis;
mod general;
mod separable;

use crate::affine::Affine;
use crate::{Error, Result};

/// How the value between voxels is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interpolation {
    /// From the two nearest voxels along each axis.
    Linear,
    /// The nearest voxel; half way the one with the even index.
    Nearest,
}

/// What lies outside of the volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// The nearest voxel of the border.
    Border,
    /// Zero.
    Zeros,
    /// The volume mirrored at the voxels' outer faces, or with `align_corners` at the centres of the outermost voxels.
    Reflection,
}

/// How to resample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Between voxels.
    pub interpolation: Interpolation,
    /// Outside.
    pub padding: Padding,
    /// Where [`Padding::Reflection`] puts its mirror.
    pub align_corners: bool,
}

impl Options {
    /// Where a position among `n` voxels is looked up.
    fn place(self, position: f64, n: usize) -> f64 {
        let last = n as f64 - 1.0;
        match self.padding {
            Padding::Zeros => position,
            Padding::Border => position.clamp(0.0, last),
            Padding::Reflection => {
                let (low, span) = if self.align_corners { (0.0, last) } else { (-0.5, n as f64) };
                if span == 0.0 {
                    return 0.0;
                }
                let distance = (position - low).abs();
                let turns = (distance / span).floor();
                let rest = distance - turns * span;
                let mirrored = if turns % 2.0 == 0.0 { low + rest } else { low + span - rest };
                mirrored.clamp(0.0, last)
            }
        }
    }
}

/// A value that can be interpolated.
pub trait Sample: Copy + Default + Send + Sync {
    /// As float64.
    fn to_f64(self) -> f64;
    /// From float64.
    fn from_f64(value: f64) -> Self;
}

macro_rules! sample {
    ($($type:ty)*) => {
        $(impl Sample for $type {
            #[inline]
            fn to_f64(self) -> f64 {
                self as f64
            }

            #[inline]
            fn from_f64(value: f64) -> Self {
                value as Self
            }
        })*
    };
}

sample! { u8 i16 i32 f32 f64 }

/// The displacement, in voxels, below which an off-diagonal element counts as zero.
const ALIGNED: f64 = 1e-9;

/// Resamples `source` (C order) onto a grid of `target_shape`, whose voxel (i, j, k) lies at `matrix` · (i, j, k, 1)
/// among the source voxels.
///
/// Shapes have three axes; data of fewer has leading axes of 1, see [`embed`] for its matrix.
pub fn resample<T: Sample>(
    source: &[T],
    source_shape: [usize; 3],
    matrix: &Affine,
    target_shape: [usize; 3],
    options: Options,
    target: &mut [T],
) -> Result<()> {
    if !has_voxels(source, source_shape, target_shape, target)? {
        return Ok(());
    }
    let aligned = (0..3).all(|row| {
        (0..3)
            .filter(|&column| column != row)
            .map(|column| matrix[row][column].abs() * (target_shape[column] as f64))
            .sum::<f64>()
            < ALIGNED
    });
    if aligned {
        let tables: [axis::Table; 3] = std::array::from_fn(|axis| {
            axis::Table::new(source_shape[axis], target_shape[axis], matrix[axis][axis], matrix[axis][3], options)
        });
        separable::resample(source, source_shape, &tables, target_shape, options.interpolation, target);
    } else {
        general::resample(source, source_shape, matrix, target_shape, options, target);
    }
    Ok(())
}

/// Whether there is anything to compute; an error if slices and shapes do not fit each other.
fn has_voxels<T: Sample>(
    source: &[T],
    source_shape: [usize; 3],
    target_shape: [usize; 3],
    target: &mut [T],
) -> Result<bool> {
    let volume = |shape: [usize; 3]| shape.iter().product::<usize>();
    if volume(source_shape) != source.len() || volume(target_shape) != target.len() {
        let message = format!(
            "shapes {source_shape:?} and {target_shape:?} do not fit {} and {} voxels",
            source.len(),
            target.len()
        );
        return Err(Error::Geometry(message));
    }
    if source.is_empty() || target.is_empty() {
        target.fill(T::default());
        return Ok(false);
    }
    Ok(true)
}

/// Resamples `source` (C order) at any positions: `position` gives the one among the source voxels for an output voxel.
///
/// Shapes as in [`resample`].
pub fn resample_at<T: Sample>(
    source: &[T],
    source_shape: [usize; 3],
    target_shape: [usize; 3],
    options: Options,
    position: impl Fn([usize; 3]) -> [f64; 3] + Sync,
    target: &mut [T],
) -> Result<()> {
    if has_voxels(source, source_shape, target_shape, target)? {
        general::resample_at(source, source_shape, target_shape, options, position, target);
    }
    Ok(())
}

/// [`resample`] by the general way, whatever the matrix: for tests and measurements.
#[doc(hidden)]
pub fn resample_general<T: Sample>(
    source: &[T],
    source_shape: [usize; 3],
    matrix: &Affine,
    target_shape: [usize; 3],
    options: Options,
    target: &mut [T],
) {
    general::resample(source, source_shape, matrix, target_shape, options, target);
}

/// A matrix for data of `rank` axes in the form that [`resample`] wants: its axes become the last ones.
pub fn embed(matrix: &Affine, rank: usize) -> Affine {
    let mut out = crate::affine::IDENTITY;
    let first = 3 - rank;
    for i in 0..rank {
        for j in 0..rank {
            out[i + first][j + first] = matrix[i][j];
        }
        out[i + first][3] = matrix[i][3];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(shape: [usize; 3]) -> Vec<f64> {
        // any bumpy function
        let mut values = Vec::new();
        for x in 0..shape[0] {
            for y in 0..shape[1] {
                for z in 0..shape[2] {
                    values.push(((x * 7 + y * 13 + z * 29) % 31) as f64 - 11.0 + x as f64);
                }
            }
        }
        values
    }

    #[test]
    fn both_ways_agree_on_aligned_grids() {
        let shape = [7, 6, 5];
        let source = volume(shape);
        let matrix = [[0.63, 0., 0., -1.2], [0., 1.4, 0., 0.3], [0., 0., 0.21, 0.1], [0., 0., 0., 1.]];
        let target_shape = [12, 5, 30];
        for interpolation in [Interpolation::Linear, Interpolation::Nearest] {
            for padding in [Padding::Border, Padding::Zeros, Padding::Reflection] {
                for align_corners in [false, true] {
                    let options = Options { interpolation, padding, align_corners };
                    let mut fast = vec![0.0; 12 * 5 * 30];
                    resample(&source, shape, &matrix, target_shape, options, &mut fast).unwrap();
                    let mut slow = vec![0.0; fast.len()];
                    resample_general(&source, shape, &matrix, target_shape, options, &mut slow);
                    let worst = fast.iter().zip(&slow).map(|(a, b): (&f64, &f64)| (a - b).abs()).fold(0.0, f64::max);
                    assert!(worst < 1e-12, "{options:?}: {worst}");
                }
            }
        }
    }

    #[test]
    fn a_linear_field_is_reproduced_under_rotation() {
        let shape = [12, 12, 12];
        let field = |p: [f64; 3]| 2.0 * p[0] - 3.0 * p[1] + 0.5 * p[2];
        let mut source = Vec::new();
        for x in 0..12 {
            for y in 0..12 {
                for z in 0..12 {
                    source.push(field([f64::from(x), f64::from(y), f64::from(z)]));
                }
            }
        }
        let matrix = [[0.8, -0.3, 0.1, 3.0], [0.3, 0.8, 0.0, 2.0], [0.0, 0.1, 0.9, 1.0], [0., 0., 0., 1.]];
        let options = Options { interpolation: Interpolation::Linear, padding: Padding::Border, align_corners: false };
        let mut target = vec![0.0; 5 * 5 * 5];
        resample(&source, shape, &matrix, [5, 5, 5], options, &mut target).unwrap();
        for (index, value) in target.iter().enumerate() {
            let i = [index / 25, index / 5 % 5, index % 5].map(|i| i as f64);
            let p: [f64; 3] =
                std::array::from_fn(|r| matrix[r][0] * i[0] + matrix[r][1] * i[1] + matrix[r][2] * i[2] + matrix[r][3]);
            assert!((value - field(p)).abs() < 1e-10);
        }
    }

    #[test]
    fn ties_go_to_the_even_voxel() {
        let source: Vec<u8> = (0..4).collect();
        let options = Options { interpolation: Interpolation::Nearest, padding: Padding::Border, align_corners: false };
        let matrix = [[1., 0., 0., 0.], [0., 1., 0., 0.], [0., 0., 0.5, 0.], [0., 0., 0., 1.]];
        let mut target = [0; 7];
        resample(&source, [1, 1, 4], &matrix, [1, 1, 7], options, &mut target).unwrap();
        assert_eq!(target, [0, 0, 1, 2, 2, 2, 3]);
    }

    #[test]
    fn reflection_mirrors_at_faces_or_centres() {
        let options = |align_corners| Options {
            interpolation: Interpolation::Linear,
            padding: Padding::Reflection,
            align_corners,
        };
        // faces: … 1 0 | 0 1 2 | 2 1 …; centres: … 1 | 0 1 2 | 1 …
        assert_eq!([-1.0, -2.0, 3.0, 4.0, 6.0].map(|p| options(false).place(p, 3)), [0.0, 1.0, 2.0, 1.0, 0.0]);
        assert_eq!([-1.0, -2.0, 3.0, 4.0, 6.0].map(|p| options(true).place(p, 3)), [1.0, 2.0, 1.0, 0.0, 2.0]);
    }
}
