//! From a data list to batches: lists, datasets and their caches, batching.
//!
//! A sample's way: [`data_list`] (paths) → [`dataset`] (deterministic transforms, computed once and cached) →
//! [`chain`] (random transforms, each with a generator of its own) → [`loader`] (worker threads, bounded prefetch) →
//! [`batch`] (collation, and back to items after the step).
//!
//! Threads, never processes; and no result depends on how many there are, because every random draw comes from a
//! generator that is derived from (seed, epoch, item, position in the chain).

pub mod batch;
pub mod chain;
mod components;
pub mod data_list;
pub mod dataset;
pub mod loader;

pub use batch::{Batch, collate, decollate};
pub use chain::{Chain, ChainFactory, ChainStep};
pub use components::{CacheDatasetArgs, DataLoaderArgs, DatasetArgs};
pub use data_list::load_data_list;
pub use dataset::{CacheProgress, CacheSize, Dataset};
pub use loader::{Batches, DataLoader, LoaderOptions};
