//! Opening a staged library. The only place where foreign code gets into this process.

use std::ffi::{CStr, c_void};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::{Mutex, OnceLock, PoisonError};

use byoc::host::{LIBTORCH, Manifest, PluginLibrary, PluginStep, symbol};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use crate::{LoadCode, LoadError};

/// The linker and its constructors are called by one thread at a time.
static LINKER: Mutex<()> = Mutex::new(());

/// Opens a staged library and asks it for its components. It stays open until the process ends: thread-locals,
/// objects and vtables of it may live anywhere by then.
///
/// `file` is the file as the user knows it.
pub(crate) fn open(staged: &Path, manifest: &Manifest, file: &Path) -> Result<PluginLibrary, LoadError> {
    check_host()?;
    let _linker = LINKER.lock().unwrap_or_else(PoisonError::into_inner);
    // RTLD_NOW: a missing symbol is an error now and not the end of the process at its first call. RTLD_LOCAL: every
    // plugin has the same foreign names in it. RTLD_NODELETE: see above.
    let flags = RTLD_NOW | RTLD_LOCAL | libc::RTLD_NODELETE;
    // SAFETY: the bytes at this path were checked to be a whole plugin of our ABI, and nobody else writes there. What its
    // constructors do is the author's; an unknown build has been through the probe.
    let library = unsafe { Library::open(Some(staged), flags) }.map_err(|error| {
        // libloading keeps the linker's words one level down
        let words = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        link_error(file, &words)
    })?;
    let name = symbol(&manifest.plugin.module);
    // SAFETY: only the address is taken.
    let address = unsafe { library.get::<*mut c_void>(name.as_bytes()) }.map(|it| NonNull::new(it.as_raw_ptr()));
    // dropping it would close it
    std::mem::forget(library);
    let Ok(Some(address)) = address else {
        let message = format!("it has a plugin's header, but does not export `{name}`");
        return Err(LoadError::new(LoadCode::LinkFailed, file, message)
            .help("do not strip exported symbols; build it as a `cdylib` with `cargo build --release`"));
    };
    // SAFETY: `export_plugin!` makes a static of this name; ABI and libtorch were compared, the library stays open.
    let plugin = unsafe { PluginLibrary::from_raw(address, manifest) };
    plugin.map_err(|error| {
        let code = match error.step {
            PluginStep::Layout => LoadCode::LayoutDiffers,
            PluginStep::Init => LoadCode::InitFailed,
            PluginStep::Describe => LoadCode::DescribeFailed,
            PluginStep::Duplicate => LoadCode::Duplicate,
        };
        let refused = LoadError::new(code, file, error.message);
        match error.detail {
            Some(detail) => refused.detail(detail),
            None => refused,
        }
    })
}

/// Whether this process runs the libtorch that the engine was built for: its library's file name carries no version, so
/// that a wrong one would be found out by a crash.
pub fn check_host() -> Result<(), LoadError> {
    static RUNNING: OnceLock<Option<String>> = OnceLock::new();
    let running = RUNNING.get_or_init(running_libtorch);
    match running {
        Some(version) if version == LIBTORCH => Ok(()),
        other => {
            let running = other.as_deref().unwrap_or("of an unknown version");
            let program = std::env::current_exe().unwrap_or_default();
            let message = format!("this engine was built for libtorch {LIBTORCH}, but runs with libtorch {running}");
            Err(LoadError::new(LoadCode::HostLibtorch, &program, message)
                .help("take another libtorch out of `LD_LIBRARY_PATH`; `mmar doctor` shows which one is found"))
        }
    }
}

fn running_libtorch() -> Option<String> {
    const NAME: &CStr = c"aoti_torch_abi_version";
    // SAFETY: looks a name up in the libraries that are loaded already.
    let function = unsafe { libc::dlsym(libc::RTLD_DEFAULT, NAME.as_ptr()) };
    let function = NonNull::new(function)?;
    // SAFETY: libtorch declares it as `uint64_t aoti_torch_abi_version()`.
    let function = unsafe { std::mem::transmute::<*mut c_void, extern "C" fn() -> u64>(function.as_ptr()) };
    let [major, minor, patch, ..] = function().to_be_bytes();
    Some(format!("{major}.{minor}.{patch}"))
}

/// The dynamic linker's words, put as what is missing and what to do.
fn link_error(file: &Path, text: &str) -> LoadError {
    let after = |marker: &str| text.split_once(marker).map(|(_, rest)| rest.trim());
    let (message, help) = if let Some(symbol) = after("undefined symbol: ") {
        let symbol = symbol.split([' ', ',', '\n']).next().unwrap_or(symbol);
        let message = format!("the function or variable `{:#}` is missing", rustc_demangle::demangle(symbol));
        (message, "link the library that provides it, or rebuild the plugin against the engine's libtorch")
    } else if let Some(version) = after("version `").and_then(|rest| rest.split_once('\'')).map(|(version, _)| version)
    {
        let here = glibc_version();
        (
            format!("it needs `{version}`, this machine has glibc {here}"),
            "build it on a machine that is not newer than this one",
        )
    } else if text.contains("cannot open shared object file") {
        let library = text.split(": cannot open shared object file").next().unwrap_or_default();
        let library = library.rsplit([' ', ':']).next().unwrap_or_default();
        (
            format!("it needs the library `{library}`, which was not found"),
            "install it, or add its folder to `LD_LIBRARY_PATH`",
        )
    } else if text.contains("failed to map segment") {
        (
            "the folder of its private copy does not allow code to run".to_owned(),
            "`MMAR_CACHE_DIR` names another folder, on a file system that is not mounted with `noexec`",
        )
    } else {
        ("the dynamic linker refused it".to_owned(), "the line below is what the linker said")
    };
    LoadError::new(LoadCode::LinkFailed, file, message).help(help).detail(text.to_owned())
}

fn glibc_version() -> String {
    // SAFETY: it takes nothing and cannot fail.
    let version = unsafe { libc::gnu_get_libc_version() };
    // SAFETY: a static string of glibc.
    let version = unsafe { CStr::from_ptr(version) };
    version.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::{check_host, link_error};
    use std::path::Path;

    #[test]
    fn the_linkers_words_become_what_is_missing() {
        for (said, expected) in [
            ("/x/a.so: undefined symbol: no_such_function", "the function or variable `no_such_function` is missing"),
            (
                "/x/a.so: undefined symbol: _ZN4core3fmt9Formatter9write_str17h0123456789abcdefE",
                "the function or variable `core::fmt::Formatter::write_str` is missing",
            ),
            (
                "libfoo.so.3: cannot open shared object file: No such file or directory",
                "it needs the library `libfoo.so.3`, which was not found",
            ),
            ("something else", "the dynamic linker refused it"),
        ] {
            let error = link_error(Path::new("libx.so"), said);
            assert_eq!((error.message.as_str(), error.detail.as_deref()), (expected, Some(said)));
        }
        let glibc = "/lib/libc.so.6: version `GLIBC_2.99' not found (required by /x/a.so)";
        assert!(link_error(Path::new("libx.so"), glibc).message.starts_with("it needs `GLIBC_2.99`, this machine has"));
    }

    #[test]
    fn this_process_runs_the_libtorch_it_was_built_for() {
        // a tensor keeps the linker from dropping libtorch
        assert_eq!(byoc::Random::from_seed(0).uniform_tensor(&[1]).numel(), 1);
        check_host().expect("the same libtorch");
    }
}
