//! Losses that are wrong in one way each.

use std::sync::atomic::{AtomicU64, Ordering};

use byoc::{Component, Loss, Registration, Result};
use tch::{Device, Kind, Tensor};

use super::{NoArgs, finds, is_sound};
use crate::verdict::Outcome::{Failed, Warning};

/// A loss of this name, without arguments.
macro_rules! loss {
    ($name:ident, |$input:ident, $target:ident| $body:expr) => {
        struct $name;

        impl Component for $name {
            type Args = NoArgs;

            fn new(_: NoArgs) -> Result<Self> {
                Ok(Self)
            }
        }

        impl Loss for $name {
            fn forward(&self, $input: &Tensor, $target: &Tensor) -> Result<Tensor> {
                $body
            }
        }
    };
}

const fn of<T: Loss + Component>(name: &'static str) -> Registration {
    Registration::loss::<T>(name, &[])
}

fn squared(input: &Tensor, target: &Tensor) -> Result<Tensor> {
    let sizes = (input.size(), target.size());
    byoc::ensure!(sizes.0.get(2..) == sizes.1.get(2..), "{:?} and {:?} differ", sizes.0, sizes.1);
    let target = target.f_to_kind(input.kind())?;
    Ok(input.f_sub(&target)?.f_square()?.f_mean(input.kind())?)
}

loss!(Sound, |input, target| squared(input, target));
loss!(NotANumber, |input, target| Ok(squared(input, target)?.f_mul(&Tensor::from(f64::NAN))?));
loss!(Whole, |input, target| Ok(squared(input, target)?.f_mul(&Tensor::from(100.0))?.f_to_kind(Kind::Int64)?));
loss!(Rounds, |input, target| squared(&input.f_round()?, target));
// the value of one function, the gradient of another
loss!(Cheats, |input, target| {
    let value = squared(input, target)?;
    let other = input.f_mean(input.kind())?;
    Ok(value.detach().f_add(&other)?.f_sub(&other.detach())?)
});
loss!(Single, |input, target| squared(&input.f_to_kind(Kind::Float)?, target));
loss!(DividesByForeground, |input, target| Ok(squared(input, target)?.f_div(&target.f_sum(Kind::Float)?)?));
loss!(DividesByBatch, |input, target| {
    Ok(squared(input, target)?.f_div(&Tensor::from(input.size()[0] as f64 - 1.0))?)
});
loss!(OnlySingle, |input, target| {
    byoc::ensure!(input.kind() == Kind::Float, "only float32, found {:?}", input.kind());
    squared(input, target)
});
loss!(OverflowsInHalf, |input, target| {
    let large = input.f_mul(&Tensor::from(300.0))?.f_square()?.f_mean(input.kind())?;
    Ok(large.f_add(&squared(input, target)?)?)
});
// what an author writes without thinking of it
loss!(Panics, |input, target| Ok((input - target).square().mean(Kind::Float)));
loss!(TakesAnything, |input, target| Ok(input
    .f_sub(&target.f_mean(Kind::Float)?)?
    .f_square()?
    .f_mean(input.kind())?));
loss!(Draws, |input, target| {
    let noise = Tensor::f_randn(input.size(), (Kind::Float, Device::Cpu))?.f_to_kind(input.kind())?;
    squared(&input.f_add(&noise)?, target)
});

/// How many were made in this process.
static MADE: AtomicU64 = AtomicU64::new(0);

/// A loss whose objects are not alike.
struct Numbered(f64);

impl Component for Numbered {
    type Args = NoArgs;

    fn new(_: NoArgs) -> Result<Self> {
        Ok(Self(1.0 + MADE.fetch_add(1, Ordering::Relaxed) as f64))
    }
}

impl Loss for Numbered {
    fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        Ok(squared(input, target)?.f_mul(&Tensor::from(self.0))?)
    }
}

/// A loss that is not itself any more after it has refused something.
#[derive(Default)]
struct Sulks(std::cell::Cell<bool>);

impl Component for Sulks {
    type Args = NoArgs;

    fn new(_: NoArgs) -> Result<Self> {
        Ok(Self::default())
    }
}

impl Loss for Sulks {
    fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let hurt = self.0.replace(true);
        let value = squared(input, target)?;
        self.0.set(hurt);
        Ok(if hurt { value.f_mul(&Tensor::from(2.0))? } else { value })
    }
}

#[test]
fn a_sound_loss_passes_everything() {
    is_sound(&of::<Sound>("Sound"));
}

#[test]
fn values_and_gradients_that_are_wrong_are_found() {
    finds("loss-forward", &of::<NotANumber>("NotANumber"), Failed, "the loss is NaN");
    finds("loss-forward", &of::<Whole>("Whole"), Failed, "no floating-point number");
    finds("loss-gradient", &of::<Rounds>("Rounds"), Failed, "0 everywhere");
    finds("loss-gradcheck", &of::<Cheats>("Cheats"), Failed, "not that of the loss");
    finds("loss-gradcheck", &of::<Single>("Single"), Warning, "less than float64");
    finds("loss-gradcheck", &of::<OnlySingle>("OnlySingle"), Warning, "does not take float64");
}

#[test]
fn batches_and_dtypes_that_are_not_taken_are_found() {
    finds("loss-absent-class", &of::<DividesByForeground>("DividesByForeground"), Failed, "not finite");
    finds("loss-batch-of-one", &of::<DividesByBatch>("DividesByBatch"), Failed, "batch of one");
    finds("loss-half", &of::<OnlySingle>("OnlySingle"), Warning, "only float32");
    finds("loss-half", &of::<OverflowsInHalf>("OverflowsInHalf"), Failed, "Half");
    finds("sizes-that-differ", &of::<TakesAnything>("TakesAnything"), Warning, "gives a number");
}

#[test]
fn objects_that_are_not_alike_or_change_are_found() {
    finds("independent", &of::<Numbered>("Numbered"), Failed, "other objects have worked");
    finds("after-error", &of::<Sulks>("Sulks"), Failed, "after an error");
    finds("global-generator", &of::<Draws>("Draws"), Warning, "draws from libtorch's generator");
    finds("deterministic", &of::<Draws>("Draws"), Failed, "another result");
}

byoc::export_plugin! {
    module: "faults",
    losses: [Panics],
}

/// A panic is caught at the boundary of a plugin, so this one goes through it.
#[test]
fn a_panic_on_other_shapes_is_told_as_one() {
    let (plugin, _) = byoc::host::PluginLibrary::from_static(&BYOC_PLUGIN).unwrap();
    let (descriptor, constructor) = &plugin.components[0];
    for test in ["wrong-shape", "after-panic"] {
        let verdict = super::verdict_of(test, descriptor, constructor);
        assert_eq!(verdict.outcome, Warning, "{test}: {}", verdict.detail);
        assert!(verdict.detail.contains("panic"), "{}", verdict.detail);
    }
}
