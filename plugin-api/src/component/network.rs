//! Networks.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use tch::{Tensor, nn};

use crate::Result;

/// A network.
///
/// Parameters and buffers are made through the [`tch::nn::Path`] that [`NetworkComponent::new`] is given; their dotted
/// names are the keys of the checkpoint. Name them as the PyTorch class does and its weights load. [`crate::nn`] has
/// layers for 1, 2 and 3 dimensions with PyTorch's names and initialisation.
///
/// ```
/// use byoc::{Network, NetworkComponent, Result, nn};
/// use schemars::JsonSchema;
/// use serde::Deserialize;
/// use tch::Tensor;
///
/// /// One convolution: about the smallest segmentation network there is.
/// #[derive(Deserialize, JsonSchema)]
/// #[serde(deny_unknown_fields)]
/// struct OneConvolutionArgs {
///     /// Number of input channels.
///     in_channels: i64,
///     /// Number of output channels.
///     out_channels: i64,
/// }
///
/// #[derive(Debug)]
/// struct OneConvolution {
///     conv: nn::Conv,
/// }
///
/// impl NetworkComponent for OneConvolution {
///     type Args = OneConvolutionArgs;
///
///     fn new(args: OneConvolutionArgs, path: &tch::nn::Path<'_>) -> Result<Self> {
///         let conv = nn::Conv::new(&(path / "conv"), nn::ConvOptions::new(3, args.in_channels, args.out_channels, 3).padding(1))?;
///         Ok(Self { conv })
///     }
/// }
///
/// impl Network for OneConvolution {
///     fn forward(&self, x: &Tensor, _train: bool) -> Result<Tensor> {
///         self.conv.forward(x)
///     }
/// }
///
/// let store = tch::nn::VarStore::new(tch::Device::Cpu);
/// let network = OneConvolution::new(OneConvolutionArgs { in_channels: 1, out_channels: 2 }, &store.root())?;
/// let y = network.forward(&Tensor::rand([1, 1, 8, 8, 8], (tch::Kind::Float, tch::Device::Cpu)), false)?;
/// assert_eq!(y.size(), [1, 2, 8, 8, 8]);
/// # Ok::<(), byoc::Error>(())
/// ```
pub trait Network: Send {
    /// The output for a batch (B, C, spatial…). `train` chooses batch statistics and dropout.
    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor>;

    /// All outputs for all inputs. Networks with several of either implement this one; the default calls
    /// [`Network::forward`] with the first input.
    fn forward_all(&self, inputs: &[Tensor], train: bool) -> Result<Vec<Tensor>> {
        match inputs.first() {
            Some(x) => Ok(vec![self.forward(x, train)?]),
            None => Err(crate::Error::data("a network needs at least one input")),
        }
    }
}

/// How the engine makes a network from the `args` of a config.
pub trait NetworkComponent: Sized + 'static {
    /// The arguments; see [`Component::Args`](crate::Component::Args).
    type Args: DeserializeOwned + JsonSchema;

    /// Makes the network, its parameters under `path`, on the CPU in float32. The engine seeds libtorch's generator
    /// before, and moves the parameters to the device afterwards.
    fn new(args: Self::Args, path: &nn::Path<'_>) -> Result<Self>;
}

/// A network together with its parameters and buffers.
pub struct BuiltNetwork {
    /// What computes.
    pub network: Box<dyn Network>,
    /// Parameters in the order of their creation, then buffers by name. The tensors are the network's own: what is
    /// copied into them, the network computes with.
    pub state: Vec<NamedTensor>,
}

/// A parameter or buffer of a network.
#[derive(Debug)]
pub struct NamedTensor {
    /// The dotted name: `model.0.conv.unit0.conv.weight`.
    pub name: String,
    /// The network's own tensor.
    pub tensor: Tensor,
    /// Whether it is a parameter; else a buffer.
    pub trainable: bool,
}

/// What a variable store holds: parameters in the order of their creation, then buffers by name.
pub fn state_of(store: &nn::VarStore) -> Vec<NamedTensor> {
    let mut named: Vec<(String, Tensor)> = store.variables().into_iter().collect();
    named.sort_by(|a, b| a.0.cmp(&b.0));
    let mut state = Vec::with_capacity(named.len());
    for parameter in store.trainable_variables() {
        // a variable has no name of its own; it is found by sharing its storage
        if let Some(index) = named.iter().position(|(_, tensor)| tensor.data_ptr() == parameter.data_ptr()) {
            let (name, tensor) = named.swap_remove(index);
            state.push(NamedTensor { name, tensor, trainable: true });
        }
    }
    named.sort_by(|a, b| a.0.cmp(&b.0));
    state.extend(named.into_iter().map(|(name, tensor)| NamedTensor { name, tensor, trainable: false }));
    state
}
