//! Networks with MONAI's argument names and parameter names, so that weights go both ways.
//!
//! One file per network, or per family; what several share is in `defaults` and in [`byoc::nn::blocks`].

mod attention_unet;
mod autoencoder;
mod basic_unet;
mod defaults;
mod densenet;
mod dynunet;
mod highresnet;
mod regressor;
mod resnet;
mod segresnet;
mod segresnet_vae;
mod torchvision;
mod unet;
mod vnet;

pub use attention_unet::{AttentionUnet, AttentionUnetArgs};
pub use autoencoder::{AutoEncoder, AutoEncoderArgs};
pub use basic_unet::{BasicUNet, BasicUNetArgs};
pub use densenet::{DenseNet, DenseNet121, DenseNet169, DenseNet201, DenseNet264, DenseNetArgs, DenseNetOfDepth};
pub use dynunet::{DynUNet, DynUNetArgs};
pub use highresnet::{ChannelMatching, HighResNet, HighResNetArgs, LayerParams};
pub use regressor::{
    Classifier, ClassifierArgs, Critic, CriticArgs, Discriminator, DiscriminatorArgs, Regressor, RegressorArgs,
};
pub use resnet::{
    BlockKind, ResNet, ResNet10, ResNet18, ResNet34, ResNet50, ResNet101, ResNet152, ResNet200, ResNetArgs,
    ResNetOfDepth, ShortcutKind,
};
pub use segresnet::{SegResNet, SegResNetArgs};
pub use segresnet_vae::{SegResNetVAE, SegResNetVAEArgs};
pub use torchvision::{
    TorchVisionFCModel, TorchVisionFCModelArgs, TorchVisionFullyConvModel, TorchVisionFullyConvModelArgs,
};
pub use unet::{UNet, UNetArgs};
pub use vnet::{VNet, VNetArgs};
