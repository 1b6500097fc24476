//! Networks with MONAI's argument names and parameter names, so that weights go both ways.
//!
//! One file per network, or per family; what several share is in `defaults` and in [`byoc::nn::blocks`].

mod ahnet;
mod attention_unet;
mod autoencoder;
mod basic_unet;
mod defaults;
mod densenet;
mod drop_path;
mod dynunet;
mod efficientnet;
mod fully_connected;
mod generator;
mod highresnet;
mod latent;
mod mil;
mod regressor;
mod resnet;
mod segresnet;
mod segresnet_vae;
mod senet;
mod swin_unetr;
mod torchvision;
mod transformer;
mod unet;
mod unet_blocks;
mod unetr;
mod var_autoencoder;
mod vit;
mod vnet;

pub use ahnet::{AHNet, AHNetArgs, AHNetUpsampling};
pub use attention_unet::{AttentionUnet, AttentionUnetArgs};
pub use autoencoder::{AutoEncoder, AutoEncoderArgs};
pub use basic_unet::{BasicUNet, BasicUNetArgs};
pub use densenet::{DenseNet, DenseNet121, DenseNet169, DenseNet201, DenseNet264, DenseNetArgs, DenseNetOfDepth};
pub use dynunet::{DynUNet, DynUNetArgs};
pub use efficientnet::{EfficientNetArgs, EfficientNetBN, EfficientNetBNFeatures, EfficientNetName};
pub use fully_connected::{FullyConnectedNet, FullyConnectedNetArgs, VarFullyConnectedNet, VarFullyConnectedNetArgs};
pub use generator::{Generator, GeneratorArgs};
pub use highresnet::{ChannelMatching, HighResNet, HighResNetArgs, LayerParams};
pub use mil::{MILMode, MILModel, MILModelArgs};
pub use regressor::{
    Classifier, ClassifierArgs, Critic, CriticArgs, Discriminator, DiscriminatorArgs, Regressor, RegressorArgs,
};
pub use resnet::{
    BlockKind, ResNet, ResNet10, ResNet18, ResNet34, ResNet50, ResNet101, ResNet152, ResNet200, ResNetArgs,
    ResNetOfDepth, ShortcutKind,
};
pub use segresnet::{SegResNet, SegResNetArgs};
pub use segresnet_vae::{SegResNetVAE, SegResNetVAEArgs};
pub use senet::{
    DropoutArgument, SEBlockKind, SENet, SENet154, SENetArgs, SENetOfDepth, SEResNet50, SEResNet101, SEResNet152,
    SEResNext50, SEResNext101,
};
pub use swin_unetr::{Merging, SwinUNETR, SwinUNETRArgs};
pub use torchvision::{
    TorchVisionFCModel, TorchVisionFCModelArgs, TorchVisionFullyConvModel, TorchVisionFullyConvModelArgs,
};
pub use transformer::{PositionEmbedding, Projection};
pub use unet::{UNet, UNetArgs};
pub use unetr::{UNETR, UNETRArgs};
pub use var_autoencoder::{VarAutoEncoder, VarAutoEncoderArgs};
pub use vit::{ViT, ViTArgs};
pub use vnet::{VNet, VNetArgs};
