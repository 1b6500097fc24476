//! What metrics ask of prediction and ground truth.

use byoc::{Error, Result};
use tch::{Kind, Tensor};

/// An error unless both have the same shape, (B, C, spatial…) with at least `dims` axes.
#[track_caller]
pub(crate) fn same_shape(y_pred: &Tensor, y: &Tensor, dims: usize) -> Result<()> {
    let (prediction, truth) = (y_pred.size(), y.size());
    if prediction.len() < dims {
        let expected = if dims > 2 { "(B, C, spatial…)" } else { "(B, C)" };
        return Err(Error::data(format!("the prediction must be {expected}, found shape {prediction:?}")));
    }
    if prediction != truth {
        let hint = if prediction.len() == truth.len() && prediction[0] == truth[0] && prediction[1] != truth[1] {
            "; both must be one-hot (`AsDiscreted` with `to_onehot` makes them so)"
        } else {
            ""
        };
        return Err(Error::data(format!(
            "the ground truth's shape {truth:?} differs from the prediction's, {prediction:?}{hint}"
        )));
    }
    Ok(())
}

/// Both without the background channel, unless it is the only one.
pub(crate) fn foreground(y_pred: &Tensor, y: &Tensor, include_background: bool) -> Result<(Tensor, Tensor)> {
    let cut = |tensor: &Tensor| -> Result<Tensor> {
        let channels = tensor.size()[1];
        if include_background || channels == 1 {
            Ok(tensor.shallow_clone())
        } else {
            Ok(tensor.f_narrow(1, 1, channels - 1)?)
        }
    };
    Ok((cut(y_pred)?, cut(y)?))
}

/// 1 where a voxel counts, 0 where it is ignored, (B, 1, spatial…) (MONAI `create_ignore_mask`): of a class map the
/// voxels with that value, of a one-hot label those of that class, or those of no class for any other value.
pub(crate) fn ignore_mask(y: &Tensor, ignored: Option<i64>) -> Result<Option<Tensor>> {
    let Some(ignored) = ignored else { return Ok(None) };
    let classes = y.size()[1];
    let mask = if classes == 1 {
        y.f_ne(ignored)?
    } else if (0..classes).contains(&ignored) {
        y.f_narrow(1, ignored, 1)?.f_ne(1)?
    } else {
        y.f_sum_dim_intlist([1].as_slice(), true, None)?.f_gt(0)?
    };
    Ok(Some(mask.f_to_kind(Kind::Float)?))
}

/// The sum over the spatial axes, (B, C), counted in float64: float32 cannot count beyond 16 million voxels.
pub(crate) fn spatial_sum(tensor: &Tensor) -> Result<Tensor> {
    let axes: Vec<i64> = (2..tensor.dim() as i64).collect();
    if axes.is_empty() {
        return Ok(tensor.f_to_kind(Kind::Double)?);
    }
    Ok(tensor.f_sum_dim_intlist(axes.as_slice(), false, Kind::Double)?)
}
