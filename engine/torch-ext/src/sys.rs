//! The shim's C interface, and what every call of it needs: messages become errors, tensors become pointers.

#![expect(unsafe_code, reason = "the one place that declares the shim's functions and handles its raw pointers")]

use std::ffi::{CStr, c_char, c_int, c_void};

use byoc::{Error, ErrorCode, Result, torch_message};
use tch::{Device, Kind, Tensor};

/// libtorch's `at::Tensor`, behind a pointer.
#[repr(C)]
pub(crate) struct CTensor {
    private: [u8; 0],
}

/// A tree on its way into a checkpoint.
#[repr(C)]
pub(crate) struct CTree {
    private: [u8; 0],
}

/// What a shim function returns: null, or a message to be freed.
#[repr(transparent)]
#[must_use]
pub(crate) struct Message(*mut c_char);

/// Numbers of one Adam step; the same struct is in `optim.cpp`.
#[repr(C)]
pub(crate) struct AdamNumbers {
    pub(crate) lr: f64,
    pub(crate) beta1: f64,
    pub(crate) beta2: f64,
    pub(crate) weight_decay: f64,
    pub(crate) eps: f64,
    pub(crate) amsgrad: bool,
    pub(crate) maximize: bool,
    pub(crate) decoupled: bool,
}

/// Numbers of one SGD step; the same struct is in `optim.cpp`.
#[repr(C)]
pub(crate) struct SgdNumbers {
    pub(crate) lr: f64,
    pub(crate) momentum: f64,
    pub(crate) dampening: f64,
    pub(crate) weight_decay: f64,
    pub(crate) nesterov: bool,
    pub(crate) maximize: bool,
    pub(crate) first_step: bool,
}

unsafe extern "C" {
    fn mmar_torch_free_message(message: *mut c_char);
    fn mmar_torch_version() -> *const c_char;

    pub(crate) fn mmar_torch_from_memory(
        data: *mut c_void,
        dtype: c_int,
        sizes: *const i64,
        dimensions: usize,
        owner: *mut c_void,
        release: extern "C" fn(*mut c_void),
        out: *mut *mut CTensor,
    ) -> Message;

    pub(crate) fn mmar_torch_tree_new(out: *mut *mut CTree) -> Message;
    pub(crate) fn mmar_torch_tree_free(tree: *mut CTree);
    pub(crate) fn mmar_torch_tree_none(tree: *mut CTree) -> Message;
    pub(crate) fn mmar_torch_tree_bool(tree: *mut CTree, value: bool) -> Message;
    pub(crate) fn mmar_torch_tree_int(tree: *mut CTree, value: i64) -> Message;
    pub(crate) fn mmar_torch_tree_float(tree: *mut CTree, value: f64) -> Message;
    pub(crate) fn mmar_torch_tree_str(tree: *mut CTree, text: *const c_char, length: usize) -> Message;
    pub(crate) fn mmar_torch_tree_tensor(tree: *mut CTree, tensor: *const CTensor) -> Message;
    pub(crate) fn mmar_torch_tree_list(tree: *mut CTree, count: usize) -> Message;
    pub(crate) fn mmar_torch_tree_dict(tree: *mut CTree, count: usize) -> Message;
    pub(crate) fn mmar_torch_tree_write(
        tree: *mut CTree,
        sink: extern "C" fn(*mut c_void, *const c_void, usize),
        context: *mut c_void,
    ) -> Message;

    pub(crate) fn mmar_torch_autocast_get(device: c_int, enabled: *mut bool, dtype: *mut c_int) -> Message;
    pub(crate) fn mmar_torch_autocast_set(device: c_int, enabled: bool, dtype: c_int) -> Message;
    pub(crate) fn mmar_torch_autocast_enter() -> Message;
    pub(crate) fn mmar_torch_autocast_leave() -> Message;

    pub(crate) fn mmar_torch_gradient_clear(parameters: *const *mut CTensor, count: usize) -> Message;
    pub(crate) fn mmar_torch_gradient_set(parameter: *mut CTensor, gradient: *const CTensor) -> Message;
    pub(crate) fn mmar_torch_gradient_leaves(
        root: *const CTensor,
        take: extern "C" fn(*mut c_void, *mut CTensor),
        context: *mut c_void,
    ) -> Message;

    pub(crate) fn mmar_torch_fused_adam(
        lists: *const *const *mut CTensor,
        count: usize,
        numbers: *const AdamNumbers,
    ) -> Message;
    pub(crate) fn mmar_torch_fused_sgd(
        lists: *const *const *mut CTensor,
        count: usize,
        numbers: *const SgdNumbers,
    ) -> Message;
    pub(crate) fn mmar_torch_foreach_norm(
        tensors: *const *mut CTensor,
        count: usize,
        order: f64,
        out: *mut *mut CTensor,
    ) -> Message;
    pub(crate) fn mmar_torch_foreach_scale(tensors: *const *mut CTensor, count: usize, factor: f64) -> Message;
    pub(crate) fn mmar_torch_foreach_multiply(
        tensors: *const *mut CTensor,
        factors: *const *mut CTensor,
        count: usize,
        out: *mut *mut CTensor,
    ) -> Message;
    pub(crate) fn mmar_torch_foreach_increase(tensors: *const *mut CTensor, count: usize, value: f64) -> Message;
    pub(crate) fn mmar_torch_foreach_add(
        tensors: *const *mut CTensor,
        others: *const *mut CTensor,
        count: usize,
        alpha: f64,
    ) -> Message;
    pub(crate) fn mmar_torch_amp_unscale(
        gradients: *const *mut CTensor,
        count: usize,
        found: *mut CTensor,
        inverse_scale: *const CTensor,
    ) -> Message;

    pub(crate) fn mmar_torch_set_tf32(allowed: bool) -> Message;
    pub(crate) fn mmar_torch_get_tf32(matmul: *mut bool, convolution: *mut bool) -> Message;
    pub(crate) fn mmar_torch_set_cudnn(benchmark: bool, deterministic: bool) -> Message;
    pub(crate) fn mmar_torch_get_cudnn(benchmark: *mut bool, deterministic: *mut bool) -> Message;
    pub(crate) fn mmar_torch_set_deterministic_algorithms(enabled: bool, warn_only: bool) -> Message;
    pub(crate) fn mmar_torch_get_deterministic_algorithms(enabled: *mut bool, warn_only: *mut bool) -> Message;
    pub(crate) fn mmar_torch_generator_state(device: c_int, index: c_int, out: *mut *mut CTensor) -> Message;
    pub(crate) fn mmar_torch_generator_set_state(device: c_int, index: c_int, state: *const CTensor) -> Message;

    // of the OpenMP runtime that libtorch itself uses
    pub(crate) fn omp_set_num_threads(count: c_int);
    pub(crate) fn omp_get_max_threads() -> c_int;
}

impl Message {
    /// The message as an error, cut to libtorch's first sentence.
    #[track_caller]
    pub(crate) fn check(self) -> Result<()> {
        if self.0.is_null() {
            return Ok(());
        }
        // SAFETY: not null, so it is a terminated string that the shim allocated
        let text = unsafe { CStr::from_ptr(self.0) }.to_string_lossy().into_owned();
        // SAFETY: it came from the shim and is not used afterwards
        unsafe { mmar_torch_free_message(self.0) };
        Err(Error::new(ErrorCode::TENSOR, torch_message(&text)))
    }
}

pub(crate) fn version() -> String {
    // SAFETY: takes nothing
    let text = unsafe { mmar_torch_version() };
    // SAFETY: a string literal of the shim
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// The tensor's pointer, borrowed: valid while the tensor lives.
pub(crate) fn pointer(tensor: &Tensor) -> *mut CTensor {
    tensor.as_ptr().cast_mut().cast()
}

/// The pointers of a list, borrowed.
pub(crate) fn pointers(tensors: &[Tensor]) -> Vec<*mut CTensor> {
    tensors.iter().map(pointer).collect()
}

/// Takes over a tensor that the shim gave.
///
/// # Safety
///
/// `tensor` came out of a shim function that succeeded, and is taken over once.
pub(crate) unsafe fn own(tensor: *mut CTensor) -> Tensor {
    // SAFETY: an at::Tensor* on the heap is what tch itself holds; the caller gives it away
    unsafe { Tensor::from_ptr(tensor.cast()) }
}

/// The number of a dtype in `c10/core/ScalarType.h`.
pub(crate) fn dtype(kind: Kind) -> c_int {
    match kind {
        Kind::Uint8 => 0,
        Kind::Int8 => 1,
        Kind::Int16 => 2,
        Kind::Int => 3,
        Kind::Int64 => 4,
        Kind::Half => 5,
        Kind::Float => 6,
        Kind::Double => 7,
        Kind::ComplexHalf => 8,
        Kind::ComplexFloat => 9,
        Kind::ComplexDouble => 10,
        Kind::Bool => 11,
        Kind::QInt8 => 12,
        Kind::QUInt8 => 13,
        Kind::QInt32 => 14,
        Kind::BFloat16 => 15,
        Kind::Float8e5m2 => 23,
        Kind::Float8e4m3fn => 24,
        Kind::Float8e5m2fnuz => 25,
        Kind::Float8e4m3fnuz => 26,
    }
}

/// The number of a device's type in `c10/core/DeviceType.h`, and its index (-1: the current one).
pub(crate) fn device(device: Device) -> (c_int, c_int) {
    match device {
        Device::Cpu => (0, -1),
        Device::Cuda(index) => (1, index as c_int),
        Device::Vulkan => (10, -1),
        Device::Mps => (13, -1),
    }
}
