//! Components that change what belongs to everybody.

use byoc::{Component, Loss, Registration, Result};
use tch::{Kind, Tensor};

use super::{NoArgs, finds};
use crate::verdict::Outcome::{Failed, Success, Warning};

/// A loss of this name that does something else when it is made, and when it is called.
macro_rules! loss {
    ($name:ident, made: $made:block, called: $called:block) => {
        struct $name;

        impl Component for $name {
            type Args = NoArgs;

            fn new(_: NoArgs) -> Result<Self> {
                $made
                Ok(Self)
            }
        }

        impl Loss for $name {
            fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
                $called
                Ok(input.f_sub(target)?.f_square()?.f_mean(Kind::Float)?)
            }
        }
    };
}

const fn of<T: Loss + Component>(name: &'static str) -> Registration {
    Registration::loss::<T>(name, &[])
}

std::thread_local! {
    static HERE: std::cell::Cell<f64> = const { std::cell::Cell::new(0.0) };
}

loss!(Sound, made: {}, called: {});
loss!(SeedsWhenMade, made: { tch::manual_seed(1); }, called: {});
loss!(SeedsWhenCalled, made: {}, called: { tch::manual_seed(1); });
loss!(TakesThreads, made: { torch_ext::threads::limit_current_thread(2); }, called: {});
loss!(Moves, made: {}, called: { std::env::set_current_dir("/")?; });
loss!(
    LeavesThreads,
    made: { drop(std::thread::spawn(|| std::thread::sleep(std::time::Duration::from_secs(2)))); },
    called: {}
);
loss!(LeaksWhenMade, made: { std::mem::forget(vec![1u8; 1 << 20]); }, called: {});

/// A loss that remembers in its thread that it was made there.
struct StaysInItsThread;

impl Component for StaysInItsThread {
    type Args = NoArgs;

    fn new(_: NoArgs) -> Result<Self> {
        HERE.set(1.0);
        Ok(Self)
    }
}

impl Loss for StaysInItsThread {
    fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        Ok(input.f_sub(target)?.f_square()?.f_mean(Kind::Float)?.f_mul(&Tensor::from(HERE.get()))?)
    }
}

#[test]
fn what_is_the_process_s_is_left_alone() {
    let sound = of::<Sound>("Sound");
    for test in ["global-seed", "global-generator", "global-switches", "global-process", "threads-moved", "create-leak"]
    {
        finds(test, &sound, Success, "");
    }
}

#[test]
fn seeds_threads_and_folders_that_are_taken_are_found() {
    finds("global-seed", &of::<SeedsWhenMade>("SeedsWhenMade"), Failed, "when it is made");
    finds("global-seed", &of::<SeedsWhenCalled>("SeedsWhenCalled"), Failed, "when it is called");
    finds("global-switches", &of::<TakesThreads>("TakesThreads"), Failed, "intra-op threads: 3 → 2");
    finds("global-process", &of::<Moves>("Moves"), Failed, "the current folder");
    finds("global-process", &of::<LeavesThreads>("LeavesThreads"), Warning, "threads are left");
    finds("create-leak", &of::<LeaksWhenMade>("LeaksWhenMade"), Failed, "MB behind");
    finds("threads-moved", &of::<StaysInItsThread>("StaysInItsThread"), Failed, "in another thread");
}
