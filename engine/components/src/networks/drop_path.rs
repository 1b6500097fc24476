//! Stochastic depth.

use byoc::{Error, Result};
use tch::Tensor;

/// Leaves whole items of a batch out in training, and enlarges the others so that the mean stays (Huang et al. 2016,
/// <https://arxiv.org/abs/1603.09382>; MONAI's `DropPath` and `drop_connect`).
#[derive(Debug, Clone, Copy)]
pub(super) struct DropPath {
    keep: f64,
}

impl DropPath {
    #[track_caller]
    pub(super) fn new(probability: f64, argument: &str) -> Result<Self> {
        if !(0.0..1.0).contains(&probability) {
            return Err(Error::invalid_argument(format!(
                "`{argument}` must be at least 0 and below 1, found {probability}"
            )));
        }
        Ok(Self { keep: 1.0 - probability })
    }

    /// (B, …); the shape stays.
    pub(super) fn forward(self, x: &Tensor, train: bool) -> Result<Tensor> {
        if !train || self.keep >= 1.0 {
            return Ok(x.shallow_clone());
        }
        let mut shape = vec![1; x.dim()];
        shape[0] = x.size()[0];
        let kept = Tensor::f_empty(shape, (x.kind(), x.device()))?.f_bernoulli_float_(self.keep)?;
        Ok(x.f_mul(&kept.f_div_scalar(self.keep)?)?)
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::DropPath;

    #[test]
    fn whole_items_are_left_out_and_the_mean_is_kept() {
        tch::manual_seed(3);
        let x = Tensor::ones([4000, 2, 2], (Kind::Float, Device::Cpu));
        let drop_path = DropPath::new(0.25, "p").unwrap();
        let y = drop_path.forward(&x, true).unwrap();
        assert!((y.mean(Kind::Float).double_value(&[]) - 1.0).abs() < 0.05);
        let spread = y.flatten(1, -1).var_dim([1i64].as_slice(), false, false);
        assert_eq!(spread.max().double_value(&[]), 0.0);
        assert_eq!(drop_path.forward(&x, false).unwrap(), x);
        assert!(DropPath::new(1.0, "p").is_err());
    }
}
