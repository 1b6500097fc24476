//! What losses do with their inputs before they compute: dtypes, shapes, one-hot.

use byoc::{Error, ErrorCode, OneOrMany, Result};
use tch::{Kind, Tensor};

/// In float32, if it is in 16 bits.
pub(crate) fn full_precision(tensor: &Tensor) -> Result<Tensor> {
    match tensor.kind() {
        Kind::Half | Kind::BFloat16 => Ok(tensor.f_to_kind(Kind::Float)?),
        _ => Ok(tensor.shallow_clone()),
    }
}

/// A class map (B, 1, spatial…) as (B, `classes`, spatial…) of ones and zeros.
#[track_caller]
pub(crate) fn one_hot(labels: &Tensor, classes: i64, kind: Kind) -> Result<Tensor> {
    let mut shape = labels.size();
    if shape.len() < 2 || shape[1] != 1 {
        return Err(Error::data(format!(
            "`to_onehot_y` needs a label with one channel, (B, 1, spatial…), found {shape:?}; if the label is one-hot \
             already, leave `to_onehot_y` out"
        )));
    }
    shape[1] = classes;
    let indices = labels.f_to_kind(Kind::Int64)?;
    let mut encoded = Tensor::f_zeros(&shape, (kind, labels.device()))?;
    // not with a scalar: tch panics in the fallible functions that take one, when they fail
    let ones = Tensor::f_ones([1], (kind, labels.device()))?.f_expand(indices.size(), false)?;
    match encoded.f_scatter_(1, &indices, &ones) {
        Ok(_) => Ok(encoded),
        Err(error) => Err(out_of_range(&indices, classes).unwrap_or_else(|| error.into())),
    }
}

/// The error for a label with a class that the network has no channel for, if that is what is wrong.
#[track_caller]
pub(crate) fn out_of_range(indices: &Tensor, classes: i64) -> Option<Error> {
    let (low, high) = (indices.f_min().ok()?.f_int64_value(&[]).ok()?, indices.f_max().ok()?.f_int64_value(&[]).ok()?);
    let wrong = if low < 0 { low } else { high };
    (low < 0 || high >= classes).then(|| {
        Error::data(format!(
            "the label holds class {wrong}, but the network's output has {classes} channels, for classes 0 to {}; \
             set the network's `out_channels`, or map the label's values",
            classes - 1
        ))
    })
}

/// An error unless both shapes are equal; `hint` is what may be the matter.
#[track_caller]
pub(crate) fn same_shape(input: &Tensor, target: &Tensor, hint: &str) -> Result<()> {
    let (found, expected) = (target.size(), input.size());
    if found == expected {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::DATA,
        format!("the target's shape {found:?} differs from that of the network's output, {expected:?}{hint}"),
    ))
}

/// What is mostly the matter when a label does not fit an output.
pub(crate) fn shape_hint(input: &Tensor, target: &Tensor) -> &'static str {
    let (input, target) = (input.size(), target.size());
    if input.len() == target.len() && input.len() > 2 && input[2..] != target[2..] {
        "; image and label must have the same spatial size"
    } else if input.len() == target.len() && input.len() > 1 && target[1] == 1 && input[1] > 1 {
        "; a label of class numbers needs `to_onehot_y: true`"
    } else if input.len() == target.len() + 1 {
        "; the label has no channel dimension (`EnsureChannelFirstd` adds one)"
    } else {
        ""
    }
}

/// The batch dimension and channels that every loss over (B, C, spatial…) needs.
#[track_caller]
pub(crate) fn channels(input: &Tensor) -> Result<i64> {
    match input.size().as_slice() {
        [_, channels, ..] => Ok(*channels),
        shape => Err(Error::data(format!("the network's output must be (B, C, spatial…), found shape {shape:?}"))),
    }
}

/// Weights of an argument on the device of `like`, in its dtype.
pub(crate) fn weights(values: &OneOrMany<f64>, like: &Tensor) -> Result<Tensor> {
    let tensor = match values {
        OneOrMany::One(value) => Tensor::from(*value),
        OneOrMany::Many(values) => Tensor::from_slice(values),
    };
    Ok(tensor.f_to_device(like.device())?.f_to_kind(like.kind())?)
}
