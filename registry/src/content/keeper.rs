//! Who uses a content store for a while: hears which blobs are relied on.

use std::fmt;
use std::io;

use crate::oci::Digest;

/// Somebody on whose behalf a content store is used.
///
/// The store calls [`keep`](Self::keep) before it looks for a blob or publishes one, so that whoever removes blobs can
/// know in time that this one is wanted.
pub trait Keeper: fmt::Debug + Send + Sync {
    /// Keeps a blob from being removed, whether it is there or not.
    fn keep(&self, digest: Digest) -> io::Result<()>;

    /// Hears that a blob was published.
    fn published(&self, digest: Digest);
}
