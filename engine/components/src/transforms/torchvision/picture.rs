//! A picture's values while its colours change.

use byoc::{Error, Result};
use tch::{Kind, Tensor};
use torch_ext::view;

use crate::transforms::common::float_values;

/// The planes of a (C, H, W) picture as float32.
pub(super) struct Picture {
    pub(super) planes: Vec<Vec<f32>>,
    /// The highest value: 1 for floats, that of the dtype for integers.
    pub(super) bound: f32,
    /// Whether values are whole numbers.
    pub(super) whole: bool,
    kind: Kind,
    size: Vec<i64>,
    device: tch::Device,
}

/// The highest value of a dtype's pictures.
fn bound(kind: Kind) -> Result<f32> {
    match kind {
        Kind::Uint8 => Ok(255.0),
        Kind::Int8 => Ok(127.0),
        Kind::Int16 => Ok(32767.0),
        Kind::Float | Kind::Double | Kind::Half => Ok(1.0),
        other => Err(Error::data(format!("a picture of {other:?} is not possible: uint8, or floats from 0 to 1"))),
    }
}

impl Picture {
    /// The planes; only pictures of one or three channels have colours.
    pub(super) fn of(tensor: &Tensor) -> Result<Self> {
        let size = tensor.size();
        if size[0] != 1 && size[0] != 3 {
            return Err(Error::data(format!(
                "it has {} channels; 1, or 3 for red, green and blue, are expected",
                size[0]
            )));
        }
        let values = float_values(tensor)?;
        let values = view::slice::<f32>(&values)?;
        let pixels = (size[1] * size[2]).max(1) as usize;
        Ok(Self {
            planes: values.chunks(pixels).map(<[f32]>::to_vec).collect(),
            bound: bound(tensor.kind())?,
            whole: !tensor.is_floating_point(),
            kind: tensor.kind(),
            size,
            device: tensor.device(),
        })
    }

    /// As a tensor of the picture's dtype; the number of channels may have changed.
    pub(super) fn into_tensor(mut self) -> Result<Tensor> {
        self.size[0] = self.planes.len() as i64;
        let values = self.planes.concat();
        Ok(view::from_vec(values, &self.size).f_to_kind(self.kind)?.f_to_device(self.device)?)
    }

    /// A value as the picture can hold it: cut to its range, integers towards zero.
    pub(super) fn held(&self, value: f32) -> f32 {
        let cut = value.clamp(0.0, self.bound);
        if self.whole { cut.trunc() } else { cut }
    }

    /// `ratio` parts of the picture and 1 - `ratio` parts of something else for each pixel of a plane.
    pub(super) fn blend(&mut self, ratio: f32, other: impl Fn(usize, usize) -> f32) {
        let mut planes = std::mem::take(&mut self.planes);
        for (channel, plane) in planes.iter_mut().enumerate() {
            for (pixel, value) in plane.iter_mut().enumerate() {
                *value = self.held(ratio * *value + (1.0 - ratio) * other(channel, pixel));
            }
        }
        self.planes = planes;
    }

    /// How bright each pixel is.
    pub(super) fn grey(&self) -> Vec<f32> {
        let [red, green, blue] = &self.planes[..] else { return self.planes[0].clone() };
        let weighted = |i: usize| 0.2989 * red[i] + 0.587 * green[i] + 0.114 * blue[i];
        (0..red.len()).map(|i| if self.whole { weighted(i).trunc() } else { weighted(i) }).collect()
    }
}
