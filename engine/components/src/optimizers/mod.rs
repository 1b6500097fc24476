//! Optimizers, by PyTorch's and MONAI's names, arguments and defaults.
//!
//! [`grouped`] has what they share: groups of parameters, state in PyTorch's layout, which parameters take part in a
//! step. An optimizer of its own is a struct of options with a [`Rule`].

mod adadelta;
mod adagrad;
mod adam;
mod adamax;
mod grouped;
mod nadam;
mod novograd;
mod options;
mod radam;
mod rmsprop;
mod sgd;

pub use adadelta::{Adadelta, AdadeltaOptions};
pub use adagrad::{Adagrad, AdagradOptions};
pub use adam::{Adam, AdamOptions, AdamW, AdamWOptions};
pub use adamax::{Adamax, AdamaxOptions};
pub use grouped::{Active, Grouped, Rule, State};
pub use nadam::{NAdam, NAdamOptions};
pub use novograd::{Novograd, NovogradOptions};
pub use radam::{RAdam, RAdamOptions};
pub use rmsprop::{RMSprop, RMSpropOptions};
pub use sgd::{SGD, SGDOptions};
