//! Dictionary transforms in MONAI's names, arguments and defaults.
//!
//! Each works on the values under its `keys`. Images are channel-first; voxels are float32 from `LoadImaged` on unless
//! another dtype is asked for. Numbers follow MONAI 1.6.1, legacy arguments of MONAI 0.5 – 0.8 are understood. What a
//! transform did to an image's grid stands in the image's history, from which `Invertd` undoes it.

mod common;
mod geometry;

mod activations;
mod as_discrete;
mod channel;
mod crop_foreground;
mod dtype;
mod invert;
mod load;
mod normalize_intensity;
mod orientation;
mod rand_crop_by_label;
mod save;
mod scale_intensity;
mod shift_intensity;
mod spacing;
