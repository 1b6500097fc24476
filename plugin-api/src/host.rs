//! What the engine's loader needs of this crate. Not part of the contract: authors of components have no use for it.

pub use crate::ffi::export::{Library, StaticPlugin, symbol};
pub use crate::ffi::header::{
    ABI, AbiVersion, Header, HeaderError, LIBTORCH, LIBTORCH_FLAVOUR, MAGIC, Manifest, PluginIdentity, RUSTC, SECTION,
    TARGET,
};
pub use crate::ffi::host_api::cancel_by;
pub use crate::ffi::import::{Call, CallObserver, PluginError, PluginLibrary, PluginStep, observe_calls};
