//! What both sides of the boundary agree on. Names say who owns what: a `…Ref` or `…View` is borrowed for the call, an
//! `Owned…` passes to whoever receives it.
#![allow(
    non_local_definitions,
    unreachable_pub,
    clippy::expl_impl_clone_on_copy,
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    clippy::allow_attributes_without_reason,
    reason = "what abi_stable 0.11's derive macro expands to"
)]

use std::marker::PhantomData;
use std::ptr::NonNull;

use abi_stable::StableAbi;
use abi_stable::library::RootModule;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::{ROption, RResult, RSlice, RStr, RString, RVec};
use tch::Tensor;

use crate::{Error, Result};

/// The outcome of every call. On an error there is no value and nothing to free.
pub type Fallible<T> = RResult<T, FfiError>;

/// An [`Error`] on its way across.
#[repr(C)]
#[derive(StableAbi)]
pub struct FfiError {
    pub code: u32,
    pub message: RString,
    pub chain: RVec<RString>,
    pub location: ROption<RString>,
    pub backtrace: ROption<RString>,
}

/// Memory of the other side; only handed back, never looked into.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct Opaque(pub NonNull<()>);

/// A plugin's list of components: a static of the plugin.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct PluginRef(pub NonNull<()>);

// SAFETY: it points to a static that nobody changes.
unsafe impl Send for PluginRef {}
// SAFETY: as above.
unsafe impl Sync for PluginRef {}

/// A borrowed `at::Tensor*`. The callee may take a handle of its own during the call, and never keeps the pointer.
#[repr(transparent)]
#[derive(Clone, Copy, StableAbi)]
pub struct TensorRef<'a> {
    handle: NonNull<()>,
    borrow: PhantomData<&'a ()>,
}

/// An `at::Tensor*` that its holder frees.
#[repr(transparent)]
#[derive(StableAbi)]
pub struct OwnedTensor {
    handle: NonNull<()>,
}

impl<'a> TensorRef<'a> {
    /// Lends a tensor; refuses an undefined one.
    pub fn new(tensor: &'a Tensor) -> Result<Self> {
        match NonNull::new(tensor.as_ptr().cast_mut()) {
            Some(handle) if tensor.defined() => Ok(Self { handle: handle.cast(), borrow: PhantomData }),
            _ => Err(undefined()),
        }
    }

    /// A handle of one's own to the same tensor: the same storage, the same place in the autograd graph.
    pub fn to_tensor(self) -> Result<Tensor> {
        // SAFETY: the lender made the pointer from a live tensor, which the lifetime keeps alive during this call; both
        // sides run the same libtorch, which the loader has checked.
        let tensor = unsafe { Tensor::clone_from_ptr(self.handle.as_ptr().cast()) };
        if tensor.defined() { Ok(tensor) } else { Err(undefined()) }
    }
}

impl OwnedTensor {
    /// Gives a tensor away; refuses an undefined one.
    pub fn new(tensor: Tensor) -> Result<Self> {
        if !tensor.defined() {
            return Err(undefined());
        }
        let mut tensor = std::mem::ManuallyDrop::new(tensor);
        match NonNull::new(tensor.as_mut_ptr()) {
            Some(handle) => Ok(Self { handle: handle.cast() }),
            None => Err(undefined()),
        }
    }

    /// Takes the tensor over.
    pub fn into_tensor(self) -> Result<Tensor> {
        let this = std::mem::ManuallyDrop::new(self);
        // SAFETY: the handle came out of a `Tensor` that was forgotten, and is used up here.
        let tensor = unsafe { Tensor::from_ptr(this.handle.as_ptr().cast()) };
        if tensor.defined() { Ok(tensor) } else { Err(undefined()) }
    }
}

impl Drop for OwnedTensor {
    fn drop(&mut self) {
        // SAFETY: as in `into_tensor`, which does not come here.
        drop(unsafe { Tensor::from_ptr(self.handle.as_ptr().cast()) });
    }
}

fn undefined() -> Error {
    Error::new(crate::ErrorCode::TENSOR, "an undefined tensor cannot be handed to or from a plugin")
}

/// A borrowed [`Sample`](crate::Sample): see [`wire`](super::wire).
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct SampleView<'a> {
    pub bytes: RSlice<'a, u8>,
    pub tensors: RSlice<'a, TensorRef<'a>>,
}

/// A [`Sample`](crate::Sample) that passes to the receiver.
#[repr(C)]
#[derive(StableAbi)]
pub struct OwnedSample {
    pub bytes: RVec<u8>,
    pub tensors: RVec<OwnedTensor>,
}

/// A parameter or buffer of a network. The tensor is the network's own.
#[repr(C)]
#[derive(StableAbi)]
pub struct OwnedNamedTensor {
    pub name: RString,
    pub tensor: OwnedTensor,
    pub trainable: bool,
}

/// A part of a metric's state, lent.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct NamedTensorRef<'a> {
    pub name: RStr<'a>,
    pub tensor: TensorRef<'a>,
}

/// What a loss is called with.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct LossCall<'a> {
    pub inputs: RSlice<'a, TensorRef<'a>>,
    pub target: ROption<TensorRef<'a>>,
    pub mask: ROption<TensorRef<'a>>,
    pub batch: ROption<SampleView<'a>>,
}

/// State of a [`Random`](crate::Random): read before the call, written back after it.
pub type RandomState = [u64; 4];

/// Declares an object: a pointer and its table of functions.
macro_rules! object {
    ($(#[$doc:meta])* $object:ident, $table:ident) => {
        $(#[$doc])*
        #[repr(C)]
        #[derive(StableAbi)]
        pub struct $object {
            pub data: Opaque,
            pub table: $table,
        }
    };
}

object!(
    /// A network.
    NetworkObject, NetworkTableRef
);
object!(
    /// A loss.
    LossObject, LossTableRef
);
object!(
    /// A metric.
    MetricObject, MetricTableRef
);
object!(
    /// A transform.
    TransformObject, TransformTableRef
);
object!(
    /// A handler.
    HandlerObject, HandlerTableRef
);

/// A network with its state.
#[repr(C)]
#[derive(StableAbi)]
pub struct OwnedNetwork {
    pub object: NetworkObject,
    pub state: RVec<OwnedNamedTensor>,
}

/// Functions of a network.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = NetworkTableRef)))]
pub struct NetworkTable {
    pub release: extern "C" fn(Opaque),
    pub forward: extern "C" fn(Opaque, TensorRef<'_>, bool) -> Fallible<OwnedTensor>,
    #[sabi(last_prefix_field)]
    pub forward_all: extern "C" fn(Opaque, RSlice<'_, TensorRef<'_>>, bool) -> Fallible<RVec<OwnedTensor>>,
}

/// Functions of a loss.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = LossTableRef)))]
pub struct LossTable {
    pub release: extern "C" fn(Opaque),
    pub forward: extern "C" fn(Opaque, TensorRef<'_>, TensorRef<'_>) -> Fallible<OwnedTensor>,
    #[sabi(last_prefix_field)]
    pub forward_full: extern "C" fn(Opaque, LossCall<'_>) -> Fallible<OwnedTensor>,
}

/// Functions of a metric.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = MetricTableRef)))]
pub struct MetricTable {
    pub release: extern "C" fn(Opaque),
    pub reset: extern "C" fn(Opaque) -> Fallible<()>,
    pub update: extern "C" fn(Opaque, TensorRef<'_>, TensorRef<'_>) -> Fallible<()>,
    pub compute: extern "C" fn(Opaque) -> Fallible<f64>,
    pub details: extern "C" fn(Opaque) -> Fallible<ROption<OwnedTensor>>,
    pub results: extern "C" fn(Opaque) -> Fallible<RVec<OwnedNamedTensor>>,
    pub state: extern "C" fn(Opaque) -> Fallible<RVec<OwnedNamedTensor>>,
    #[sabi(last_prefix_field)]
    pub load_state: extern "C" fn(Opaque, RSlice<'_, NamedTensorRef<'_>>) -> Fallible<()>,
}

/// Functions of a transform.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = TransformTableRef)))]
pub struct TransformTable {
    pub release: extern "C" fn(Opaque),
    pub is_random: extern "C" fn(Opaque) -> Fallible<bool>,
    pub apply: extern "C" fn(Opaque, SampleView<'_>, &mut RandomState) -> Fallible<OwnedSample>,
    pub apply_many: extern "C" fn(Opaque, SampleView<'_>, &mut RandomState) -> Fallible<RVec<OwnedSample>>,
    #[sabi(last_prefix_field)]
    pub prepare: extern "C" fn(Opaque, SampleView<'_>) -> Fallible<OwnedSample>,
}

/// Functions of a handler. `handle` gives back what the handler asked for, as [`wire`](super::wire) writes it.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = HandlerTableRef)))]
pub struct HandlerTable {
    pub release: extern "C" fn(Opaque),
    pub handle: extern "C" fn(Opaque, u32, EngineRef) -> Fallible<RVec<u8>>,
    pub state: extern "C" fn(Opaque) -> Fallible<RString>,
    #[sabi(last_prefix_field)]
    pub load_state: extern "C" fn(Opaque, RStr<'_>) -> Fallible<()>,
}

/// The host's engine as a handler sees it, for the length of one call.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct EngineRef {
    pub data: Opaque,
    pub table: EngineTableRef,
}

/// What a handler can ask the engine while it runs. State and output are fetched when they are asked for: most handlers
/// look at few events.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = EngineTableRef)))]
pub struct EngineTable {
    pub state: extern "C" fn(Opaque) -> RVec<u8>,
    pub output: extern "C" fn(Opaque) -> Fallible<RVec<OwnedSample>>,
    #[sabi(last_prefix_field)]
    pub metric_details: extern "C" fn(Opaque, RStr<'_>) -> ROption<OwnedTensor>,
}

/// What the host offers to a plugin.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = HostApiRef)))]
pub struct HostApi {
    /// Whether events of a level (1 error … 5 trace) and target are wanted.
    pub log_enabled: extern "C" fn(u32, RStr<'_>) -> bool,
    /// An event: level, target, message, and its fields as a JSON object.
    pub log: extern "C" fn(u32, RStr<'_>, RStr<'_>, RStr<'_>),
    /// Whether the user wants the run to end.
    #[sabi(last_prefix_field)]
    pub cancelled: extern "C" fn() -> bool,
}

/// What a plugin offers to the host.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = RootRef)))]
pub struct Root {
    /// Handed to each of the functions.
    pub plugin: PluginRef,
    pub init: extern "C" fn(PluginRef, HostApiRef) -> Fallible<()>,
    /// The descriptors of all components, as a JSON array. Kinds that the host does not know are left out by it.
    pub describe: extern "C" fn(PluginRef) -> Fallible<RString>,
    pub create_network: extern "C" fn(PluginRef, RStr<'_>, RStr<'_>) -> Fallible<OwnedNetwork>,
    pub create_loss: extern "C" fn(PluginRef, RStr<'_>, RStr<'_>) -> Fallible<LossObject>,
    pub create_metric: extern "C" fn(PluginRef, RStr<'_>, RStr<'_>) -> Fallible<MetricObject>,
    pub create_transform: extern "C" fn(PluginRef, RStr<'_>, RStr<'_>) -> Fallible<TransformObject>,
    #[sabi(last_prefix_field)]
    pub create_handler: extern "C" fn(PluginRef, RStr<'_>, RStr<'_>) -> Fallible<HandlerObject>,
}

impl RootModule for RootRef {
    abi_stable::declare_root_module_statics! {RootRef}
    const BASE_NAME: &'static str = "byoc_plugin";
    const NAME: &'static str = "byoc_plugin";
    // abi_stable refuses a 0.x library whose minor is below the host's; `header` has the real rule, so this says only
    // the major, in the form that abi_stable lets pass
    const VERSION_STRINGS: VersionStrings = VersionStrings::new("1.0.0");
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi_stable::prefix_type::PrefixTypeTrait;

    fn names<T: PrefixTypeTrait>() -> String {
        T::PT_LAYOUT.get_field_names().collect::<Vec<_>>().join(" ")
    }

    /// The boundary as ABI 1.0 has it. When this fails you have changed the ABI: a function added at the end of a table
    /// is a minor version (raise [`ABI`](super::super::header::ABI), add the name here); anything else is a major one.
    #[test]
    fn the_tables_are_those_of_this_abi_version() {
        assert_eq!(super::super::header::ABI.to_string(), "1.0");
        for (found, expected) in [
            (names::<NetworkTable>(), "release forward forward_all"),
            (names::<LossTable>(), "release forward forward_full"),
            (names::<MetricTable>(), "release reset update compute details results state load_state"),
            (names::<TransformTable>(), "release is_random apply apply_many prepare"),
            (names::<HandlerTable>(), "release handle state load_state"),
            (names::<EngineTable>(), "state output metric_details"),
            (names::<HostApi>(), "log_enabled log cancelled"),
            (
                names::<Root>(),
                "plugin init describe create_network create_loss create_metric create_transform create_handler",
            ),
        ] {
            assert_eq!(found, expected);
        }
        let sizes = [
            size_of::<FfiError>(),
            size_of::<SampleView<'_>>(),
            size_of::<OwnedSample>(),
            size_of::<OwnedNamedTensor>(),
            size_of::<LossCall<'_>>(),
            size_of::<OwnedNetwork>(),
            size_of::<EngineRef>(),
        ];
        assert_eq!(sizes, [152, 32, 64, 48, 88, 48, 16]);
    }
}
