//! Losses that keep a displacement field smooth.

use byoc::{Component, Error, Loss, LossInput, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind, Tensor};

use super::reduction::Reduction;
use super::target::full_precision;

byoc::register! { losses: [BendingEnergyLoss, DiffusionLoss] }

/// How much a displacement field bends: its squared second derivatives (MONAI `BendingEnergyLoss`; Rueckert et al. 1999).
///
/// Takes the field alone, (B, C, spatial…) with a channel per axis; there is no label.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BendingEnergyLossArgs {
    /// Whether the size of the image is divided out.
    normalize: bool,
    /// `mean` or `sum` over voxels and channels, or `none`: the field without its border.
    reduction: Reduction,
}

/// See [`BendingEnergyLossArgs`].
#[derive(Debug)]
pub struct BendingEnergyLoss(BendingEnergyLossArgs);

impl Component for BendingEnergyLoss {
    type Args = BendingEnergyLossArgs;

    fn new(args: BendingEnergyLossArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

impl Loss for BendingEnergyLoss {
    fn forward(&self, input: &Tensor, _target: &Tensor) -> Result<Tensor> {
        self.energy(input)
    }

    fn forward_full(&self, call: &LossInput<'_>) -> Result<Tensor> {
        self.energy(call.input()?)
    }
}

impl BendingEnergyLoss {
    fn energy(&self, field: &Tensor) -> Result<Tensor> {
        let field = full_precision(field)?;
        let sizes = check_field(&field)?;
        let axes = sizes.len();
        let mut energy: Option<Tensor> = None;
        for first in 0..axes {
            for second in first..axes {
                let mut derivative = second_derivative(&field, first, second)?;
                if self.0.normalize {
                    derivative = derivative.f_mul(&per_channel(&sizes, sizes[first] * sizes[second], &field)?)?;
                }
                let times = if first == second { 1.0 } else { 2.0 };
                add(&mut energy, derivative.f_square()?.f_mul_scalar(times)?)?;
            }
        }
        reduce(energy, self.0.reduction)
    }
}

/// How much a displacement field changes from voxel to voxel: its squared first derivatives (MONAI `DiffusionLoss`;
/// Balakrishnan et al. 2019, `VoxelMorph`).
///
/// Takes the field alone, (B, C, spatial…) with a channel per axis; there is no label.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DiffusionLossArgs {
    /// Whether the size of the image is divided out.
    normalize: bool,
    /// `mean` or `sum` over voxels and channels, or `none`: the field without its border.
    reduction: Reduction,
}

/// See [`DiffusionLossArgs`].
#[derive(Debug)]
pub struct DiffusionLoss(DiffusionLossArgs);

impl Component for DiffusionLoss {
    type Args = DiffusionLossArgs;

    fn new(args: DiffusionLossArgs) -> Result<Self> {
        Ok(Self(args))
    }
}

impl Loss for DiffusionLoss {
    fn forward(&self, input: &Tensor, _target: &Tensor) -> Result<Tensor> {
        self.energy(input)
    }

    fn forward_full(&self, call: &LossInput<'_>) -> Result<Tensor> {
        self.energy(call.input()?)
    }
}

impl DiffusionLoss {
    fn energy(&self, field: &Tensor) -> Result<Tensor> {
        let field = full_precision(field)?;
        let sizes = check_field(&field)?;
        let mut energy: Option<Tensor> = None;
        for axis in 0..sizes.len() {
            let ahead = shifted(&field, &[(axis, 2)])?;
            let mut derivative = ahead.f_sub(&shifted(&field, &[(axis, 0)])?)?.f_div_scalar(2.0)?;
            if self.0.normalize {
                derivative = derivative.f_mul(&per_channel(&sizes, sizes[axis], &field)?)?;
            }
            add(&mut energy, derivative.f_square()?)?;
        }
        reduce(energy, self.0.reduction)
    }
}

/// The spatial sizes of a field that has a channel for each and more than two voxels along each.
#[track_caller]
fn check_field(field: &Tensor) -> Result<Vec<i64>> {
    let size = field.size();
    if (3..=5).contains(&size.len()) && size[1] == size.len() as i64 - 2 && size[2..].iter().all(|&size| size > 2) {
        return Ok(size[2..].to_vec());
    }
    Err(Error::data(format!(
        "expected a displacement field (B, C, spatial…) with a channel per axis and more than 2 voxels along each, found \
         shape {size:?}"
    )))
}

/// The field without its border, from `start` on along these axes; 1 is the voxel itself, 0 and 2 are its neighbours.
fn shifted(field: &Tensor, starts: &[(usize, i64)]) -> Result<Tensor> {
    let size = field.size();
    let mut part = field.shallow_clone();
    for axis in 0..size.len() - 2 {
        let start = starts.iter().find(|(at, _)| *at == axis).map_or(1, |(_, start)| *start);
        part = part.f_narrow(2 + axis as i64, start, size[2 + axis] - 2)?;
    }
    Ok(part)
}

fn second_derivative(field: &Tensor, first: usize, second: usize) -> Result<Tensor> {
    let at = |a: i64, b: i64| shifted(field, &[(first, a), (second, b)]);
    if first == second {
        let around = shifted(field, &[(first, 2)])?.f_add(&shifted(field, &[(first, 0)])?)?;
        return Ok(around.f_sub(&shifted(field, &[])?.f_mul_scalar(2.0)?)?);
    }
    Ok(at(2, 2)?.f_sub(&at(2, 0)?)?.f_sub(&at(0, 2)?)?.f_add(&at(0, 0)?)?.f_div_scalar(4.0)?)
}

/// `size` divided by the length of each channel's axis, (1, C, 1…).
fn per_channel(sizes: &[i64], size: i64, like: &Tensor) -> Result<Tensor> {
    let factors: Vec<f64> = sizes.iter().map(|&length| size as f64 / length as f64).collect();
    let mut shape = vec![1; sizes.len() + 2];
    shape[1] = sizes.len() as i64;
    Ok(Tensor::from_slice(&factors).f_to_kind(like.kind())?.f_to_device(like.device())?.f_view(shape.as_slice())?)
}

fn add(energy: &mut Option<Tensor>, more: Tensor) -> Result<()> {
    *energy = Some(match energy.take() {
        Some(energy) => energy.f_add(&more)?,
        None => more,
    });
    Ok(())
}

fn reduce(energy: Option<Tensor>, reduction: Reduction) -> Result<Tensor> {
    let energy = energy.map_or_else(|| Tensor::f_zeros([], (Kind::Float, tch::Device::Cpu)), Ok)?;
    reduction.apply(energy)
}
