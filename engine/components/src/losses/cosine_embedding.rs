//! Cosine embedding loss.

use byoc::{Component, Error, Loss, LossInput, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Tensor;

use super::reduction::Reduction;
use super::target::{full_precision, same_shape};

byoc::register! { losses: [CosineEmbeddingLoss] }

/// 1 - cosine of pairs that belong together, the cosine above a margin of others (PyTorch `CosineEmbeddingLoss`).
///
/// The pairs are the network's first two outputs, or its output and the label, each (B, features). What belongs
/// together, 1 or -1 for each pair, (B), is the batch's `mask`; with two outputs it may be the label.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CosineEmbeddingLossArgs {
    /// Cosines below it cost nothing for pairs that do not belong together, -1 to 1.
    margin: f64,
    /// `mean`, `sum`, or `none`: one value per pair.
    reduction: Reduction,
}

/// See [`CosineEmbeddingLossArgs`].
#[derive(Debug)]
pub struct CosineEmbeddingLoss(CosineEmbeddingLossArgs);

impl Component for CosineEmbeddingLoss {
    type Args = CosineEmbeddingLossArgs;

    fn new(args: CosineEmbeddingLossArgs) -> Result<Self> {
        if !(-1.0..=1.0).contains(&args.margin) {
            return Err(Error::invalid_argument(format!("`margin` must be -1 to 1, found {}", args.margin)));
        }
        Ok(Self(args))
    }
}

impl Loss for CosineEmbeddingLoss {
    fn forward(&self, _input: &Tensor, _target: &Tensor) -> Result<Tensor> {
        Err(Error::data(
            "`CosineEmbeddingLoss` needs to know which pairs belong together: 1 or -1 for each, under the key `mask`",
        ))
    }

    fn forward_full(&self, call: &LossInput<'_>) -> Result<Tensor> {
        let (first, second, together) = match (call.inputs, call.mask) {
            ([first, second, ..], Some(together)) => (first, second, together),
            ([first, second, ..], None) => (first, second, call.target()?),
            (_, Some(together)) => (call.input()?, call.target()?, together),
            (_, None) => return self.forward(call.input()?, call.target()?),
        };
        let (first, second) = (full_precision(first)?, full_precision(second)?);
        same_shape(&first, &second, "")?;
        let together = together.f_to_kind(first.kind())?.f_to_device(first.device())?;
        let reduction = self.0.reduction.torch();
        Ok(Tensor::f_cosine_embedding_loss(&first, &second, &together, self.0.margin, reduction)?)
    }
}
