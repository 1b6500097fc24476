//! The header: its fields in both versions, and the affine that follows from them.

use super::Datatype;
use crate::affine::{self, Affine, IDENTITY};

/// What a header says, in either version and byte order.
#[derive(Debug, Clone)]
pub struct Header {
    /// Whether numbers are stored with their most significant byte first.
    pub big_endian: bool,
    /// Sizes of the axes, the fastest first.
    pub shape: Vec<usize>,
    /// Type of the stored voxels.
    pub datatype: Datatype,
    /// Sizes of the voxels along the axes (mm, then seconds).
    pub pixdim: [f64; 8],
    /// Scale and intercept of the stored values; absent when the file says that there is none.
    pub scaling: Option<(f64, f64)>,
    /// Code of the quaternion transform, 0: none.
    pub qform_code: i32,
    /// Code of the matrix transform, 0: none.
    pub sform_code: i32,
    pub(super) data_offset: usize,
    pub(super) single_file: bool,
    quaternion: [f64; 3],
    quaternion_offset: [f64; 3],
    sform: [[f64; 4]; 3],
}

/// Reads numbers at byte positions.
struct Fields<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

impl Fields<'_> {
    fn bytes<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut out = [0; N];
        out.copy_from_slice(&self.bytes[at..at + N]);
        if self.big_endian {
            out.reverse();
        }
        out
    }

    fn i16(&self, at: usize) -> i16 {
        i16::from_le_bytes(self.bytes(at))
    }

    fn i32(&self, at: usize) -> i32 {
        i32::from_le_bytes(self.bytes(at))
    }

    fn i64(&self, at: usize) -> i64 {
        i64::from_le_bytes(self.bytes(at))
    }

    fn f32(&self, at: usize) -> f64 {
        f64::from(f32::from_le_bytes(self.bytes(at)))
    }

    fn f64(&self, at: usize) -> f64 {
        f64::from_le_bytes(self.bytes(at))
    }
}

/// Length of the two headers.
pub(super) const LENGTH_1: usize = 348;
pub(super) const LENGTH_2: usize = 540;

impl Header {
    /// Reads a header from the first bytes of a file.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let Some(start) = bytes.first_chunk::<4>() else {
            return Err(format!("it has {} bytes, too few for a NIfTI header", bytes.len()));
        };
        let (little, big) = (i32::from_le_bytes(*start), i32::from_be_bytes(*start));
        let (length, big_endian) = match (little, big) {
            (348 | 540, _) => (little as usize, false),
            (_, 348 | 540) => (big as usize, true),
            _ => return Err(format!("it is not NIfTI: it starts with {little}, not with the header size 348 or 540")),
        };
        if bytes.len() < length {
            return Err(format!("it ends after {} of the {length} bytes of its header", bytes.len()));
        }
        let fields = Fields { bytes, big_endian };
        if length == LENGTH_1 { Self::version_1(&fields) } else { Self::version_2(&fields) }
    }

    fn version_1(fields: &Fields<'_>) -> Result<Self, String> {
        let single_file = match &fields.bytes[344..348] {
            b"n+1\0" => true,
            b"ni1\0" => false,
            magic => return Err(format!("it is not NIfTI-1: its magic is {:?}", String::from_utf8_lossy(magic))),
        };
        let row = |at: usize| std::array::from_fn(|i| fields.f32(at + 4 * i));
        Self {
            big_endian: fields.big_endian,
            shape: shape(std::array::from_fn(|i| i64::from(fields.i16(40 + 2 * i))))?,
            datatype: Datatype::from_code(fields.i16(70))?,
            pixdim: std::array::from_fn(|i| fields.f32(76 + 4 * i)),
            scaling: scaling(fields.f32(112), fields.f32(116))?,
            qform_code: i32::from(fields.i16(252)),
            sform_code: i32::from(fields.i16(254)),
            data_offset: offset(fields.f32(108) as i64, if single_file { LENGTH_1 + 4 } else { 0 })?,
            single_file,
            quaternion: std::array::from_fn(|i| fields.f32(256 + 4 * i)),
            quaternion_offset: std::array::from_fn(|i| fields.f32(268 + 4 * i)),
            sform: [row(280), row(296), row(312)],
        }
        .checked()
    }

    fn version_2(fields: &Fields<'_>) -> Result<Self, String> {
        let single_file = match &fields.bytes[4..8] {
            b"n+2\0" => true,
            b"ni2\0" => false,
            magic => return Err(format!("it is not NIfTI-2: its magic is {:?}", String::from_utf8_lossy(magic))),
        };
        let row = |at: usize| std::array::from_fn(|i| fields.f64(at + 8 * i));
        Self {
            big_endian: fields.big_endian,
            shape: shape(std::array::from_fn(|i| fields.i64(16 + 8 * i)))?,
            datatype: Datatype::from_code(fields.i16(12))?,
            pixdim: std::array::from_fn(|i| fields.f64(104 + 8 * i)),
            scaling: scaling(fields.f64(176), fields.f64(184))?,
            qform_code: fields.i32(344),
            sform_code: fields.i32(348),
            data_offset: offset(fields.i64(168), if single_file { LENGTH_2 + 4 } else { 0 })?,
            single_file,
            quaternion: std::array::from_fn(|i| fields.f64(352 + 8 * i)),
            quaternion_offset: std::array::from_fn(|i| fields.f64(376 + 8 * i)),
            sform: [row(400), row(432), row(464)],
        }
        .checked()
    }

    fn checked(self) -> Result<Self, String> {
        let finite = self.sform_code == 0 || self.sform.iter().flatten().all(|value| value.is_finite());
        if finite { Ok(self) } else { Err("its sform matrix has values that are not finite".to_owned()) }
    }

    /// Number of voxels.
    pub fn voxels(&self) -> usize {
        self.shape.iter().product()
    }

    /// Bytes of the voxels; `None` if no file can have as many.
    pub(super) fn data_bytes(&self) -> Option<usize> {
        self.shape
            .iter()
            .try_fold(self.datatype.size(), |bytes, &n| bytes.checked_mul(n))
            .filter(|&n| isize::try_from(n).is_ok())
    }

    /// Axes that are space.
    pub fn spatial_rank(&self) -> usize {
        self.shape.len().clamp(1, 3)
    }

    /// From voxel index to RAS mm: the sform if its code is set, else the qform, else voxel sizes with the first axis
    /// running to the left and the origin in the centre (nibabel). An sform whose voxel sizes contradict `pixdim` gives
    /// way to a qform that agrees with it (MONAI's `correct_nifti_header_if_necessary`).
    pub fn affine(&self) -> Result<Affine, String> {
        if self.sform_code != 0 {
            let sform = [self.sform[0], self.sform[1], self.sform[2], IDENTITY[3]];
            let rank = self.shape.len();
            let agrees = |a: &Affine| {
                affine::spacing(a, rank)[..rank]
                    .iter()
                    .zip(&self.pixdim[1..])
                    .all(|(a, b)| (a - b).abs() <= 1e-8 + 1e-5 * b.abs())
            };
            if rank <= 3
                && !agrees(&sform)
                && let Ok(qform) = self.qform()
                && agrees(&qform)
            {
                return Ok(qform);
            }
            return Ok(sform);
        }
        if self.qform_code != 0 { self.qform() } else { Ok(self.base_affine()) }
    }

    fn voxel_size(&self, axis: usize) -> f64 {
        let size = self.pixdim[1 + axis].abs();
        if size > 0.0 && size.is_finite() { size } else { 1.0 }
    }

    fn base_affine(&self) -> Affine {
        let mut out = IDENTITY;
        for axis in 0..3 {
            let present = axis < self.shape.len();
            let size = if present { self.voxel_size(axis) } else { 1.0 };
            let size = if axis == 0 { -size } else { size };
            let n = if present { self.shape[axis] } else { 1 };
            out[axis][axis] = size;
            out[axis][3] = -size * (n as f64 - 1.0) / 2.0;
        }
        out
    }

    fn qform(&self) -> Result<Affine, String> {
        let [b, c, d] = self.quaternion;
        let rest = 1.0 - (b * b + c * c + d * d);
        let a = if rest.abs() < 3.0 * f64::from(f32::EPSILON) {
            0.0
        } else if rest > 0.0 {
            rest.sqrt()
        } else {
            return Err(format!("its qform quaternion ({b}, {c}, {d}) is longer than 1"));
        };
        let scale = 2.0 / (a * a + b * b + c * c + d * d);
        let rotation = [
            [1.0 - scale * (c * c + d * d), scale * (b * c - a * d), scale * (b * d + a * c)],
            [scale * (b * c + a * d), 1.0 - scale * (b * b + d * d), scale * (c * d - a * b)],
            [scale * (b * d - a * c), scale * (c * d + a * b), 1.0 - scale * (b * b + c * c)],
        ];
        let handedness = if self.pixdim[0] < 0.0 { -1.0 } else { 1.0 };
        let size = [self.voxel_size(0), self.voxel_size(1), self.voxel_size(2) * handedness];
        let mut out = IDENTITY;
        for i in 0..3 {
            for j in 0..3 {
                out[i][j] = rotation[i][j] * size[j];
            }
            out[i][3] = self.quaternion_offset[i];
        }
        Ok(out)
    }
}

fn shape(dim: [i64; 8]) -> Result<Vec<usize>, String> {
    if !(1..=7).contains(&dim[0]) {
        return Err(format!("its header says that it has {} axes; 1 to 7 are possible", dim[0]));
    }
    let sizes = &dim[1..=dim[0] as usize];
    if sizes.iter().any(|&n| n < 1) {
        return Err(format!("its header says that its shape is {sizes:?}"));
    }
    Ok(sizes.iter().map(|&n| n as usize).collect())
}

/// Slope 0 or not finite: no scaling, and the intercept is ignored, too (nibabel).
fn scaling(slope: f64, intercept: f64) -> Result<Option<(f64, f64)>, String> {
    if slope == 0.0 || !slope.is_finite() {
        return Ok(None);
    }
    if !intercept.is_finite() {
        return Err(format!("its `scl_inter` is {intercept}, with a `scl_slope` of {slope}"));
    }
    Ok(if (slope, intercept) == (1.0, 0.0) { None } else { Some((slope, intercept)) })
}

fn offset(stated: i64, least: usize) -> Result<usize, String> {
    match usize::try_from(stated) {
        Ok(0) => Ok(least),
        Ok(offset) if offset + 4 >= least => Ok(offset),
        _ => Err(format!("its voxels start at byte {stated}, inside the header")),
    }
}
