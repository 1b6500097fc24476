//! The network of a run, with its parameters and buffers.

use byoc::{NamedTensor, Network, Result, StateTree};
use tch::{Device, Tensor};

/// A network and the tensors it computes with.
pub(crate) struct ModelHandle {
    /// The component's name, or the file it came from.
    pub(crate) label: String,
    /// What computes.
    pub(crate) network: Box<dyn Network>,
    /// Its parameters and buffers; empty for TorchScript, which keeps them to itself.
    pub(crate) state: Vec<NamedTensor>,
}

impl ModelHandle {
    /// The parameters, in the order in which the network made them.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &NamedTensor> {
        self.state.iter().filter(|named| named.trainable)
    }

    /// How many numbers the parameters hold.
    pub(crate) fn parameter_count(&self) -> u64 {
        self.parameters().map(|named| named.tensor.numel() as u64).sum()
    }

    /// Moves parameters and buffers to a device; the network's own handles move with them.
    pub(crate) fn move_to(&mut self, device: Device) -> Result<()> {
        if device == Device::Cpu {
            return Ok(());
        }
        for named in &mut self.state {
            let moved = tch::no_grad(|| named.tensor.f_to_device(device))?;
            named.tensor.f_set_data(&moved)?;
        }
        Ok(())
    }

    /// PyTorch's `state_dict()`. The tensors share the network's memory.
    pub(crate) fn state_dict(&self) -> StateTree {
        StateTree::dict(self.state.iter().map(|named| (named.name.as_str(), StateTree::Tensor(named.tensor.detach()))))
    }

    /// The names of parameters that hold something else than finite numbers.
    pub(crate) fn non_finite(&self) -> Vec<&str> {
        let finite = |tensor: &Tensor| {
            tch::no_grad(|| tensor.f_isfinite()?.f_all()?.f_int64_value(&[])).map_or(true, |all| all != 0)
        };
        self.parameters().filter(|named| !finite(&named.tensor)).map(|named| named.name.as_str()).collect()
    }
}
