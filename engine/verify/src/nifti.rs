//! A small NIfTI-1 reader of its own: what the engine wrote is read back by other code than that which wrote it.
//!
//! The header is that of nifti1.h (NIfTI-1.1, 2003): 348 bytes, then voxels at `vox_offset`, first axis fastest.

use std::io::Read as _;
use std::path::Path;

use byoc::Affine;
use serde_json::{Value as Json, json};
use tch::{Kind, Tensor};

/// A NIfTI-1 file as it is stored.
#[derive(Debug)]
pub(crate) struct NiftiFile {
    /// (i, j, k[, channel]), slope and intercept applied.
    pub(crate) array: Tensor,
    /// sform if there is one, else qform, else the base affine.
    pub(crate) affine: Affine,
    /// numpy's name of the stored type.
    pub(crate) dtype: &'static str,
    /// `dim`, `pixdim`, `qform_code`, `sform_code`.
    pub(crate) header: Json,
}

struct Header<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

impl Header<'_> {
    fn i16(&self, at: usize) -> i16 {
        let bytes = [self.bytes[at], self.bytes[at + 1]];
        if self.big_endian { i16::from_be_bytes(bytes) } else { i16::from_le_bytes(bytes) }
    }

    fn f32(&self, at: usize) -> f32 {
        let bytes = [self.bytes[at], self.bytes[at + 1], self.bytes[at + 2], self.bytes[at + 3]];
        if self.big_endian { f32::from_be_bytes(bytes) } else { f32::from_le_bytes(bytes) }
    }
}

impl NiftiFile {
    /// Whether a file is named `.nii` or `.nii.gz`.
    pub(crate) fn is_one(file: &Path) -> bool {
        let has = |path: &Path, wanted: &str| path.extension().is_some_and(|found| found.eq_ignore_ascii_case(wanted));
        has(file, "nii") || (has(file, "gz") && file.file_stem().is_some_and(|stem| has(Path::new(stem), "nii")))
    }

    /// Reads `.nii` or `.nii.gz`.
    pub(crate) fn read(file: &Path) -> Result<Self, String> {
        let stored = std::fs::read(file).map_err(|error| format!("cannot read `{}`: {error}", file.display()))?;
        let bytes = if stored.starts_with(&[0x1f, 0x8b]) {
            let mut bytes = Vec::new();
            let read = flate2::read::GzDecoder::new(stored.as_slice()).read_to_end(&mut bytes);
            read.map_err(|error| format!("`{}` is a broken gzip file: {error}", file.display()))?;
            bytes
        } else {
            stored
        };
        Self::parse(&bytes).map_err(|error| format!("`{}`: {error}", file.display()))
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let size = bytes.get(..4).and_then(|b| b.try_into().ok()).map(i32::from_le_bytes);
        let big_endian = match size {
            Some(348) => false,
            Some(size) if size.swap_bytes() == 348 => true,
            _ => return Err("no NIfTI-1 header".to_owned()),
        };
        if bytes.len() < 348 {
            return Err(format!("ends within the header, after {} bytes", bytes.len()));
        }
        let header = Header { bytes, big_endian };
        let dim: Vec<i64> = (0..8).map(|i| i64::from(header.i16(40 + 2 * i))).collect();
        let pixdim: Vec<f32> = (0..8).map(|i| header.f32(76 + 4 * i)).collect();
        let rank =
            usize::try_from(dim[0]).ok().filter(|rank| (1..=7).contains(rank)).ok_or("`dim[0]` is not 1 to 7")?;
        let shape = &dim[1..=rank];
        let (kind, dtype, width) = match header.i16(70) {
            2 => (Kind::Uint8, "uint8", 1),
            4 => (Kind::Int16, "int16", 2),
            8 => (Kind::Int, "int32", 4),
            16 => (Kind::Float, "float32", 4),
            64 => (Kind::Double, "float64", 8),
            256 => (Kind::Int8, "int8", 1),
            512 => (Kind::Int, "uint16", 2),
            1024 => (Kind::Int64, "int64", 8),
            other => return Err(format!("data type {other} is not known here")),
        };
        let n = shape.iter().product::<i64>() as usize;
        let offset = header.f32(108) as usize;
        let data = bytes.get(offset..offset + n * width).ok_or("ends within the voxels")?;
        let mut data = data.to_vec();
        if big_endian {
            data.chunks_exact_mut(width).for_each(<[u8]>::reverse);
        }
        if dtype == "uint16" {
            data =
                data.chunks_exact(2).flat_map(|b| i32::from(u16::from_le_bytes([b[0], b[1]])).to_le_bytes()).collect();
        }
        // the first axis runs fastest: libtorch sees the reversed shape
        let reversed: Vec<i64> = shape.iter().rev().copied().collect();
        let order: Vec<i64> = (0..rank as i64).rev().collect();
        let stored = Tensor::f_from_data_size(&data, &reversed, kind).and_then(|tensor| tensor.f_permute(order));
        let mut array = stored.map_err(|error| byoc::torch_message(&error.to_string()))?;
        let (slope, intercept) = (header.f32(112), header.f32(116));
        if slope != 0.0 && slope.is_finite() && (slope, intercept) != (1.0, 0.0) {
            array = array.to_kind(Kind::Double) * f64::from(slope) + f64::from(intercept);
        }
        let (qform_code, sform_code) = (header.i16(252), header.i16(254));
        let pixdim_json: Vec<f64> = pixdim.iter().copied().map(f64::from).collect();
        let affine = if sform_code > 0 {
            sform(&header)
        } else if qform_code > 0 {
            qform(&header, &pixdim)
        } else {
            base(shape, &pixdim)
        };
        Ok(Self {
            array,
            affine,
            dtype,
            header: json!({ "dim": dim, "pixdim": pixdim_json, "qform_code": qform_code, "sform_code": sform_code }),
        })
    }
}

fn sform(header: &Header<'_>) -> Affine {
    let mut affine = byoc::IDENTITY_AFFINE;
    for (row, values) in affine.iter_mut().take(3).enumerate() {
        for (column, value) in values.iter_mut().enumerate() {
            *value = f64::from(header.f32(280 + 16 * row + 4 * column));
        }
    }
    affine
}

/// Quaternion to matrix, as nifti1.h describes it (method 2).
fn qform(header: &Header<'_>, pixdim: &[f32]) -> Affine {
    let [b, c, d] = [256, 260, 264].map(|at| f64::from(header.f32(at)));
    let a = (1.0 - (b * b + c * c + d * d)).max(0.0).sqrt();
    let rotation = [
        [a * a + b * b - c * c - d * d, 2.0 * (b * c - a * d), 2.0 * (b * d + a * c)],
        [2.0 * (b * c + a * d), a * a + c * c - b * b - d * d, 2.0 * (c * d - a * b)],
        [2.0 * (b * d - a * c), 2.0 * (c * d + a * b), a * a + d * d - b * b - c * c],
    ];
    let handedness = if pixdim[0] < 0.0 { -1.0 } else { 1.0 };
    let zooms = [f64::from(pixdim[1]), f64::from(pixdim[2]), handedness * f64::from(pixdim[3])];
    let mut affine = byoc::IDENTITY_AFFINE;
    for row in 0..3 {
        for column in 0..3 {
            affine[row][column] = rotation[row][column] * zooms[column];
        }
        affine[row][3] = f64::from(header.f32(268 + 4 * row));
    }
    affine
}

/// Without a form: the zooms, the first axis mirrored, the centre of the volume at the origin (as nibabel has it).
fn base(shape: &[i64], pixdim: &[f32]) -> Affine {
    let mut affine = byoc::IDENTITY_AFFINE;
    for axis in 0..3 {
        let zoom = f64::from(pixdim[axis + 1]) * if axis == 0 { -1.0 } else { 1.0 };
        let size = shape.get(axis).copied().unwrap_or(1) as f64;
        affine[axis][axis] = zoom;
        affine[axis][3] = -zoom * (size - 1.0) / 2.0;
    }
    affine
}
