//! Between snapshots and blobs: base images, layers of steps, and the image that is made of them.

pub mod assemble;
mod base;
mod layer;
mod pull;
mod resolve;

pub use base::{BaseError, BaseImage, BaseLayer};
pub use layer::{LayerBlob, LayerError, LayerFormat, LayerPacker};
pub use pull::PullError;
pub use resolve::BaseImages;
