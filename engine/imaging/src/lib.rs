//! Medical volumes and their geometry: readers, writers, resampling.
