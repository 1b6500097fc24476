//! What all layers have in common.

use std::fmt;

use tch::Tensor;

use crate::Result;

/// A layer of one input and one output.
pub trait Layer: fmt::Debug + Send {
    /// The output for a batch. `train` chooses batch statistics and dropout, as in `Network::forward`.
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor>;
}

/// A layer that gives back what it is given.
#[derive(Debug, Clone, Copy)]
pub struct Identity;

impl Layer for Identity {
    fn forward_t(&self, x: &Tensor, _train: bool) -> Result<Tensor> {
        Ok(x.shallow_clone())
    }
}

impl Layer for Box<dyn Layer> {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        self.as_ref().forward_t(x, train)
    }
}

/// An absent layer does nothing.
impl<L: Layer> Layer for Option<L> {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        match self {
            Some(layer) => layer.forward_t(x, train),
            None => Ok(x.shallow_clone()),
        }
    }
}

/// Layers one after another.
#[derive(Debug, Default)]
pub struct Sequential {
    layers: Vec<Box<dyn Layer>>,
}

impl Sequential {
    /// No layers: the identity.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with one more layer at the end.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "PyTorch names what is put into a Sequential this way, too")]
    pub fn add(mut self, layer: impl Layer + 'static) -> Self {
        self.push(layer);
        self
    }

    /// Appends a layer.
    pub fn push(&mut self, layer: impl Layer + 'static) {
        self.layers.push(Box::new(layer));
    }

    /// The layers in their order.
    pub fn iter(&self) -> impl Iterator<Item = &dyn Layer> {
        self.layers.iter().map(AsRef::as_ref)
    }
}

impl Layer for Sequential {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        let mut y = x.shallow_clone();
        for layer in &self.layers {
            y = layer.forward_t(&y, train)?;
        }
        Ok(y)
    }
}
