//! Plugin files to checked generations to the component registry.
//!
//! A plugin is native code. Before any of it runs, its file is read and checked ([`inspect`]), copied to a place of our
//! own ([`stage`]) and, if this build was never seen, opened in a child process ([`probe`]). Only then is it opened here
//! ([`generation`]) and its components entered ([`registry`]), all of them or none. A library is never closed.
//!
//! Built-in components come from `byoc`'s inventory: the binary links them, this crate does not know them.

mod error;
pub mod generation;
pub mod path;
pub mod registry;
mod search;
mod suggest;

pub use error::{LoadCode, LoadError};
pub use generation::Generation;
pub use path::ComponentPath;
pub use registry::{Entry, FindError, LoadReport, Origin, Registry};
pub use search::{PLUGIN_PATH_VARIABLE, SearchRoots};
