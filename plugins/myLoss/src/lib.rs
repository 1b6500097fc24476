#![cfg_attr(not(test), expect(non_snake_case, reason = "the module name that configs use: `myLoss.MyDiceLoss`"))]
//! A loss of your own, as a plugin: the Dice loss, with the arguments and the numbers of MONAI's `DiceLoss`.
//!
//! In a config: `"loss": { "path": "BYOC.myLoss.MyDiceLoss", "args": { "to_onehot_y": true, "softmax": true } }`.

use byoc::{Component, Error, Loss, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind, Tensor};

byoc::export_plugin! {
    module: "myLoss",
    losses: [MyDiceLoss],
}

/// Dice loss: 1 - overlap, per item and class.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MyDiceLossArgs {
    /// Whether channel 0, the background, counts.
    pub include_background: bool,
    /// Whether the label is a class map (B, 1, spatial…) that must be made one-hot.
    pub to_onehot_y: bool,
    /// Apply a sigmoid to the network's output.
    pub sigmoid: bool,
    /// Apply a softmax over the channels of the network's output.
    pub softmax: bool,
    /// Apply another activation to the network's output.
    pub other_act: Option<OtherActivation>,
    /// Squares of output and label in the denominator.
    pub squared_pred: bool,
    /// The Jaccard index instead of Dice.
    pub jaccard: bool,
    /// What to do with the values per item and class.
    pub reduction: Reduction,
    /// Added to the numerator.
    pub smooth_nr: f64,
    /// Added to the denominator, so that an empty class is no division by zero.
    pub smooth_dr: f64,
    /// Whether the batch counts as one volume.
    pub batch: bool,
}

/// An activation that is neither sigmoid nor softmax.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OtherActivation {
    /// Hyperbolic tangent.
    Tanh,
    /// Negative values become 0.
    Relu,
}

/// What becomes of the values per item and class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reduction {
    /// Their mean.
    Mean,
    /// Their sum.
    Sum,
    /// They stay as they are: (B, C, 1…).
    None,
}

impl Default for MyDiceLossArgs {
    fn default() -> Self {
        Self {
            include_background: true,
            to_onehot_y: false,
            sigmoid: false,
            softmax: false,
            other_act: None,
            squared_pred: false,
            jaccard: false,
            reduction: Reduction::Mean,
            smooth_nr: 1e-5,
            smooth_dr: 1e-5,
            batch: false,
        }
    }
}

/// The loss. Input (B, C, spatial…), target (B, C, spatial…) or, with `to_onehot_y`, (B, 1, spatial…).
#[derive(Debug)]
pub struct MyDiceLoss {
    args: MyDiceLossArgs,
}

impl Component for MyDiceLoss {
    type Args = MyDiceLossArgs;

    fn new(args: MyDiceLossArgs) -> Result<Self> {
        let activations = usize::from(args.sigmoid) + usize::from(args.softmax) + usize::from(args.other_act.is_some());
        if activations > 1 {
            return Err(Error::invalid_argument("`sigmoid`, `softmax` and `other_act` exclude each other: choose one"));
        }
        Ok(Self { args })
    }
}

impl Loss for MyDiceLoss {
    fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let args = &self.args;
        byoc::ensure!(input.dim() > 2, "the input must be (B, C, spatial…), found {:?}", input.size());
        let mut input = self.activate(input)?;
        let channels = input.size()[1];
        let mut target = if args.to_onehot_y && channels > 1 {
            one_hot(target, channels)?
        } else {
            target.f_to_kind(input.kind())?
        };
        // with one channel there is no background to leave out
        if !args.include_background && channels > 1 {
            input = input.f_narrow(1, 1, channels - 1)?;
            target = target.f_narrow(1, 1, channels - 1)?;
        }
        let (predicted, expected) = (input.size(), target.size());
        byoc::ensure!(
            predicted == expected,
            "the prediction {predicted:?} and the label {expected:?} differ in shape; a class map needs `to_onehot_y`"
        );

        let mut axes: Vec<i64> = (2..input.dim() as i64).collect();
        if args.batch {
            axes.insert(0, 0);
        }
        let sum = |tensor: &Tensor| tensor.f_sum_dim_intlist(&axes[..], true, input.kind());
        let intersection = sum(&input.f_mul(&target)?)?;
        let total = if args.squared_pred {
            sum(&target.f_square()?)?.f_add(&sum(&input.f_square()?)?)?
        } else {
            sum(&target)?.f_add(&sum(&input)?)?
        };
        let denominator = if args.jaccard { total.f_sub(&intersection)?.f_mul_scalar(2.0)? } else { total };
        let overlap = intersection
            .f_mul_scalar(2.0)?
            .f_add_scalar(args.smooth_nr)?
            .f_div(&denominator.f_add_scalar(args.smooth_dr)?)?;
        let loss = overlap.f_neg()?.f_add_scalar(1.0)?;
        Ok(match args.reduction {
            Reduction::Mean => loss.f_mean(loss.kind())?,
            Reduction::Sum => loss.f_sum(loss.kind())?,
            // with `batch` the sums have no batch axis left
            Reduction::None if args.batch => loss.f_squeeze_dim(0)?,
            Reduction::None => loss,
        })
    }
}

impl MyDiceLoss {
    fn activate(&self, input: &Tensor) -> Result<Tensor> {
        // sums over a volume lose digits in half precision
        let input = if input.kind() == Kind::Double { input.shallow_clone() } else { input.f_to_kind(Kind::Float)? };
        Ok(match self.args.other_act {
            _ if self.args.sigmoid => input.f_sigmoid()?,
            // a softmax over one channel would be 1 everywhere
            _ if self.args.softmax && input.size()[1] > 1 => input.f_softmax(1, None::<Kind>)?,
            Some(OtherActivation::Tanh) => input.f_tanh()?,
            Some(OtherActivation::Relu) => input.f_relu()?,
            None => input,
        })
    }
}

/// (B, 1, spatial…) class indices → (B, C, spatial…) zeros and ones.
fn one_hot(label: &Tensor, channels: i64) -> Result<Tensor> {
    let mut size = label.size();
    byoc::ensure!(size.len() > 2 && size[1] == 1, "`to_onehot_y` needs a label (B, 1, spatial…), found {size:?}");
    size[1] = channels;
    let classes = label.f_to_kind(Kind::Int64)?;
    // one copy for both ends: on a GPU each copy waits for it
    let (lowest, highest) = classes.f_flatten(0, -1)?.f_aminmax(0, false)?;
    let range = Vec::<i64>::try_from(Tensor::f_stack(&[lowest, highest], 0)?)?;
    let (lowest, highest) = (range[0], range[1]);
    byoc::ensure!(
        lowest >= 0 && highest < channels,
        "the label has classes from {lowest} to {highest}, but the network has {channels} output channels"
    );
    Ok(Tensor::f_zeros(&size[..], (Kind::Float, label.device()))?.f_scatter_value(1, &classes, 1.0)?)
}
