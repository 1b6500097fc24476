//! Gradient scaling for float16 training, as PyTorch's `torch.amp.GradScaler` does it: the loss is scaled up so that
//! small gradients survive float16, the gradients are scaled down before the step, and a step whose gradients are not
//! finite is left out and lowers the scale.

#![expect(unsafe_code, reason = "calls the shim")]

use byoc::{Error, Result, StateTree};
use tch::{Device, Kind, Tensor};

use crate::sys;

/// A gradient scaler. A disabled one (for float32 and bfloat16) lets everything through.
#[derive(Debug)]
pub struct GradScaler {
    enabled: bool,
    options: GradScalerOptions,
    scale: f64,
    growth_tracker: i64,
    /// whether the gradients of this step were checked, and found not finite
    checked: Option<bool>,
}

/// Numbers of a [`GradScaler`], with PyTorch's defaults.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GradScalerOptions {
    /// The scale to begin with: 65536.
    pub initial_scale: f64,
    /// What a growth multiplies the scale with: 2.
    pub growth_factor: f64,
    /// What gradients that are not finite multiply the scale with: 0.5.
    pub backoff_factor: f64,
    /// Finite steps in a row before a growth: 2000.
    pub growth_interval: i64,
}

impl Default for GradScalerOptions {
    fn default() -> Self {
        Self { initial_scale: 65536.0, growth_factor: 2.0, backoff_factor: 0.5, growth_interval: 2000 }
    }
}

impl GradScaler {
    /// A scaler with PyTorch's numbers.
    pub fn new(enabled: bool) -> Self {
        Self::with_options(enabled, GradScalerOptions::default())
    }

    /// A scaler with numbers of one's own.
    pub fn with_options(enabled: bool, options: GradScalerOptions) -> Self {
        Self { enabled, options, scale: options.initial_scale, growth_tracker: 0, checked: None }
    }

    /// Whether it scales at all.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// The scale now; 1 if disabled.
    pub fn scale_factor(&self) -> f64 {
        if self.enabled { self.scale } else { 1.0 }
    }

    /// The loss, scaled, in float32 whatever it was in.
    pub fn scale(&self, loss: &Tensor) -> Result<Tensor> {
        if !self.enabled {
            return Ok(loss.shallow_clone());
        }
        // 65536 is not a float16 number
        let loss = if loss.kind() == Kind::Half { loss.f_to_kind(Kind::Float)? } else { loss.shallow_clone() };
        Ok(loss.f_mul_scalar(self.scale)?)
    }

    /// Divides the gradients of these parameters by the scale, in place, and says whether all of them are finite: only
    /// then the optimizer may step. Once per step; parameters without a gradient are passed over.
    ///
    /// # Errors
    ///
    /// It was already called for this step, or a gradient is float16: the parameters have to stay float32, autocast
    /// makes the float16 copies.
    pub fn unscale_and_check(&mut self, parameters: &[Tensor]) -> Result<bool> {
        if !self.enabled {
            return Ok(true);
        }
        if self.checked.is_some() {
            return Err(Error::msg("the gradients were already unscaled since the last `update()`"));
        }
        let mut found_any = false;
        for (device, gradients) in by_device(parameters)? {
            let found = Tensor::f_zeros([1], (Kind::Float, device))?;
            let inverse = Tensor::f_full([1], 1.0 / self.scale, (Kind::Float, device))?;
            let pointers = sys::pointers(&gradients);
            // SAFETY: the pointers are borrowed from tensors that live through the call
            let message = unsafe {
                sys::mmar_torch_amp_unscale(
                    pointers.as_ptr(),
                    pointers.len(),
                    sys::pointer(&found),
                    sys::pointer(&inverse),
                )
            };
            message.check()?;
            found_any |= f64::try_from(&found)? != 0.0;
        }
        self.checked = Some(found_any);
        Ok(!found_any)
    }

    /// Sets the scale of the next step: after gradients that were not finite it is lowered, after enough finite steps
    /// raised.
    ///
    /// # Errors
    ///
    /// No gradients were checked since the last update.
    pub fn update(&mut self) -> Result<()> {
        if !self.enabled {
            return Ok(());
        }
        match self.checked.take() {
            None => {
                return Err(Error::msg(
                    "no gradients were checked since the last `update()`: call `unscale_and_check` first",
                ));
            }
            Some(true) => {
                self.scale *= self.options.backoff_factor;
                self.growth_tracker = 0;
            }
            Some(false) => {
                self.growth_tracker += 1;
                if self.growth_tracker == self.options.growth_interval {
                    let grown = self.scale * self.options.growth_factor;
                    // the scale itself is a float32 number in the kernels
                    if (grown as f32).is_finite() {
                        self.scale = grown;
                    }
                    self.growth_tracker = 0;
                }
            }
        }
        Ok(())
    }

    /// The state as PyTorch's `GradScaler.state_dict()` has it; empty if disabled.
    pub fn state(&self) -> StateTree {
        if !self.enabled {
            return StateTree::Dict(Vec::new());
        }
        StateTree::dict([
            ("scale", StateTree::Float(self.scale)),
            ("growth_factor", StateTree::Float(self.options.growth_factor)),
            ("backoff_factor", StateTree::Float(self.options.backoff_factor)),
            ("growth_interval", StateTree::Int(self.options.growth_interval)),
            ("_growth_tracker", StateTree::Int(self.growth_tracker)),
        ])
    }

    /// Takes over a state as [`GradScaler::state`] or PyTorch gives it. The state of a disabled scaler (empty) leaves an
    /// enabled one as it is, and a disabled one takes nothing.
    pub fn load_state(&mut self, state: &StateTree) -> Result<()> {
        if !self.enabled || state.entries().is_empty() {
            return Ok(());
        }
        let number = |key: &str| {
            let value = state.get(key).and_then(StateTree::as_f64);
            value.ok_or_else(|| Error::data(format!("the state of the gradient scaler has no number `{key}`")))
        };
        let options = GradScalerOptions {
            initial_scale: self.options.initial_scale,
            growth_factor: number("growth_factor")?,
            backoff_factor: number("backoff_factor")?,
            growth_interval: number("growth_interval")? as i64,
        };
        (self.scale, self.growth_tracker) = (number("scale")?, number("_growth_tracker")? as i64);
        self.options = options;
        self.checked = None;
        Ok(())
    }
}

/// The gradients there are, by device.
fn by_device(parameters: &[Tensor]) -> Result<Vec<(Device, Vec<Tensor>)>> {
    let mut devices: Vec<(Device, Vec<Tensor>)> = Vec::new();
    for parameter in parameters {
        let gradient = parameter.grad();
        if !gradient.defined() {
            continue;
        }
        if gradient.kind() == Kind::Half {
            return Err(Error::msg("cannot unscale float16 gradients: keep the parameters float32 and use autocast"));
        }
        let device = gradient.device();
        match devices.iter_mut().find(|(known, _)| *known == device) {
            Some((_, gradients)) => gradients.push(gradient),
            None => devices.push((device, vec![gradient])),
        }
    }
    Ok(devices)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::{GradScaler, GradScalerOptions};
    use crate::gradient;

    fn parameter(gradient: f64) -> Tensor {
        let parameter = Tensor::zeros([3], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        gradient::set(&parameter, &Tensor::full([3], gradient, (Kind::Float, Device::Cpu))).unwrap();
        parameter
    }

    #[test]
    fn the_scale_follows_the_gradients() {
        let options = GradScalerOptions { growth_interval: 2, ..GradScalerOptions::default() };
        let mut scaler = GradScaler::with_options(true, options);
        // gradient, whether the step is taken, the scale after it
        for (gradient, finite, scale) in [
            (f64::INFINITY, false, 32768.0),
            (1.0, true, 32768.0),
            (f64::NAN, false, 16384.0),
            (1.0, true, 16384.0),
            (1.0, true, 32768.0),
        ] {
            let parameters =
                [parameter(gradient), Tensor::zeros([1], (Kind::Float, Device::Cpu)).set_requires_grad(true)];
            let before = scaler.scale_factor();
            assert_eq!(scaler.unscale_and_check(&parameters).unwrap(), finite);
            if finite {
                assert_eq!(parameters[0].grad().double_value(&[0]), gradient / before);
            }
            assert!(scaler.unscale_and_check(&parameters).is_err(), "twice in a step");
            scaler.update().unwrap();
            assert_eq!(scaler.scale_factor(), scale);
        }
        let mut other = GradScaler::new(true);
        other.load_state(&scaler.state()).unwrap();
        assert_eq!(other.scale_factor(), 32768.0);
        assert!(other.update().is_err(), "nothing was checked");
    }

    #[test]
    fn a_disabled_scaler_does_nothing() {
        let mut scaler = GradScaler::new(false);
        let parameters = [parameter(f64::INFINITY)];
        assert!(scaler.unscale_and_check(&parameters).unwrap());
        scaler.update().unwrap();
        assert_eq!(f64::try_from(scaler.scale(&Tensor::from(2.0)).unwrap()).unwrap(), 2.0);
        assert!(scaler.state().entries().is_empty());
    }
}
