//! Activations by MONAI's names.

use serde::Deserialize;
use tch::{Kind, Tensor, nn};

use super::variable::{alias, parameter};
use super::{Layer, LayerSpec, init};
use crate::{Error, Result};

/// An activation: what MONAI's `Act` factory knows, by the same names, in any case.
///
/// | name | arguments (default) |
/// |---|---|
/// | `relu`, `relu6`, `selu`, `sigmoid`, `tanh`, `mish`, `memswish`, `silu`, `hardswish` | `inplace`, ignored |
/// | `leakyrelu` | `negative_slope` (0.01) |
/// | `prelu` | `num_parameters` (1), `init` (0.25); has a parameter `weight` |
/// | `elu`, `celu` | `alpha` (1) |
/// | `gelu` | `approximate` (`"none"`, or `"tanh"`) |
/// | `swish` | `alpha` (1): x · sigmoid(alpha · x) |
/// | `softmax`, `logsoftmax` | `dim` (needed) |
/// | `geglu` | halves the last axis: x₁ · gelu(x₂) |
/// | empty | the identity |
#[derive(Debug)]
pub struct Activation(Function);

#[derive(Debug)]
enum Function {
    Identity,
    Relu,
    Relu6,
    LeakyRelu { negative_slope: f64 },
    Prelu { weight: Tensor },
    Elu { alpha: f64 },
    Celu { alpha: f64 },
    Selu,
    Gelu { approximate: &'static str },
    Sigmoid,
    Tanh,
    Swish { alpha: f64 },
    Silu,
    Mish,
    Hardswish,
    Softmax { dim: i64 },
    LogSoftmax { dim: i64 },
    Geglu,
}

const NAMES: [&str; 18] = [
    "relu",
    "relu6",
    "leakyrelu",
    "prelu",
    "elu",
    "celu",
    "selu",
    "gelu",
    "sigmoid",
    "tanh",
    "swish",
    "memswish",
    "silu",
    "mish",
    "hardswish",
    "softmax",
    "logsoftmax",
    "geglu",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain {
    #[serde(default, rename = "inplace")]
    _inplace: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LeakyReluArgs {
    #[serde(default = "hundredth")]
    negative_slope: f64,
    #[serde(default, rename = "inplace")]
    _inplace: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PreluArgs {
    #[serde(default = "one_parameter")]
    num_parameters: i64,
    #[serde(default = "quarter")]
    init: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AlphaArgs {
    #[serde(default = "one")]
    alpha: f64,
    #[serde(default, rename = "inplace")]
    _inplace: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GeluArgs {
    #[serde(default)]
    approximate: Approximation,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Approximation {
    #[default]
    None,
    Tanh,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SoftmaxArgs {
    dim: i64,
}

fn hundredth() -> f64 {
    0.01
}
fn quarter() -> f64 {
    0.25
}
fn one() -> f64 {
    1.0
}
fn one_parameter() -> i64 {
    1
}

impl Activation {
    /// The activation that a config names; `prelu` makes its `weight` under `path`.
    ///
    /// # Errors
    ///
    /// There is no such activation, or it does not take these arguments.
    #[track_caller]
    pub fn new(path: &nn::Path<'_>, spec: &LayerSpec) -> Result<Self> {
        let function = match spec.key().as_str() {
            "" => Function::Identity,
            "leakyrelu" => Function::LeakyRelu { negative_slope: spec.parse::<LeakyReluArgs>()?.negative_slope },
            "prelu" => {
                let PreluArgs { num_parameters, init } = spec.parse()?;
                if num_parameters < 1 {
                    return Err(Error::invalid_argument(format!(
                        "`num_parameters` must be positive, found {num_parameters}"
                    )));
                }
                Function::Prelu { weight: parameter(path, "weight", init::constant(&[num_parameters], init)?)? }
            }
            "elu" => Function::Elu { alpha: spec.parse::<AlphaArgs>()?.alpha },
            "celu" => Function::Celu { alpha: spec.parse::<AlphaArgs>()?.alpha },
            "swish" => Function::Swish { alpha: spec.parse::<AlphaArgs>()?.alpha },
            "gelu" => Function::Gelu {
                approximate: match spec.parse::<GeluArgs>()?.approximate {
                    Approximation::None => "none",
                    Approximation::Tanh => "tanh",
                },
            },
            "softmax" => Function::Softmax { dim: spec.parse::<SoftmaxArgs>()?.dim },
            "logsoftmax" => Function::LogSoftmax { dim: spec.parse::<SoftmaxArgs>()?.dim },
            plain => {
                let function = match plain {
                    "relu" => Function::Relu,
                    "relu6" => Function::Relu6,
                    "selu" => Function::Selu,
                    "sigmoid" => Function::Sigmoid,
                    "tanh" => Function::Tanh,
                    "memswish" | "silu" => Function::Silu,
                    "mish" => Function::Mish,
                    "hardswish" => Function::Hardswish,
                    "geglu" => Function::Geglu,
                    _ => return Err(spec.unknown("activation", &NAMES)),
                };
                spec.parse::<Plain>()?;
                function
            }
        };
        Ok(Self(function))
    }

    /// An activation without parameters.
    ///
    /// # Errors
    ///
    /// As [`Activation::new`]; and `prelu`, which has one.
    #[track_caller]
    pub fn without_parameters(spec: &LayerSpec) -> Result<Self> {
        let store = nn::VarStore::new(tch::Device::Cpu);
        let activation = Self::new(&store.root(), spec)?;
        if !store.is_empty() {
            return Err(Error::invalid_argument(format!("`{}` has parameters, which have no place here", spec.name)));
        }
        Ok(activation)
    }

    /// The same activation under a second name, sharing its parameter if it has one.
    #[track_caller]
    pub fn alias(&self, path: &nn::Path<'_>) -> Result<()> {
        match &self.0 {
            Function::Prelu { weight } => alias(path, "weight", weight),
            _ => Ok(()),
        }
    }

    /// Elementwise, any shape.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(match &self.0 {
            Function::Identity => x.shallow_clone(),
            Function::Relu => x.f_relu()?,
            Function::Relu6 => x.f_relu6()?,
            // tch's `leaky_relu` has no slope. Its backward kernel applied to the input itself is the same function,
            // in one pass, and its gradient is that kernel again
            Function::LeakyRelu { negative_slope } => x.detach().f_leaky_relu_backward(x, *negative_slope, false)?,
            Function::Prelu { weight } => x.f_prelu(weight)?,
            Function::Elu { alpha } if *alpha == 1.0 => x.f_elu()?,
            Function::Elu { alpha } => {
                let negative = x.f_clamp_max(0.0)?.f_expm1()?.f_mul_scalar(*alpha)?;
                x.f_clamp_min(0.0)?.f_add(&negative)?
            }
            Function::Celu { alpha } => {
                let negative = x.f_clamp_max(0.0)?.f_div_scalar(*alpha)?.f_expm1()?.f_mul_scalar(*alpha)?;
                x.f_clamp_min(0.0)?.f_add(&negative)?
            }
            Function::Selu => x.f_selu()?,
            Function::Gelu { approximate } => x.f_gelu(approximate)?,
            Function::Sigmoid => x.f_sigmoid()?,
            Function::Tanh => x.f_tanh()?,
            Function::Swish { alpha } if *alpha == 1.0 => x.f_silu()?,
            Function::Swish { alpha } => x.f_mul(&x.f_mul_scalar(*alpha)?.f_sigmoid()?)?,
            Function::Silu => x.f_silu()?,
            Function::Mish => x.f_mish()?,
            Function::Hardswish => x.f_hardswish()?,
            Function::Softmax { dim } => x.f_softmax(*dim, None::<Kind>)?,
            Function::LogSoftmax { dim } => x.f_log_softmax(*dim, None::<Kind>)?,
            Function::Geglu => match x.f_chunk(2, -1)?.as_slice() {
                [value, gate] => value.f_mul(&gate.f_gelu("none")?)?,
                _ => return Err(Error::data("`geglu` needs an even last axis of at least 2")),
            },
        })
    }
}

impl Layer for Activation {
    fn forward_t(&self, x: &Tensor, _train: bool) -> Result<Tensor> {
        self.forward(x)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn value(spec: serde_json::Value, x: f32) -> (f64, f64) {
        let spec: LayerSpec = serde_json::from_value(spec).unwrap();
        let store = nn::VarStore::new(tch::Device::Cpu);
        let activation = Activation::new(&store.root(), &spec).unwrap();
        let x = Tensor::from_slice(&[x]).set_requires_grad(true);
        let y = activation.forward(&x).unwrap();
        y.sum(Kind::Float).backward();
        (y.double_value(&[0]), x.grad().double_value(&[0]))
    }

    #[test]
    fn values_and_slopes_are_those_of_the_definitions() {
        let exp = |x: f64| x.exp();
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        for (spec, x, y, slope) in [
            (json!("RELU"), -1.0, 0.0, 0.0),
            (json!("LeakyReLU"), -2.0, -0.02, 0.01),
            (json!(["LeakyReLU", {"negative_slope": 0.1, "inplace": true}]), -2.0, -0.2, 0.1),
            (json!(["leakyrelu", {"negative_slope": 0.1}]), 3.0, 3.0, 1.0),
            (json!("PRELU"), -2.0, -0.5, 0.25),
            (json!(["elu", {"alpha": 2.0}]), -1.0, 2.0 * (exp(-1.0) - 1.0), 2.0 * exp(-1.0)),
            (json!("elu"), 2.0, 2.0, 1.0),
            (json!(["celu", {"alpha": 2.0}]), -1.0, 2.0 * (exp(-0.5) - 1.0), exp(-0.5)),
            (
                json!(["swish", {"alpha": 2.0}]),
                1.0,
                sigmoid(2.0),
                sigmoid(2.0) + 2.0 * sigmoid(2.0) * (1.0 - sigmoid(2.0)),
            ),
            (json!("relu6"), 7.0, 6.0, 0.0),
            (json!("tanh"), 0.5, 0.5f64.tanh(), 1.0 - 0.5f64.tanh().powi(2)),
        ] {
            let (got_y, got_slope) = value(spec.clone(), x);
            assert!((got_y - y).abs() < 1e-6 && (got_slope - slope).abs() < 1e-6, "{spec}: {got_y} {got_slope}");
        }
    }

    #[test]
    fn unknown_names_and_arguments_are_refused() {
        let store = nn::VarStore::new(tch::Device::Cpu);
        let error = Activation::new(&store.root(), &"reluu".into()).unwrap_err();
        assert!(error.message().starts_with("there is no activation `reluu`; known are `relu`"), "{error}");
        let error = Activation::new(&store.root(), &LayerSpec::new("prelu").with("slope", 0.1)).unwrap_err();
        assert!(error.message().contains("the arguments of layer `prelu` are wrong: unknown field `slope`"), "{error}");
    }
}
