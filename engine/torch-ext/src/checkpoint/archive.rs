//! The zip file of a checkpoint: which kind of file it is, its pickle, its storages.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use tch::Tensor;
use zip::ZipArchive;
use zip::result::ZipError;

use super::error::{CheckpointError, Problem};
use super::pickle::Storages;
use crate::view;

/// What the first pickle of a file from before PyTorch 1.6 says.
const LEGACY_MAGIC: [u8; 15] =
    [0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e];

pub(super) struct Archive {
    path: PathBuf,
    file_size: u64,
    zip: ZipArchive<BufReader<File>>,
    /// the folder all records lie in: `archive/`
    prefix: String,
}

impl Archive {
    pub(super) fn open(path: &Path) -> Result<Self, CheckpointError> {
        let read = |source| CheckpointError::Read { path: path.to_path_buf(), source };
        let mut file = File::open(path).map_err(read)?;
        let file_size = file.metadata().map_err(read)?.len();
        let mut start = Vec::new();
        file.by_ref().take(LEGACY_MAGIC.len() as u64).read_to_end(&mut start).map_err(read)?;
        if !start.starts_with(b"PK\x03\x04") {
            return Err(CheckpointError::NotCheckpoint { path: path.to_path_buf(), found: describe(&start) });
        }
        file.seek(SeekFrom::Start(0)).map_err(read)?;
        let zip = ZipArchive::new(BufReader::with_capacity(1 << 20, file)).map_err(|error| match error {
            ZipError::Io(source) if source.kind() != io::ErrorKind::UnexpectedEof => read(source),
            _ => CheckpointError::Damaged {
                path: path.to_path_buf(),
                detail: format!("its end is missing, it was cut off after {file_size} bytes"),
            },
        })?;
        let prefix =
            find_prefix(&zip).map_err(|found| CheckpointError::NotCheckpoint { path: path.to_path_buf(), found })?;
        let mut archive = Self { path: path.to_path_buf(), file_size, zip, prefix };
        archive.check_byte_order()?;
        Ok(archive)
    }

    /// The bytes of `data.pkl`.
    pub(super) fn pickle(&mut self) -> Result<Vec<u8>, CheckpointError> {
        self.record("data.pkl")
    }

    fn check_byte_order(&mut self) -> Result<(), CheckpointError> {
        if self.zip.index_for_name(&format!("{}byteorder", self.prefix)).is_none() {
            return Ok(());
        }
        if self.record("byteorder")? == b"little" {
            return Ok(());
        }
        let what = "numbers in big-endian order: load and save it again on a little-endian machine".to_owned();
        Err(CheckpointError::Unsupported { path: self.path.clone(), what })
    }

    fn record(&mut self, name: &str) -> Result<Vec<u8>, CheckpointError> {
        let mut bytes = Vec::new();
        self.with_record(name, |_, record| record.read_to_end(&mut bytes).map(drop))
            .map_err(|problem| problem.at(&self.path))?;
        Ok(bytes)
    }

    /// Hands a record and its size to `read`. The size was checked against the file's, so it can be allocated.
    fn with_record(
        &mut self,
        name: &str,
        read: impl FnOnce(usize, &mut dyn Read) -> io::Result<()>,
    ) -> Result<(), Problem> {
        let mut record = self.zip.by_name(&format!("{}{name}", self.prefix)).map_err(|error| match error {
            ZipError::FileNotFound => Problem::Damaged(format!("the record `{name}` is missing")),
            error => Problem::Damaged(format!("the record `{name}`: {error}")),
        })?;
        if record.compression() != zip::CompressionMethod::Stored {
            return Err(Problem::Unsupported(format!("the compressed record `{name}`: PyTorch never compresses them")));
        }
        let size = record.size();
        if size > self.file_size {
            return Err(Problem::Damaged(format!(
                "the record `{name}` claims {size} bytes, the file has {}",
                self.file_size
            )));
        }
        read(size as usize, &mut record).map_err(|error| Problem::Damaged(format!("the record `{name}`: {error}")))
    }
}

impl Storages for Archive {
    fn storage(&mut self, key: &str) -> Result<Tensor, Problem> {
        let mut tensor = None;
        self.with_record(&format!("data/{key}"), |size, record| {
            let mut result = Ok(());
            tensor = Some(view::build::<u8>(&[size as i64], |bytes| {
                // the checksum is compared when the end is read, past the last byte
                result = record.read_exact(bytes).and_then(|()| record.read(&mut [0]).map(drop));
            }));
            result
        })?;
        tensor.ok_or_else(|| Problem::Damaged(format!("the record `data/{key}` is missing")))
    }
}

/// The folder that `data.pkl` lies in, or what this zip file is instead.
fn find_prefix(zip: &ZipArchive<BufReader<File>>) -> Result<String, String> {
    let mut prefix = None;
    for name in zip.file_names() {
        if name.ends_with("/constants.pkl") {
            return Err("it is a TorchScript model, which goes with `ts_path`".to_owned());
        }
        if let Some(folder) = name.strip_suffix("data.pkl")
            && folder.matches('/').count() <= 1
        {
            prefix = Some(folder.to_owned());
        }
    }
    prefix.ok_or_else(|| "it is a zip file without a `data.pkl` record".to_owned())
}

/// What a file that is no zip file is.
fn describe(start: &[u8]) -> String {
    if start.is_empty() {
        "it is empty".to_owned()
    } else if start == LEGACY_MAGIC || start.starts_with(&LEGACY_MAGIC[..14]) {
        "it is in the format from before PyTorch 1.6; in Python, `torch.save(torch.load(path), path)` brings it up to date".to_owned()
    } else if start.starts_with(&[0x80]) {
        "it is a bare Python pickle; `torch.save` writes checkpoints".to_owned()
    } else if start.starts_with(b"\x89HDF") {
        "it is an HDF5 file; convert the weights with `torch.save`".to_owned()
    } else if start.get(8) == Some(&b'{') {
        "it looks like a safetensors file; convert it with `torch.save`".to_owned()
    } else {
        "it does not begin like a zip file, which checkpoints are".to_owned()
    }
}
