//! Losses.

use tch::Tensor;

use crate::{Error, Result, Sample};

/// A loss function.
///
/// Compose it of libtorch operators and keep the graph: `detach`, `double_value` and the like cut the gradient, and
/// the engine refuses such a loss at the first step.
///
/// ```
/// use byoc::{Component, Loss, Result};
/// use schemars::JsonSchema;
/// use serde::Deserialize;
/// use tch::{Kind, Tensor};
///
/// /// Mean of |input - target| to the power `p`.
/// #[derive(Deserialize, JsonSchema)]
/// #[serde(deny_unknown_fields)]
/// struct PowerLossArgs {
///     /// The exponent, greater than 0.
///     #[serde(default = "two")]
///     p: f64,
/// }
///
/// fn two() -> f64 {
///     2.0
/// }
///
/// struct PowerLoss(PowerLossArgs);
///
/// impl Component for PowerLoss {
///     type Args = PowerLossArgs;
///
///     fn new(args: PowerLossArgs) -> Result<Self> {
///         byoc::ensure!(args.p > 0.0, "`p` must be greater than 0, found {}", args.p);
///         Ok(Self(args))
///     }
/// }
///
/// impl Loss for PowerLoss {
///     fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
///         Ok(input.f_sub(target)?.f_abs()?.f_pow_tensor_scalar(self.0.p)?.f_mean(Kind::Float)?)
///     }
/// }
///
/// let loss = PowerLoss::new(PowerLossArgs { p: 2.0 })?;
/// let value = loss.forward(&Tensor::from_slice(&[1f32, 3.0]), &Tensor::from_slice(&[1f32, 1.0]))?;
/// assert_eq!(value.double_value(&[]), 2.0);
/// # Ok::<(), byoc::Error>(())
/// ```
pub trait Loss: Send {
    /// The loss of a batch: `input` (B, C, spatial…) as the network gave it, `target` (B, 1 or C, spatial…).
    ///
    /// Returns a scalar, or with `reduction: none` a tensor, which the trainer averages.
    fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor>;

    /// The loss with everything that the step knows. Losses of several outputs, with a mask, or without a target
    /// implement this one; the default calls [`Loss::forward`] with the first output and the target.
    fn forward_full(&self, call: &LossInput<'_>) -> Result<Tensor> {
        self.forward(call.input()?, call.target()?)
    }
}

/// What a loss is called with.
#[derive(Debug, Clone, Copy, Default)]
pub struct LossInput<'a> {
    /// The network's outputs, mostly one.
    pub inputs: &'a [Tensor],
    /// The batch's label.
    pub target: Option<&'a Tensor>,
    /// A mask, for the losses that take one.
    pub mask: Option<&'a Tensor>,
    /// The whole batch.
    pub batch: Option<&'a Sample>,
}

impl<'a> LossInput<'a> {
    /// The first output.
    #[track_caller]
    pub fn input(&self) -> Result<&'a Tensor> {
        match self.inputs.first() {
            Some(input) => Ok(input),
            None => Err(Error::data("the network gave no output for the loss")),
        }
    }

    /// The target.
    #[track_caller]
    pub fn target(&self) -> Result<&'a Tensor> {
        match self.target {
            Some(target) => Ok(target),
            None => Err(Error::data("this loss needs a target, and the batch has none")),
        }
    }
}
