//! The host's side: the traits of this crate around a plugin's tables of functions.

mod calls;
mod handler;
mod objects;

use std::ffi::c_void;
use std::fmt;
use std::ptr::NonNull;

use abi_stable::library::{AbiHeader, AbiHeaderRef, LibHeader, LibraryError};
use abi_stable::std_types::RStr;
use serde_json::Value as Json;

use self::calls::Callee;
pub use self::calls::{Call, CallObserver, observe_calls};
use super::export::StaticPlugin;
use super::header::{Header, Manifest};
use super::host_api;
use super::types::{OwnedSample, RootRef};
use super::wire;
use crate::sample::Slot;
use crate::{Constructor, Descriptor, Error, Kind, Result, Sample};

/// A plugin whose library is open and whose components are known.
pub struct PluginLibrary {
    /// What it provides, by kind and name. The constructors keep nothing alive: a library is never closed.
    pub components: Vec<(Descriptor, Constructor)>,
    /// Components of kinds that this host cannot load from a plugin, passed over.
    pub passed_over: Vec<Descriptor>,
}

/// Why an opened library is no plugin that this host can use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginError {
    /// Which step failed.
    pub step: PluginStep,
    /// What was found.
    pub message: String,
    /// More of it, for who looks into it.
    pub detail: Option<String>,
}

/// The steps from an opened library to its components.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PluginStep {
    /// Comparing the layout of the tables.
    Layout,
    /// The plugin's initialisation.
    Init,
    /// The plugin's description of its components.
    Describe,
    /// The description names a component twice.
    Duplicate,
}

impl fmt::Display for PluginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for PluginError {}

impl PluginLibrary {
    /// Checks the layout, initialises the plugin and asks what it provides.
    ///
    /// # Safety
    /// `address` is that of the static [`symbol`](super::export::symbol) of a library whose header this host accepts
    /// ([`AbiVersion::accepts`](super::header::AbiVersion::accepts), the same libtorch), and the library stays open
    /// until the process ends.
    pub unsafe fn from_raw(address: NonNull<c_void>, manifest: &Manifest) -> Result<Self, PluginError> {
        // SAFETY: the caller's promise; every version of abi_stable begins its static with this header.
        let header: &'static AbiHeader = unsafe { address.cast().as_ref() };
        // SAFETY: a reference to the header is what `AbiHeaderRef` is, transparently.
        let header = unsafe { std::mem::transmute::<&'static AbiHeader, AbiHeaderRef>(header) };
        let root = header.upgrade().and_then(LibHeader::init_root_module::<RootRef>);
        let root = root.map_err(|error| layout_error(&error))?;
        let plugin = root.plugin();
        (root.init())(plugin, host_api::host_api())
            .into_result()
            .map_err(|error| failed(PluginStep::Init, "initialise itself", &error.into()))?;
        let descriptors = (root.describe())(plugin)
            .into_result()
            .map_err(|error| failed(PluginStep::Describe, "describe its components", &error.into()))?;
        let descriptors = serde_json::from_str::<Vec<Descriptor>>(&descriptors);
        let descriptors =
            descriptors.map_err(|error| nonsense(format!("the descriptions are not as expected: {error}")))?;
        check(&descriptors, manifest)?;
        let mut library = Self { components: Vec::new(), passed_over: Vec::new() };
        for descriptor in descriptors {
            match constructor(root, &manifest.plugin.module, &descriptor) {
                Some(constructor) => library.components.push((descriptor, constructor)),
                None => library.passed_over.push(descriptor),
            }
        }
        Ok(library)
    }

    /// A plugin that is linked into this image, through the same boundary.
    pub fn from_static(plugin: &StaticPlugin) -> Result<(Self, Manifest), PluginError> {
        let header = Header::parse(plugin.header.as_bytes()).map_err(|error| nonsense(format!("{error:?}")))?;
        let manifest = header.manifest.map_err(nonsense)?;
        // SAFETY: it is compiled into this image with this very crate, and statics stay.
        let library = unsafe { Self::from_raw(plugin.library.address(), &manifest)? };
        Ok((library, manifest))
    }
}

fn check(descriptors: &[Descriptor], manifest: &Manifest) -> Result<(), PluginError> {
    if let Some(listed) = manifest.components
        && listed != descriptors.len()
    {
        let found = descriptors.len();
        return Err(nonsense(format!("the manifest lists {listed} components, but the plugin describes {found}")));
    }
    let mut names: Vec<(Kind, &str)> = Vec::new();
    for descriptor in descriptors {
        for name in std::iter::once(&descriptor.name).chain(&descriptor.aliases) {
            let name = (descriptor.kind, name.as_str());
            if names.contains(&name) {
                let message = format!("the plugin lists the {} `{}` twice", descriptor.kind, name.1);
                return Err(PluginError { step: PluginStep::Duplicate, message, detail: None });
            }
            names.push(name);
        }
    }
    Ok(())
}

fn constructor(root: RootRef, module: &str, descriptor: &Descriptor) -> Option<Constructor> {
    let callee = Callee { module: module.into(), name: descriptor.name.as_str().into() };
    Some(match descriptor.kind {
        Kind::NETWORK => Constructor::Network(objects::network(root, callee)),
        Kind::LOSS => Constructor::Loss(objects::loss(root, callee)),
        Kind::METRIC => Constructor::Metric(objects::metric(root, callee)),
        Kind::TRANSFORM => Constructor::Transform(objects::transform(root, callee)),
        Kind::HANDLER => Constructor::Handler(handler::create(root, callee)),
        _ => return None,
    })
}

/// The arguments as they cross.
fn text_of(args: &Json) -> String {
    args.to_string()
}

fn name_of(name: &str) -> RStr<'_> {
    name.into()
}

/// A sample that the other side gave away; `original` gives what the call had brought it under a key.
pub(super) fn sample(sample: OwnedSample, original: impl FnMut(&str) -> Option<Slot>) -> Result<Sample> {
    let mut tensors = sample.tensors.into_iter();
    wire::read_answer(&sample.bytes, original, || match tensors.next() {
        Some(tensor) => tensor.into_tensor(),
        None => Err(Error::data("the plugin boundary carried fewer tensors than the sample mentions")),
    })
}

fn failed(step: PluginStep, what: &str, error: &Error) -> PluginError {
    let place = error.location().map(|place| format!(" (at {place})")).unwrap_or_default();
    PluginError { step, message: format!("the plugin could not {what}: {error}{place}"), detail: None }
}

fn nonsense(message: String) -> PluginError {
    PluginError { step: PluginStep::Describe, message, detail: None }
}

/// The messages of `abi_stable` run to hundreds of lines: the first ones name the type, the rest is detail.
fn layout_error(error: &LibraryError) -> PluginError {
    let text = error.to_string();
    let telling: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let message = match error {
        LibraryError::InvalidAbiHeader(_) => "it was built with another version of abi_stable".to_owned(),
        LibraryError::AbiInstability(_) => {
            "its tables of functions are laid out differently although the ABI versions agree; please report this"
                .to_owned()
        }
        LibraryError::RootModule { .. } => "its root module could not be made".to_owned(),
        _ => telling.first().copied().unwrap_or("the tables of functions do not match").to_owned(),
    };
    let detail = telling.iter().take(6).copied().collect::<Vec<_>>().join("\n");
    PluginError { step: PluginStep::Layout, message, detail: Some(detail) }
}
