//! The plugin boundary. Nothing in here is part of what authors see.
//!
//! The boundary has three layers, so that each can say what is wrong with a plugin before the next one trusts it:
//!
//! 1. [`header`]: bytes in a section of the file, readable without opening the library. They carry the ABI version and
//!    what the plugin was built with.
//! 2. [`types`]: a root module of functions, as `abi_stable` prefix types. The host compares its layout with its own
//!    before it calls anything.
//! 3. objects: for each component a pointer with a table of functions. [`export`] makes them on the plugin's side out of
//!    the traits of this crate, [`import`] makes the same traits out of them on the host's side.
//!
//! Tensors cross as libtorch's own handles, borrowed in and owned out; both sides run the same libtorch. Samples and the
//! state of the engine cross as a small self-describing byte format ([`wire`]); arguments and descriptions as JSON.
//!
//! A panic never crosses: [`guard`] catches it on the plugin's side and the object is poisoned.
//!
//! # Versions
//!
//! [`header::ABI`] has nothing to do with the version of this crate. Its minor number grows with a new function at the
//! end of a table, a new component kind or a new manifest key; its major number with everything else. A host accepts a
//! plugin with its own major and a minor that is not greater than its own.
#![expect(unsafe_code, reason = "the boundary is made of foreign pointers; each use says why it is sound")]

pub(crate) mod export;
pub(crate) mod guard;
pub(crate) mod header;
pub(crate) mod host_api;
pub(crate) mod import;
pub(crate) mod log;
pub(crate) mod types;
pub(crate) mod wire;
