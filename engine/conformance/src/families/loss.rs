//! Losses: what the trainer needs of one, and the gradient above all.

use byoc::{Kind as ComponentKind, Random};
use tch::{Device, Kind, Tensor};

use crate::numbers::{all_finite, any_nonzero, number, shown};
use crate::object::evaluate;
use crate::specimen::Specimen;
use crate::stimulus::{Content, PairPlan, Plan, Stimulus};
use crate::suite::Test;
use crate::verdict::{Found, Verdict, said};

const LOSS: &[ComponentKind] = &[ComponentKind::LOSS];

pub(crate) const TESTS: &[Test] = &[
    Test::of_component("loss-forward", "the loss is one finite number, or one for each element", LOSS, forward),
    Test::of_component("loss-gradient", "the gradient reaches the input and is finite", LOSS, gradient),
    Test::of_component("loss-gradcheck", "the gradient is that of finite differences in float64", LOSS, gradcheck),
    Test::of_component("loss-batch-of-one", "a batch of one gives a finite loss and gradient", LOSS, batch_of_one),
    Test::of_component(
        "loss-absent-class",
        "a batch without foreground gives a finite loss and gradient",
        LOSS,
        absent_class,
    ),
    Test::of_component("loss-half", "float16 and bfloat16 give a finite loss and gradient", LOSS, half),
    Test::of_component("loss-gpu", "on a GPU it gives what it gives on the CPU", LOSS, gpu),
];

/// How the inputs of the specimen are made.
pub(crate) fn plan(specimen: &Specimen) -> Result<&PairPlan, Verdict> {
    match specimen.plan()? {
        Plan::Pair(plan) => Ok(plan),
        _ => Err(Verdict::skipped("it takes no pair of tensors")),
    }
}

/// Inputs for a test that needs a gradient: where there is none at all, one test says so.
fn with_gradient(specimen: &Specimen) -> Result<(Tensor, Tensor), Verdict> {
    let (input, target) = inputs(specimen)?;
    match differentiate(specimen.loss()?.as_ref(), &input, &target) {
        Ok(_) => inputs(specimen),
        Err(_) => Err(Verdict::skipped("it has no gradient, see `loss-gradient`")),
    }
}

fn inputs(specimen: &Specimen) -> Result<(Tensor, Tensor), Verdict> {
    Ok(plan(specimen)?.draw(&mut Random::from_seed(specimen.seed)))
}

fn forward(specimen: &Specimen) -> Found {
    let (input, target) = inputs(specimen)?;
    let value = evaluate(specimen.loss()?.as_ref(), &input, &target)?;
    let found = format!("{} for {} and {}", shown(&value), shown(&input), shown(&target));
    if !value.is_floating_point() {
        return Err(Verdict::failed(
            format!("the loss is {found}: no floating-point number has a gradient"),
            "compute the loss in the dtype of the input",
        ));
    }
    if value.device() != input.device() {
        return Err(Verdict::failed(
            format!("the loss is on {:?}, the input on {:?}", value.device(), input.device()),
            "make helper tensors on the device of the input: `input.device()`",
        ));
    }
    if !all_finite(&value)? {
        return Err(Verdict::failed(
            format!("the loss is {} for inputs between 0 and 1", number(&value)?),
            "add a small number to denominators and to the arguments of logarithms",
        ));
    }
    Ok(Verdict::success(if value.dim() == 0 { format!("{:.4}, {found}", number(&value)?) } else { found }))
}

/// The loss and its gradient: summed, if it gives one value for each element.
fn differentiate(loss: &dyn byoc::Loss, input: &Tensor, target: &Tensor) -> Result<(Tensor, Tensor), Verdict> {
    let leaf = input.detach().copy().set_requires_grad(true);
    // a network's output is no leaf, and the engine never gives one
    let output = leaf.f_mul(&leaf.f_ones_like()?)?;
    let value = evaluate(loss, &output, target)?;
    if !value.requires_grad() {
        return Err(Verdict::failed(
            "the loss has no gradient: nothing could be learnt from it",
            "compose it of tensor operations: `detach`, `double_value`, `argmax`, comparisons, `no_grad` and tensors \
             made of numbers cut the gradient",
        ));
    }
    let sum = value.f_sum(value.kind())?;
    sum.f_backward()?;
    let gradient = leaf.f_grad()?;
    if !gradient.defined() {
        return Err(Verdict::failed(
            "the gradient does not reach the input",
            "use the input itself: a copy made with `detach` or of numbers has a gradient of its own",
        ));
    }
    Ok((sum.detach(), gradient))
}

fn finite(value: &Tensor, gradient: &Tensor, when: &str) -> Found {
    for (what, tensor) in [("loss", value), ("gradient", gradient)] {
        if !all_finite(tensor)? {
            return Err(Verdict::failed(
                format!("the {what} is not finite {when}"),
                "add a small number to denominators, to the arguments of logarithms, and under square roots, whose \
                 derivative at 0 is infinite",
            ));
        }
    }
    Ok(Verdict::success(format!("loss {:.4} {when}", number(value)?)))
}

fn gradient(specimen: &Specimen) -> Found {
    let (input, target) = inputs(specimen)?;
    let (value, gradient) = differentiate(specimen.loss()?.as_ref(), &input, &target)?;
    finite(&value, &gradient, "for inputs between 0 and 1")?;
    if !any_nonzero(&gradient)? {
        return Err(Verdict::failed(
            "the gradient is 0 everywhere",
            "look for comparisons, rounding, `clamp` or `argmax` between the input and the loss: their gradient is 0",
        ));
    }
    let largest = number(&gradient.f_abs()?.f_max()?)?;
    Ok(Verdict::success(format!("largest component {largest:.2e}")))
}

/// How a finite difference is taken, and how close the gradient must be to it.
struct Precision {
    step: f64,
    rtol: f64,
    atol: f64,
}

const DOUBLE: Precision = Precision { step: 1e-6, rtol: 1e-5, atol: 1e-7 };
/// For losses that compute in float32 whatever they are given.
const SINGLE: Precision = Precision { step: 1e-2, rtol: 5e-2, atol: 1e-3 };

fn gradcheck(specimen: &Specimen) -> Found {
    let (input, target) = with_gradient(specimen)?;
    specimen.steady_answer(&Stimulus::Pair(input.shallow_clone(), target.shallow_clone()))?;
    let input = input.to_kind(Kind::Double);
    let target = if target.is_floating_point() { target.to_kind(Kind::Double) } else { target };
    let loss = specimen.loss()?;
    if let Err(error) = evaluate(loss.as_ref(), &input, &target) {
        return Err(Verdict::warning(
            format!("it does not take float64: {}", said(&error)),
            "make helper tensors in the dtype of the input, `input.kind()`, so that its gradient can be proved",
        ));
    }
    let loss = specimen.loss()?;
    let mut random = Random::from_seed(Random::derive_seed(&[specimen.seed, 1]));
    let directions: Vec<Tensor> =
        (0..8).map(|_| random.normal_tensor(&input.size()).to_kind(Kind::Double)).chain(units(&input)).collect();
    let Some(worst) = deviation(loss.as_ref(), &input, &target, &directions, &DOUBLE)? else {
        return Ok(Verdict::success(format!("{} directions", directions.len())));
    };
    let coarse = deviation(loss.as_ref(), &input, &target, &directions[..8], &SINGLE)?;
    if coarse.is_none() {
        return Err(Verdict::warning(
            format!(
                "the gradient agrees with finite differences to two digits only: it computes in less than float64 ({worst})"
            ),
            "keep the dtype of the input: `f_sum(input.kind())` and `(input.kind(), input.device())` instead of \
             `Kind::Float`; what is gained in half precision can be had with `if input.kind() == Kind::Half`",
        ));
    }
    Err(Verdict::failed(
        format!("the gradient is not that of the loss: {worst}"),
        "look for a part that is detached, rounded or clamped: its change is in the loss, but not in the gradient",
    ))
}

/// The first axes of the input's space, one voxel each.
fn units(input: &Tensor) -> Vec<Tensor> {
    let count = (input.numel() as i64).min(24);
    let unit = |index: i64| {
        let flat = Tensor::zeros([input.numel() as i64], (Kind::Double, Device::Cpu));
        let _ = flat.get(index).fill_(1.0);
        flat.view(input.size().as_slice())
    };
    (0..count).map(unit).collect()
}

/// The worst direction in words, if one is off.
fn deviation(
    loss: &dyn byoc::Loss,
    input: &Tensor,
    target: &Tensor,
    directions: &[Tensor],
    precision: &Precision,
) -> Result<Option<String>, Verdict> {
    let (_, gradient) = differentiate(loss, input, target)?;
    let gradient = gradient.f_to_kind(Kind::Double)?;
    let at = |sign: f64, direction: &Tensor| -> Result<f64, Verdict> {
        let step = Tensor::from(sign * precision.step);
        let moved = input.f_add(&direction.f_mul(&step)?)?;
        number(&tch::no_grad(|| evaluate(loss, &moved, target))?)
    };
    let mut worst: Option<(f64, String)> = None;
    for direction in directions {
        let expected = (at(1.0, direction)? - at(-1.0, direction)?) / (2.0 * precision.step);
        let found = number(&gradient.f_mul(direction)?)?;
        let excess = (found - expected).abs() - precision.atol - precision.rtol * expected.abs().max(found.abs());
        if excess.is_nan() || (excess > 0.0 && worst.as_ref().is_none_or(|(other, _)| excess > *other)) {
            worst = Some((excess, format!("{found:.6e} along a direction whose finite difference is {expected:.6e}")));
        }
    }
    Ok(worst.map(|(_, text)| text))
}

fn batch_of_one(specimen: &Specimen) -> Found {
    let _ = with_gradient(specimen)?;
    let (input, target) = plan(specimen)?.with_batch(1).draw(&mut Random::from_seed(specimen.seed));
    let (value, gradient) = differentiate(specimen.loss()?.as_ref(), &input, &target)?;
    finite(&value, &gradient, "for a batch of one")
}

fn absent_class(specimen: &Specimen) -> Found {
    let plan = plan(specimen)?;
    if plan.content == Content::Numbers {
        return Ok(Verdict::skipped("its target has no classes"));
    }
    let (input, target) = with_gradient(specimen)?;
    let target = if plan.content == Content::OneHot && plan.second.get(1).is_some_and(|channels| *channels > 1) {
        // everything is class 0
        let target = target.f_zeros_like()?;
        let _ = target.f_narrow(1, 0, 1)?.fill_(1.0);
        target
    } else {
        target.f_zeros_like()?
    };
    let (value, gradient) = differentiate(specimen.loss()?.as_ref(), &input, &target)?;
    finite(&value, &gradient, "where the foreground is absent")
}

fn half(specimen: &Specimen) -> Found {
    let (input, target) = with_gradient(specimen)?;
    let mut refused = Vec::new();
    for kind in [Kind::Half, Kind::BFloat16] {
        let loss = specimen.loss()?;
        let input = input.to_kind(kind);
        if let Err(error) = evaluate(loss.as_ref(), &input, &target) {
            refused.push(format!("{kind:?}: {}", said(&error)));
            continue;
        }
        let (value, gradient) = differentiate(loss.as_ref(), &input, &target)?;
        finite(&value, &gradient, &format!("for an input in {kind:?}"))?;
    }
    if refused.is_empty() {
        return Ok(Verdict::success("float16 and bfloat16"));
    }
    Err(Verdict::warning(
        format!("mixed precision would stop here: {}", refused.join("; ")),
        "convert the input first, as `input.f_to_kind(Kind::Float)?`, unless it is float64",
    ))
}

fn gpu(specimen: &Specimen) -> Found {
    if let Err(reason) = torch_ext::cuda::devices() {
        return Ok(Verdict::skipped(reason.to_string()));
    }
    let (input, target) = with_gradient(specimen)?;
    let loss = specimen.loss()?;
    let (value, gradient) = differentiate(loss.as_ref(), &input, &target)?;
    let there = Device::Cuda(0);
    let (on_gpu, gradient_on_gpu) = differentiate(loss.as_ref(), &input.to_device(there), &target.to_device(there))?;
    if on_gpu.device() != there {
        return Err(Verdict::failed(
            format!("for inputs on the GPU the loss is on {:?}", on_gpu.device()),
            "make helper tensors on the device of the input: `input.device()`",
        ));
    }
    close(&value, &on_gpu)?;
    close(&gradient, &gradient_on_gpu)
}

/// Whether a result from the GPU is that of the CPU, as far as float32 goes.
pub(crate) fn close(cpu: &Tensor, gpu: &Tensor) -> Found {
    let gpu = gpu.f_to_device(Device::Cpu)?;
    let scale = number(&cpu.f_to_kind(Kind::Double)?.f_abs()?.f_max()?)?.max(1e-3);
    let deviation = crate::numbers::largest_deviation(cpu, &gpu)? / scale;
    if deviation < 1e-3 {
        return Ok(Verdict::success(format!("relative deviation {deviation:.1e}")));
    }
    Err(Verdict::failed(
        format!("GPU and CPU deviate by {deviation:.1e} of the largest value"),
        "look for what is computed on the CPU, or in another order, or in half precision",
    ))
}
