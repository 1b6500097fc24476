//! Numerics of the whole process: TF32, cuDNN, deterministic algorithms. They do nothing on a CPU, so they can be set
//! before it is known where a run goes.

#![expect(unsafe_code, reason = "calls the shim")]

use byoc::Result;

use crate::sys;

/// Lets float32 matrix products and convolutions run on tensor cores with 10 bits of mantissa. libtorch's own defaults
/// are off for the first and on for the second.
pub fn set_tf32(allowed: bool) -> Result<()> {
    // SAFETY: takes a flag
    unsafe { sys::mmar_torch_set_tf32(allowed) }.check()
}

/// Whether TF32 is allowed for matrix products, and for convolutions.
pub fn tf32() -> Result<(bool, bool)> {
    let (mut matmul, mut convolution) = (false, false);
    // SAFETY: both pointers are valid for the time of the call
    unsafe { sys::mmar_torch_get_tf32(&raw mut matmul, &raw mut convolution) }.check()?;
    Ok((matmul, convolution))
}

/// cuDNN's choice of convolution algorithms: `benchmark` tries them out for each new shape, `deterministic` takes only
/// those that give the same bits each time.
pub fn set_cudnn(benchmark: bool, deterministic: bool) -> Result<()> {
    // SAFETY: takes flags
    unsafe { sys::mmar_torch_set_cudnn(benchmark, deterministic) }.check()
}

/// cuDNN's `benchmark` and `deterministic`.
pub fn cudnn() -> Result<(bool, bool)> {
    let (mut benchmark, mut deterministic) = (false, false);
    // SAFETY: both pointers are valid for the time of the call
    unsafe { sys::mmar_torch_get_cudnn(&raw mut benchmark, &raw mut deterministic) }.check()?;
    Ok((benchmark, deterministic))
}

/// PyTorch's `torch.use_deterministic_algorithms`: operators without a deterministic algorithm fail, or with
/// `warn_only` warn. On CUDA, matrix products need `CUBLAS_WORKSPACE_CONFIG=:4096:8` in the environment before the first
/// of them.
pub fn set_deterministic_algorithms(enabled: bool, warn_only: bool) -> Result<()> {
    // SAFETY: takes flags
    unsafe { sys::mmar_torch_set_deterministic_algorithms(enabled, warn_only) }.check()
}

/// Whether deterministic algorithms are demanded, and whether others only warn.
pub fn deterministic_algorithms() -> Result<(bool, bool)> {
    let (mut enabled, mut warn_only) = (false, false);
    // SAFETY: both pointers are valid for the time of the call
    unsafe { sys::mmar_torch_get_deterministic_algorithms(&raw mut enabled, &raw mut warn_only) }.check()?;
    Ok((enabled, warn_only))
}

#[cfg(test)]
mod tests {
    use super::{cudnn, deterministic_algorithms, set_cudnn, set_deterministic_algorithms, set_tf32, tf32};

    #[test]
    fn flags_are_what_was_set() {
        for allowed in [true, false] {
            set_tf32(allowed).unwrap();
            assert_eq!(tf32().unwrap(), (allowed, allowed));
            set_cudnn(allowed, !allowed).unwrap();
            assert_eq!(cudnn().unwrap(), (allowed, !allowed));
            set_deterministic_algorithms(allowed, allowed).unwrap();
            assert_eq!(deterministic_algorithms().unwrap(), (allowed, allowed));
        }
    }
}
