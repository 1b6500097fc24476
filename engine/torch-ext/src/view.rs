//! Tensors as slices and slices as tensors, without a copy.
//!
//! Loops over voxels belong into slices: a tensor operator per voxel costs microseconds, and a copy of a CT volume
//! costs more than most filters on it.

#![expect(unsafe_code, reason = "looks at tensor memory through pointers, after checking device, dtype and layout")]

use std::ffi::c_void;
use std::ptr;

use byoc::{Error, ErrorCode, Result};
use tch::kind::Element;
use tch::{Device, Kind, Tensor};

use crate::sys;

/// The values of a tensor, row-major.
///
/// The tensor must be dense and contiguous, on the CPU, of `T`'s dtype: `tensor.to_device(Device::Cpu)`,
/// `.to_kind(…)` and `.contiguous()` make it so, and copy nothing where it already is. While the slice lives nobody may
/// change the values through another handle of the same storage.
#[track_caller]
pub fn slice<T: Element>(tensor: &Tensor) -> Result<&[T]> {
    let length = checked_length::<T>(tensor)?;
    if length == 0 {
        return Ok(&[]);
    }
    // SAFETY: the tensor is on the CPU, contiguous and of `T`'s dtype, so `length` values start at `data_ptr`; they
    // live as long as the tensor
    Ok(unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast(), length) })
}

/// The values of a tensor, row-major, to change them in place; see [`slice`](slice()). Autograd does not hear of it.
#[track_caller]
pub fn slice_mut<T: Element>(tensor: &mut Tensor) -> Result<&mut [T]> {
    let length = checked_length::<T>(tensor)?;
    if length == 0 {
        return Ok(&mut []);
    }
    // SAFETY: as in `slice`, and `&mut` keeps other uses of this handle away
    Ok(unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast(), length) })
}

/// A CPU tensor of this shape whose values `fill` writes in place, row-major.
///
/// The values are whatever the memory held before: `fill` writes all of them.
pub fn build<T: Element>(shape: &[i64], fill: impl FnOnce(&mut [T])) -> Tensor {
    let options = (T::KIND, Device::Cpu);
    // not every byte is a bool
    let tensor = if T::KIND == Kind::Bool { Tensor::zeros(shape, options) } else { Tensor::empty(shape, options) };
    let length = tensor.numel();
    if length == 0 {
        fill(&mut []);
    } else {
        // SAFETY: a fresh contiguous tensor of `T`'s dtype that nobody else has; its memory came from libtorch's
        // allocator, and each bit pattern is a value of `T` (bools were set to zero)
        fill(unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast(), length) });
    }
    tensor
}

/// A CPU tensor with the vector's values, row-major; the vector's memory becomes the tensor's.
///
/// # Panics
///
/// If the shape does not have as many values as the vector: a bug of the caller.
#[track_caller]
pub fn from_vec<T: Element>(values: Vec<T>, shape: &[i64]) -> Tensor {
    let numel = shape.iter().try_fold(1i64, |product, &size| if size < 0 { None } else { product.checked_mul(size) });
    assert!(
        numel.and_then(|numel| usize::try_from(numel).ok()) == Some(values.len()),
        "{} values cannot have the shape {shape:?}",
        values.len()
    );
    if values.is_empty() {
        return Tensor::empty(shape, (T::KIND, Device::Cpu));
    }
    let mut values = Box::new(values);
    let data = values.as_mut_ptr().cast::<c_void>();
    let owner = Box::into_raw(values).cast::<c_void>();
    let mut tensor = ptr::null_mut();
    // SAFETY: `data` points at the values that the shape needs and stays valid until `release` is called with `owner`,
    // once, when the storage goes. If the call fails the vector is leaked: whether it was released is not known then
    let message = unsafe {
        sys::mmar_torch_from_memory(
            data,
            sys::dtype(T::KIND),
            shape.as_ptr(),
            shape.len(),
            owner,
            release::<T>,
            &raw mut tensor,
        )
    };
    if let Err(error) = message.check() {
        // sizes and memory were checked: what is left is being out of memory, where tch's constructors panic, too
        panic!("cannot make a tensor of shape {shape:?}: {error}");
    }
    // SAFETY: the call succeeded
    unsafe { sys::own(tensor) }
}

extern "C" fn release<T>(owner: *mut c_void) {
    // SAFETY: `owner` is the box that `from_vec` gave away, and libtorch calls this once
    drop(unsafe { Box::from_raw(owner.cast::<Vec<T>>()) });
}

#[track_caller]
fn checked_length<T: Element>(tensor: &Tensor) -> Result<usize> {
    let problem = if !tensor.defined() {
        "it is undefined".to_owned()
    } else if tensor.device() != Device::Cpu {
        format!("it is on {:?}: move it with `to_device(Device::Cpu)`", tensor.device())
    } else if tensor.kind() != T::KIND {
        format!("its dtype is {:?}: convert it with `to_kind`", tensor.kind())
    } else if tensor.is_sparse() || tensor.is_mkldnn() {
        "it is not dense".to_owned()
    } else if !tensor.is_contiguous() {
        format!("shape {:?} has strides {:?}: call `contiguous()` first", tensor.size(), tensor.stride())
    } else {
        return Ok(tensor.numel());
    };
    Err(Error::new(
        ErrorCode::TENSOR,
        format!("this tensor cannot be read as a slice of {:?} values: {problem}", T::KIND),
    ))
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::{build, from_vec, slice, slice_mut};

    #[test]
    fn a_vector_becomes_a_tensor_and_a_slice_again() {
        let values: Vec<f32> = (0..24).map(|value| value as f32).collect();
        let address = values.as_ptr();
        let tensor = from_vec(values, &[2, 3, 4]);
        assert_eq!((tensor.size(), tensor.kind()), (vec![2, 3, 4], Kind::Float));
        let view = slice::<f32>(&tensor).unwrap();
        assert_eq!((view.as_ptr(), view.len(), view[23]), (address, 24, 23.0));
        // a view keeps the memory after the tensor itself is gone
        let last = tensor.get(1);
        drop(tensor);
        assert_eq!(slice::<f32>(&last).unwrap()[0], 12.0);
    }

    #[test]
    fn built_tensors_hold_what_was_written() {
        let mut tensor = build::<i16>(&[3, 2], |values| values.copy_from_slice(&[1, 2, 3, 4, 5, 6]));
        slice_mut::<i16>(&mut tensor).unwrap()[5] = -1;
        assert_eq!(Vec::<Vec<i16>>::try_from(&tensor).unwrap(), [[1, 2], [3, 4], [5, -1]]);
        assert_eq!(build::<f32>(&[0, 5], |values| assert!(values.is_empty())).size(), [0, 5]);
        assert!(slice::<bool>(&build::<bool>(&[4], |_| ())).unwrap().iter().all(|value| !value));
    }

    #[test]
    fn what_cannot_be_a_slice_says_why() {
        let tensor = Tensor::zeros([2, 3], (Kind::Float, Device::Cpu));
        for (message, result) in [
            ("its dtype is Float: convert it with `to_kind`", slice::<f64>(&tensor).map(<[_]>::len)),
            ("shape [3, 2] has strides [1, 3]: call `contiguous()` first", slice::<f32>(&tensor.tr()).map(<[_]>::len)),
        ] {
            let error = result.unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    #[should_panic(expected = "5 values cannot have the shape [2, 3]")]
    fn a_shape_must_fit() {
        let _ = from_vec(vec![1u8; 5], &[2, 3]);
    }
}
