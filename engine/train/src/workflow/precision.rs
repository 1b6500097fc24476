//! Mixed precision: which dtype autocast uses, and whether gradients are scaled.

use tch::{Device, Kind};

/// The precision of an engine's forward passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Precision {
    device: Device,
    autocast: Option<Kind>,
}

impl Precision {
    /// `amp` of a config: float16 on CUDA as `torch.cuda.amp` has it, bfloat16 on the CPU, which needs no scaling.
    pub(crate) fn new(device: Device, amp: bool) -> Self {
        let autocast = amp.then_some(if device.is_cuda() { Kind::Half } else { Kind::BFloat16 });
        Self { device, autocast }
    }

    /// Whether small gradients would become zero without scaling.
    pub(crate) fn needs_scaling(self) -> bool {
        self.autocast == Some(Kind::Half)
    }

    /// Runs forward passes.
    pub(crate) fn run<T>(self, forward: impl FnOnce() -> T) -> T {
        torch_ext::autocast::with(self.device, self.autocast, forward)
    }
}

impl std::fmt::Display for Precision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.autocast {
            Some(Kind::Half) => "float16 autocast with gradient scaling",
            Some(_) => "bfloat16 autocast",
            None => "float32",
        })
    }
}
