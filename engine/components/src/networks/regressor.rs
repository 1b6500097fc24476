//! Strided convolutions and a linear layer: regression, classification, discriminators.

use byoc::nn::blocks::{AdnOptions, Convolution, ConvolutionOptions, ResidualUnit, ResidualUnitOptions, same_padding};
use byoc::nn::{Activation, DropoutSpec, Layer, LayerSpec, Linear, Sequential, check_spatial_dims};
use byoc::{Error, Network, NetworkComponent, OneOrMany, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind, Tensor, nn};

use super::defaults;

byoc::register! {
    networks: [Regressor, Classifier, Discriminator, Critic],
}

/// An argument struct for each network of the family: the common arguments, and its own.
macro_rules! arguments {
    ($(#[$doc:meta])* $name:ident { $($own:tt)* } dropout $dropout:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            /// Shape of the input without the batch: channels, spatial…
            pub in_shape: Vec<i64>,
            $($own)*
            /// Channels of each layer.
            pub channels: Vec<i64>,
            /// Stride of each layer.
            pub strides: Vec<OneOrMany<i64>>,
            /// Size of the kernels, odd.
            #[serde(default = "defaults::kernel_of_three")]
            pub kernel_size: OneOrMany<i64>,
            /// Convolutions in each residual unit; 0 makes plain convolutions.
            #[serde(default = "two_units")]
            pub num_res_units: usize,
            /// Activation.
            #[serde(default = "defaults::prelu")]
            pub act: Option<LayerSpec>,
            /// Normalisation.
            #[serde(default = "defaults::instance")]
            pub norm: Option<LayerSpec>,
            /// Dropout probability.
            #[serde(default = $dropout)]
            pub dropout: Option<DropoutSpec>,
            /// Whether the convolutions have a bias.
            #[serde(default = "defaults::yes")]
            pub bias: bool,
        }

        impl $name {
            fn body(&self) -> BodyArgs<'_> {
                BodyArgs {
                    in_shape: &self.in_shape,
                    channels: &self.channels,
                    strides: &self.strides,
                    kernel_size: &self.kernel_size,
                    num_res_units: self.num_res_units,
                    adn: AdnOptions {
                        act: self.act.clone(),
                        norm: self.norm.clone(),
                        dropout: self.dropout.clone(),
                        ..AdnOptions::default()
                    },
                    bias: self.bias,
                }
            }
        }
    };
}

arguments! {
    /// Strided residual units and a linear layer to a shape of any kind (MONAI `Regressor`).
    RegressorArgs {
        /// Shape of the output without the batch.
        pub out_shape: Vec<i64>,
    } dropout "no_dropout"
}

arguments! {
    /// Strided residual units and a linear layer to class scores (MONAI `Classifier`).
    ClassifierArgs {
        /// Number of classes.
        pub classes: i64,
        /// Activation of the scores.
        #[serde(default)]
        pub last_act: Option<LayerSpec>,
    } dropout "no_dropout"
}

arguments! {
    /// A classifier with one output and a sigmoid, for adversarial training (MONAI `Discriminator`).
    DiscriminatorArgs {
        /// Activation of the output.
        #[serde(default = "sigmoid")]
        pub last_act: Option<LayerSpec>,
    } dropout "quarter"
}

arguments! {
    /// A critic for Wasserstein losses: the mean of the last layer (MONAI `Critic`).
    CriticArgs {} dropout "quarter"
}

fn two_units() -> usize {
    2
}

fn no_dropout() -> Option<DropoutSpec> {
    None
}

#[expect(clippy::unnecessary_wraps, reason = "null means no dropout")]
fn quarter() -> Option<DropoutSpec> {
    Some(DropoutSpec::Probability(0.25))
}

#[expect(clippy::unnecessary_wraps, reason = "null leaves the activation out")]
fn sigmoid() -> Option<LayerSpec> {
    Some("sigmoid".into())
}

/// The arguments that all of the family have.
struct BodyArgs<'a> {
    in_shape: &'a [i64],
    channels: &'a [i64],
    strides: &'a [OneOrMany<i64>],
    kernel_size: &'a OneOrMany<i64>,
    num_res_units: usize,
    adn: AdnOptions,
    bias: bool,
}

/// The convolutions, and how many values they end in.
#[derive(Debug)]
struct Body {
    layers: Sequential,
    features: i64,
}

impl Body {
    fn new(path: &nn::Path<'_>, args: &BodyArgs<'_>) -> Result<Self> {
        let Some((&in_channels, size)) = args.in_shape.split_first() else {
            return Err(Error::invalid_argument("`in_shape` is empty: give channels and spatial sizes"));
        };
        let dims = size.len();
        check_spatial_dims(dims)?;
        if args.channels.is_empty() || args.channels.len() != args.strides.len() {
            return Err(Error::invalid_argument(format!(
                "`channels` and `strides` must have the same number of values, at least 1; found {} and {}",
                args.channels.len(),
                args.strides.len()
            )));
        }
        let kernel = args.kernel_size.repeat(dims, "kernel_size")?;
        let padding = same_padding(&kernel, &vec![1; dims])?;
        let mut size = size.to_vec();
        let mut layers = Sequential::new();
        let mut channels = in_channels;
        for (index, (&outputs, strides)) in args.channels.iter().zip(args.strides).enumerate() {
            let path = path / "net" / format!("layer_{index}");
            let last = index + 1 == args.channels.len();
            if args.num_res_units > 0 {
                let options = ResidualUnitOptions {
                    strides: strides.clone(),
                    kernel_size: args.kernel_size.clone(),
                    subunits: args.num_res_units,
                    adn: args.adn.clone(),
                    bias: args.bias,
                    last_conv_only: last,
                    ..ResidualUnitOptions::new(dims, channels, outputs)
                };
                layers.push(ResidualUnit::new(&path, options)?);
            } else {
                let options = ConvolutionOptions::new(dims, channels, outputs)
                    .strides(strides.clone())
                    .kernel_size(args.kernel_size.clone())
                    .adn(args.adn.clone())
                    .bias(args.bias)
                    .conv_only(last);
                layers.push(Convolution::new(&path, options)?);
            }
            let strides = strides.repeat(dims, "strides")?;
            for axis in 0..dims {
                size[axis] = (size[axis] - kernel[axis] + 2 * padding[axis]) / strides[axis] + 1;
            }
            channels = outputs;
        }
        Ok(Self { layers, features: channels * size.iter().product::<i64>() })
    }

    /// (B, channels, spatial…) → (B, features).
    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        Ok(self.layers.forward_t(x, train)?.f_flatten(1, -1)?)
    }
}

/// The network of [`RegressorArgs`]: (B, `in_shape`) → (B, `out_shape`).
#[derive(Debug)]
pub struct Regressor {
    body: Body,
    output: Linear,
    out_shape: Vec<i64>,
}

impl NetworkComponent for Regressor {
    type Args = RegressorArgs;

    fn new(args: RegressorArgs, path: &nn::Path<'_>) -> Result<Self> {
        let body = Body::new(path, &args.body())?;
        let output = Linear::new(&(path / "final" / 1), body.features, args.out_shape.iter().product())?;
        Ok(Self { body, output, out_shape: args.out_shape })
    }
}

impl Network for Regressor {
    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let y = self.output.forward(&self.body.forward(x, train)?)?;
        Ok(y.f_unflatten(1, self.out_shape.as_slice())?)
    }
}

/// The network of [`ClassifierArgs`]: (B, `in_shape`) → (B, `classes`).
#[derive(Debug)]
pub struct Classifier {
    body: Body,
    output: Linear,
    last_act: Option<Activation>,
}

impl Classifier {
    fn build(path: &nn::Path<'_>, args: &BodyArgs<'_>, classes: i64, last_act: Option<&LayerSpec>) -> Result<Self> {
        let body = Body::new(path, args)?;
        let output = Linear::new(&(path / "final" / 1), body.features, classes)?;
        let last_act = last_act.map(|act| Activation::new(&(path / "final" / "lastact"), act)).transpose()?;
        Ok(Self { body, output, last_act })
    }
}

impl NetworkComponent for Classifier {
    type Args = ClassifierArgs;

    fn new(args: ClassifierArgs, path: &nn::Path<'_>) -> Result<Self> {
        Self::build(path, &args.body(), args.classes, args.last_act.as_ref())
    }
}

impl Network for Classifier {
    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        self.last_act.forward_t(&self.output.forward(&self.body.forward(x, train)?)?, train)
    }
}

/// The network of [`DiscriminatorArgs`]: (B, `in_shape`) → (B, 1).
#[derive(Debug)]
pub struct Discriminator(Classifier);

impl NetworkComponent for Discriminator {
    type Args = DiscriminatorArgs;

    fn new(args: DiscriminatorArgs, path: &nn::Path<'_>) -> Result<Self> {
        Ok(Self(Classifier::build(path, &args.body(), 1, args.last_act.as_ref())?))
    }
}

impl Network for Discriminator {
    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        self.0.forward(x, train)
    }
}

/// The network of [`CriticArgs`]: (B, `in_shape`) → (B, 1).
#[derive(Debug)]
pub struct Critic {
    body: Body,
}

impl NetworkComponent for Critic {
    type Args = CriticArgs;

    fn new(args: CriticArgs, path: &nn::Path<'_>) -> Result<Self> {
        Ok(Self { body: Body::new(path, &args.body())? })
    }
}

impl Network for Critic {
    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        Ok(self.body.forward(x, train)?.f_mean_dim(1, true, None::<Kind>)?)
    }
}
