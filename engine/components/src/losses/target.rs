//! What losses do with their inputs before they compute: dtypes, shapes, one-hot.

use byoc::{Error, ErrorCode, OneOrMany, Result};
use tch::{Device, Kind, Tensor};

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
    check_classes(&indices, classes, None)?;
    let mut encoded = Tensor::f_zeros(&shape, (kind, labels.device()))?;
    // not with a scalar: tch panics in the fallible functions that take one, when they fail
    let ones = Tensor::f_ones([1], (kind, labels.device()))?.f_expand(indices.size(), false)?;
    match encoded.f_scatter_(1, &indices, &ones) {
        Ok(_) => Ok(encoded),
        Err(error) => Err(out_of_range(&indices, classes).unwrap_or_else(|| error.into())),
    }
}

/// An error if the network has no channel for a class of the label, on devices where finding out later is too late: a
/// CUDA kernel that is given such a class takes the whole process with it. On the CPU the kernel itself says so, see
/// [`out_of_range`].
///
/// It waits for the device once. The trainer reads the loss right after, so it waits a few kernels earlier instead of
/// once more. Voxels of the class `ignored` may hold anything.
#[track_caller]
pub(crate) fn check_classes(indices: &Tensor, classes: i64, ignored: Option<i64>) -> Result<()> {
    if indices.device() == Device::Cpu || indices.numel() == 0 {
        return Ok(());
    }
    look_at_classes(indices, classes, ignored)
}

#[track_caller]
fn look_at_classes(indices: &Tensor, classes: i64, ignored: Option<i64>) -> Result<()> {
    let (low, high) = range(indices, ignored)?;
    class_outside(low, high, classes).map_or(Ok(()), Err)
}

/// The error for a label with a class that the network has no channel for, if that is what is wrong.
#[track_caller]
pub(crate) fn out_of_range(indices: &Tensor, classes: i64) -> Option<Error> {
    let (low, high) = range(indices, None).ok()?;
    class_outside(low, high, classes)
}

/// The error of a kernel over class numbers, worded for a label with too many classes.
#[track_caller]
pub(crate) fn class_error(indices: &Tensor, classes: i64, error: tch::TchError) -> Error {
    let told = if indices.kind() == Kind::Int64 { out_of_range(indices, classes) } else { None };
    told.unwrap_or_else(|| error.into())
}

/// The smallest and the largest class, in one copy to the CPU.
fn range(indices: &Tensor, ignored: Option<i64>) -> Result<(i64, i64)> {
    let indices = match ignored {
        Some(ignored) => indices.f_masked_fill(&indices.f_eq(ignored)?, 0)?,
        None => indices.shallow_clone(),
    };
    let (low, high) = indices.f_flatten(0, -1)?.f_aminmax(0, false)?;
    let both = Vec::<i64>::try_from(Tensor::f_stack(&[low, high], 0)?)?;
    Ok((both[0], both[1]))
}

#[track_caller]
fn class_outside(low: i64, high: i64, classes: i64) -> Option<Error> {
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

#[cfg(test)]
mod tests {
    use tch::Tensor;

    use super::look_at_classes;

    #[test]
    fn classes_outside_the_channels_are_told_before_a_kernel_sees_them() {
        let labels = |values: &[i64]| Tensor::from_slice(values).view([1, 1, -1]);
        assert!(look_at_classes(&labels(&[0, 2, 1]), 3, None).is_ok());
        assert!(look_at_classes(&labels(&[0, -100, 255, 255]), 256, Some(-100)).is_ok());
        let error = look_at_classes(&labels(&[0, 2, 1]), 2, None).unwrap_err().to_string();
        assert!(error.starts_with("the label holds class 2, but the network's output has 2 channels"), "{error}");
        let error = look_at_classes(&labels(&[0, -1, 7]), 2, Some(7)).unwrap_err().to_string();
        assert!(error.starts_with("the label holds class -1"), "{error}");
    }
}
