//! Normalisations by MONAI's names.

use serde::Deserialize;
use tch::{Kind, Tensor, nn};

use super::variable::{alias, buffer, name_of, parameter};
use super::{Layer, LayerSpec, check_spatial_dims, init};
use crate::{Error, OneOrMany, Result};

/// A normalisation: what MONAI's `Norm` factory knows, by the same names, in any case.
///
/// | name | arguments (default) |
/// |---|---|
/// | `batch` | `eps` (1e-5), `momentum` (0.1; null: a running average of all batches), `affine` (true), `track_running_stats` (true) |
/// | `instance` | `eps` (1e-5), `momentum` (0.1), `affine` (false), `track_running_stats` (false) |
/// | `group` | `num_groups` (needed), `eps` (1e-5), `affine` (true) |
/// | `layer` | `normalized_shape` (needed), `eps` (1e-5), `elementwise_affine` (true), `bias` (true) |
/// | `localresponse` | `size` (needed), `alpha` (1e-4), `beta` (0.75), `k` (1) |
/// | empty | the identity |
///
/// `syncbatch` is `batch` and `instance_nvfuser` is `instance`: on one device they are the same function.
/// Parameters `weight` and `bias`, buffers `running_mean`, `running_var` and `num_batches_tracked` (int64), as in
/// PyTorch.
#[derive(Debug)]
pub struct Norm {
    name: String,
    weight: Option<Tensor>,
    bias: Option<Tensor>,
    eps: f64,
    function: Function,
}

#[derive(Debug)]
enum Function {
    Identity,
    Batch { running: Option<Running>, momentum: Option<f64> },
    Instance { running: Option<Running>, momentum: Option<f64> },
    Group { num_groups: i64 },
    Layer { shape: Vec<i64> },
    LocalResponse { size: i64, alpha: f64, beta: f64, k: f64 },
}

#[derive(Debug)]
struct Running {
    mean: Tensor,
    var: Tensor,
    batches: Tensor,
}

const NAMES: [&str; 7] = ["batch", "instance", "group", "layer", "localresponse", "syncbatch", "instance_nvfuser"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RunningArgs {
    num_features: Option<i64>,
    #[serde(default = "eps")]
    eps: f64,
    #[serde(default = "momentum")]
    momentum: Option<f64>,
    affine: Option<bool>,
    track_running_stats: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupArgs {
    num_groups: i64,
    num_channels: Option<i64>,
    #[serde(default = "eps")]
    eps: f64,
    #[serde(default = "yes")]
    affine: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LayerArgs {
    normalized_shape: OneOrMany<i64>,
    #[serde(default = "eps")]
    eps: f64,
    #[serde(default = "yes")]
    elementwise_affine: bool,
    #[serde(default = "yes")]
    bias: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LocalResponseArgs {
    size: i64,
    #[serde(default = "alpha")]
    alpha: f64,
    #[serde(default = "beta")]
    beta: f64,
    #[serde(default = "k")]
    k: f64,
}

fn eps() -> f64 {
    1e-5
}
#[expect(clippy::unnecessary_wraps, reason = "null is a value of its own here")]
fn momentum() -> Option<f64> {
    Some(0.1)
}
fn yes() -> bool {
    true
}
fn alpha() -> f64 {
    1e-4
}
fn beta() -> f64 {
    0.75
}
fn k() -> f64 {
    1.0
}

impl Norm {
    /// The normalisation that a config names, for `channels` channels, its parameters and buffers under `path`.
    ///
    /// # Errors
    ///
    /// There is no such normalisation, it does not take these arguments, or the channels do not fit the groups.
    #[track_caller]
    pub fn new(path: &nn::Path<'_>, spec: &LayerSpec, spatial_dims: usize, channels: i64) -> Result<Self> {
        check_spatial_dims(spatial_dims)?;
        let name = name_of(path);
        match spec.key().as_str() {
            "" => Ok(Self { name, weight: None, bias: None, eps: 0.0, function: Function::Identity }),
            "batch" | "syncbatch" => {
                let args: RunningArgs = spec.parse()?;
                let channels = args.num_features.unwrap_or(channels);
                let (weight, bias) = affine(path, &[channels], args.affine.unwrap_or(true), true)?;
                let running = Running::new(path, channels, args.track_running_stats.unwrap_or(true))?;
                Ok(Self {
                    name,
                    weight,
                    bias,
                    eps: args.eps,
                    function: Function::Batch { running, momentum: args.momentum },
                })
            }
            "instance" | "instance_nvfuser" => {
                let args: RunningArgs = spec.parse()?;
                let channels = args.num_features.unwrap_or(channels);
                let (weight, bias) = affine(path, &[channels], args.affine.unwrap_or(false), true)?;
                let running = Running::new(path, channels, args.track_running_stats.unwrap_or(false))?;
                let function = Function::Instance { running, momentum: args.momentum };
                Ok(Self { name, weight, bias, eps: args.eps, function })
            }
            "group" => {
                let args: GroupArgs = spec.parse()?;
                let channels = args.num_channels.unwrap_or(channels);
                if args.num_groups < 1 || channels % args.num_groups != 0 {
                    return Err(Error::invalid_argument(format!(
                        "group norm `{name}`: {channels} channels cannot be divided into {} groups",
                        args.num_groups
                    )));
                }
                let (weight, bias) = affine(path, &[channels], args.affine, true)?;
                Ok(Self {
                    name,
                    weight,
                    bias,
                    eps: args.eps,
                    function: Function::Group { num_groups: args.num_groups },
                })
            }
            "layer" => {
                let args: LayerArgs = spec.parse()?;
                let shape = args.normalized_shape.into_vec();
                let (weight, bias) = affine(path, &shape, args.elementwise_affine, args.bias)?;
                Ok(Self { name, weight, bias, eps: args.eps, function: Function::Layer { shape } })
            }
            "localresponse" => {
                let LocalResponseArgs { size, alpha, beta, k } = spec.parse()?;
                let function = Function::LocalResponse { size, alpha, beta, k };
                Ok(Self { name, weight: None, bias: None, eps: 0.0, function })
            }
            _ => Err(spec.unknown("normalisation", &NAMES)),
        }
    }

    /// `torch.nn.LayerNorm` over the last axis.
    #[track_caller]
    pub fn layer(path: &nn::Path<'_>, features: i64) -> Result<Self> {
        Self::new(path, &LayerSpec::new("layer").with("normalized_shape", features), 1, features)
    }

    /// (B, C, spatial…), or for a layer norm (…, normalised shape); the shape stays.
    pub fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        self.apply(x, train).map_err(|error| {
            error.context(format!("normalisation `{}` failed on an input of shape {:?}", self.name, x.size()))
        })
    }

    fn apply(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let (weight, bias) = (self.weight.as_ref(), self.bias.as_ref());
        match &self.function {
            Function::Identity => Ok(x.shallow_clone()),
            Function::Batch { running, momentum } => {
                let use_batch = train || running.is_none();
                let factor = match running {
                    Some(running) if train => running.count(*momentum)?,
                    _ => 0.0,
                };
                if use_batch && values_per_channel(x, true) == 1 {
                    return Err(Error::data("batch statistics need more than one value per channel"));
                }
                let (mean, var) = (running.as_ref().map(|r| &r.mean), running.as_ref().map(|r| &r.var));
                Ok(x.f_batch_norm(weight, bias, mean, var, use_batch, factor, self.eps, true)?)
            }
            Function::Instance { running, momentum } => {
                let use_input = train || running.is_none();
                if use_input && values_per_channel(x, false) == 1 {
                    return Err(Error::data(
                        "instance statistics need more than one voxel: the input is too small for this many downsampling steps",
                    ));
                }
                // PyTorch's instance norm counts no batches
                let factor = momentum.unwrap_or(0.0);
                let (mean, var) = (running.as_ref().map(|r| &r.mean), running.as_ref().map(|r| &r.var));
                Ok(x.f_instance_norm(weight, bias, mean, var, use_input, factor, self.eps, true)?)
            }
            Function::Group { num_groups } => Ok(x.f_group_norm(*num_groups, weight, bias, self.eps, true)?),
            Function::Layer { shape } => Ok(x.f_layer_norm(shape.as_slice(), weight, bias, self.eps, true)?),
            Function::LocalResponse { size, alpha, beta, k } => local_response(x, *size, *alpha, *beta, *k),
        }
    }

    /// Gives the parameters and buffers second names; see [`alias`].
    #[track_caller]
    pub fn alias(&self, path: &nn::Path<'_>) -> Result<()> {
        let running = match &self.function {
            Function::Batch { running, .. } | Function::Instance { running, .. } => running.as_ref(),
            _ => None,
        };
        let tensors = [
            ("weight", self.weight.as_ref()),
            ("bias", self.bias.as_ref()),
            ("running_mean", running.map(|running| &running.mean)),
            ("running_var", running.map(|running| &running.var)),
            ("num_batches_tracked", running.map(|running| &running.batches)),
        ];
        for (name, tensor) in tensors {
            if let Some(tensor) = tensor {
                alias(path, name, tensor)?;
            }
        }
        Ok(())
    }

    /// The scale, if there is one.
    pub fn weight(&self) -> Option<&Tensor> {
        self.weight.as_ref()
    }

    /// The shift, if there is one.
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }
}

impl Layer for Norm {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        self.forward(x, train)
    }
}

impl Running {
    fn new(path: &nn::Path<'_>, channels: i64, tracked: bool) -> Result<Option<Self>> {
        if !tracked {
            return Ok(None);
        }
        Ok(Some(Self {
            mean: buffer(path, "running_mean", init::zeros(&[channels])?)?,
            var: buffer(path, "running_var", init::ones(&[channels])?)?,
            batches: buffer(path, "num_batches_tracked", Tensor::f_zeros([0i64; 0], (Kind::Int64, tch::Device::Cpu))?)?,
        }))
    }

    /// Counts a batch, and says how much it weighs in the running statistics.
    fn count(&self, momentum: Option<f64>) -> Result<f64> {
        let mut batches = self.batches.shallow_clone();
        let _ = tch::no_grad(|| batches.f_add_scalar_(1))?;
        match momentum {
            Some(momentum) => Ok(momentum),
            None => Ok(1.0 / f64::try_from(&batches)?),
        }
    }
}

/// The scale and shift of a normalisation.
fn affine(path: &nn::Path<'_>, shape: &[i64], affine: bool, bias: bool) -> Result<(Option<Tensor>, Option<Tensor>)> {
    if !affine {
        return Ok((None, None));
    }
    let weight = parameter(path, "weight", init::ones(shape)?)?;
    let bias = if bias { Some(parameter(path, "bias", init::zeros(shape)?)?) } else { None };
    Ok((Some(weight), bias))
}

/// How many values a statistic is made of.
fn values_per_channel(x: &Tensor, over_batch: bool) -> i64 {
    let size = x.size();
    let voxels: i64 = size.iter().skip(2).product();
    if over_batch { voxels * size.first().copied().unwrap_or(1) } else { voxels }
}

/// `torch.nn.LocalResponseNorm`: x / (k + alpha · mean of x² over `size` neighbouring channels)^beta.
fn local_response(x: &Tensor, size: i64, alpha: f64, beta: f64, k: f64) -> Result<Tensor> {
    let square = x.f_square()?.f_flatten(2, -1)?.f_unsqueeze(1)?;
    let padded = square.f_pad([0, 0, size / 2, (size - 1) / 2], "constant", 0.0)?;
    let mean = padded.f_avg_pool2d([size, 1], [1, 1], [0, 0], false, true, None::<i64>)?.f_squeeze_dim(1)?;
    let divisor = mean.f_mul_scalar(alpha)?.f_add_scalar(k)?.f_pow_tensor_scalar(beta)?;
    Ok(x.f_div(&divisor.f_view_as(x)?)?)
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    fn norm(store: &nn::VarStore, spec: &LayerSpec) -> Norm {
        Norm::new(&store.root(), spec, 2, 4).unwrap()
    }

    #[test]
    fn batch_norm_keeps_running_statistics_and_counts() {
        let store = nn::VarStore::new(Device::Cpu);
        let batch = norm(&store, &"BATCH".into());
        let x = Tensor::rand([2, 4, 3, 3], (Kind::Float, Device::Cpu)) + 5.0;
        for train in [true, true, false] {
            let y = batch.forward(&x, train).unwrap();
            assert_eq!(y.size(), x.size());
        }
        let state = store.variables();
        assert_eq!(state["num_batches_tracked"].kind(), Kind::Int64);
        assert_eq!(state["num_batches_tracked"].int64_value(&[]), 2);
        let mean = x.mean_dim([0i64, 2, 3].as_slice(), false, Kind::Float);
        let error = (&state["running_mean"] - mean * 0.19).abs().max().double_value(&[]);
        assert!(error < 1e-5, "{error}");
    }

    #[test]
    fn each_name_has_pytorchs_state() {
        for (spec, names) in [
            (LayerSpec::new("instance"), vec![]),
            (LayerSpec::new("instance").with("affine", true), vec!["bias", "weight"]),
            (LayerSpec::new("group").with("num_groups", 2), vec!["bias", "weight"]),
            (LayerSpec::new("batch").with("affine", false), vec!["num_batches_tracked", "running_mean", "running_var"]),
            (LayerSpec::new("layer").with("normalized_shape", vec![4, 4]).with("bias", false), vec!["weight"]),
            (LayerSpec::new("localresponse").with("size", 3), vec![]),
        ] {
            let store = nn::VarStore::new(Device::Cpu);
            let layer = norm(&store, &spec);
            let mut found: Vec<_> = store.variables().into_keys().collect();
            found.sort();
            assert_eq!(found, names, "{}", spec.name);
            let y = layer.forward(&Tensor::rand([2, 4, 4, 4], (Kind::Float, Device::Cpu)), true).unwrap();
            assert_eq!(y.size(), [2, 4, 4, 4]);
        }
    }

    #[test]
    fn inputs_that_are_too_small_are_explained() {
        let store = nn::VarStore::new(Device::Cpu);
        let layer = norm(&store, &"instance".into());
        let error = layer.forward(&Tensor::rand([2, 4, 1, 1], (Kind::Float, Device::Cpu)), false).unwrap_err();
        assert!(error.chain()[0].contains("too small"), "{error:?}");
    }
}
