//! The one question that the frontend asks of the world: what an image is.
//!
//! A caller asks [`references`](super::references) first and resolves its answers in parallel; then
//! [`lower`](super::lower) finds nearly all of them known. Only `ONBUILD` triggers of a base image can name
//! further ones.

use registry::oci::{Digest, ImageConfig, Platform, Reference};

use crate::diagnostic::Span;

/// Finds out what image a reference means for a platform.
pub trait ResolveImage {
    /// Resolves a reference; may block on the network.
    fn resolve(&self, reference: &Reference, platform: &Platform) -> Result<ResolvedImage, ResolveError>;
}

/// An image, pinned.
#[derive(Clone, PartialEq, Debug)]
pub struct ResolvedImage {
    /// Where it is, with the digest of what the reference named (an index or a manifest).
    pub reference: Reference,
    /// The manifest for the platform.
    pub manifest_digest: Digest,
    /// Its config.
    pub config: ImageConfig,
}

/// Why an image could not be resolved; the cause is the resolver's own error, to be found again by downcast.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ResolveError(pub Box<dyn std::error::Error + Send + Sync>);

/// An image that a build needs, and what in the Dockerfile needs it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImageRequest {
    /// Its reference, tag implied if none is given.
    pub reference: Reference,
    /// For which platform.
    pub platform: Platform,
    /// The name in `FROM`, `--from` or a mount that asks for it first.
    pub span: Span,
    /// A stage or named context whose name is like the image's: perhaps that was meant.
    pub near: Option<String>,
}
