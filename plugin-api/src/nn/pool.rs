//! Pooling. The number of spatial dimensions is that of the input, (B, C, spatial…).

use tch::Tensor;

use crate::{Error, OneOrMany, Result};

/// `torch.nn.functional.max_pool*d`: the largest value under a window.
pub fn max(
    x: &Tensor,
    kernel_size: impl Into<OneOrMany<i64>>,
    stride: impl Into<OneOrMany<i64>>,
    padding: impl Into<OneOrMany<i64>>,
) -> Result<Tensor> {
    max_of_windows(x, kernel_size.into(), stride.into(), padding.into(), false)
}

/// As [`max`], also for windows at the end that are only partly within the image (`ceil_mode=True`).
pub fn max_ceil(
    x: &Tensor,
    kernel_size: impl Into<OneOrMany<i64>>,
    stride: impl Into<OneOrMany<i64>>,
    padding: impl Into<OneOrMany<i64>>,
) -> Result<Tensor> {
    max_of_windows(x, kernel_size.into(), stride.into(), padding.into(), true)
}

fn max_of_windows(
    x: &Tensor,
    kernel_size: OneOrMany<i64>,
    stride: OneOrMany<i64>,
    padding: OneOrMany<i64>,
    ceil: bool,
) -> Result<Tensor> {
    let n = spatial_dims(x)?;
    let kernel = kernel_size.repeat(n, "kernel_size")?;
    let stride = stride.repeat(n, "stride")?;
    let padding = padding.repeat(n, "padding")?;
    let dilation = vec![1; n];
    Ok(match n {
        1 => x.f_max_pool1d(kernel, stride, padding, dilation, ceil)?,
        2 => x.f_max_pool2d(kernel, stride, padding, dilation, ceil)?,
        _ => x.f_max_pool3d(kernel, stride, padding, dilation, ceil)?,
    })
}

/// `torch.nn.functional.avg_pool*d`: the mean under a window, padding counted as zeros.
pub fn average(
    x: &Tensor,
    kernel_size: impl Into<OneOrMany<i64>>,
    stride: impl Into<OneOrMany<i64>>,
    padding: impl Into<OneOrMany<i64>>,
) -> Result<Tensor> {
    let n = spatial_dims(x)?;
    let kernel = kernel_size.into().repeat(n, "kernel_size")?;
    let stride = stride.into().repeat(n, "stride")?;
    let padding = padding.into().repeat(n, "padding")?;
    Ok(match n {
        1 => x.f_avg_pool1d(kernel, stride, padding, false, true)?,
        2 => x.f_avg_pool2d(kernel, stride, padding, false, true, None::<i64>)?,
        _ => x.f_avg_pool3d(kernel, stride, padding, false, true, None::<i64>)?,
    })
}

/// `torch.nn.functional.adaptive_avg_pool*d`: the mean over boxes, so many that the output has this size.
pub fn adaptive_average(x: &Tensor, output_size: impl Into<OneOrMany<i64>>) -> Result<Tensor> {
    let n = spatial_dims(x)?;
    let size = output_size.into().repeat(n, "output_size")?;
    Ok(match n {
        1 => x.f_adaptive_avg_pool1d(size)?,
        2 => x.f_adaptive_avg_pool2d(size)?,
        _ => x.f_adaptive_avg_pool3d(size)?,
    })
}

/// `torch.nn.functional.adaptive_max_pool*d`: the largest value of boxes, so many that the output has this size.
pub fn adaptive_max(x: &Tensor, output_size: impl Into<OneOrMany<i64>>) -> Result<Tensor> {
    let n = spatial_dims(x)?;
    let size = output_size.into().repeat(n, "output_size")?;
    Ok(match n {
        1 => x.f_adaptive_max_pool1d(size)?.0,
        2 => x.f_adaptive_max_pool2d(size)?.0,
        _ => x.f_adaptive_max_pool3d(size)?.0,
    })
}

/// The number of spatial axes of (B, C, spatial…).
#[track_caller]
pub(super) fn spatial_dims(x: &Tensor) -> Result<usize> {
    match x.dim() {
        dim @ 3..=5 => Ok(dim - 2),
        _ => Err(Error::data(format!("expected (batch, channel, 1 to 3 spatial axes), found shape {:?}", x.size()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_over_the_end_count_where_asked_for() {
        // `torch.nn.functional.max_pool1d(torch.arange(6.)[None, None], 3, 2, ceil_mode=True)`
        let x = Tensor::arange(6, tch::kind::FLOAT_CPU).view([1, 1, 6]);
        assert_eq!(max(&x, 3, 2, 0).unwrap(), Tensor::from_slice(&[2f32, 4.0]).view([1, 1, 2]));
        assert_eq!(max_ceil(&x, 3, 2, 0).unwrap(), Tensor::from_slice(&[2f32, 4.0, 5.0]).view([1, 1, 3]));
    }
}
