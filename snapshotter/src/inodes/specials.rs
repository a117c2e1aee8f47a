//! Owners of the inodes that can carry no extended attribute of a user's: symbolic links, FIFOs and sockets.
//!
//! While a tree is open they are known by inode, because one inode may have several names and a name may be reached
//! over links. On disk they are known by path, because a tree that is unpacked, copied or mounted elsewhere has other
//! inodes: see [`SpecialOwners`](crate::SpecialOwners).

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A file system and an inode in it.
type Inode = ((u32, u32), u64);

/// The owners of special files of one open tree; who is not listed is root's.
#[derive(Debug, Default)]
pub(crate) struct Specials(Mutex<HashMap<Inode, (u32, u32)>>);

impl Specials {
    /// Returns the user and group that an inode belongs to.
    pub(crate) fn owner(&self, inode: Inode) -> (u32, u32) {
        self.lock().get(&inode).copied().unwrap_or_default()
    }

    /// Gives an inode to a user and a group.
    pub(crate) fn set(&self, inode: Inode, owner: (u32, u32)) {
        if owner == (0, 0) {
            // The number may have belonged to an inode that is no more.
            self.lock().remove(&inode);
        } else {
            self.lock().insert(inode, owner);
        }
    }

    /// Returns whether root owns all of them.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// A thread that panicked cannot have left an owner half noted, so its lock is taken over.
    fn lock(&self) -> MutexGuard<'_, HashMap<Inode, (u32, u32)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
