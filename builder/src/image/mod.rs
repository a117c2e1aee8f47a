//! Between snapshots and blobs: base images, layers of steps and of other machines, and the image that is made of
//! them.

mod media_types;
pub mod assemble;
mod base;
mod origin;
mod layer;
mod layer_stream;
mod layout;
mod growth;
mod transfer;
mod pull;
mod stored;
mod resolve;
mod imported;
mod damage;

pub use base::{BaseError, BaseImage, BaseLayer, base_snapshot, is_base_snapshot};
pub use damage::{DamageError, packed, packed_from};
pub use growth::{Allowance, GrowthError};
pub use imported::{ImportError, ImportedLayer, ImportedLayers, imported_snapshot};
pub use layer::{LayerBlob, LayerError, LayerFormat, LayerPacker};
pub use layer_stream::LayerStream;
pub use layout::{LayoutError, LayoutImage};
pub use media_types::MediaTypes;
pub use origin::{Origin, OriginError};
pub use pull::PullError;
pub use resolve::{BaseImages, ImagePin};
pub use stored::{Documents, StoredImages};
pub use transfer::Transfer;
