//! Dictionary transforms in MONAI's names, arguments and defaults.
//!
//! Each works on the values under its `keys`. Images are channel-first; voxels are float32 from `LoadImaged` on unless
//! another dtype is asked for. Numbers follow MONAI 1.6.1, legacy arguments of MONAI 0.5 – 0.8 are understood. What a
//! transform did to an image's grid stands in the image's history, from which `Invertd` undoes it.

mod common;
mod geometry;
mod metadata;

pub mod activations;
pub mod affine;
pub mod aiaa;
pub mod as_discrete;
pub mod bias_field;
pub mod channel;
pub mod clip_intensity;
pub mod coarse;
pub mod contrast;
pub mod coordinates;
pub mod crop;
pub mod crop_foreground;
pub mod deepgrow;
pub mod distance;
pub mod dtype;
pub mod elastic;
pub mod ensemble;
pub mod extreme_points;
pub mod filters;
pub mod fixed_mean;
pub mod flip;
pub mod gaussian;
pub mod grid_distortion;
pub mod grid_patch;
pub mod histogram;
pub mod inspect;
pub mod invert;
pub mod items;
pub mod keep_largest;
pub mod kspace;
pub mod label;
pub mod label_values;
pub mod load;
pub mod low_resolution;
pub mod mask;
pub mod noise;
pub mod normalize_intensity;
pub mod orientation;
pub mod pad;
pub mod prob_nms;
pub mod rand_affine;
pub mod rand_crop;
pub mod rand_crop_by_class;
pub mod rand_crop_by_label;
pub mod resize;
pub mod rotate90;
pub mod save;
pub mod save_classification;
pub mod scale_intensity;
pub mod sharpen;
pub mod shift_intensity;
pub mod small_objects;
pub mod smooth_field;
pub mod spacing;
pub mod spatial_resample;
pub mod torchvision;
pub mod unavailable;
pub mod zoom;
