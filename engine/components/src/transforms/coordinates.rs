//! `AddCoordinateChannelsd`.

use byoc::{Component, Error, Keys, Random, Result, Sample, Transform};
use schemars::JsonSchema;
use serde::Deserialize;
use tch::{Kind, Tensor};

use super::common::{map_tensors, spatial_shape};

/// Adds a channel for each spatial axis with the position along it, from -0.5 to 0.5.
///
/// MONAI `AddCoordinateChannelsd`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddCoordinateChannelsdArgs {
    /// Keys of the images.
    keys: Keys,
    /// The spatial axes, counted from 0.
    #[serde(default)]
    spatial_dims: Option<Vec<usize>>,
    /// The same counted from 1, as MONAI 0.8 has it.
    #[serde(default)]
    spatial_channels: Option<Vec<usize>>,
    /// Accepts that a key is missing.
    #[serde(default)]
    allow_missing_keys: bool,
}

/// See [`AddCoordinateChannelsdArgs`].
pub struct AddCoordinateChannelsd {
    args: AddCoordinateChannelsdArgs,
    axes: Vec<usize>,
}

impl Component for AddCoordinateChannelsd {
    type Args = AddCoordinateChannelsdArgs;

    fn new(args: AddCoordinateChannelsdArgs) -> Result<Self> {
        let axes = match (&args.spatial_dims, &args.spatial_channels) {
            (Some(axes), None) => axes.clone(),
            (None, Some(channels)) if !channels.contains(&0) => channels.iter().map(|channel| channel - 1).collect(),
            (None, Some(_)) => {
                return Err(Error::invalid_argument("`spatial_channels` names 0, which is the channel axis"));
            }
            _ => return Err(Error::invalid_argument("one of `spatial_dims` and `spatial_channels` is needed")),
        };
        Ok(Self { args, axes })
    }
}

byoc::register! { transforms: [AddCoordinateChannelsd] }

impl Transform for AddCoordinateChannelsd {
    fn apply(&self, sample: &mut Sample, _: &mut Random) -> Result<()> {
        map_tensors(sample, &self.args.keys, self.args.allow_missing_keys, |_, tensor| {
            let shape = spatial_shape(tensor)?;
            let image =
                if tensor.is_floating_point() { tensor.shallow_clone() } else { tensor.f_to_kind(Kind::Float)? };
            let mut parts = vec![image.shallow_clone()];
            for &axis in &self.axes {
                let Some(&n) = shape.get(axis) else {
                    return Err(Error::invalid_argument(format!(
                        "there is no spatial axis {axis}: the image has {}, counted from 0",
                        shape.len()
                    )));
                };
                let along = Tensor::f_linspace(-0.5, 0.5, n as i64, (image.kind(), image.device()))?;
                let mut size = vec![1; shape.len() + 1];
                size[axis + 1] = n as i64;
                let mut full = image.size();
                full[0] = 1;
                parts.push(along.f_view(size.as_slice())?.f_expand(&full, false)?);
            }
            Ok(Tensor::f_cat(&parts, 0)?)
        })
    }
}
