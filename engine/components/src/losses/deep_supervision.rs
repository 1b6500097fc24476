//! Any loss of the outputs of several levels of a network.

use byoc::{Component, Error, Loss, LossInput, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind, Tensor};

use super::nested::NestedLoss;

byoc::register! { losses: [DeepSupervisionLoss = "DeepSupervisionLoss" | "ds_loss"] }

/// Weighted sum of a loss over the outputs of several levels of a network (MONAI `DeepSupervisionLoss`).
///
/// The label is resized to each output by nearest neighbours. A single output with one axis more than the label, such
/// as `DynUNet` gives with `deep_supervision`, is taken apart along axis 1; any other single output has the loss alone,
/// as in MONAI.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeepSupervisionLossArgs {
    /// The loss: its name, or `{"name": "DiceLoss", "args": {"sigmoid": true}}`.
    loss: NestedLoss,
    /// How the weights of the levels follow each other.
    #[serde(default)]
    weight_mode: WeightMode,
    /// The weights, the finest level first; used if there are enough of them.
    #[serde(default)]
    weights: Option<Vec<f64>>,
}

/// How the weights of the levels follow each other, the finest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum WeightMode {
    /// 1, 1, 1 …
    Same,
    /// 1, 1/2, 1/4 … down to 1/16.
    #[default]
    Exp,
    /// 1, 1/2, 1/2 …
    Two,
}

/// See [`DeepSupervisionLossArgs`].
pub struct DeepSupervisionLoss {
    loss: Box<dyn Loss>,
    weight_mode: WeightMode,
    weights: Option<Vec<f64>>,
}

impl Component for DeepSupervisionLoss {
    type Args = DeepSupervisionLossArgs;

    fn new(args: DeepSupervisionLossArgs) -> Result<Self> {
        Ok(Self { loss: args.loss.build()?, weight_mode: args.weight_mode, weights: args.weights })
    }
}

impl Loss for DeepSupervisionLoss {
    fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        if input.dim() == target.dim() + 1 && target.dim() > 2 {
            return self.sum(&input.f_unbind(1)?, target);
        }
        self.loss.forward(&input.f_to_kind(Kind::Float)?, target)
    }

    fn forward_full(&self, call: &LossInput<'_>) -> Result<Tensor> {
        match call.inputs {
            [input] => self.forward(input, call.target()?),
            [] => Err(Error::data("the network gave no output for the loss")),
            inputs => self.sum(inputs, call.target()?),
        }
    }
}

impl DeepSupervisionLoss {
    fn sum(&self, inputs: &[Tensor], target: &Tensor) -> Result<Tensor> {
        let mut total = Tensor::f_zeros([], (Kind::Float, target.device()))?;
        for (level, input) in inputs.iter().enumerate() {
            let loss = self.loss.forward(&input.f_to_kind(Kind::Float)?, &resized(target, input)?);
            let loss = loss.map_err(|error| error.context(format!("the loss of output {level} failed")))?;
            total = total.f_add(&loss.f_mul_scalar(self.weight(level, inputs.len()))?)?;
        }
        Ok(total)
    }

    fn weight(&self, level: usize, levels: usize) -> f64 {
        if let Some(weights) = self.weights.as_ref().filter(|weights| weights.len() >= levels) {
            return weights[level];
        }
        match self.weight_mode {
            WeightMode::Same => 1.0,
            WeightMode::Exp => 0.5f64.powi(level as i32).max(0.0625),
            WeightMode::Two if level == 0 => 1.0,
            WeightMode::Two => 0.5,
        }
    }
}

/// The label at the size of an output; each voxel takes the value at its centre.
fn resized(target: &Tensor, input: &Tensor) -> Result<Tensor> {
    let (size, found) = (input.size(), target.size());
    if size.len() < 3 || found.len() < 3 || size[2..] == found[2..] {
        return Ok(target.shallow_clone());
    }
    let size = &size[2..];
    // libtorch resizes floating and 8-bit images only
    let floating = if target.is_floating_point() { target.shallow_clone() } else { target.f_to_kind(Kind::Float)? };
    let resized = match size.len() {
        1 => floating.f_internal_upsample_nearest_exact1d(size, None)?,
        2 => floating.f_internal_upsample_nearest_exact2d(size, None, None)?,
        _ => floating.f_internal_upsample_nearest_exact3d(size, None, None, None)?,
    };
    Ok(resized.f_to_kind(target.kind())?)
}

#[cfg(test)]
mod tests {
    use byoc::{Component, Loss, LossInput};
    use serde_json::json;
    use tch::{Device, Kind, Tensor};

    use super::DeepSupervisionLoss;

    #[test]
    fn a_stacked_output_is_a_list_of_levels() {
        let args = json!({ "loss": { "name": "DiceLoss", "args": { "sigmoid": true } } });
        let loss = DeepSupervisionLoss::new(byoc::args::parse(&args).unwrap()).unwrap();
        let stacked = Tensor::rand([2, 3, 1, 4, 4], (Kind::Float, Device::Cpu));
        let label = Tensor::rand([2, 1, 4, 4], (Kind::Float, Device::Cpu)).round();
        let levels = stacked.unbind(1);
        let call = LossInput { inputs: &levels, target: Some(&label), ..LossInput::default() };
        let listed = loss.forward_full(&call).unwrap();
        assert_eq!(loss.forward(&stacked, &label).unwrap(), listed);
        let alone = |level: usize| loss.forward(&levels[level], &label).unwrap().double_value(&[]);
        let expected = alone(0) + 0.5 * alone(1) + 0.25 * alone(2);
        assert!((listed.double_value(&[]) - expected).abs() < 1e-6);
    }
}
