//! Why a root file system cannot be exchanged.

use std::io;
use std::path::{Path, PathBuf};

/// Why a root file system cannot be exchanged.
#[derive(Debug, thiserror::Error)]
pub enum SwapError {
    /// A system call failed.
    #[error("cannot {verb} `{}`", .path.display())]
    System {
        /// What was attempted.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// An entry of the container's own file system cannot make room.
    #[error("`{}` is part of the image that this container runs, and cannot be moved", .path.display())]
    Immovable {
        /// The entry.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// An entry of the tree has no room, because the container's own one has to stay.
    #[error("`{}` of the image being built has no place: the container has a volume or croze's own files there", .path.display())]
    Taken {
        /// The entry.
        path: PathBuf,
    },
    /// An entry of the tree has no room, because nobody but root can make names in the container's `/`.
    #[error("`{}` of the image being built has no place: this container's `/` is not croze's to change", .path.display())]
    NoPlace {
        /// The entry.
        path: PathBuf,
    },
    /// What the container has of its own could not be put back in its place.
    #[error("`{}` of this container could not be put back: its own files lie in `{}`", .path.display(), .kept.display())]
    Stranded {
        /// What belongs there.
        path: PathBuf,
        /// Where it lies meanwhile.
        kept: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The journal makes no sense.
    #[error("the journal `{}` is damaged", .path.display())]
    Journal {
        /// The journal.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// Adds to a failed system call what was attempted on which path.
pub(super) trait OnPath<T> {
    /// Turns the error into a [`SwapError`].
    fn on(self, verb: &'static str, path: impl AsRef<Path>) -> Result<T, SwapError>;
}

impl<T, E: Into<io::Error>> OnPath<T> for Result<T, E> {
    fn on(self, verb: &'static str, path: impl AsRef<Path>) -> Result<T, SwapError> {
        self.map_err(|error| SwapError::System {
            verb,
            path: path.as_ref().to_owned(),
            source: error.into(),
        })
    }
}
