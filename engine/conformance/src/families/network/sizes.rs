//! Batches and sizes that a network must take, or refuse in words.

use byoc::Random;
use tch::{Kind, Tensor};

use super::{evaluate, input, larger, plan};
use crate::numbers::{largest_deviation, number, shown};
use crate::specimen::Specimen;
use crate::stimulus::NetworkPlan;
use crate::verdict::{Found, Verdict, said};

pub(super) fn batch_of_one(specimen: &Specimen) -> Found {
    let plan = plan(specimen)?.with_batch(1);
    let draw = |plan: &NetworkPlan| plan.draw(&mut Random::from_seed(specimen.seed));
    let train = |x: &Tensor| -> Result<_, Verdict> {
        let network = specimen.network()?.network;
        Ok(tch::no_grad(|| network.forward_all(std::slice::from_ref(x), true)))
    };
    let x = draw(&plan);
    evaluate(specimen.network()?.network.as_ref(), &x)?;
    let Err(error) = train(&x)? else { return Ok(Verdict::success(shown(&x))) };
    // a small image may leave a single voxel at the bottom, which nothing can normalise
    for larger in larger(&plan) {
        let larger = draw(&larger);
        if train(&larger)?.is_ok() {
            return Ok(Verdict::success(format!("{}; {} is too small to train with", shown(&larger), shown(&x))));
        }
    }
    Err(Verdict::warning(
        format!("it cannot be trained with a batch of one: {}", said(&error)),
        "a batch normalisation of single values needs two items: normalise by instance or group there",
    ))
}

pub(super) fn items_apart(specimen: &Specimen) -> Found {
    let plan = plan(specimen)?;
    let x = plan.with_batch(2).draw(&mut Random::from_seed(specimen.seed));
    let network = specimen.network()?.network;
    let both = evaluate(network.as_ref(), &x)?;
    let one = evaluate(network.as_ref(), &x.f_narrow(0, 0, 1)?)?;
    for (both, one) in both.iter().zip(&one) {
        if both.size().first() != Some(&2) || one.size().first() != Some(&1) {
            return Ok(Verdict::skipped("its outputs have no batch axis"));
        }
        let of_first = both.f_narrow(0, 0, 1)?;
        let scale = number(&one.f_to_kind(Kind::Double)?.f_abs()?.f_max()?)?.max(1e-3);
        let deviation = largest_deviation(&of_first, one)? / scale;
        // kernels for other batch sizes sum in another order
        if deviation > 1e-3 {
            return Err(Verdict::failed(
                format!(
                    "the first item alone gives something else than in a batch of two: {deviation:.1e} of the largest value"
                ),
                "in evaluation use the running statistics, and mix no items of a batch",
            ));
        }
    }
    Ok(Verdict::success("alone and in a batch the same"))
}

pub(super) fn odd_sizes(specimen: &Specimen) -> Found {
    let plan = plan(specimen)?;
    if plan.is_given {
        return Ok(Verdict::skipped("the shape of its input was given"));
    }
    let larger = plan.with_spatial(|axis, size| size + [1, 5, 3][axis.min(2)]);
    let x = larger.draw(&mut Random::from_seed(specimen.seed));
    let network = specimen.network()?.network;
    match tch::no_grad(|| network.forward_all(std::slice::from_ref(&x), false)) {
        Ok(outputs) => {
            let sizes = |tensor: &Tensor| tensor.size().get(2..).map(<[i64]>::to_vec).unwrap_or_default();
            let usual = evaluate(network.as_ref(), &input(specimen)?)?;
            let keeps = usual.first().is_some_and(|y| sizes(y) == plan.shape[2..]);
            if let Some(y) = outputs.first().filter(|y| keeps && sizes(y) != sizes(&x)) {
                return Err(Verdict::failed(
                    format!("{} gives {}: the sizes are not those of the input", shown(&x), shown(y)),
                    "pad what was pooled from an odd size: `byoc::nn::resize::pad_to_odd_size_of`",
                ));
            }
            Ok(Verdict::success(shown(&x)))
        }
        Err(error) => Err(Verdict::warning(
            format!("{} is refused: {}", shown(&x), said(&error)),
            "pad what was pooled from an odd size (`byoc::nn::resize::pad_to_odd_size_of`), or say in the docs which sizes \
             it takes",
        )),
    }
}
