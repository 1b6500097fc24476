//! What the host offers to plugins, and how a plugin reaches it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use abi_stable::prefix_type::WithMetadata;
use abi_stable::std_types::RStr;

use super::log;
use super::types::{HostApi, HostApiRef};

/// The host of this image, if this image is a plugin that was initialised.
static HOST: OnceLock<HostApiRef> = OnceLock::new();

/// What says whether the user wants the run to end; the host's own.
static CANCELLED: RwLock<Option<Arc<AtomicBool>>> = RwLock::new(None);

/// The functions that this image offers when it is the host.
pub(crate) fn host_api() -> HostApiRef {
    const API: &WithMetadata<HostApi> =
        &WithMetadata::new(HostApi { log_enabled: host_log_enabled, log: host_log, cancelled: host_cancelled });
    HostApiRef(API.static_as_prefix())
}

/// Remembers the host, and sends this image's log events there. A plugin that is linked into the host needs neither.
pub(crate) fn connect(host: HostApiRef) {
    let is_own = std::ptr::fn_addr_eq(host.cancelled(), host_cancelled as extern "C" fn() -> bool);
    if !is_own && HOST.set(host).is_ok() {
        log::forward_to(host);
    }
}

/// Whether the user wants the run to end: the step is finished and saved, then the run stops. Components that work for
/// long beside their step (a handler that uploads, say) ask now and then, and leave the rest out.
pub fn cancelled() -> bool {
    HOST.get().map_or_else(|| host_cancelled(), |host| host.cancelled()())
}

/// Makes a flag what [`cancelled`] answers, here and in every plugin.
pub fn cancel_by(flag: Arc<AtomicBool>) {
    *CANCELLED.write().unwrap_or_else(PoisonError::into_inner) = Some(flag);
}

extern "C" fn host_cancelled() -> bool {
    let flag = CANCELLED.read().unwrap_or_else(PoisonError::into_inner);
    flag.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed))
}

extern "C" fn host_log_enabled(level: u32, target: RStr<'_>) -> bool {
    // a subscriber that panics is the host's fault, but must not unwind into the plugin
    std::panic::catch_unwind(|| log::is_enabled(level, target.as_str())).unwrap_or(false)
}

extern "C" fn host_log(level: u32, target: RStr<'_>, message: RStr<'_>, fields: RStr<'_>) {
    let _ = std::panic::catch_unwind(|| log::receive(level, target.as_str(), message.as_str(), fields.as_str()));
}
