//! Writing: one file, NIfTI-1 unless an axis is too long for it.

use std::path::Path;

use super::Datatype;
use super::header::{LENGTH_1, LENGTH_2};
use crate::affine::{self, Affine};
use crate::orientation::nearest_rotation;
use crate::transpose::to_file_order;
use crate::{Error, Result};

/// nibabel's level. Masks, which are what is mostly written, shrink a hundredfold at any level.
const COMPRESSION: i32 = 1;

/// A voxel type that can be written.
pub trait Element: Copy + Send + Sync {
    /// The type in the file.
    const DATATYPE: Datatype;
    /// Writes the value, least significant byte first.
    fn put(self, out: &mut [u8]);
}

macro_rules! element {
    ($($type:ty, $datatype:ident;)*) => {
        $(impl Element for $type {
            const DATATYPE: Datatype = Datatype::$datatype;

            #[inline]
            fn put(self, out: &mut [u8]) {
                out.copy_from_slice(&self.to_le_bytes());
            }
        })*
    };
}

element! { u8, U8; i8, I8; i16, I16; u16, U16; i32, I32; u32, U32; i64, I64; u64, U64; f32, F32; f64, F64; }

/// Writes voxels in C order as `.nii` or `.nii.gz`; the affine becomes sform and qform, both with code 1 (scanner), as
/// MONAI's `NibabelWriter` does it. The file appears whole or not at all.
pub fn write<T: Element>(path: &Path, shape: &[usize], affine: &Affine, voxels: &[T]) -> Result<()> {
    if shape.is_empty() || shape.len() > 7 || shape.contains(&0) || shape.iter().product::<usize>() != voxels.len() {
        return Err(Error::write(
            path,
            format!("a volume of shape {shape:?} with {} voxels is not possible", voxels.len()),
        ));
    }
    let mut header = header(shape, affine, T::DATATYPE)?;
    // no extensions follow the header
    header.extend([0; 4]);
    let start = header.len();
    let mut bytes = header;
    bytes.resize(start + size_of_val(voxels), 0);
    to_file_order(shape, size_of::<T>(), &mut bytes[start..], |place, out| voxels[place].put(out));
    if path.extension().is_some_and(|extension| extension == "gz") {
        let level = libdeflater::CompressionLvl::new(COMPRESSION).unwrap_or_default();
        let mut compressor = libdeflater::Compressor::new(level);
        let mut packed = vec![0; compressor.gzip_compress_bound(bytes.len())];
        let length = compressor.gzip_compress(&bytes, &mut packed).map_err(|error| Error::write(path, error))?;
        packed.truncate(length);
        bytes = packed;
    }
    mmar_files::write(path, &bytes).map_err(|error| Error::write(path, error))
}

fn header(shape: &[usize], affine: &Affine, datatype: Datatype) -> Result<Vec<u8>> {
    let rank = shape.len();
    let large = shape.iter().any(|&n| n > i16::MAX as usize);
    let size = affine::spacing(affine, 3);
    let (quaternion, handedness) = quaternion(affine)?;
    let mut pixdim = [1.0; 8];
    pixdim[0] = handedness;
    let spatial = rank.min(3);
    pixdim[1..=spatial].copy_from_slice(&size[..spatial]);
    let mut dim = [1i64; 8];
    dim[0] = rank as i64;
    for (dim, &n) in dim[1..].iter_mut().zip(shape) {
        *dim = n as i64;
    }
    let bits = 8 * datatype.size() as i16;
    let offset: Vec<f64> = affine[..3].iter().map(|row| row[3]).collect();
    let mut out = vec![0; if large { LENGTH_2 } else { LENGTH_1 }];
    let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
    // NIfTI-1: float32 at steps of 4; NIfTI-2: float64 at steps of 8
    if large {
        put(0, &(LENGTH_2 as i32).to_le_bytes());
        put(4, b"n+2\0\r\n\x1a\n");
        put(12, &datatype.code().to_le_bytes());
        put(14, &bits.to_le_bytes());
        for i in 0..8 {
            put(16 + 8 * i, &dim[i].to_le_bytes());
            put(104 + 8 * i, &pixdim[i].to_le_bytes());
        }
        put(168, &(LENGTH_2 as i64 + 4).to_le_bytes());
        put(176, &1f64.to_le_bytes());
        put(344, &1i32.to_le_bytes());
        put(348, &1i32.to_le_bytes());
        for i in 0..3 {
            put(352 + 8 * i, &quaternion[i].to_le_bytes());
            put(376 + 8 * i, &offset[i].to_le_bytes());
            for j in 0..4 {
                put(400 + 32 * i + 8 * j, &affine[i][j].to_le_bytes());
            }
        }
        put(500, &2i32.to_le_bytes());
    } else {
        put(0, &(LENGTH_1 as i32).to_le_bytes());
        put(38, b"r");
        put(70, &datatype.code().to_le_bytes());
        put(72, &bits.to_le_bytes());
        for i in 0..8 {
            put(40 + 2 * i, &(dim[i] as i16).to_le_bytes());
            put(76 + 4 * i, &(pixdim[i] as f32).to_le_bytes());
        }
        put(108, &(LENGTH_1 as f32 + 4.0).to_le_bytes());
        put(112, &1f32.to_le_bytes());
        put(123, &[2]);
        put(252, &1i16.to_le_bytes());
        put(254, &1i16.to_le_bytes());
        for i in 0..3 {
            put(256 + 4 * i, &(quaternion[i] as f32).to_le_bytes());
            put(268 + 4 * i, &(offset[i] as f32).to_le_bytes());
            for j in 0..4 {
                put(280 + 16 * i + 4 * j, &(affine[i][j] as f32).to_le_bytes());
            }
        }
        put(344, b"n+1\0");
    }
    Ok(out)
}

/// Components b, c, d of the quaternion of the rotation nearest to an affine, and -1 if the third axis must be mirrored
/// first.
fn quaternion(a: &Affine) -> Result<([f64; 3], f64)> {
    let mut r = nearest_rotation(a, 3)?;
    let determinant = r[0][0] * (r[1][1] * r[2][2] - r[1][2] * r[2][1])
        - r[0][1] * (r[1][0] * r[2][2] - r[1][2] * r[2][0])
        + r[0][2] * (r[1][0] * r[2][1] - r[1][1] * r[2][0]);
    let handedness = if determinant < 0.0 { -1.0 } else { 1.0 };
    for row in &mut r[..3] {
        row[2] *= handedness;
    }
    // Shepperd: divide by the largest of the four components
    let trace = r[0][0] + r[1][1] + r[2][2];
    let squares = [trace, r[0][0] - r[1][1] - r[2][2], r[1][1] - r[0][0] - r[2][2], r[2][2] - r[0][0] - r[1][1]];
    let largest = (0..4).max_by(|&i, &j| squares[i].total_cmp(&squares[j])).unwrap_or(0);
    let twice = (1.0 + squares[largest]).max(0.0).sqrt();
    let part = 0.5 / twice;
    let difference = [r[2][1] - r[1][2], r[0][2] - r[2][0], r[1][0] - r[0][1]];
    let (w, mut v) = if largest == 0 {
        (0.5 * twice, difference.map(|value| value * part))
    } else {
        let axis = largest - 1;
        let v = std::array::from_fn(|i| if i == axis { 0.5 * twice } else { (r[i][axis] + r[axis][i]) * part });
        (difference[axis] * part, v)
    };
    if w < 0.0 {
        v = v.map(|value: f64| -value);
    }
    Ok((v, handedness))
}
