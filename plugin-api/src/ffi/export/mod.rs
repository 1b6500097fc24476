//! The plugin's side: tables of functions around the traits of this crate.
//!
//! Nothing here is generic over the author's types: a component is behind `Box<dyn Loss>` before it is behind a pointer,
//! so a plugin holds one copy of each trampoline, and they are compiled with this crate.

mod handler;
pub(super) mod objects;

use std::ffi::c_void;
use std::ptr::NonNull;

use abi_stable::library::{CheckTypeLayout, LibHeader, RootModuleResult};
use abi_stable::marker_type::ErasedPrefix;
use abi_stable::prefix_type::{PrefixRefTrait, PrefixTypeTrait};
use abi_stable::std_types::{RResult, RStr, RString};

use super::guard;
use super::header::HeaderBytes;
use super::host_api;
use super::types::{
    Fallible, HandlerObject, HostApiRef, LossObject, MetricObject, OwnedNetwork, PluginRef, Root, RootRef,
    TransformObject,
};
use crate::{Constructor, Descriptor, Error, Registration, Result};

/// What [`export_plugin!`](crate::export_plugin) says about a plugin.
pub trait Plugin: 'static {
    /// The components in the order of the lists.
    const COMPONENTS: &'static [Registration];
}

/// What the host gets hold of when it has opened a library: the static under the name [`symbol`].
#[repr(transparent)]
pub struct Library(LibHeader);

impl Library {
    /// The static of a plugin.
    pub const fn of<P: Plugin>() -> Self {
        // SAFETY: `construct` gives back a `RootRef`, erased.
        Self(unsafe { LibHeader::from_constructor::<RootRef>(construct::<P>, CheckTypeLayout::Yes) })
    }

    /// The address that the host would find in an opened library.
    pub fn address(&'static self) -> NonNull<c_void> {
        NonNull::from(self).cast()
    }
}

/// A plugin that is linked into this image instead of being opened: for unit tests, debuggers and sanitizers. It goes
/// through the same boundary as any other.
pub struct StaticPlugin {
    /// What a file would hold in its section.
    pub header: &'static HeaderBytes,
    /// What a file would export.
    pub library: &'static Library,
}

extern "C" fn construct<P: Plugin>() -> RootModuleResult {
    let listing: &'static &'static [Registration] = &P::COMPONENTS;
    let root = Root {
        plugin: PluginRef(NonNull::from(listing).cast()),
        init,
        describe,
        create_network,
        create_loss,
        create_metric,
        create_transform,
        create_handler,
    };
    // SAFETY: every user of a library header knows the root module as `RootRef`.
    RResult::ROk(unsafe { root.leak_into_prefix().to_prefix_ref().cast::<ErasedPrefix>() })
}

fn components(plugin: PluginRef) -> &'static [Registration] {
    // SAFETY: the host hands back what `construct` put into the root module.
    unsafe { plugin.0.cast::<&'static [Registration]>().as_ref() }
}

extern "C" fn init(_: PluginRef, host: HostApiRef) -> Fallible<()> {
    guard::catch(|| {
        guard::install_panic_hook();
        host_api::connect(host);
        Ok(())
    })
}

extern "C" fn describe(plugin: PluginRef) -> Fallible<RString> {
    guard::catch(|| {
        let mut all: Vec<Descriptor> = components(plugin).iter().map(Registration::descriptor).collect();
        all.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
        Ok(serde_json::to_string(&all)?.into())
    })
}

/// Finds the component of a name and the wanted kind, and gives its arguments to `make`.
fn create<T>(
    plugin: PluginRef,
    name: RStr<'_>,
    args: RStr<'_>,
    make: impl Fn(&Registration, Constructor, &serde_json::Value) -> Option<Result<T>>,
) -> Fallible<T> {
    guard::catch(|| {
        let args = serde_json::from_str(args.as_str())?;
        let named = components(plugin).iter().filter(|it| it.name == name.as_str());
        let mut made = named.filter_map(|it| make(it, it.constructor(), &args));
        made.next()
            .unwrap_or_else(|| Err(Error::invalid_argument(format!("the plugin has no such component `{name}`"))))
    })
}

extern "C" fn create_network(plugin: PluginRef, name: RStr<'_>, args: RStr<'_>) -> Fallible<OwnedNetwork> {
    create(plugin, name, args, |registration, constructor, args| match constructor {
        Constructor::Network(make) => Some(make(args).and_then(|built| objects::network(registration.name, built))),
        _ => None,
    })
}

extern "C" fn create_loss(plugin: PluginRef, name: RStr<'_>, args: RStr<'_>) -> Fallible<LossObject> {
    create(plugin, name, args, |registration, constructor, args| match constructor {
        Constructor::Loss(make) => Some(make(args).map(|it| objects::loss(registration.name, it))),
        _ => None,
    })
}

extern "C" fn create_metric(plugin: PluginRef, name: RStr<'_>, args: RStr<'_>) -> Fallible<MetricObject> {
    create(plugin, name, args, |registration, constructor, args| match constructor {
        Constructor::Metric(make) => Some(make(args).map(|it| objects::metric(registration.name, it))),
        _ => None,
    })
}

extern "C" fn create_transform(plugin: PluginRef, name: RStr<'_>, args: RStr<'_>) -> Fallible<TransformObject> {
    create(plugin, name, args, |registration, constructor, args| match constructor {
        Constructor::Transform(make) => Some(make(args).map(|it| objects::transform(registration.name, it))),
        _ => None,
    })
}

extern "C" fn create_handler(plugin: PluginRef, name: RStr<'_>, args: RStr<'_>) -> Fallible<HandlerObject> {
    create(plugin, name, args, |registration, constructor, args| match constructor {
        Constructor::Handler(make) => Some(make(args).map(|it| handler::handler(registration.name, it))),
        _ => None,
    })
}

/// The name under which a plugin's [`Library`] is exported. It holds the module's name, so that two plugins can be
/// linked into one test.
pub fn symbol(module: &str) -> String {
    format!("byoc_plugin_{module}")
}
