//! The network and its arguments.

use byoc::{Network, NetworkComponent, Result, nn};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Tensor;

/// Two convolutions at full resolution.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct {{component}}Args {
    /// Number of spatial dimensions: 1, 2 or 3.
    #[schemars(range(min = 1, max = 3))]
    pub spatial_dims: usize,
    /// Number of input channels.
    pub in_channels: i64,
    /// Number of output channels.
    pub out_channels: i64,
    /// Channels between the two convolutions.
    pub features: i64,
}

impl Default for {{component}}Args {
    fn default() -> Self {
        Self { spatial_dims: 3, in_channels: 1, out_channels: 2, features: 16 }
    }
}

/// State `hidden.weight`, `hidden.bias`, `output.weight`, `output.bias`: the names of the PyTorch class in the README.
#[derive(Debug)]
pub struct {{component}} {
    hidden: nn::Conv,
    output: nn::Conv,
}

impl NetworkComponent for {{component}} {
    type Args = {{component}}Args;

    fn new(args: {{component}}Args, path: &tch::nn::Path<'_>) -> Result<Self> {
        let hidden = nn::ConvOptions::new(args.spatial_dims, args.in_channels, args.features, 3).padding(1);
        let output = nn::ConvOptions::new(args.spatial_dims, args.features, args.out_channels, 1);
        Ok(Self {
            hidden: nn::Conv::new(&(path / "hidden"), hidden)?,
            output: nn::Conv::new(&(path / "output"), output)?,
        })
    }
}

impl Network for {{component}} {
    /// (B, `in_channels`, spatial…) → (B, `out_channels`, spatial…).
    fn forward(&self, x: &Tensor, _train: bool) -> Result<Tensor> {
        self.output.forward(&self.hidden.forward(x)?.f_relu()?)
    }
}

#[cfg(test)]
mod tests {
    use super::{Network, NetworkComponent, {{component}}, {{component}}Args};
    use tch::{Device, Kind, Tensor, nn::VarStore};

    #[test]
    fn keeps_the_size_and_trains_every_parameter() {
        let store = VarStore::new(Device::Cpu);
        let network = {{component}}::new({{component}}Args::default(), &store.root()).unwrap();
        let y = network.forward(&Tensor::randn([1, 1, 6, 5, 4], (Kind::Float, Device::Cpu)), true).unwrap();
        assert_eq!(y.size(), [1, 2, 6, 5, 4]);
        y.square().mean(Kind::Float).backward();
        assert!(store.trainable_variables().iter().all(|parameter| parameter.grad().defined()));
    }
}
