//! Any loss within a mask.

use byoc::{Component, Error, Loss, LossInput, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Tensor;

use super::nested::NestedLoss;

byoc::register! { losses: [MaskedLoss] }

/// A loss of output and label, both multiplied by a mask (MONAI `MaskedLoss`).
///
/// The mask, (B or 1, 1, spatial…), is the batch's `mask`; without one the loss sees everything. The wrapped loss gets
/// masked logits: its activation turns the zeros outside the mask into probabilities (`MaskedDiceLoss` masks those).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MaskedLossArgs {
    /// The loss: its name, or `{"name": "DiceLoss", "args": {"sigmoid": true}}`.
    loss: NestedLoss,
}

/// See [`MaskedLossArgs`].
pub struct MaskedLoss {
    loss: Box<dyn Loss>,
}

impl Component for MaskedLoss {
    type Args = MaskedLossArgs;

    fn new(args: MaskedLossArgs) -> Result<Self> {
        Ok(Self { loss: args.loss.build()? })
    }
}

impl Loss for MaskedLoss {
    fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.loss.forward(input, target)
    }

    fn forward_full(&self, call: &LossInput<'_>) -> Result<Tensor> {
        let (input, target) = (call.input()?, call.target()?);
        let Some(mask) = call.mask else { return self.forward(input, target) };
        // the trainer has only image and label moved to the device
        let mask = mask.f_to_device(input.device())?;
        let (shape, found) = (input.size(), mask.size());
        let batches = shape.first().zip(found.first()).is_some_and(|(batch, masks)| *masks == 1 || masks == batch);
        if !batches || (target.dim() > 1 && found.get(1) != Some(&1)) {
            return Err(Error::data(format!(
                "the mask's shape {found:?} does not fit the network's output, {shape:?}; it must be (B or 1, 1, spatial…)"
            )));
        }
        self.loss.forward(&input.f_mul(&mask)?, &target.f_mul(&mask)?)
    }
}
