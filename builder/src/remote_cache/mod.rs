//! Caches that other machines share: `--cache-to` and `--cache-from`.
//!
//! | kind | where | look-up | parallel writers |
//! |---|---|---|---|
//! | `registry.rs` | a tag for each entry in a registry | a request for each key, all at once | do not meet |
//! | `directory` | an image layout on disk | a file | take turns |
//! | `objects.rs` | a document for each entry in S3 or GitHub's cache | a request for each key, all at once | do not meet |
//! | inline | the config of the image itself | with the image's config | each has its image |
//!
//! A cache mount is an entry too (`mounts.rs`): of one layer that is its whole content.
//!
//! All of them keep the same: an [`Entry`], which is a record of the cache that speaks of layers by their blobs.
//! [`Sources`] is what an import sees of them. Which entries are exported, and from which layers, is for
//! [`crate::build`] to say. Layers are fetched by [`crate::image::ImportedLayers`], when somebody needs them.

mod entry;
mod error;
mod document;
mod registry;
mod directory;
mod objects;
mod mounts;
mod sources;
mod inventory;
mod spec;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod foreign;

pub use directory::{DirectoryCache, Written, add, blob_is_there, lacking};
pub use document::EntryImage;
pub use entry::{Entry, EntryError, EntryLayer, embed};
pub use error::{Foreign, RemoteCacheError};
pub use inventory::{Content, Inventory, Listed};
pub use mounts::{Mounts, entry_of_mount};
pub use objects::{ObjectCache, ObjectPlace};
pub use registry::{Opened, RegistryCache};
pub use sources::{InlineRecords, Sources, identities};
pub use spec::{CacheFrom, CacheSpecError, CacheTo, ExportOptions, Mode, Surroundings, Which};
