//! Writing a finished image somewhere.
//!
//! | `--output type=` | writes | from |
//! |---|---|---|
//! | `oci` | an image layout, as a tar or a directory | [`Image`] and its blobs |
//! | `docker` | the same with `manifest.json`, which `docker load` and `podman load` read | [`Image`] and its blobs |
//! | `tar` | the root file system as a tar | a mounted tree |
//! | `local` | the root file system as files | a mounted tree |
//! | `image`, `registry` | the store's tag, or a push; done by the build | [`Image`] |
//!
//! A file that is exported is complete, synced and then renamed into place, or it is not there. One that can only be written
//! over is complete and synced, or empty.

mod archive;
mod beside;
mod collision;
mod directory;
mod error;
mod image;
mod layout;
mod local;
mod metadata;
mod options;
mod output_file;
mod spec;
mod tar;

pub use archive::write_archive;
pub use beside::{beside, reclaim};
pub use collision::refuse_collisions;
pub use directory::write_directory;
pub use error::ExportError;
pub use image::{AttestationManifest, Document, Image, PlatformImage};
pub use layout::{Form, Layout};
pub use local::{LocalOptions, LocalSummary, Ownership, remove_stale, write_local};
pub use metadata::{image_id, metadata, provenance_metadata, write_image_id, write_metadata};
pub(crate) use options::take_compression;
pub use options::{Annotation, AnnotationTarget, ArtifactForm, ImageOptions, OutputEpoch};
pub use output_file::OutputFile;
pub use spec::{Destination, FilesOptions, ImageOutput, LayoutPlace, LocalMode, OutputSpec, OutputSpecError};
pub use tar::{platform_directory, write_tar, write_tars};

#[cfg(test)]
mod tests;
