//! What the host offers to plugins, and how a plugin reaches it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use abi_stable::prefix_type::WithMetadata;
use abi_stable::std_types::RStr;

use super::log;
use super::types::{HostApi, HostApiRef};

/// The host of this image, if this image is a plugin that was initialised.
static HOST: OnceLock<HostApiRef> = OnceLock::new();

/// Whether the user wants the run to end; the host's own.
static CANCELLED: AtomicBool = AtomicBool::new(false);

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

/// Whether the user wants the run to end. Components that compute for long ask now and then and return early, with an
/// error or with what they have.
pub fn cancelled() -> bool {
    HOST.get().map_or_else(|| CANCELLED.load(Ordering::Relaxed), |host| host.cancelled()())
}

/// Sets what [`cancelled`] answers, here and in every plugin.
pub fn set_cancelled(cancelled: bool) {
    CANCELLED.store(cancelled, Ordering::Relaxed);
}

extern "C" fn host_cancelled() -> bool {
    CANCELLED.load(Ordering::Relaxed)
}

extern "C" fn host_log_enabled(level: u32, target: RStr<'_>) -> bool {
    // a subscriber that panics is the host's fault, but must not unwind into the plugin
    std::panic::catch_unwind(|| log::is_enabled(level, target.as_str())).unwrap_or(false)
}

extern "C" fn host_log(level: u32, target: RStr<'_>, message: RStr<'_>, fields: RStr<'_>) {
    let _ = std::panic::catch_unwind(|| log::receive(level, target.as_str(), message.as_str(), fields.as_str()));
}
