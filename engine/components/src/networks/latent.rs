//! The latent code of variational networks (Kingma and Welling 2013, <https://arxiv.org/abs/1312.6114>).

use byoc::Result;
use byoc::nn::Linear;
use tch::{Tensor, nn};

/// A normal distribution over codes, whose mean and logarithm of the variance are linear in the features.
#[derive(Debug)]
pub(super) struct Latent {
    mean: Linear,
    log_variance: Linear,
    use_mean_at_inference: bool,
}

/// A code, with the distribution that it comes from.
#[derive(Debug)]
pub(super) struct Code {
    pub(super) mean: Tensor,
    pub(super) log_variance: Tensor,
    /// (B, `latent_size`).
    pub(super) z: Tensor,
}

impl Latent {
    /// Makes `mu` and `logvar` under `path`.
    pub(super) fn new(
        path: &nn::Path<'_>,
        features: i64,
        latent_size: i64,
        use_mean_at_inference: bool,
    ) -> Result<Self> {
        Ok(Self {
            mean: Linear::new(&(path / "mu"), features, latent_size)?,
            log_variance: Linear::new(&(path / "logvar"), features, latent_size)?,
            use_mean_at_inference,
        })
    }

    /// A draw in training; else one standard deviation above the mean, as in MONAI, or the mean if asked for.
    pub(super) fn forward(&self, features: &Tensor, train: bool) -> Result<Code> {
        let mean = self.mean.forward(features)?;
        let log_variance = self.log_variance.forward(features)?;
        let z = if !train && self.use_mean_at_inference {
            mean.shallow_clone()
        } else {
            let mut deviation = log_variance.f_mul_scalar(0.5)?.f_exp()?;
            if train {
                deviation = deviation.f_mul(&deviation.detach().f_randn_like()?)?;
            }
            deviation.f_add(&mean)?
        };
        Ok(Code { mean, log_variance, z })
    }
}
