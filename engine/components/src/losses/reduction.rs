//! From a loss per item, class or voxel to what the trainer gets.

use byoc::Result;
use schemars::JsonSchema;
use serde::Deserialize;
use tch::Tensor;

/// How the values of a loss are put together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum Reduction {
    /// They are not.
    None,
    /// Their mean.
    #[default]
    Mean,
    /// Their sum.
    Sum,
}

impl Reduction {
    /// The reduced tensor: a scalar, or unchanged for `none`.
    pub(crate) fn apply(self, values: Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::None => values,
            Self::Mean => values.f_mean(values.kind())?,
            Self::Sum => values.f_sum(values.kind())?,
        })
    }

    /// The reduction in the terms of libtorch's own losses.
    pub(crate) fn torch(self) -> tch::Reduction {
        match self {
            Self::None => tch::Reduction::None,
            Self::Mean => tch::Reduction::Mean,
            Self::Sum => tch::Reduction::Sum,
        }
    }
}
