//! Inferers.

use tch::Tensor;

use crate::Result;

/// What an inferer calls: the network's forward pass.
pub type Predictor<'a> = &'a mut dyn FnMut(&Tensor) -> Result<Tensor>;

/// How a network is applied to an input: at once, or window by window.
///
/// ```
/// use byoc::{Component, Inferer, Predictor, Result};
/// use schemars::JsonSchema;
/// use serde::Deserialize;
/// use tch::Tensor;
///
/// /// Averages the prediction with that for the mirrored image.
/// #[derive(Deserialize, JsonSchema)]
/// #[serde(deny_unknown_fields)]
/// struct MirrorInfererArgs {}
///
/// struct MirrorInferer;
///
/// impl Component for MirrorInferer {
///     type Args = MirrorInfererArgs;
///
///     fn new(_: MirrorInfererArgs) -> Result<Self> {
///         Ok(Self)
///     }
/// }
///
/// impl Inferer for MirrorInferer {
///     fn infer(&self, x: &Tensor, predict: Predictor<'_>) -> Result<Tensor> {
///         let mirrored = predict(&x.flip([2]))?.flip([2]);
///         Ok((predict(x)? + mirrored) / 2)
///     }
/// }
///
/// let x = Tensor::from_slice(&[1f32, 2.0]).view([1, 1, 2]);
/// let y = MirrorInferer.infer(&x, &mut |x| Ok(x.shallow_clone()))?;
/// assert_eq!(y, x);
/// # Ok::<(), byoc::Error>(())
/// ```
pub trait Inferer: Send {
    /// The prediction for a batch (B, C, spatial…).
    fn infer(&self, x: &Tensor, predict: Predictor<'_>) -> Result<Tensor>;
}
