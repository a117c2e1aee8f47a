//! Between snapshots and blobs: base images, layers of steps, and the image that is made of them.

mod media_types;
pub mod assemble;
mod base;
mod layer;
mod layout;
mod pull;
mod resolve;

pub use base::{BaseError, BaseImage, BaseLayer};
pub use layer::{LayerBlob, LayerError, LayerFormat, LayerPacker};
pub use layout::{LayoutError, LayoutImage};
pub use media_types::MediaTypes;
pub use pull::PullError;
pub use resolve::{BaseImages, ImagePin};
