//! Handlers behind pointers, and the host's engine as they see it.

use std::cell::OnceCell;

use abi_stable::prefix_type::WithMetadata;
use abi_stable::std_types::{RStr, RString, RVec};
use tch::Tensor;

use super::super::guard::{Guarded, call, release};
use super::super::types::{EngineRef, Fallible, HandlerObject, HandlerTable, HandlerTableRef, Opaque, OwnedTensor};
use super::super::wire::{self, Request};
use crate::{CheckpointRequest, Engine, EngineState, Handler, Result, Sample};

pub(super) fn handler(name: &'static str, handler: Box<dyn Handler>) -> HandlerObject {
    const TABLE: &WithMetadata<HandlerTable> =
        &WithMetadata::new(HandlerTable { release: release_handler, handle, state, load_state });
    HandlerObject { data: Guarded::leak(name, handler), table: HandlerTableRef(TABLE.static_as_prefix()) }
}

extern "C" fn release_handler(object: Opaque) {
    // SAFETY: the host releases what `handler` made, once.
    unsafe { release::<dyn Handler>(object) }
}

extern "C" fn handle(object: Opaque, event: u32, engine: EngineRef) -> Fallible<RVec<u8>> {
    // SAFETY: the host calls what `handler` made, one call at a time.
    unsafe {
        call::<dyn Handler, _>(object, |handler| {
            // an event that this version has not heard of has nothing to say to its handlers
            let Some(event) = wire::event_of(event) else { return Ok(RVec::new()) };
            let state = wire::read_state(&(engine.table.state())(engine.data))?;
            let mut remote = RemoteEngine { engine, state, output: OnceCell::new(), requests: Vec::new() };
            handler.handle(event, &mut remote)?;
            if let Some(Err(error)) = remote.output.take() {
                return Err(error);
            }
            Ok(wire::write_requests(&remote.requests)?.into())
        })
    }
}

extern "C" fn state(object: Opaque) -> Fallible<RString> {
    // SAFETY: as in `handle`.
    unsafe { call::<dyn Handler, _>(object, |handler| Ok(handler.state()?.to_string().into())) }
}

extern "C" fn load_state(object: Opaque, state: RStr<'_>) -> Fallible<()> {
    // SAFETY: as in `handle`.
    unsafe { call::<dyn Handler, _>(object, |handler| handler.load_state(&serde_json::from_str(state.as_str())?)) }
}

/// The host's engine: it answers from what the host sent, and notes what the handler asks for.
struct RemoteEngine {
    engine: EngineRef,
    state: EngineState,
    output: OnceCell<Result<Vec<Sample>>>,
    requests: Vec<Request>,
}

impl RemoteEngine {
    fn fetch(&self) -> Result<Vec<Sample>> {
        let samples = (self.engine.table.output())(self.engine.data).into_result()?;
        samples.into_iter().map(|sample| super::super::import::sample(sample, |_| None)).collect()
    }
}

impl Engine for RemoteEngine {
    fn state(&self) -> &EngineState {
        &self.state
    }

    fn output(&self) -> &[Sample] {
        // an error is reported when the handler returns; the trait has no room for it here
        self.output.get_or_init(|| self.fetch()).as_deref().unwrap_or_default()
    }

    fn request_stop(&mut self, reason: &str) {
        self.requests.push(Request::Stop(reason.to_owned()));
    }

    fn record(&mut self, label: &str, value: f64) -> Result<()> {
        self.requests.push(Request::Record(label.to_owned(), value));
        Ok(())
    }

    fn run_validation(&mut self) -> Result<()> {
        self.requests.push(Request::RunValidation);
        Ok(())
    }

    fn step_lr_scheduler(&mut self, metric: Option<f64>) -> Result<Vec<f64>> {
        self.requests.push(Request::StepLrScheduler(metric));
        // the step is made after the handler has returned: these are the rates until then
        Ok(self.state.learning_rates.clone())
    }

    fn save_checkpoint(&mut self, request: &CheckpointRequest) -> Result<()> {
        self.requests.push(Request::SaveCheckpoint(request.clone()));
        Ok(())
    }

    fn load_checkpoint(&mut self, request: &CheckpointRequest) -> Result<()> {
        self.requests.push(Request::LoadCheckpoint(request.clone()));
        Ok(())
    }

    fn metric_details(&self, label: &str) -> Option<Tensor> {
        let details = (self.engine.table.metric_details())(self.engine.data, label.into());
        details.into_option().and_then(|tensor| OwnedTensor::into_tensor(tensor).ok())
    }
}
