//! Transforms that are wrong in one way each.

use byoc::{Component, Keys, Random, Registration, Result, Sample, Transform, Value};
use serde::Deserialize;
use tch::{Device, Kind, Tensor};

use super::{finds, is_sound};
use crate::verdict::Outcome::{Failed, Success, Warning};

/// Which images are changed.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// Their keys.
    keys: Keys,
}

/// A transform of this name that changes one image after the other.
macro_rules! transform {
    ($name:ident, random: $is_random:literal, |$image:ident, $random:ident| $body:expr $(, prepare: |$sample:ident| $prepare:expr)?) => {
        struct $name(Args);

        impl Component for $name {
            type Args = Args;

            fn new(args: Args) -> Result<Self> {
                Ok(Self(args))
            }
        }

        impl Transform for $name {
            fn apply(&self, sample: &mut Sample, $random: &mut Random) -> Result<()> {
                for key in &self.0.keys {
                    let Value::Image($image) = sample.get_mut(key)? else { byoc::bail!("`{key}` is no image") };
                    $body
                }
                Ok(())
            }

            fn is_random(&self) -> bool {
                $is_random
            }

            $(fn prepare(&self, $sample: &mut Sample) -> Result<()> {
                $prepare
            })?
        }
    };
}

const fn of<T: Transform + Component>(name: &'static str) -> Registration {
    Registration::transform::<T>(name, &[])
}

transform!(Soundd, random: true, |image, random| {
    image.tensor = image.tensor.f_mul(&Tensor::from(random.uniform(0.5, 1.5)))?;
});
/// Cuts voxels off at the beginning, and moves the origin with them.
macro_rules! crop {
    ($name:ident, moves: $voxels:literal) => {
        transform!($name, random: false, |image, _random| {
            image.tensor = image.tensor.f_narrow(1, 3, image.tensor.size()[1] - 3)?.f_contiguous()?;
            for row in 0..3 {
                image.affine[row][3] += $voxels * image.affine[row][0];
            }
        });
    };
}
crop!(Cropsd, moves: 3.0);
crop!(CropsTooLittled, moves: 1.0);
transform!(CropsAndScalesd, random: false, |image, _random| {
    image.tensor = (image.tensor.f_narrow(1, 3, image.tensor.size()[1] - 3)? * 2.0 + 7.0).f_contiguous()?;
    for row in 0..3 {
        image.affine[row][3] += 3.0 * image.affine[row][0];
    }
});
transform!(TransposesSilentlyd, random: false, |image, _random| {
    image.tensor = image.tensor.f_flip([-1])?;
});
transform!(ForgetsToSayd, random: false, |image, random| {
    image.tensor = image.tensor.f_add(&Tensor::from(random.uniform(0.0, 1.0)))?;
});
transform!(NeverDrawsd, random: true, |image, _random| {
    image.tensor = image.tensor.f_neg()?;
});
transform!(DrawsElsewhered, random: true, |image, _random| {
    let noise = Tensor::f_randn(image.tensor.size(), (Kind::Float, Device::Cpu))?;
    image.tensor = image.tensor.f_add(&noise)?;
});
transform!(InPlaced, random: false, |image, _random| {
    let _ = image.tensor.f_neg_()?;
});
transform!(TakesLogarithmsd, random: false, |image, _random| {
    image.tensor = image.tensor.f_sub(&Tensor::from(100.0))?.f_log()?;
});
transform!(PreparesTwiced, random: false, |image, _random| { image.tensor = image.tensor.f_neg()?; },
    prepare: |sample| {
        let scaled = sample.tensor("image")?.f_mul(&Tensor::from(2.0))?;
        sample.set_tensor("image", scaled)
    }
);

#[test]
fn a_sound_transform_passes_everything() {
    is_sound(&of::<Soundd>("Soundd"));
}

#[test]
fn geometry_that_is_not_true_is_found() {
    finds("transform-geometry", &of::<Cropsd>("Cropsd"), Success, "1 images moved");
    finds("transform-geometry", &of::<CropsAndScalesd>("CropsAndScalesd"), Success, "1 images moved");
    finds("transform-geometry", &of::<CropsTooLittled>("CropsTooLittled"), Failed, "in the wrong place");
    finds("transform-geometry", &of::<TransposesSilentlyd>("TransposesSilentlyd"), Failed, "leaves the affine");
}

#[test]
fn randomness_from_elsewhere_or_not_declared_is_found() {
    finds("transform-random", &of::<ForgetsToSayd>("ForgetsToSayd"), Failed, "says that it is not random");
    finds("transform-random", &of::<NeverDrawsd>("NeverDrawsd"), Warning, "never draws");
    finds("transform-seed", &of::<DrawsElsewhered>("DrawsElsewhered"), Failed, "libtorch's own generator");
    finds("global-generator", &of::<DrawsElsewhered>("DrawsElsewhered"), Failed, "no two workers");
}

#[test]
fn values_that_are_spoilt_are_found() {
    finds("input-unchanged", &of::<InPlaced>("InPlaced"), Failed, "changes image in place");
    finds("transform-forward", &of::<TakesLogarithmsd>("TakesLogarithmsd"), Failed, "not finite");
    finds("transform-cache", &of::<PreparesTwiced>("PreparesTwiced"), Failed, "with `prepare` before it");
}
