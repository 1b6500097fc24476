//! Losses of MONAI and PyTorch, with their arguments, defaults and numbers (MONAI 1.6.1, PyTorch 2.11).
//!
//! What the overlap losses share (activation, one-hot, dropping the background, the counts of true and false
//! positives) is in `overlap`; each loss only says how it makes a number of the counts. Losses compute in float32 also
//! where the network runs in 16 bits: sums over a million voxels would lose everything there.

mod binary_cross_entropy;
mod contrastive;
mod cosine_embedding;
mod cross_entropy;
mod deep_supervision;
mod deformation;
mod dice;
mod dice_ce;
mod dice_focal;
mod focal;
mod generalized_dice;
mod kl_div;
mod local_correlation;
mod masked;
mod masked_dice;
mod multi_scale;
mod mutual_information;
mod nested;
mod nll;
mod overlap;
mod reduction;
mod regression;
mod target;
mod tversky;
mod wasserstein_dice;
mod windows;

pub use binary_cross_entropy::{BCELoss, BCEWithLogitsLoss};
pub use contrastive::ContrastiveLoss;
pub use cosine_embedding::CosineEmbeddingLoss;
pub use cross_entropy::CrossEntropyLoss;
pub use deep_supervision::DeepSupervisionLoss;
pub use deformation::{BendingEnergyLoss, DiffusionLoss};
pub use dice::DiceLoss;
pub use dice_ce::DiceCELoss;
pub use dice_focal::DiceFocalLoss;
pub use focal::FocalLoss;
pub use generalized_dice::GeneralizedDiceLoss;
pub use kl_div::KLDivLoss;
pub use local_correlation::LocalNormalizedCrossCorrelationLoss;
pub use masked::MaskedLoss;
pub use masked_dice::MaskedDiceLoss;
pub use multi_scale::MultiScaleLoss;
pub use mutual_information::GlobalMutualInformationLoss;
pub(crate) use nested::NestedLoss;
pub use nll::NLLLoss;
pub use regression::{L1Loss, MSELoss, SmoothL1Loss};
pub use tversky::TverskyLoss;
pub use wasserstein_dice::GeneralizedWassersteinDiceLoss;
