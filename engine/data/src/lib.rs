//! Data lists, datasets and their caches, batching.
