//! Regions of a volume: bounding boxes, sets of voxels to draw from, connected components, distances.

mod bounding_box;
mod chessboard;
mod components;
mod euclidean;
mod voxel_set;

pub use bounding_box::bounding_box;
pub use chessboard::chessboard_distances;
pub use components::{Components, label_components};
pub use euclidean::euclidean_distances;
pub use voxel_set::{VoxelSet, VoxelSetRef};
