//! The network as TorchScript: traced, and run at a second size.

use byoc::Random;
use tch::{CModule, Kind, Tensor};

use super::{evaluate, plan};
use crate::numbers::{largest_deviation, number};
use crate::specimen::Specimen;
use crate::verdict::{Found, Verdict};

/// The same up to rounding: a trace fuses operations.
fn is_same(a: &Tensor, b: &Tensor) -> Result<bool, Verdict> {
    if a.size() != b.size() {
        return Ok(false);
    }
    let scale = number(&a.detach().f_to_kind(Kind::Double)?.f_abs()?.f_max()?)?.max(1e-3);
    Ok(largest_deviation(a, b)? <= 1e-4 * scale)
}

pub(super) fn torchscript(specimen: &Specimen) -> Found {
    let plan = plan(specimen)?;
    let x = plan.with_batch(1).draw(&mut Random::from_seed(specimen.seed));
    let built = specimen.network()?;
    for named in built.state.iter().filter(|named| named.trainable) {
        // constants of a trace cannot have gradients
        let _ = named.tensor.set_requires_grad(false);
    }
    let network = built.network.as_ref();
    let expected = evaluate(network, &x)?;
    let mut failed = None;
    let mut forward = |inputs: &[Tensor]| match network.forward_all(inputs, false) {
        Ok(outputs) => outputs.into_iter().take(1).collect(),
        Err(error) => {
            failed = Some(error);
            inputs.iter().map(Tensor::shallow_clone).collect()
        }
    };
    let traced = CModule::create_by_tracing("network", "forward", &[x.shallow_clone()], &mut forward);
    if let Some(error) = failed {
        if error.to_string().contains("requires grad as a constant") {
            return Ok(Verdict::skipped("a tensor that learns is in no state, see `network-registered`"));
        }
        return Err(error.into());
    }
    let traced = match traced {
        Ok(traced) => traced,
        Err(error) => {
            return Ok(Verdict::skipped(format!("tch cannot trace it: {}", byoc::torch_message(&error.to_string()))));
        }
    };
    let run = |x: &Tensor| tch::no_grad(|| traced.method_ts("forward", std::slice::from_ref(x)));
    let trouble = |what: &str, help: &str| Verdict::failed(format!("its TorchScript {what}"), help);
    let y = run(&x).map_err(|error| {
        trouble(
            &format!("does not run: {}", byoc::torch_message(&error.to_string())),
            "compute with tensor operations only: numbers read from a tensor are constants in the trace",
        )
    })?;
    let Some(expected) = expected.first() else { return Ok(Verdict::skipped("it has no output")) };
    if !is_same(expected, &y)? {
        return Err(trouble(
            "gives something else",
            "a trace follows operations only: let nothing depend on a number that is read from a tensor, and make tensors of \
             numbers (`Tensor::from_slice`) in `new`, not in `forward`",
        ));
    }
    if plan.is_given {
        return Ok(Verdict::success("traced, and the same at the same size"));
    }
    let larger = plan.with_batch(1).with_spatial(|_, size| 2 * size).draw(&mut Random::from_seed(specimen.seed));
    let Ok(expected) = evaluate(network, &larger) else {
        return Ok(Verdict::success("traced, and the same at the same size; it takes no other"));
    };
    let help = "sizes that are read from a tensor become constants of the trace: use the layers and `resize` of \
                `byoc::nn`, or export it for one size";
    match (run(&larger), expected.first()) {
        (Err(error), _) => Err(Verdict::warning(
            format!("its TorchScript works at {:?} only: {}", x.size(), byoc::torch_message(&error.to_string())),
            help,
        )),
        (Ok(y), Some(expected)) if !is_same(expected, &y)? => {
            Err(Verdict::warning(format!("its TorchScript gives something else at {:?}", larger.size()), help))
        }
        _ => Ok(Verdict::success("traced, and the same at two sizes")),
    }
}
