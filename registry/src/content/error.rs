//! What can go wrong with content.

use std::io;
use std::path::{Path, PathBuf};

use crate::oci::Digest;

/// Why content cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The file system refused.
    #[error("cannot {verb} `{}`", path.display())]
    Io {
        /// What was tried.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The store has no such blob.
    #[error("blob `{0}` is not in the store")]
    Missing(Digest),
    /// The bytes are not the ones that the name promises.
    #[error("blob `{expected}` is damaged: its bytes have the digest `{found}`")]
    DigestMismatch {
        /// The digest that was asked for.
        expected: Digest,
        /// The digest of the bytes that were there.
        found: Digest,
    },
    /// The bytes are right by digest but are not as many as the descriptor says.
    #[error("blob `{digest}` has {found} bytes where its descriptor says {expected}")]
    SizeMismatch {
        /// The blob.
        digest: Digest,
        /// Bytes according to the descriptor.
        expected: u64,
        /// Bytes that were there; when there were too many, those read before giving up.
        found: u64,
    },
    /// More bytes than the reader was willing to hold.
    #[error("blob `{digest}` has {size} bytes; at most {limit} are read")]
    TooLarge {
        /// The blob.
        digest: Digest,
        /// Its bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
}

impl ContentError {
    /// Tells whether the bytes themselves are wrong, so that the blob should be removed and fetched again.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::DigestMismatch { .. } | Self::SizeMismatch { .. })
    }

    /// Finds the content error that travels inside an I/O error, as `Read` and `Write` must wrap it.
    pub fn within(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    pub(crate) fn io(verb: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { verb, path, source }
    }
}

impl From<ContentError> for io::Error {
    /// Wraps the error; an I/O error keeps its kind (`StorageFull` is asked for by callers).
    fn from(error: ContentError) -> Self {
        let kind = match &error {
            ContentError::Io { source, .. } => source.kind(),
            ContentError::Missing(_) => io::ErrorKind::NotFound,
            ContentError::DigestMismatch { .. } | ContentError::SizeMismatch { .. } | ContentError::TooLarge { .. } => {
                io::ErrorKind::InvalidData
            }
        };
        Self::new(kind, error)
    }
}
