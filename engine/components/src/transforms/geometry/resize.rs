//! Another number of voxels for the same extent: PyTorch's `interpolate`, by libtorch's own kernels.

use byoc::{Error, Image, Result};
use mmar_imaging::affine;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::transforms::common::spatial_shape;

/// The modes of PyTorch's `interpolate`; `linear`, `bilinear` and `trilinear` are one, whatever the number of axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub(in crate::transforms) enum ResizeMode {
    /// The voxel at the scaled index, rounded down.
    Nearest,
    /// The voxel at the scaled centre.
    NearestExact,
    /// Linear.
    Linear,
    /// Linear.
    Bilinear,
    /// Linear.
    Trilinear,
    /// Cubic, 2-D only.
    Bicubic,
    /// The mean over the voxels that are covered.
    Area,
}

/// The image in another size, as float32.
pub(in crate::transforms) fn resize(
    image: Image,
    shape: &[usize],
    mode: ResizeMode,
    align_corners: Option<bool>,
) -> Result<Image> {
    let from = spatial_shape(&image.tensor)?;
    let matrix = affine::resizing(&from, shape, align_corners.unwrap_or(false));
    let tensor = image.tensor.f_to_kind(Kind::Float)?;
    let tensor = if from == shape { tensor } else { interpolate(&tensor, shape, mode, align_corners)? };
    Ok(Image { tensor, affine: affine::multiply(&image.affine, &matrix), ..image })
}

/// A (C, spatial…) float tensor in another size.
pub(in crate::transforms) fn interpolate(
    tensor: &Tensor,
    shape: &[usize],
    mode: ResizeMode,
    align_corners: Option<bool>,
) -> Result<Tensor> {
    let batch = tensor.f_unsqueeze(0)?;
    let size: Vec<i64> = shape.iter().map(|&n| n as i64).collect();
    let corners = align_corners.unwrap_or(false);
    let linear = matches!(mode, ResizeMode::Linear | ResizeMode::Bilinear | ResizeMode::Trilinear);
    if align_corners.is_some() && !linear && mode != ResizeMode::Bicubic {
        return Err(Error::invalid_argument(
            "`align_corners` needs one of the modes `linear`, `bilinear`, `trilinear` and `bicubic`",
        ));
    }
    let out = match (mode, shape.len()) {
        (ResizeMode::Nearest, 1) => batch.f_upsample_nearest1d(&size, None)?,
        (ResizeMode::Nearest, 2) => batch.f_upsample_nearest2d(&size, None, None)?,
        (ResizeMode::Nearest, _) => batch.f_upsample_nearest3d(&size, None, None, None)?,
        (ResizeMode::NearestExact, 1) => batch.f_internal_upsample_nearest_exact1d(&size, None)?,
        (ResizeMode::NearestExact, 2) => batch.f_internal_upsample_nearest_exact2d(&size, None, None)?,
        (ResizeMode::NearestExact, _) => batch.f_internal_upsample_nearest_exact3d(&size, None, None, None)?,
        (ResizeMode::Area, 1) => batch.f_adaptive_avg_pool1d(&size)?,
        (ResizeMode::Area, 2) => batch.f_adaptive_avg_pool2d(&size)?,
        (ResizeMode::Area, _) => batch.f_adaptive_avg_pool3d(&size)?,
        (ResizeMode::Bicubic, 2) => batch.f_upsample_bicubic2d(&size, corners, None, None)?,
        (ResizeMode::Bicubic, rank) => {
            return Err(Error::invalid_argument(format!(
                "mode `bicubic` is for 2-D images; this one has {rank} spatial axes"
            )));
        }
        (_, 1) => batch.f_upsample_linear1d(&size, corners, None)?,
        (_, 2) => batch.f_upsample_bilinear2d(&size, corners, None, None)?,
        _ => batch.f_upsample_trilinear3d(&size, corners, None, None, None)?,
    };
    Ok(out.f_squeeze_dim(0)?)
}
