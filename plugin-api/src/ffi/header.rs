//! What a plugin's file says about itself before it is opened.
//!
//! [`export_plugin!`](crate::export_plugin) puts one [`HeaderBytes`] into the section [`SECTION`]: plain bytes without
//! pointers, because nobody applies relocations to a file. All numbers are little-endian:
//!
//! | offset | bytes | |
//! |---|---|---|
//! | 0 | 8 | [`MAGIC`] |
//! | 8 | 4 | length of the header: where the manifest begins |
//! | 12 | 4 | ABI major |
//! | 16 | 4 | ABI minor |
//! | 20 | 4 | flags: 1 debug build, 2 panics unwind |
//! | 24 | 4 | length of the manifest |
//! | 28 | 4 | length of the whole, manifest and padding included |
//! | 32 | … | the manifest, JSON |
//!
//! The first 24 bytes never change; what is new comes in front of the manifest, and the header's length grows.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The section of the file that holds the header.
pub const SECTION: &str = ".byoc_plugin";

/// How a header begins.
pub const MAGIC: [u8; 8] = *b"BYOCPLG\0";

/// The version of the boundary that this crate speaks.
pub const ABI: AbiVersion = AbiVersion { major: 1, minor: 0 };

/// tch's version, which decides libtorch's; pinned in the workspace.
const TCH: &str = "0.24.0";

/// The libtorch that this crate was built for: `2.11.0`.
pub const LIBTORCH: &str = env!("BYOC_LIBTORCH");
/// `cpu` or `cu130`: the flavour of that libtorch.
pub const LIBTORCH_FLAVOUR: &str = env!("BYOC_LIBTORCH_FLAVOUR");
/// The compiler that this crate was built with.
pub const RUSTC: &str = env!("BYOC_RUSTC");
/// The target that this crate was built for.
pub const TARGET: &str = env!("BYOC_TARGET");

const FIXED: usize = 32;
const CAPACITY: usize = 2048;
const FLAG_DEBUG: u32 = 1;
const FLAG_UNWIND: u32 = 2;

/// Version of the boundary, independent of the version of any crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbiVersion {
    /// Changes when an old plugin cannot be loaded any more.
    pub major: u32,
    /// Changes when a new plugin cannot be loaded by an old host.
    pub minor: u32,
}

impl AbiVersion {
    /// Whether a host of this version can load a plugin of that one.
    pub const fn accepts(self, plugin: Self) -> bool {
        self.major == plugin.major && plugin.minor <= self.minor
    }
}

impl fmt::Display for AbiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// What a plugin was built from and with. Unknown keys of newer plugins are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Who the plugin is.
    pub plugin: PluginIdentity,
    /// The boundary's version, as in the header.
    pub abi: AbiVersion,
    /// Version of the `byoc` crate.
    pub plugin_api: String,
    /// Version of libtorch: `2.11.0`.
    pub libtorch: String,
    /// Whether `std::string` has its new layout.
    #[serde(default)]
    pub cxx11_abi: bool,
    /// `cpu` or `cu130`.
    #[serde(default)]
    pub cuda: String,
    /// Version of tch.
    #[serde(default)]
    pub tch: String,
    /// The compiler.
    #[serde(default)]
    pub rustc: String,
    /// The target: `x86_64-unknown-linux-gnu`.
    #[serde(default)]
    pub target: String,
    /// `debug` or `release`.
    #[serde(default)]
    pub profile: String,
    /// `unwind` or `abort`.
    #[serde(default)]
    pub panic: String,
    /// How many components the author listed; absent where they are known only at run time.
    #[serde(default)]
    pub components: Option<usize>,
}

/// Who a plugin is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginIdentity {
    /// The module of the plugin's paths: `myLoss` in `BYOC.myLoss.MyDiceLoss`.
    pub module: String,
    /// The crate.
    pub name: String,
    /// The crate's version.
    pub version: String,
    /// The crate's licence, if it names one.
    #[serde(default)]
    pub license: String,
    /// Where the source lies, if the crate says so.
    #[serde(default)]
    pub repository: String,
}

/// A header as read from a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The boundary's version.
    pub abi: AbiVersion,
    /// Whether the plugin was built with debug assertions.
    pub debug: bool,
    /// Whether its panics unwind, as they must.
    pub unwinds: bool,
    /// The manifest; `Err` says why it cannot be read, which a plugin of another ABI may be excused for.
    pub manifest: Result<Manifest, String>,
}

/// Why a section holds no header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderError {
    /// It does not begin with [`MAGIC`]; these are its first bytes.
    Magic(Vec<u8>),
    /// It ends within the header, or the header's lengths point outside it.
    Truncated {
        /// How many bytes are needed.
        needed: usize,
        /// How many there are.
        found: usize,
    },
    /// More than one plugin was linked into the library; these are their modules.
    Several(Vec<String>),
}

impl Header {
    /// Reads the one header of a section; every length is checked against the bytes that there are.
    pub fn parse(section: &[u8]) -> Result<Self, HeaderError> {
        let (header, length) = Self::parse_first(section)?;
        let rest = section.get(length..).unwrap_or_default();
        if rest.len() < FIXED || !rest.starts_with(&MAGIC) {
            return Ok(header);
        }
        let mut headers = vec![header];
        let mut rest = rest;
        while let Ok((header, length)) = Self::parse_first(rest) {
            headers.push(header);
            rest = rest.get(length..).unwrap_or_default();
        }
        Err(HeaderError::Several(headers.iter().map(Self::module).map(str::to_owned).collect()))
    }

    fn module(&self) -> &str {
        self.manifest.as_ref().map_or("?", |manifest| manifest.plugin.module.as_str())
    }

    fn parse_first(bytes: &[u8]) -> Result<(Self, usize), HeaderError> {
        if !bytes.starts_with(&MAGIC) {
            return Err(HeaderError::Magic(bytes[..bytes.len().min(MAGIC.len())].to_vec()));
        }
        let word = |offset: usize| match bytes.get(offset..offset + 4).and_then(|word| word.try_into().ok()) {
            Some(word) => Ok(u32::from_le_bytes(word)),
            None => Err(HeaderError::Truncated { needed: offset + 4, found: bytes.len() }),
        };
        let start = word(8)? as usize;
        let abi = AbiVersion { major: word(12)?, minor: word(16)? };
        let flags = word(20)?;
        let length = word(24)? as usize;
        let whole = (word(28)? as usize).max(FIXED);
        let needed = start.saturating_add(length);
        let Some(manifest) = bytes.get(start..needed) else {
            return Err(HeaderError::Truncated { needed, found: bytes.len() });
        };
        let manifest = serde_json::from_slice(manifest).map_err(|error| error.to_string());
        let header = Self { abi, debug: flags & FLAG_DEBUG != 0, unwinds: flags & FLAG_UNWIND != 0, manifest };
        Ok((header, whole))
    }
}

/// What [`export_plugin!`](crate::export_plugin) knows about the plugin's crate.
#[derive(Debug, Clone, Copy)]
pub struct PluginFacts {
    /// See [`PluginIdentity::module`].
    pub module: &'static str,
    /// See [`PluginIdentity::name`].
    pub name: &'static str,
    /// See [`PluginIdentity::version`].
    pub version: &'static str,
    /// See [`PluginIdentity::license`].
    pub license: &'static str,
    /// See [`PluginIdentity::repository`].
    pub repository: &'static str,
    /// How many components are listed.
    pub components: usize,
    /// Whether debug assertions are on.
    pub debug: bool,
    /// Whether panics unwind.
    pub unwinds: bool,
}

/// A header, made while the plugin is compiled.
#[repr(C, align(8))]
pub struct HeaderBytes([u8; CAPACITY]);

impl HeaderBytes {
    /// Writes the header of a plugin.
    ///
    /// # Panics
    /// While compiling: when the module's name cannot stand in a path, or the manifest is too long.
    pub const fn new(facts: &PluginFacts) -> Self {
        assert!(is_identifier(facts.module), "`module` must be letters, digits and `_`, and not begin with a digit");
        let flags = (facts.debug as u32) * FLAG_DEBUG + (facts.unwinds as u32) * FLAG_UNWIND;
        let mut out = Cursor { bytes: [0; CAPACITY], end: FIXED };
        out.raw("{\"plugin\":{\"module\":");
        out.string(facts.module);
        out.raw(",\"name\":");
        out.string(facts.name);
        out.raw(",\"version\":");
        out.string(facts.version);
        out.raw(",\"license\":");
        out.string(facts.license);
        out.raw(",\"repository\":");
        out.string(facts.repository);
        out.raw("},\"abi\":{\"major\":");
        out.number(ABI.major as usize);
        out.raw(",\"minor\":");
        out.number(ABI.minor as usize);
        out.raw("},\"plugin_api\":");
        out.string(env!("CARGO_PKG_VERSION"));
        out.raw(",\"libtorch\":");
        out.string(LIBTORCH);
        out.raw(if env!("BYOC_CXX11_ABI").as_bytes()[0] == b'0' {
            ",\"cxx11_abi\":false"
        } else {
            ",\"cxx11_abi\":true"
        });
        out.raw(",\"cuda\":");
        out.string(LIBTORCH_FLAVOUR);
        out.raw(",\"tch\":");
        out.string(TCH);
        out.raw(",\"rustc\":");
        out.string(RUSTC);
        out.raw(",\"target\":");
        out.string(TARGET);
        out.raw(",\"profile\":");
        out.string(env!("BYOC_PROFILE"));
        out.raw(if facts.unwinds { ",\"panic\":\"unwind\"" } else { ",\"panic\":\"abort\"" });
        out.raw(",\"components\":");
        out.number(facts.components);
        out.raw("}");
        let manifest = out.end - FIXED;
        out.end = 0;
        out.bytes_of(&MAGIC);
        out.word(FIXED as u32);
        out.word(ABI.major);
        out.word(ABI.minor);
        out.word(flags);
        out.word(manifest as u32);
        out.word(CAPACITY as u32);
        Self(out.bytes)
    }

    /// The bytes as they stand in the file.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

const fn is_identifier(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        let letter = bytes[i].is_ascii_alphabetic() || bytes[i] == b'_';
        if !letter && (i == 0 || !bytes[i].is_ascii_digit()) {
            return false;
        }
        i += 1;
    }
    !bytes.is_empty()
}

/// Writes bytes in a constant.
struct Cursor {
    bytes: [u8; CAPACITY],
    end: usize,
}

impl Cursor {
    const fn byte(&mut self, byte: u8) {
        assert!(self.end < CAPACITY, "the plugin's manifest is too long: shorten the crate's licence or repository");
        self.bytes[self.end] = byte;
        self.end += 1;
    }

    const fn bytes_of(&mut self, bytes: &[u8]) {
        let mut i = 0;
        while i < bytes.len() {
            self.byte(bytes[i]);
            i += 1;
        }
    }

    const fn raw(&mut self, text: &str) {
        self.bytes_of(text.as_bytes());
    }

    const fn word(&mut self, word: u32) {
        self.bytes_of(&word.to_le_bytes());
    }

    const fn number(&mut self, number: usize) {
        if number >= 10 {
            self.number(number / 10);
        }
        self.byte(b'0' + (number % 10) as u8);
    }

    /// A JSON string.
    const fn string(&mut self, text: &str) {
        let bytes = text.as_bytes();
        self.byte(b'"');
        let mut i = 0;
        while i < bytes.len() {
            if bytes[i] == b'"' || bytes[i] == b'\\' {
                self.byte(b'\\');
            }
            // control characters have no place in a version or licence
            self.byte(if bytes[i] < 0x20 { b' ' } else { bytes[i] });
            i += 1;
        }
        self.byte(b'"');
    }
}

#[cfg(test)]
mod tests {
    use super::{ABI, AbiVersion, Header, HeaderBytes, HeaderError, LIBTORCH, PluginFacts};

    const FACTS: PluginFacts = PluginFacts {
        module: "myLoss",
        name: "my-loss",
        version: "0.1.0",
        license: "MIT \"or\" other\\",
        repository: "",
        components: 12,
        debug: true,
        unwinds: true,
    };
    static BYTES: HeaderBytes = HeaderBytes::new(&FACTS);

    #[test]
    fn what_the_macro_writes_is_what_the_host_reads() {
        let header = Header::parse(BYTES.as_bytes()).expect("a header");
        assert_eq!(header.abi, ABI);
        assert!(header.debug && header.unwinds);
        let manifest = header.manifest.expect("a manifest");
        assert_eq!(manifest.plugin.module, "myLoss");
        assert_eq!(manifest.plugin.license, FACTS.license);
        assert_eq!(manifest.libtorch, LIBTORCH);
        assert_eq!(manifest.components, Some(12));
        assert!(manifest.rustc.starts_with("rustc "), "{}", manifest.rustc);
    }

    #[test]
    fn every_cut_is_an_error_and_never_a_panic() {
        let bytes = BYTES.as_bytes();
        let end = bytes.iter().rposition(|byte| *byte != 0).expect("not empty");
        for length in 0..=end {
            let error = Header::parse(&bytes[..length]).expect_err("cut");
            assert_eq!(matches!(error, HeaderError::Magic(_)), length < 8, "{length}: {error:?}");
        }
    }

    #[test]
    fn lengths_that_point_outside_are_refused() {
        for offset in [8, 24] {
            let mut bytes = BYTES.as_bytes().to_vec();
            bytes[offset..offset + 4].fill(0xFF);
            assert!(matches!(Header::parse(&bytes), Err(HeaderError::Truncated { .. })), "{offset}");
        }
    }

    #[test]
    fn two_plugins_in_one_library_are_named() {
        let twice = [BYTES.as_bytes(), BYTES.as_bytes()].concat();
        assert_eq!(Header::parse(&twice), Err(HeaderError::Several(vec!["myLoss".into(), "myLoss".into()])));
    }

    #[test]
    fn a_host_takes_older_minors_of_its_own_major_only() {
        let host = AbiVersion { major: 1, minor: 3 };
        for (major, minor, accepted) in [(1, 3, true), (1, 0, true), (1, 4, false), (2, 0, false), (0, 9, false)] {
            assert_eq!(host.accepts(AbiVersion { major, minor }), accepted, "{major}.{minor}");
        }
    }
}
