//! Reading: file → bytes → voxels in C order.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::header::{Header, LENGTH_2};
use super::{Datatype, Voxel};
use crate::affine::Affine;
use crate::stored::{Stored, fill_row};
use crate::transpose::from_file_order;
use crate::{Error, Result};

/// Reads NIfTI files one after the other into the same memory; keep one per thread.
#[derive(Debug, Default)]
pub struct Reader {
    file: Vec<u8>,
    unpacked: Vec<u8>,
}

/// A NIfTI image whose voxels are still as stored.
#[derive(Debug)]
pub struct Nifti<'a> {
    /// What the header says.
    pub header: Header,
    /// From voxel index to RAS mm.
    pub affine: Affine,
    data: &'a [u8],
}

impl Reader {
    /// A reader without memory yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a `.nii`, `.nii.gz`, `.hdr` or `.img` file (the latter two also compressed), and the other one of a pair.
    pub fn read(&mut self, path: &Path) -> Result<Nifti<'_>> {
        let header = self.header(path)?;
        let affine = header.affine().map_err(|problem| Error::read(path, problem))?;
        let needed = header
            .data_bytes()
            .ok_or_else(|| Error::read(path, format!("its header says that its shape is {:?}", header.shape)))?;
        let data_path = if header.single_file { path.to_owned() } else { pair_of(path).1 };
        if !header.single_file {
            self.load(&data_path)?;
        }
        let data = self.unpacked.get(header.data_offset..).unwrap_or_default();
        if data.len() < needed {
            let problem = format!(
                "the file ends early: {needed} bytes of voxels ({:?} {}) are announced, {} are there",
                header.shape,
                header.datatype.name(),
                data.len()
            );
            return Err(Error::read(&data_path, problem));
        }
        Ok(Nifti { header, affine, data: &data[..needed] })
    }

    fn header(&mut self, path: &Path) -> Result<Header> {
        let path = if is_half_of_a_pair(path) { pair_of(path).0 } else { path.to_owned() };
        self.load(&path)?;
        let start = &self.unpacked[..self.unpacked.len().min(LENGTH_2)];
        Header::parse(start).map_err(|problem| Error::read(&path, problem))
    }

    /// Reads a file, unpacked, into `self.unpacked`.
    fn load(&mut self, path: &Path) -> Result<()> {
        let open = || -> std::io::Result<File> {
            let file = File::open(path)?;
            if file.metadata()?.is_dir() { Err(std::io::Error::other("it is a folder")) } else { Ok(file) }
        };
        let mut file = open().map_err(|error| Error::read(path, reason(&error)))?;
        self.file.clear();
        file.read_to_end(&mut self.file).map_err(|error| Error::read(path, reason(&error)))?;
        if self.file.is_empty() {
            return Err(Error::read(path, "it is empty"));
        }
        if self.file.starts_with(&[0x1F, 0x8B]) {
            self.inflate().map_err(|problem| Error::read(path, problem))
        } else {
            std::mem::swap(&mut self.file, &mut self.unpacked);
            Ok(())
        }
    }

    /// Unpacks a gzip file: in one go if it is one member whose last four bytes tell the size, as nearly all are, else
    /// as a stream.
    fn inflate(&mut self) -> Result<(), String> {
        let size = self.file.last_chunk::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize);
        // deflate packs at most 1032 : 1; a damaged size must not make us ask for gigabytes
        if size > 0 && size / 1040 <= self.file.len() {
            self.unpacked.resize(size, 0);
            let mut decompressor = libdeflater::Decompressor::new();
            if let Ok(n) = decompressor.gzip_decompress(&self.file, &mut self.unpacked)
                && n == size
                && Header::parse(&self.unpacked)
                    .is_ok_and(|h| h.data_bytes().is_some_and(|n| n + h.data_offset <= size))
            {
                return Ok(());
            }
        }
        self.unpacked.clear();
        flate2::read::MultiGzDecoder::new(self.file.as_slice()).read_to_end(&mut self.unpacked).map(drop).map_err(
            |error| {
                let done = self.unpacked.len();
                match error.kind() {
                    std::io::ErrorKind::UnexpectedEof => {
                        format!("the gzip stream ends early, after {done} bytes of data: the file is cut off")
                    }
                    _ => format!("the gzip stream is damaged after {done} bytes of data ({error})"),
                }
            },
        )
    }
}

fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

fn is_half_of_a_pair(path: &Path) -> bool {
    let stem = if path.extension() == Some(OsStr::new("gz")) { path.with_extension("") } else { path.to_owned() };
    matches!(stem.extension().and_then(OsStr::to_str), Some("hdr" | "img"))
}

/// The header's and the voxels' file of a pair, one of which is given.
fn pair_of(path: &Path) -> (PathBuf, PathBuf) {
    let stem = if path.extension() == Some(OsStr::new("gz")) { path.with_extension("") } else { path.to_owned() };
    let existing = |extension: &str| {
        let plain = stem.with_extension(extension);
        let mut packed = plain.clone().into_os_string();
        packed.push(".gz");
        let packed = PathBuf::from(packed);
        if !plain.exists() && packed.exists() { packed } else { plain }
    };
    (existing("hdr"), existing("img"))
}

impl Nifti<'_> {
    /// The voxels in C order, the header's scaling applied. `out` has one element for each voxel.
    pub fn fill<T: Voxel>(&self, out: &mut [T]) {
        match self.header.datatype {
            Datatype::U8 => self.fill_from::<u8, T>(out),
            Datatype::I8 => self.fill_from::<i8, T>(out),
            Datatype::I16 => self.fill_from::<i16, T>(out),
            Datatype::U16 => self.fill_from::<u16, T>(out),
            Datatype::I32 => self.fill_from::<i32, T>(out),
            Datatype::U32 => self.fill_from::<u32, T>(out),
            Datatype::I64 => self.fill_from::<i64, T>(out),
            Datatype::U64 => self.fill_from::<u64, T>(out),
            Datatype::F32 => self.fill_from::<f32, T>(out),
            Datatype::F64 => self.fill_from::<f64, T>(out),
        }
    }

    fn fill_from<S: Stored, T: Voxel>(&self, out: &mut [T]) {
        let big_endian = self.header.big_endian;
        let bytes = |start: usize| &self.data[start * S::SIZE..];
        match self.header.scaling {
            None => from_file_order(&self.header.shape, out, |start, row| {
                fill_row(bytes(start), big_endian, row, S::convert);
            }),
            Some((slope, intercept)) => from_file_order(&self.header.shape, out, |start, row| {
                fill_row(bytes(start), big_endian, row, |value: S| T::from_f64(value.as_f64() * slope + intercept));
            }),
        }
    }
}
