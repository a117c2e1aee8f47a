//! Why files could not be copied.

use std::path::PathBuf;

use snapshotter::FsError;
use snapshotter::layer::{UnpackCause, UnpackError};

use crate::context::Shown;

/// Why a copy failed. Destinations are paths of the image; the first two messages are BuildKit's.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A file would have to replace a directory.
    #[error("cannot replace to directory {} with file", Shown(path))]
    FileOverDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// A directory would have to be merged into something else.
    #[error("cannot copy to non-directory: {}", Shown(path))]
    DirectoryOverFile {
        /// What is there.
        path: PathBuf,
    },
    /// The destination leads through more than 40 links, most likely a loop.
    #[error("{}: too many levels of symbolic links", Shown(path))]
    TooManyLinks {
        /// The destination.
        path: PathBuf,
    },
    /// A source is not what was digested any more. Selecting and copying again may work.
    #[error("\"{}\" changed while it was read", Shown(path))]
    ChangedWhileReading {
        /// The path in the tree it is copied from.
        path: PathBuf,
    },
    /// An archive is damaged or cannot be unpacked here.
    #[error("cannot unpack \"{}\"", Shown(path))]
    Archive {
        /// The archive's path in the tree it is copied from.
        path: PathBuf,
        /// At which entry, and why.
        #[source]
        source: UnpackError,
    },
    /// An owner that does not exist in this user namespace.
    #[error("{} cannot be owned by {uid}:{gid}: the ids are not mapped here", Shown(path))]
    UnmappedOwner {
        /// The destination.
        path: PathBuf,
        /// User.
        uid: u32,
        /// Group.
        gid: u32,
    },
    /// A call failed.
    #[error(transparent)]
    Io(#[from] FsError),
}

impl CopyError {
    /// Returns whether an owner is the reason whom this user namespace lacks.
    pub fn is_unmapped_owner(&self) -> bool {
        match self {
            Self::UnmappedOwner { .. } => true,
            Self::Archive { source, .. } => matches!(source.cause, UnpackCause::UnmappedOwner { .. }),
            _ => false,
        }
    }
}
