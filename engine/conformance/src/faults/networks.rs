//! Networks that are wrong in one way each.

use std::sync::atomic::{AtomicU64, Ordering};

use byoc::{Network, NetworkComponent, Registration, Result, nn};
use tch::{Device, Kind, Tensor, nn::Path};

use super::{NoArgs, finds, is_sound};
use crate::verdict::Outcome::{Failed, Skipped, Warning};

/// A network of this name with fields that are made from a path.
macro_rules! network {
    ($name:ident { $($field:ident: $type:ty = |$path:ident| $make:expr),* }, |$self:ident, $x:ident, $train:ident| $body:expr) => {
        struct $name {
            $($field: $type),*
        }

        impl NetworkComponent for $name {
            type Args = NoArgs;

            fn new(_: NoArgs, _path: &Path<'_>) -> Result<Self> {
                Ok(Self { $($field: { let $path = _path; $make }),* })
            }
        }

        impl Network for $name {
            fn forward(&$self, $x: &Tensor, $train: bool) -> Result<Tensor> {
                $body
            }
        }
    };
}

const fn of<T: Network + NetworkComponent>(name: &'static str) -> Registration {
    Registration::network::<T>(name, &[])
}

fn convolution(path: &Path<'_>, name: &str) -> Result<nn::Conv> {
    nn::Conv::new(&(path / name), nn::ConvOptions::new(3, 1, 1, 3).padding(1))
}

fn constant(size: i64) -> Result<Tensor> {
    Ok(Tensor::f_randn([size], (Kind::Float, Device::Cpu))?)
}

network!(Sound { conv: nn::Conv = |path| convolution(path, "conv")? }, |self, x, _train| self.conv.forward(x));
network!(Empty {}, |self, x, _train| Ok(x.f_relu()?));
network!(
    Hides {
        conv: nn::Conv = |path| convolution(path, "conv")?,
        shift: Tensor = |_path| constant(1)?.set_requires_grad(true)
    },
    |self, x, _train| Ok(self.conv.forward(x)?.f_add(&self.shift)?)
);
// nothing learns it, but the output depends on it
network!(
    HidesAConstant { conv: nn::Conv = |path| convolution(path, "conv")?, shift: Tensor = |_path| constant(1)? },
    |self, x, _train| Ok(self.conv.forward(x)?.f_add(&self.shift)?)
);
network!(
    LeavesOut {
        conv: nn::Conv = |path| convolution(path, "conv")?,
        _other: nn::Conv = |path| convolution(path, "other")?
    },
    |self, x, _train| self.conv.forward(x)
);
network!(
    SilencesItsBias {
        conv: nn::Conv = |path| convolution(path, "conv")?,
        scale: Tensor = |path| path.f_zeros("scale", &[1])?
    },
    |self, x, _train| Ok(self.conv.forward(x)?.f_mul(&self.scale)?.f_add(x)?)
);
network!(
    CountsCalls {
        conv: nn::Conv = |path| convolution(path, "conv")?,
        calls: Tensor = |path| path.f_zeros_no_train("calls", &[1])?
    },
    |self, x, _train| {
        let mut calls = self.calls.shallow_clone();
        let _ = tch::no_grad(|| calls.f_add_(&Tensor::from(1.0f32)))?;
        self.conv.forward(x)
    }
);
network!(Drops { conv: nn::Conv = |path| convolution(path, "conv")? }, |self, x, _train| {
    Ok(self.conv.forward(x)?.f_dropout(0.5, true)?)
});
network!(MixesItems { conv: nn::Conv = |path| convolution(path, "conv")? }, |self, x, _train| {
    let y = self.conv.forward(x)?;
    Ok(y.f_sub(&y.f_mean_dim(0, true, Kind::Float)?)?)
});
network!(Halves { conv: nn::Conv = |path| convolution(path, "conv")? }, |self, x, _train| {
    let size = x.size();
    byoc::ensure!(size[2..].iter().all(|size| size % 2 == 0), "sizes must be even, found {:?}", &size[2..]);
    self.conv.forward(x)
});
network!(LosesVoxels { conv: nn::Conv = |path| convolution(path, "conv")? }, |self, x, _train| {
    let pooled = self.conv.forward(x)?.f_max_pool3d([2, 2, 2], [2, 2, 2], [0, 0, 0], [1, 1, 1], false)?;
    Ok(pooled.f_upsample_nearest3d(
        pooled.size()[2..].iter().map(|size| 2 * size).collect::<Vec<_>>(),
        None,
        None,
        None,
    )?)
});
network!(ReadsASize { conv: nn::Conv = |path| convolution(path, "conv")? }, |self, x, _train| {
    let voxels = x.size()[2..].iter().product::<i64>() as f64;
    Ok(self.conv.forward(x)?.f_mul_scalar(voxels)?)
});
network!(MakesATensor { conv: nn::Conv = |path| convolution(path, "conv")? }, |self, x, _train| {
    Ok(self.conv.forward(x)?.f_mul(&Tensor::from_slice(&[3f32]))?)
});
network!(Detaches { conv: nn::Conv = |path| convolution(path, "conv")? }, |self, x, _train| Ok(self
    .conv
    .forward(x)?
    .detach()));
network!(Infinite { conv: nn::Conv = |path| convolution(path, "conv")? }, |self, x, _train| {
    Ok(self.conv.forward(x)?.f_div(&Tensor::from(0.0f32))?)
});

/// Networks so far in this process.
static MADE: AtomicU64 = AtomicU64::new(0);

network!(
    Numbers { conv: nn::Conv = |path| convolution(path, &format!("conv{}", MADE.fetch_add(1, Ordering::Relaxed)))? },
    |self, x, _train| self.conv.forward(x)
);

#[test]
fn a_sound_network_passes_everything() {
    is_sound(&of::<Sound>("Sound"));
}

#[test]
fn parameters_that_are_not_known_or_do_not_learn_are_found() {
    finds("network-registered", &of::<Hides>("Hides"), Failed, "1 tensors that learn are in no state");
    finds("network-state", &of::<HidesAConstant>("HidesAConstant"), Failed, "gives something else");
    finds("network-state", &of::<Numbers>("Numbers"), Failed, "differently named");
    finds("network-trained", &of::<LeavesOut>("LeavesOut"), Failed, "`other.weight`, `other.bias`");
    finds("network-trained", &of::<SilencesItsBias>("SilencesItsBias"), Warning, "`conv.weight`, `conv.bias` is 0");
    finds("network-trained", &of::<Empty>("Empty"), Warning, "nothing to train");
    finds("network-registered", &of::<Detaches>("Detaches"), Failed, "no gradient");
}

#[test]
fn modes_that_are_none_are_found() {
    finds("network-modes", &of::<CountsCalls>("CountsCalls"), Failed, "evaluation changes `calls`");
    finds("network-modes", &of::<Drops>("Drops"), Failed, "two passes in evaluation mode differ");
    finds("global-generator", &of::<Drops>("Drops"), Failed, "in evaluation mode");
    finds("network-items-apart", &of::<MixesItems>("MixesItems"), Failed, "in a batch of two");
}

#[test]
fn sizes_that_do_not_work_are_found() {
    finds("network-odd-sizes", &of::<Halves>("Halves"), Warning, "sizes must be even");
    finds("network-odd-sizes", &of::<LosesVoxels>("LosesVoxels"), Failed, "not those of the input");
    finds("network-torchscript", &of::<ReadsASize>("ReadsASize"), Warning, "something else at [1, 1, 32, 32, 32]");
    finds("network-torchscript", &of::<MakesATensor>("MakesATensor"), Failed, "gives something else");
    finds("network-forward", &of::<Infinite>("Infinite"), Failed, "not finite");
    finds("network-gpu", &of::<Sound>("Sound"), if torch_ext::cuda::is_available() { return } else { Skipped }, "");
}
