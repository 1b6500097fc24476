//! The one place that decides how a convolution runs: in which memory format, and in which precision.
//!
//! Results are the same either way up to rounding. Layers never choose for themselves.

use std::cell::Cell;

use tch::{Device, Kind, Tensor};

use super::conv::Geometry;
use super::pool::spatial_dims;
use crate::Result;

thread_local! {
    static FIXED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f` with every convolution of this thread in the format in which its input comes.
///
/// To measure what the rule brings. A network in a plugin has its own copy of this switch.
pub fn unchanged<R>(f: impl FnOnce() -> R) -> R {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            FIXED.set(self.0);
        }
    }
    let _restore = Restore(FIXED.replace(true));
    f()
}

/// Whether a convolution runs faster channels-last, conversions included.
///
/// libtorch 2.11's CPU kernels fall back to slow implementations of the backward pass in the contiguous format when a
/// 3-D convolution has few channels, as the last residual unit of a two-class UNet has at full resolution. Measured on
/// two cores, forward and backward, CPU time contiguous / channels-last, float32 and (bfloat16): 2 → 2 at 48³ 2.0
/// (6.3), 3 → 3 2.5 (5.6), 8 → 8 at 32³ 1.4 (7.8), 14 → 14 4.4 (3.3), 8 → 2 14.7 (2.5), 2 → 16 1.3 (2.0). From 16
/// channels on both sides, with one input channel or below 24³ voxels it makes no difference or is slower; so it is in
/// the forward pass alone, which is why gradients are asked for. (Hence traces, made without gradients, hold no layout
/// operators, in plugins too.) Depthwise kernels and other devices were not measured.
fn prefers_channels_last(x: &Tensor, weight: &Tensor, geometry: &Geometry) -> bool {
    if FIXED.get() || !x.requires_grad() || x.device() != Device::Cpu || x.dim() != 5 || geometry.groups != 1 {
        return false;
    }
    let shape = weight.size();
    let (outputs, inputs) = (shape[0], shape[1]);
    let kernel: i64 = geometry.kernel_size.iter().product();
    let voxels: i64 = x.size().iter().skip(2).product();
    (2..16).contains(&inputs) && outputs <= 16 && kernel > 1 && voxels >= 24 * 24 * 24
}

/// Whether libtorch 2.11 computes wrong gradients for a convolution in bfloat16.
///
/// Its CPU kernel (oneDNN's `jit_bf16` for weights) reads memory that nobody wrote when all of an input's axes but the
/// last are shorter than 3, or the last is 1 with a stride: gradients come out as anything up to infinity, and another
/// each time. Seen by comparing with float32, on sizes 1 to 8, kernels 1 to 3, strides 1 and 2; float32 and larger
/// inputs are right. Such small inputs occur at the bottom of a U-shaped network and cost nothing in float32.
fn needs_float32(x: &Tensor) -> bool {
    // in inference there is no gradient to go wrong, and traces hold no casts
    x.requires_grad() && x.device() == Device::Cpu && x.size().iter().skip(2).any(|&size| size < 3)
}

/// In float32 whatever autocast says: it does not know the general operator. Gives back the input's dtype.
fn float32_convolution(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    geometry: &Geometry,
    transposed: Option<&[i64]>,
) -> Result<Tensor> {
    let Geometry { stride, padding, dilation, groups, .. } = geometry;
    let kind = match x.kind() {
        Kind::BFloat16 | Kind::Half => Kind::Float,
        kind => kind,
    };
    let bias = bias.map(|bias| bias.f_to_kind(kind)).transpose()?;
    let none = vec![0; stride.len()];
    let output_padding = transposed.unwrap_or(&none);
    let y = x.f_to_kind(kind)?.f_convolution(
        &weight.f_to_kind(kind)?,
        bias.as_ref(),
        stride,
        padding,
        dilation,
        transposed.is_some(),
        output_padding,
        *groups,
    )?;
    Ok(y.f_to_kind(x.kind())?)
}

/// (B, in, spatial…) → (B, out, spatial…), contiguous where the input is.
pub(super) fn convolution(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, geometry: &Geometry) -> Result<Tensor> {
    let Geometry { stride, padding, dilation, groups, .. } = geometry;
    if needs_float32(x) {
        return float32_convolution(x, weight, bias, geometry, None);
    }
    // the operators by dimension, not `convolution`: autocast knows only these
    Ok(match spatial_dims(x)? {
        1 => x.f_conv1d(weight, bias, stride, padding, dilation, *groups)?,
        2 => x.f_conv2d(weight, bias, stride, padding, dilation, *groups)?,
        _ if prefers_channels_last(x, weight, geometry) => {
            channels_last(x)?.f_conv3d(weight, bias, stride, padding, dilation, *groups)?.f_contiguous()?
        }
        _ => x.f_conv3d(weight, bias, stride, padding, dilation, *groups)?,
    })
}

/// (B, in, spatial…) → (B, out, spatial…).
pub(super) fn transposed_convolution(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    geometry: &Geometry,
    output_padding: &[i64],
) -> Result<Tensor> {
    let Geometry { stride, padding, dilation, groups, .. } = geometry;
    if needs_float32(x) {
        return float32_convolution(x, weight, bias, geometry, Some(output_padding));
    }
    Ok(match spatial_dims(x)? {
        1 => x.f_conv_transpose1d(weight, bias, stride, padding, output_padding, *groups, dilation)?,
        2 => x.f_conv_transpose2d(weight, bias, stride, padding, output_padding, *groups, dilation)?,
        _ => x.f_conv_transpose3d(weight, bias, stride, padding, output_padding, *groups, dilation)?,
    })
}

/// The same values with the strides of `torch.channels_last_3d`.
fn channels_last(x: &Tensor) -> Result<Tensor> {
    Ok(x.f_permute([0, 2, 3, 4, 1])?.f_contiguous()?.f_permute([0, 4, 1, 2, 3])?)
}

#[cfg(test)]
mod tests {
    use tch::nn;

    use super::*;
    use crate::nn::{Conv, ConvOptions};

    #[test]
    fn both_formats_give_the_same_values_and_gradients() {
        let store = nn::VarStore::new(Device::Cpu);
        let conv = Conv::new(&store.root(), ConvOptions::new(3, 2, 2, 3).padding(1)).unwrap();
        let run = || {
            let x = Tensor::arange(2 * 24 * 24 * 24, (Kind::Float, Device::Cpu)).view([1, 2, 24, 24, 24]).sin();
            let x = x.set_requires_grad(true);
            let y = conv.forward(&x).unwrap();
            y.square().sum(Kind::Float).backward();
            let mut weight = conv.weight().grad();
            let gradient = weight.copy();
            let _ = weight.zero_();
            (y, x.grad(), gradient)
        };
        let chosen = run();
        let plain = unchanged(run);
        assert!(chosen.0.is_contiguous());
        assert!(prefers_channels_last(
            &Tensor::ones([1, 2, 24, 24, 24], tch::kind::FLOAT_CPU).set_requires_grad(true),
            conv.weight(),
            &Geometry {
                kernel_size: vec![3; 3],
                stride: vec![1; 3],
                padding: vec![1; 3],
                dilation: vec![1; 3],
                groups: 1,
            }
        ));
        for (a, b) in [(&chosen.0, &plain.0), (&chosen.1, &plain.1), (&chosen.2, &plain.2)] {
            assert!(a.allclose(b, 1e-4, 1e-4, false));
        }
        assert!(!FIXED.get());
    }

    #[test]
    fn gradients_of_tiny_bfloat16_inputs_are_right() {
        let store = nn::VarStore::new(Device::Cpu);
        let conv = Conv::new(&store.root(), ConvOptions::new(3, 16, 16, 3).padding(1)).unwrap();
        let gradient = |kind| {
            let x = Tensor::arange(16 * 8, (Kind::Float, Device::Cpu)).view([1, 16, 2, 2, 2]).sin().to_kind(kind);
            conv.forward(&x.set_requires_grad(true)).unwrap().sum(Kind::Float).backward();
            let mut weight = conv.weight().grad();
            let gradient = weight.copy();
            let _ = weight.zero_();
            gradient
        };
        let (exact, rounded) = (gradient(Kind::Float), gradient(Kind::BFloat16));
        assert!(exact.allclose(&rounded, 0.02, 0.02, false), "{}", (&exact - &rounded).abs().max().double_value(&[]));
    }
}
