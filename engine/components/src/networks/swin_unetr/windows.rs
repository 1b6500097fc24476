//! Windows over an image whose features come last: (B, spatial…, C).

use byoc::Result;
use tch::{Device, Kind, Tensor};

/// Where the windows of a stage lie for one size of image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Windows {
    /// The image.
    size: Vec<i64>,
    /// One window; not larger than the image.
    pub(super) window: Vec<i64>,
    /// How far the windows are shifted in every second block; 0 where one window spans the axis.
    pub(super) shift: Vec<i64>,
    /// The image with its end padded to whole windows.
    padded: Vec<i64>,
}

impl Windows {
    /// For an image of this size; `window` is what the config asks for.
    pub(super) fn new(size: &[i64], window: &[i64]) -> Self {
        let (mut windows, mut shift) = (Vec::new(), Vec::new());
        for (&size, &window) in size.iter().zip(window) {
            let spans = size <= window;
            windows.push(if spans { size } else { window });
            shift.push(if spans { 0 } else { window / 2 });
        }
        let padded = size.iter().zip(&windows).map(|(size, window)| (size + window - 1) / window * window).collect();
        Self { size: size.to_vec(), window: windows, shift, padded }
    }

    /// Whether shifting changes anything.
    pub(super) fn can_shift(&self) -> bool {
        self.shift.iter().any(|&shift| shift > 0)
    }

    /// (B, spatial…, C) → (B · windows, voxels, C), padded with zeros, and rolled if the windows are shifted.
    pub(super) fn split(&self, x: &Tensor, shifted: bool) -> Result<Tensor> {
        let mut x = x.shallow_clone();
        if self.padded != self.size {
            let mut padding = vec![0, 0];
            for (padded, size) in self.padded.iter().zip(&self.size).rev() {
                padding.extend([0, padded - size]);
            }
            x = x.f_pad(padding, "constant", 0.0)?;
        }
        if shifted && self.can_shift() {
            x = self.roll(&x, -1)?;
        }
        self.partition(&x)
    }

    /// The way back of [`Windows::split`].
    pub(super) fn join(&self, windows: &Tensor, shifted: bool) -> Result<Tensor> {
        let n = self.window.len() as i64;
        let counts = self.padded.iter().zip(&self.window).map(|(size, window)| size / window);
        let shape: Vec<i64> = std::iter::once(-1).chain(counts).chain(self.window.iter().copied()).collect();
        let features = windows.size().last().copied().unwrap_or(1);
        let mut order = vec![0];
        order.extend((0..n).flat_map(|axis| [1 + axis, 1 + n + axis]));
        order.push(1 + 2 * n);
        let mut x = windows.f_reshape([shape, vec![features]].concat())?.f_permute(order)?;
        for axis in 0..n {
            x = x.f_flatten(1 + axis, 2 + axis)?;
        }
        if shifted && self.can_shift() {
            x = self.roll(&x, 1)?;
        }
        for (axis, (&size, padded)) in self.size.iter().zip(&self.padded).enumerate() {
            if size != *padded {
                x = x.f_narrow(1 + axis as i64, 0, size)?;
            }
        }
        Ok(x.f_contiguous()?)
    }

    /// What the attention within shifted windows must leave out: (windows, voxels, voxels) of -100 where two voxels
    /// come from opposite ends of the image, 0 elsewhere.
    pub(super) fn mask(&self, device: Device) -> Result<Tensor> {
        let mut regions = Tensor::f_zeros(self.with_batch(&[1]), (Kind::Float, Device::Cpu))?;
        for (axis, &size) in self.padded.iter().enumerate() {
            let (window, shift) = (self.window[axis], self.shift[axis]);
            let of_axis: Vec<f32> = (0..size)
                .map(|i| match i {
                    _ if shift == 0 || i < size - window => 0.0,
                    i if i < size - shift => 1.0,
                    _ => 2.0,
                })
                .collect();
            let mut shape = vec![1; self.padded.len() + 2];
            shape[1 + axis] = size;
            regions = regions.f_mul_scalar(3.0)?.f_add(&Tensor::from_slice(&of_axis).f_view(shape.as_slice())?)?;
        }
        let regions = self.partition(&regions)?.f_squeeze_dim(-1)?.f_to_device(device)?;
        let differ = regions.f_unsqueeze(1)?.f_ne_tensor(&regions.f_unsqueeze(2)?)?;
        Ok(differ.f_to_kind(Kind::Float)?.f_mul_scalar(-100.0)?)
    }

    fn with_batch(&self, features: &[i64]) -> Vec<i64> {
        [&[1], self.padded.as_slice(), features].concat()
    }

    fn roll(&self, x: &Tensor, direction: i64) -> Result<Tensor> {
        let shifts: Vec<i64> = self.shift.iter().map(|shift| direction * shift).collect();
        let axes: Vec<i64> = (1..=self.shift.len() as i64).collect();
        Ok(x.f_roll(shifts, axes)?)
    }

    /// (B, padded…, C) → (B · windows, voxels, C).
    fn partition(&self, x: &Tensor) -> Result<Tensor> {
        let n = self.window.len() as i64;
        let mut y = x.shallow_clone();
        for (axis, &window) in self.window.iter().enumerate() {
            y = y.f_unflatten(1 + 2 * axis as i64, [-1, window])?;
        }
        let order: Vec<i64> = std::iter::once(0)
            .chain((0..n).map(|axis| 1 + 2 * axis))
            .chain((0..n).map(|axis| 2 + 2 * axis))
            .chain(std::iter::once(1 + 2 * n))
            .collect();
        Ok(y.f_permute(order)?.f_flatten(1 + n, 2 * n)?.f_flatten(0, n)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitting_and_joining_gives_the_image_back() {
        for size in [[7, 10], [4, 4], [3, 9]] {
            let windows = Windows::new(&size, &[4, 4]);
            let x = Tensor::rand([2, size[0], size[1], 3], (Kind::Float, Device::Cpu));
            for shifted in [false, true] {
                let split = windows.split(&x, shifted).unwrap();
                assert_eq!(split.size(), [split.size()[0], windows.window.iter().product(), 3]);
                assert_eq!(windows.join(&split, shifted).unwrap(), x);
            }
        }
    }

    #[test]
    fn voxels_from_opposite_ends_do_not_see_each_other() {
        // windows of 4 shifted by 2 on an axis of 8: the second window holds voxels 6, 7, 0, 1
        let windows = Windows::new(&[8], &[4]);
        let mask = windows.mask(Device::Cpu).unwrap();
        assert_eq!(mask.size(), [2, 4, 4]);
        assert_eq!(mask.get(0).abs().max().double_value(&[]), 0.0);
        let rows: Vec<f64> = (0..4).map(|i| mask.double_value(&[1, 0, i])).collect();
        assert_eq!(rows, [0.0, 0.0, -100.0, -100.0]);
        assert_eq!(mask.double_value(&[1, 3, 2]), 0.0);
        assert!(!Windows::new(&[4], &[4]).can_shift());
    }
}
