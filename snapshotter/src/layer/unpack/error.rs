//! Why an archive could not be unpacked, and at which entry.

use crate::error::FsError;
use crate::escape::Escaped;
use crate::layer::archive::ArchiveError;

/// The entry at which unpacking stopped, and why.
#[derive(Debug, thiserror::Error)]
#[error("cannot unpack entry {entry} of the archive{}", In(.name))]
pub struct UnpackError {
    /// Number of the entry, counted from 1.
    pub entry: u64,
    /// Its name as the archive has it; empty when the archive could not be read that far.
    pub name: Vec<u8>,
    /// Why it was refused.
    #[source]
    pub cause: UnpackCause,
}

/// Shows a name where there is one.
struct In<'a>(&'a [u8]);

impl std::fmt::Display for In<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            Ok(())
        } else {
            write!(f, ", `{}`", Escaped(self.0))
        }
    }
}

/// Why one entry cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackCause {
    /// The archive cannot be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The file system refused.
    #[error(transparent)]
    Tree(#[from] FsError),
    /// The name climbs out of the top directory by `..`.
    #[error("the path leads out of the archive's top directory")]
    Climbs,
    /// A hard link's target climbs out of the top directory by `..`, or names nothing.
    #[error("the hard link's target `{}` is not a path inside of the archive", Escaped(.target))]
    LinkTarget {
        /// The target as the archive has it.
        target: Vec<u8>,
    },
    /// A hard link to a file that is neither in the archive nor below it.
    #[error("the hard link's target `{}` does not exist", Escaped(.target))]
    LinkTargetMissing {
        /// The target as the archive has it.
        target: Vec<u8>,
    },
    /// The top directory is said to be something else than a directory.
    #[error("the top directory cannot be replaced by another kind of file")]
    TopIsNotADirectory,
    /// A whiteout that names nothing that could be deleted.
    #[error("the whiteout's name is not valid")]
    Whiteout,
    /// The device by which overlay marks deletions: a layer may not speak overlay's language.
    #[error("a layer must not hold the character device 0:0")]
    OverlayWhiteout,
    /// The user namespace has no such owner.
    #[error("the owner {uid}:{gid} does not exist in this user namespace")]
    UnmappedOwner {
        /// The user.
        uid: u32,
        /// The group.
        gid: u32,
    },
}
