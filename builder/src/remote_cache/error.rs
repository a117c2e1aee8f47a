//! What can go wrong with a cache that is elsewhere.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use registry::client::{ClientError, ErrorKind};
use registry::content::ContentError;
use registry::oci::Digest;

use super::EntryError;
use crate::export::ExportError;

/// Why a cache cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RemoteCacheError {
    /// The registry cannot be asked, or refuses.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// There is nothing under its name.
    #[error("`{0}` does not exist")]
    Absent(String),
    /// There is something else under its name.
    #[error("`{name}` is {what}, not a cache of croze")]
    Foreign {
        /// The cache.
        name: String,
        /// What it is instead.
        what: Foreign,
    },
    /// Entries are removed from what has a name.
    #[error("name the cache in `{}` by its tag", .0.display())]
    Untagged(PathBuf),
    /// A store of objects looks after itself.
    #[error("`{0}` cannot be looked through: let the bucket, or GitHub, remove what is old")]
    Unlisted(String),
    /// It did not answer in time.
    #[error("nothing was answered for {0} s")]
    Silent(u64),
    /// An entry is damaged, or another than it should be.
    #[error("entry `{entry}` cannot be used")]
    Entry {
        /// Its tag or digest.
        entry: String,
        /// Why.
        #[source]
        source: EntryError,
    },
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
    /// A blob in a directory is not what its name says.
    #[error("blob `{0}` is damaged")]
    Damaged(Digest),
    /// A document in a directory is none.
    #[error("`{}` is no document of an image layout", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A blob is missing in the store, or damaged there.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// A file could not be written in one step.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// A document of our own could not be written as JSON.
    #[error("cannot write an entry as JSON")]
    Json(#[from] serde_json::Error),
    /// A task ended without a word: a bug.
    #[error("an entry was lost")]
    Lost,
}

/// What is where a cache was looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Foreign {
    /// A cache in BuildKit's format.
    BuildKit,
    /// An image that might have brought a cache.
    ImageWithoutCache,
    /// An image, where a cache should be written.
    Image,
    /// Something else.
    Other,
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BuildKit => "a cache of BuildKit",
            Self::ImageWithoutCache => "an image without a cache",
            Self::Image => "an image",
            Self::Other => "something else",
        })
    }
}

impl RemoteCacheError {
    /// Returns whether only one entry is the matter, and others may well be usable.
    pub fn is_of_one_entry(&self) -> bool {
        match self {
            Self::Client(error) => matches!(error.kind(), ErrorKind::Integrity | ErrorKind::NotFound),
            Self::Entry { .. } | Self::Damaged(_) | Self::Malformed { .. } => true,
            _ => false,
        }
    }

    /// Returns whether a file is there, or may be, and could not be read: nobody knows what it says.
    pub(super) fn is_unread(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() != io::ErrorKind::NotFound)
    }

    pub(super) fn io(verb: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { verb, path, source }
    }

    pub(super) fn entry(entry: impl ToString) -> impl FnOnce(EntryError) -> Self {
        let entry = entry.to_string();
        move |source| Self::Entry { entry, source }
    }
}
