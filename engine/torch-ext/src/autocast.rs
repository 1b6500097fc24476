//! Autocast: matrix products and convolutions in a 16-bit type, reductions and losses in float32.
//!
//! libtorch keeps the state per thread and device type. [`with`] changes it for the time of one closure, on this thread
//! only; backward passes do not need it.

#![expect(unsafe_code, reason = "calls the shim")]

use byoc::Result;
use tch::{Device, Kind};

use crate::sys;

/// Runs `f` with autocast to `dtype` on this type of device, or without autocast for `None`.
///
/// What was set before is set again afterwards, also when `f` panics. The cache of cast weights lives until the
/// outermost region ends, so that a weight is cast once per forward pass.
///
/// `dtype` is [`Kind::BFloat16`] or [`Kind::Half`]; for another one libtorch warns and casts nothing.
pub fn with<R>(device: Device, dtype: Option<Kind>, f: impl FnOnce() -> R) -> R {
    let _region = Region::enter(device, dtype);
    f()
}

/// Whether autocast is on for this type of device on this thread, and to which dtype.
pub fn current(device: Device) -> Result<Option<Kind>> {
    let (enabled, dtype) = get(device)?;
    Ok(enabled.then_some(if dtype == sys::dtype(Kind::Half) { Kind::Half } else { Kind::BFloat16 }))
}

struct Region {
    device: Device,
    before: Option<(bool, i32)>,
}

impl Region {
    fn enter(device: Device, dtype: Option<Kind>) -> Self {
        // neither call fails for the device types that tch knows; if one did, the region would change nothing
        let before = get(device).ok();
        if let Some((_, dtype_before)) = before {
            // SAFETY: takes nothing
            let entered = unsafe { sys::mmar_torch_autocast_enter() };
            let dtype_now = dtype.map_or(dtype_before, sys::dtype);
            let _ = entered.check().and_then(|()| set(device, dtype.is_some(), dtype_now));
        }
        Self { device, before }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        if let Some((enabled, dtype)) = self.before {
            // SAFETY: takes nothing; pairs with the call in `enter`
            let left = unsafe { sys::mmar_torch_autocast_leave() };
            let _ = left.check().and_then(|()| set(self.device, enabled, dtype));
        }
    }
}

fn get(device: Device) -> Result<(bool, i32)> {
    let (mut enabled, mut dtype) = (false, 0);
    // SAFETY: both pointers are valid for the time of the call
    unsafe { sys::mmar_torch_autocast_get(sys::device(device).0, &raw mut enabled, &raw mut dtype) }.check()?;
    Ok((enabled, dtype))
}

fn set(device: Device, enabled: bool, dtype: i32) -> Result<()> {
    // SAFETY: takes numbers only
    unsafe { sys::mmar_torch_autocast_set(sys::device(device).0, enabled, dtype) }.check()
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::{current, with};

    fn product() -> Kind {
        let a = Tensor::ones([2, 2], (Kind::Float, Device::Cpu));
        a.matmul(&a).kind()
    }

    #[test]
    fn regions_nest_and_end() {
        assert_eq!(product(), Kind::Float);
        with(Device::Cpu, Some(Kind::BFloat16), || {
            assert_eq!((product(), current(Device::Cpu).unwrap()), (Kind::BFloat16, Some(Kind::BFloat16)));
            with(Device::Cpu, None, || assert_eq!((product(), current(Device::Cpu).unwrap()), (Kind::Float, None)));
            with(Device::Cpu, Some(Kind::Half), || assert_eq!(product(), Kind::Half));
            assert_eq!(product(), Kind::BFloat16);
        });
        assert_eq!((product(), current(Device::Cpu).unwrap()), (Kind::Float, None));
    }

    #[test]
    fn a_panic_ends_the_region() {
        let result = std::panic::catch_unwind(|| with(Device::Cpu, Some(Kind::BFloat16), || panic!("out")));
        assert!(result.is_err());
        assert_eq!(product(), Kind::Float);
    }

    #[test]
    fn other_threads_are_left_alone() {
        with(Device::Cpu, Some(Kind::BFloat16), || {
            let elsewhere = std::thread::spawn(product).join().unwrap();
            assert_eq!(elsewhere, Kind::Float);
        });
    }
}
