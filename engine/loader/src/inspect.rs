//! What a plugin's file says about itself. Nothing of it is opened or run: the bytes are read once.

use std::path::{Path, PathBuf};

use byoc::host::{ABI, Header, HeaderError, LIBTORCH, LIBTORCH_FLAVOUR, Manifest, RUSTC, SECTION, TARGET};
use sha2::{Digest, Sha256};

use crate::elf::{self, Flaw};
use crate::path::is_identifier;
use crate::{LoadCode, LoadError};

/// A plugin's file, read and understood.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// The file.
    pub file: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// Identity of the build.
    pub sha256: String,
    /// What it was built from and with.
    pub manifest: Manifest,
    /// Whether it was built with debug assertions.
    pub debug: bool,
    unwinds: bool,
    bytes: Vec<u8>,
}

/// Reads a plugin's file: a whole library for this machine, with a header and a manifest.
///
/// A plugin of another ABI or libtorch is an inspection, too, as long as its manifest can be read;
/// [`Inspection::check`] says whether this host can load it.
pub fn inspect(file: &Path) -> Result<Inspection, LoadError> {
    let bytes = std::fs::read(file)
        .map_err(|error| LoadError::new(LoadCode::Unreadable, file, format!("it cannot be read: {error}")))?;
    elf::check(&bytes).map_err(|flaw| flawed(file, flaw))?;
    let section = elf::section(&bytes, SECTION).map_err(|flaw| flawed(file, flaw))?;
    let Some(section) = section else {
        let message = format!("it is a library, but no plugin: it has no section `{SECTION}`");
        return Err(LoadError::new(LoadCode::NotAPlugin, file, message)
            .help("a plugin calls `byoc::export_plugin!` once, at the root of a `cdylib` crate"));
    };
    let header = Header::parse(section).map_err(|error| bad_header(file, error))?;
    let manifest = match header.manifest {
        Ok(manifest) => manifest,
        // a manifest that cannot be read is no wonder in a plugin of another ABI, and that is what the user must hear
        Err(_) if !ABI.accepts(header.abi) => return Err(wrong_abi(file, header.abi, None)),
        Err(error) => {
            let message = format!("its manifest is damaged: {error}");
            return Err(LoadError::new(LoadCode::BadHeader, file, message).help(REBUILD));
        }
    };
    let manifest = Manifest { abi: header.abi, ..manifest };
    let module = &manifest.plugin.module;
    if !is_identifier(module) {
        let message = format!("its manifest calls the module `{module}`, which no path can name");
        return Err(LoadError::new(LoadCode::BadHeader, file, message).help(REBUILD));
    }
    let sha256 = format!("{:x}", Sha256::digest(&bytes));
    let (debug, unwinds) = (header.debug, header.unwinds);
    Ok(Inspection { file: file.to_owned(), size: bytes.len() as u64, sha256, manifest, debug, unwinds, bytes })
}

impl Inspection {
    /// Whether this host can load the plugin; what it should be told even if it can comes back as warnings.
    pub fn check(&self) -> Result<Vec<String>, LoadError> {
        let (file, manifest) = (&self.file, &self.manifest);
        if !ABI.accepts(manifest.abi) {
            return Err(wrong_abi(file, manifest.abi, Some(&manifest.plugin_api)));
        }
        if !manifest.target.is_empty() && manifest.target != TARGET {
            let message = format!("it was built for `{}`, this engine for `{TARGET}`", manifest.target);
            return Err(LoadError::new(LoadCode::WrongTarget, file, message)
                .help(format!("rebuild it with `cargo build --release --target {TARGET}`")));
        }
        if manifest.libtorch != LIBTORCH {
            let message =
                format!("it was built for libtorch {}, this engine runs libtorch {LIBTORCH}", manifest.libtorch);
            return Err(LoadError::new(LoadCode::WrongLibtorch, file, message).help(format!(
                "rebuild it with the `tch` version that this engine uses, and `LIBTORCH` set to a libtorch {LIBTORCH}"
            )));
        }
        if !self.unwinds || manifest.panic == "abort" {
            let message = "it was built with `panic = \"abort\"`: one panic of a component would end the run";
            return Err(LoadError::new(LoadCode::PanicAborts, file, message)
                .help("take `panic = \"abort\"` out of the profile in its Cargo.toml and rebuild it"));
        }
        let mut warnings = Vec::new();
        if manifest.cuda != LIBTORCH_FLAVOUR {
            warnings.push(format!(
                "it was built against the `{}` flavour of libtorch, this engine against `{LIBTORCH_FLAVOUR}`",
                manifest.cuda
            ));
        }
        if manifest.profile == "debug" || self.debug {
            warnings.push("it is a debug build, which is slower than a release build".to_owned());
        }
        if manifest.rustc != RUSTC {
            tracing::debug!(plugin = manifest.rustc, engine = RUSTC, "built by different compilers, which is fine");
        }
        Ok(warnings)
    }

    /// The file's bytes, as they were checked.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

const REBUILD: &str = "rebuild it with `cargo build --release`";

fn wrong_abi(file: &Path, abi: byoc::host::AbiVersion, plugin_api: Option<&str>) -> LoadError {
    let built = plugin_api.map(|version| format!(" (`byoc` {version})")).unwrap_or_default();
    let message = format!("it speaks plugin ABI {abi}{built}, this engine speaks {ABI}");
    let help = if abi.major == ABI.major {
        "it is newer than this engine: update the engine, or rebuild the plugin with the engine's own `byoc`"
    } else {
        "rebuild it with the `byoc` of this engine: `cargo update -p byoc && cargo build --release`"
    };
    LoadError::new(LoadCode::WrongAbi, file, message).help(help)
}

fn flawed(file: &Path, flaw: Flaw) -> LoadError {
    match flaw {
        Flaw::NotElf => LoadError::new(LoadCode::NotALibrary, file, "it is no shared library (no ELF file)"),
        Flaw::NotShared => LoadError::new(LoadCode::NotALibrary, file, "it is an ELF file, but no shared library")
            .help("a plugin's Cargo.toml says `crate-type = [\"cdylib\"]`"),
        Flaw::Incomplete { needed, found } => {
            let message = format!("it is cut off: {found} bytes are there, at least {needed} belong to it");
            LoadError::new(LoadCode::Incomplete, file, message)
                .help("let the build or copy finish; `mmar plugin install` never leaves half a file")
        }
        Flaw::OtherMachine(machine) => {
            let message = format!("it was built for {machine}, this machine is {}", std::env::consts::ARCH);
            LoadError::new(LoadCode::WrongTarget, file, message).help(format!("rebuild it for `{TARGET}`"))
        }
        Flaw::Malformed(why) => LoadError::new(LoadCode::NotALibrary, file, format!("it is a damaged library: {why}")),
    }
}

fn bad_header(file: &Path, error: HeaderError) -> LoadError {
    match error {
        HeaderError::Magic(found) => {
            let found: Vec<String> = found.iter().map(|byte| format!("{byte:02x}")).collect();
            let message =
                format!("its section `{SECTION}` does not begin as a plugin's does, but with `{}`", found.join(" "));
            LoadError::new(LoadCode::BadHeader, file, message).help(REBUILD)
        }
        HeaderError::Truncated { needed, found } => {
            let message = format!("its header is cut off: it needs {needed} bytes and has {found}");
            LoadError::new(LoadCode::BadHeader, file, message).help(REBUILD)
        }
        HeaderError::Several(modules) => {
            let message = format!("several plugins are linked into it: `{}`", modules.join("`, `"));
            LoadError::new(LoadCode::SeveralPlugins, file, message).help(
                "a plugin must not depend on another plugin's crate; move what they share into a crate of its own",
            )
        }
    }
}
