//! CUDA at run time: one program for machines with and without a GPU.
//!
//! The program links `libtorch_cpu` only. Where `libtorch_cuda.so` lies beside it, it is opened when the first question
//! about CUDA comes up, and registers itself. It must come before libtorch is asked anything about CUDA: one earlier
//! question pins the answer "none" for the life of the process. So ask here, never `tch::Cuda`.

#![expect(unsafe_code, reason = "opens a library and asks the dynamic linker where libtorch lies")]

use std::ffi::{CStr, OsStr};
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

/// Why there is no CUDA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unavailable {
    /// libtorch's CUDA part is not installed: this is where it was looked for.
    NotInstalled(PathBuf),
    /// libtorch's CUDA part is there and cannot be opened; the dynamic linker's reason.
    CannotOpen(PathBuf, String),
    /// The machine has no NVIDIA driver.
    NoDriver,
    /// There is a driver, and no GPU that this process may use.
    NoDevice,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInstalled(path) => {
                write!(f, "libtorch has no CUDA part here (no `{}`): `cargo xtask setup --cuda` fetches it", path.display())
            }
            Self::CannotOpen(path, reason) => write!(f, "libtorch's CUDA part `{}` cannot be opened: {reason}", path.display()),
            Self::NoDriver => f.write_str("there is no NVIDIA driver on this machine (no `libcuda.so.1`)"),
            Self::NoDevice => f.write_str(
                "there is an NVIDIA driver but no GPU that this process may use: look at `nvidia-smi` and at CUDA_VISIBLE_DEVICES",
            ),
        }
    }
}

impl std::error::Error for Unavailable {}

/// Opens libtorch's CUDA part if it is there. Later calls give the first one's answer.
pub fn load_library() -> Result<(), Unavailable> {
    static LOADED: OnceLock<Result<(), Unavailable>> = OnceLock::new();
    LOADED.get_or_init(open).clone()
}

/// How many GPUs there are, or why none can be used.
pub fn devices() -> Result<usize, Unavailable> {
    static DEVICES: OnceLock<Result<usize, Unavailable>> = OnceLock::new();
    DEVICES
        .get_or_init(|| {
            load_library()?;
            if !has_driver() {
                return Err(Unavailable::NoDriver);
            }
            match usize::try_from(tch::Cuda::device_count()) {
                Ok(count) if count > 0 => Ok(count),
                _ => Err(Unavailable::NoDevice),
            }
        })
        .clone()
}

/// Whether there is a GPU to use.
pub fn is_available() -> bool {
    devices().is_ok()
}

fn open() -> Result<(), Unavailable> {
    let path = libtorch_directory().unwrap_or_default().join("libtorch_cuda.so");
    if !path.exists() {
        return Err(Unavailable::NotInstalled(path));
    }
    // SAFETY: libtorch's own library, of the same build as the one in this process; its initialisers only register
    // operators. Symbols are global because its own kernels libraries look them up
    match unsafe { Library::open(Some(&path), RTLD_NOW | RTLD_GLOBAL) } {
        Ok(library) => {
            // closing it would leave dangling operators
            std::mem::forget(library);
            Ok(())
        }
        Err(error) => Err(Unavailable::CannotOpen(path, error.to_string())),
    }
}

fn has_driver() -> bool {
    // SAFETY: the driver's library has no initialisers of consequence, and libtorch's CUDA part opens it as well
    unsafe { Library::open(Some("libcuda.so.1"), RTLD_NOW) }.map(std::mem::forget).is_ok()
}

/// Where the libtorch of this process lies.
pub fn libtorch_directory() -> Option<PathBuf> {
    // `at::globalContext()`, a function of libtorch_cpu that no one else has
    // SAFETY: a terminated name; the handle asks for the symbol as this program sees it
    let symbol = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"_ZN2at13globalContextEv".as_ptr()) };
    if symbol.is_null() {
        return None;
    }
    let mut info = libc::Dl_info {
        dli_fname: std::ptr::null(),
        dli_fbase: std::ptr::null_mut(),
        dli_sname: std::ptr::null(),
        dli_saddr: std::ptr::null_mut(),
    };
    // SAFETY: `info` is valid for the time of the call
    let found = unsafe { libc::dladdr(symbol, &raw mut info) };
    if found == 0 || info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: the dynamic linker's own terminated string, which lives as long as the library
    let file = unsafe { CStr::from_ptr(info.dli_fname) };
    let file = Path::new(OsStr::from_bytes(file.to_bytes()));
    let file = file.canonicalize().unwrap_or_else(|_| file.to_path_buf());
    file.parent().map(Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use super::{Unavailable, devices, libtorch_directory, load_library};

    #[test]
    fn libtorch_is_found_where_it_was_opened_from() {
        assert!(libtorch_directory().unwrap().join("libtorch_cpu.so").exists());
    }

    #[test]
    fn without_cuda_the_reason_is_told() {
        let installed = libtorch_directory().unwrap().join("libtorch_cuda.so").exists();
        match devices() {
            Ok(count) => assert!(installed && count > 0),
            Err(Unavailable::NotInstalled(path)) => assert!(!installed && path.ends_with("libtorch_cuda.so")),
            Err(reason) => assert!(installed, "{reason}"),
        }
        assert_eq!(load_library().is_ok(), installed);
    }
}
