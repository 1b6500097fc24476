//! The arguments of the datasets and the loader in a config. The engine makes these components itself.

use byoc::Wired;
use schemars::JsonSchema;
use serde::Deserialize;

/// Cases whose transforms all run every time. MONAI: `Dataset`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
pub struct DatasetArgs {
    /// The cases; the engine takes them from `data_list_file_path`.
    pub data: Option<Wired>,
    /// The transforms, `"@pre_transforms"`.
    pub transform: Option<Wired>,
}

/// Cases whose deterministic transforms run once and are kept in memory. MONAI: `CacheDataset`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CacheDatasetArgs {
    /// The cases; the engine takes them from `data_list_file_path`.
    pub data: Option<Wired>,
    /// The transforms, `"@pre_transforms"`.
    pub transform: Option<Wired>,
    /// At most so many cases are cached; all if not given.
    pub cache_num: Option<usize>,
    /// At most this share of the cases is cached.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub cache_rate: f64,
    /// Threads that fill the cache; as many as there are cores if `null`.
    pub num_workers: Option<usize>,
    /// Accepted for compatibility: the cache's progress is shown on a terminal.
    pub progress: bool,
}

impl Default for CacheDatasetArgs {
    fn default() -> Self {
        Self { data: None, transform: None, cache_num: None, cache_rate: 1.0, num_workers: Some(1), progress: true }
    }
}

/// Makes batches in worker threads, ahead of the step. MONAI: `DataLoader`.
///
/// The results do not depend on `num_workers`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DataLoaderArgs {
    /// The dataset, `"@dataset"`.
    pub dataset: Option<Wired>,
    /// Cases per batch; a case that gives several samples counts once.
    #[schemars(range(min = 1))]
    pub batch_size: usize,
    /// Whether each epoch has its own random order.
    pub shuffle: bool,
    /// Worker threads; with 0 there is one.
    pub num_workers: usize,
    /// Whether a last batch that is not full is left out.
    pub drop_last: bool,
    /// Accepted for compatibility: batches are moved to the device by the engine.
    pub pin_memory: bool,
    /// Accepted for compatibility: the loader works ahead by one batch per worker and one more.
    pub prefetch_factor: Option<usize>,
    /// Accepted for compatibility: workers are threads and cheap to start.
    pub persistent_workers: bool,
}

impl Default for DataLoaderArgs {
    fn default() -> Self {
        Self {
            dataset: None,
            batch_size: 1,
            shuffle: false,
            num_workers: 0,
            drop_last: false,
            pin_memory: false,
            prefetch_factor: None,
            persistent_workers: false,
        }
    }
}

byoc::register! {
    datasets: [DatasetArgs = "Dataset", CacheDatasetArgs = "CacheDataset"],
    dataloaders: [DataLoaderArgs = "DataLoader"],
}
