//! States of libtorch's own random generators, for a resume that goes on exactly: weights are initialised and dropout
//! draws with them. (Random transforms draw from [`byoc::Random`].)

#![expect(unsafe_code, reason = "calls the shim")]

use std::ptr;

use byoc::Result;
use tch::{Device, Tensor};

use crate::sys;

/// The state of a device's default generator: bytes, on the CPU, as `torch.get_rng_state()` gives them.
pub fn state(device: Device) -> Result<Tensor> {
    let (kind, index) = sys::device(device);
    let mut tensor = ptr::null_mut();
    // SAFETY: the pointer is valid for the time of the call
    unsafe { sys::mmar_torch_generator_state(kind, index, &raw mut tensor) }.check()?;
    // SAFETY: the call succeeded
    Ok(unsafe { sys::own(tensor) })
}

/// Takes over a state as [`state`] or Python's `torch.get_rng_state()` gives it.
pub fn set_state(device: Device, state: &Tensor) -> Result<()> {
    let (kind, index) = sys::device(device);
    let state = state.f_to_device(Device::Cpu)?.f_contiguous()?;
    // SAFETY: the tensor lives through the call
    unsafe { sys::mmar_torch_generator_set_state(kind, index, sys::pointer(&state)) }.check()
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::{set_state, state};

    #[test]
    fn draws_repeat_after_a_state_is_set() {
        tch::manual_seed(1);
        let _ = Tensor::randn([7], (Kind::Float, Device::Cpu));
        let saved = state(Device::Cpu).unwrap();
        let first = Tensor::randn([100], (Kind::Float, Device::Cpu));
        set_state(Device::Cpu, &saved).unwrap();
        assert_eq!(Tensor::randn([100], (Kind::Float, Device::Cpu)), first);
        assert!(set_state(Device::Cpu, &Tensor::from_slice(&[1u8, 2])).is_err());
    }
}
