//! Plugin files to checked generations to the component registry.
//!
//! A plugin is native code. Before any of it runs, its file is read and checked ([`inspect`](inspect())), copied to a place of our
//! own (`stage`) and, if this build was never seen, opened in a child process ([`probe`]). Only then is it opened here
//! (`open`, [`Generation`]) and its components entered ([`Registry`]), all of them or none. A library is never closed.
//!
//! Built-in components come from `byoc`'s inventory: the binary links them, this crate does not know them.

#![expect(unsafe_code, reason = "opening libraries is what this crate is for; each use says why it is sound")]

mod cache;
pub mod child;
mod elf;
mod error;
mod generation;
mod inspect;
mod install;
mod open;
pub mod path;
pub mod probe;
mod registry;
mod search;
mod stage;
mod suggest;
mod watch;

pub use cache::{CACHE_VARIABLE, folder as cache_folder};
pub use error::{LoadCode, LoadError};
pub use generation::Generation;
pub use inspect::{Inspection, inspect};
pub use install::{Installed, install, list};
pub use open::check_host;
pub use path::ComponentPath;
pub use registry::{Entry, FindError, LoadReport, Origin, Registry};
pub use search::{PLUGIN_PATH_VARIABLE, SearchRoots};
pub use watch::{Sighting, Watcher};
