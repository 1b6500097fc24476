//! numpy's `.npy` files: arrays without geometry.

use std::path::Path;

use crate::nifti::Voxel;
use crate::stored::{Stored, fill_row};
use crate::transpose::from_file_order;
use crate::{Error, Result};

/// An array as stored.
#[derive(Debug)]
pub struct Npy {
    /// Sizes of the axes.
    pub shape: Vec<usize>,
    descriptor: String,
    fortran_order: bool,
    bytes: Vec<u8>,
    start: usize,
}

impl Npy {
    /// Reads a `.npy` file of numbers or bools.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|error| Error::read(path, error.to_string()))?;
        Self::parse(bytes).map_err(|problem| Error::read(path, problem))
    }

    fn parse(bytes: Vec<u8>) -> Result<Self, String> {
        if !bytes.starts_with(b"\x93NUMPY") || bytes.len() < 12 {
            return Err("it is not a `.npy` file".to_owned());
        }
        let (length, from) = match bytes[6] {
            1 => (usize::from(u16::from_le_bytes([bytes[8], bytes[9]])), 10),
            _ => (u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]) as usize, 12),
        };
        let start = from + length;
        let header = bytes.get(from..start).ok_or("it ends inside its header")?;
        let header = String::from_utf8_lossy(header).into_owned();
        // {'descr': '<f4', 'fortran_order': False, 'shape': (13, 11, 7), }
        let after = |key: &str| header.split_once(key).map(|(_, rest)| rest.trim_start_matches(['\'', ':', ' ']));
        let missing = || format!("its header `{}` is not understood", header.trim());
        let descriptor = after("'descr").and_then(|rest| rest.split('\'').next()).ok_or_else(missing)?.to_owned();
        let fortran_order = after("'fortran_order").ok_or_else(missing)?.starts_with("True");
        let inside = after("'shape").and_then(|rest| rest.strip_prefix('(')?.split(')').next()).ok_or_else(missing)?;
        let sizes = inside.split(',').map(str::trim).filter(|size| !size.is_empty()).map(str::parse);
        let shape: Vec<usize> = sizes.collect::<Result<_, _>>().map_err(|_| missing())?;
        let array = Self { shape, descriptor, fortran_order, bytes, start };
        let size = array.element_size().ok_or_else(|| format!("its values are `{}`, not numbers", array.descriptor))?;
        let needed = array.shape.iter().try_fold(size, |n, &k| n.checked_mul(k)).ok_or_else(missing)?;
        let there = array.bytes.len() - start;
        if there < needed {
            return Err(format!("it ends early: {needed} bytes of values are announced, {there} are there"));
        }
        Ok(array)
    }

    fn element_size(&self) -> Option<usize> {
        match self.descriptor.get(1..)? {
            "b1" | "u1" | "i1" => Some(1),
            "u2" | "i2" => Some(2),
            "u4" | "i4" | "f4" => Some(4),
            "u8" | "i8" | "f8" => Some(8),
            _ => None,
        }
    }

    /// The values in C order.
    pub fn fill<T: Voxel>(&self, out: &mut [T]) {
        match &self.descriptor[1..] {
            "i1" => self.fill_from::<i8, T>(out),
            "u2" => self.fill_from::<u16, T>(out),
            "i2" => self.fill_from::<i16, T>(out),
            "u4" => self.fill_from::<u32, T>(out),
            "i4" => self.fill_from::<i32, T>(out),
            "f4" => self.fill_from::<f32, T>(out),
            "u8" => self.fill_from::<u64, T>(out),
            "i8" => self.fill_from::<i64, T>(out),
            "f8" => self.fill_from::<f64, T>(out),
            _ => self.fill_from::<u8, T>(out),
        }
    }

    fn fill_from<S: Stored, T: Voxel>(&self, out: &mut [T]) {
        let big_endian = self.descriptor.starts_with('>');
        let data = &self.bytes[self.start..];
        if self.fortran_order {
            from_file_order(&self.shape, out, |start, row| {
                fill_row(&data[start * S::SIZE..], big_endian, row, S::convert);
            });
        } else {
            fill_row(data, big_endian, out, S::convert);
        }
    }
}
