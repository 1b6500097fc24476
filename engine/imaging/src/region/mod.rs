//! Regions of a volume: bounding boxes, sets of voxels to draw from, connected components, distances to the outside.

mod bounding_box;
mod chessboard;
mod components;
mod voxel_set;

pub use bounding_box::bounding_box;
pub use chessboard::chessboard_distances;
pub use components::{Components, label_components};
pub use voxel_set::{VoxelSet, VoxelSetRef};
