//! Handlers of a plugin, and the engine as it is lent to them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::Arc;

use abi_stable::prefix_type::WithMetadata;
use abi_stable::std_types::{ROption, RStr, RVec};
use serde_json::Value as Json;

use super::super::export::objects::own;
use super::super::guard;
use super::super::types::{
    EngineRef, EngineTable, EngineTableRef, Fallible, HandlerObject, Opaque, OwnedSample, OwnedTensor, RootRef,
};
use super::super::wire::{self, Request};
use super::calls::Callee;
use super::objects::told;
use super::{name_of, text_of};
use crate::{Create, Engine, Event, Handler, Result};

pub(super) fn create(root: RootRef, callee: Callee) -> Create<Box<dyn Handler>> {
    Arc::new(move |args| {
        let call = callee.enter("new");
        let made = (root.create_handler())(root.plugin(), name_of(&callee.name), text_of(args).as_str().into());
        drop(call);
        Ok(Box::new(PluginHandler { object: told(made, &callee.name)?, callee: callee.clone() }))
    })
}

struct PluginHandler {
    object: HandlerObject,
    callee: Callee,
}

// SAFETY: the object behind the pointer is a `Box<dyn Handler>`, and `Handler` asks for `Send`.
unsafe impl Send for PluginHandler {}

impl Drop for PluginHandler {
    fn drop(&mut self) {
        (self.object.table.release())(self.object.data);
    }
}

impl Handler for PluginHandler {
    fn handle(&mut self, event: Event, engine: &mut dyn Engine) -> Result<()> {
        const TABLE: &WithMetadata<EngineTable> = &WithMetadata::new(EngineTable { state, output, metric_details });
        let requests = {
            let _call = self.callee.enter("handle");
            let lent: &dyn Engine = engine;
            let engine = EngineRef {
                data: Opaque(NonNull::from(&lent).cast()),
                table: EngineTableRef(TABLE.static_as_prefix()),
            };
            told((self.object.table.handle())(self.object.data, wire::event_number(event), engine), &self.callee.name)?
        };
        for request in wire::read_requests(&requests)? {
            carry_out(&request, engine)
                .map_err(|error| error.context(format!("`{}` asked for it", self.callee.name)))?;
        }
        Ok(())
    }

    fn state(&self) -> Result<Json> {
        let _call = self.callee.enter("state");
        let state = told((self.object.table.state())(self.object.data), &self.callee.name)?;
        Ok(serde_json::from_str(&state)?)
    }

    fn load_state(&mut self, state: &Json) -> Result<()> {
        let _call = self.callee.enter("load_state");
        told((self.object.table.load_state())(self.object.data, state.to_string().as_str().into()), &self.callee.name)
    }
}

fn carry_out(request: &Request, engine: &mut dyn Engine) -> Result<()> {
    match request {
        Request::Stop(reason) => engine.request_stop(reason),
        Request::Record(label, value) => engine.record(label, *value)?,
        Request::RunValidation => engine.run_validation()?,
        Request::StepLrScheduler(metric) => {
            engine.step_lr_scheduler(*metric)?;
        }
        Request::SaveCheckpoint(request) => engine.save_checkpoint(request)?,
        Request::LoadCheckpoint(request) => engine.load_checkpoint(request)?,
    }
    Ok(())
}

/// The engine that a handler was lent.
///
/// # Safety
/// `data` is that of an [`EngineRef`] whose call is still running.
unsafe fn engine<'a>(data: Opaque) -> &'a dyn Engine {
    // SAFETY: the caller's promise; `handle` put a reference to the reference there.
    unsafe { *data.0.cast::<&'a dyn Engine>().as_ref() }
}

extern "C" fn state(data: Opaque) -> RVec<u8> {
    // SAFETY: plugins ask during `handle` only.
    let engine = unsafe { engine(data) };
    // an engine that panics is the host's bug, but must not unwind into the plugin
    catch_unwind(AssertUnwindSafe(|| wire::write_state(engine.state()))).unwrap_or_default().into()
}

extern "C" fn output(data: Opaque) -> Fallible<RVec<OwnedSample>> {
    // SAFETY: plugins ask during `handle` only.
    let engine = unsafe { engine(data) };
    guard::catch(|| engine.output().iter().map(|sample| own(sample, None)).collect())
}

extern "C" fn metric_details(data: Opaque, label: RStr<'_>) -> ROption<OwnedTensor> {
    // SAFETY: plugins ask during `handle` only.
    let engine = unsafe { engine(data) };
    let details = catch_unwind(AssertUnwindSafe(|| engine.metric_details(label.as_str())));
    details.ok().flatten().and_then(|tensor| OwnedTensor::new(tensor).ok()).into()
}
