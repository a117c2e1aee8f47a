//! Who uses a store for a while: hears which snapshots are relied on, and vouches for those that are made.

use std::fmt;
use std::io;

use crate::name::SnapshotName;

/// Somebody on whose behalf a store is used.
///
/// The store calls [`keep`](Self::keep) before it looks for a snapshot or publishes one, so that whoever removes
/// snapshots can know in time that this one is wanted. Beside each snapshot it writes a *stamp*; by that it is asked later
/// whether a snapshot is still what was committed: a machine that lost power may have kept a name and lost the files.
pub trait Keeper: fmt::Debug + Send + Sync {
    /// Keeps the snapshot of this name from being removed, whether it is there or not.
    fn keep(&self, name: &SnapshotName) -> io::Result<()>;

    /// Returns the stamp of a snapshot that is about to be committed.
    fn stamp(&self) -> String;

    /// Tells whether a snapshot with this stamp is whole; what was found instead of a stamp is none.
    fn believes(&self, stamp: Option<&str>) -> bool;

    /// Hears that a snapshot was committed.
    fn committed(&self, name: &SnapshotName);
}
