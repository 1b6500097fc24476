//! PyTorch's initial distributions. They draw from libtorch's generator, which the engine seeds.

use tch::{Device, Kind, Tensor};

use crate::Result;

const FLOAT: (Kind, Device) = (Kind::Float, Device::Cpu);

/// The number of inputs that one output of a layer sees: everything but the first axis of its weight.
///
/// For a transposed convolution, whose weight is (in, out / groups, kernel…), PyTorch counts the same way.
pub fn fan_in(shape: &[i64]) -> i64 {
    shape.iter().skip(1).product::<i64>().max(1)
}

/// The number of outputs that one input of a layer reaches.
pub fn fan_out(shape: &[i64]) -> i64 {
    let receptive_field: i64 = shape.iter().skip(2).product();
    shape.first().copied().unwrap_or(1) * receptive_field
}

/// Uniform in ±1/√fan: `torch.nn`'s default for the weight of convolutions and linear layers (there spelt as Kaiming
/// uniform with a = √5) and for their bias, `fan` being the fan-in of the weight.
pub fn uniform_fan(shape: &[i64], fan: i64) -> Result<Tensor> {
    let bound = 1.0 / (fan as f64).sqrt();
    uniform(shape, -bound, bound)
}

/// Uniform in low..high.
pub fn uniform(shape: &[i64], low: f64, high: f64) -> Result<Tensor> {
    Ok(Tensor::f_empty(shape, FLOAT)?.f_uniform_(low, high)?)
}

/// Normal.
pub fn normal(shape: &[i64], mean: f64, standard_deviation: f64) -> Result<Tensor> {
    Ok(Tensor::f_empty(shape, FLOAT)?.f_normal_(mean, standard_deviation)?)
}

/// `torch.nn.init.kaiming_normal_(nonlinearity="relu")`: standard deviation √(2 / fan) (He et al. 2015).
pub fn kaiming_normal(shape: &[i64], fan: i64) -> Result<Tensor> {
    normal(shape, 0.0, (2.0 / fan as f64).sqrt())
}

/// `torch.nn.init.trunc_normal_(std=…)`: normal around 0, cut at ±2.
pub fn truncated_normal(shape: &[i64], standard_deviation: f64) -> Result<Tensor> {
    // the inverse cumulative distribution of a uniform draw, as PyTorch does it
    let cut = 2.0 / standard_deviation;
    let edge = 1.0 - 2.0 * upper_tail(cut);
    let draw = uniform(shape, -edge, edge)?.f_erfinv_()?;
    Ok(draw.f_mul_scalar(standard_deviation * std::f64::consts::SQRT_2)?.f_clamp(-2.0, 2.0)?)
}

/// The probability that a standard normal draw exceeds x, for x ≥ 0.
fn upper_tail(x: f64) -> f64 {
    // Abramowitz and Stegun 7.1.26, absolute error below 1.5e-7: far finer than what a cut-off needs
    let z = x / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let series =
        t * (0.254_829_592 + t * (-0.284_496_736 + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    0.5 * series * (-z * z).exp()
}

/// Zeros.
pub fn zeros(shape: &[i64]) -> Result<Tensor> {
    Ok(Tensor::f_zeros(shape, FLOAT)?)
}

/// Ones.
pub fn ones(shape: &[i64]) -> Result<Tensor> {
    Ok(Tensor::f_ones(shape, FLOAT)?)
}

/// One value everywhere.
pub fn constant(shape: &[i64], value: f64) -> Result<Tensor> {
    Ok(Tensor::f_full(shape, value, FLOAT)?)
}

/// Gives a parameter other values: how a network replaces the initialisation of a layer.
pub fn assign(parameter: &Tensor, values: &Tensor) -> Result<()> {
    let mut parameter = parameter.shallow_clone();
    let () = tch::no_grad(|| parameter.f_copy_(values))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_have_the_spread_that_pytorch_gives_them() {
        tch::manual_seed(1);
        let shape = [64, 32, 3, 3];
        let std = |tensor: &Tensor| tensor.std(true).double_value(&[]);
        let bound = 1.0 / (288f64).sqrt();
        let weight = uniform_fan(&shape, fan_in(&shape)).unwrap();
        assert!((std(&weight) - bound / 3f64.sqrt()).abs() < 0.02 * bound);
        assert!(weight.abs().max().double_value(&[]) <= bound);
        assert!((std(&kaiming_normal(&shape, fan_out(&shape)).unwrap()) - (2f64 / 576.0).sqrt()).abs() < 1e-3);
        let truncated = truncated_normal(&[100_000], 1.0).unwrap();
        // the standard deviation of a standard normal distribution cut at ±2
        assert!((std(&truncated) - 0.8796).abs() < 0.01, "{}", std(&truncated));
        assert!((std(&truncated_normal(&[100_000], 0.02).unwrap()) - 0.02).abs() < 1e-3);
    }
}
