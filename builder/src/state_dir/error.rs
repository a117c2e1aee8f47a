//! What can go wrong with the state directory.

use std::io;
use std::path::{Path, PathBuf};

use registry::content::ContentError;
use registry::oci::Reference;
use snapshotter::FsError;

/// Why the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
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
    /// The directory is somebody else's.
    #[error("state directory `{}` belongs to user {owner}: name one of your own", path.display())]
    NotOwned {
        /// The directory.
        path: PathBuf,
        /// Its owner, as this process sees user ids.
        owner: u32,
    },
    /// Others may change the directory.
    #[error(
        "state directory `{}` can be written by others (mode {mode:04o}): use a directory below it or `chmod go-w` it",
        path.display()
    )]
    WritableByOthers {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A prune cannot begin.
    #[error("state directory `{}` is in use by a running build or prune", path.display())]
    InUse {
        /// The layout's directory.
        path: PathBuf,
    },
    /// A tag was to be set for a reference that has none.
    #[error("`{0}` has no tag to be kept under")]
    NoTag(Box<Reference>),
    /// A blob could not be read or written.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// A tree could not be read or removed.
    #[error(transparent)]
    Tree(#[from] FsError),
}

impl StateDirError {
    pub(super) fn io(verb: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { verb, path, source }
    }
}
