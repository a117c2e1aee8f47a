//! Owners of the files that can carry no extended attribute, by inode.
//!
//! One kind of file comes into being where nobody can look at once: the socket that `bind` makes after the supervisor
//! has let the call pass. Where it will be is remembered, and its inode looked up when it matters.

use std::collections::HashMap;
use std::ffi::CString;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, statat};

/// A file system and an inode in it.
pub(super) type Inode = (u64, u64);

/// User and group.
pub(super) type Owner = (u32, u32);

/// The owners that the disk cannot tell; who is not listed is root's.
#[derive(Default)]
pub(super) struct Specials {
    /// Whether anything was ever noted: most steps do without the lock.
    any: AtomicBool,
    noted: Mutex<Noted>,
}

#[derive(Default)]
struct Noted {
    owners: HashMap<Inode, Owner>,
    expected: Vec<Expected>,
}

/// A socket that is about to be made.
struct Expected {
    directory: OwnedFd,
    name: CString,
    owner: Owner,
}

impl Specials {
    /// Returns the owner of an inode, if it is not root's.
    pub(super) fn owner(&self, inode: Inode) -> Option<Owner> {
        if self.is_empty() {
            return None;
        }
        let mut noted = self.lock();
        noted.settle();
        noted.owners.get(&inode).copied()
    }

    /// Gives an inode an owner.
    pub(super) fn set(&self, inode: Inode, owner: Owner) {
        if owner == (0, 0) {
            self.forget(inode);
        } else {
            self.any.store(true, Ordering::Release);
            self.lock().owners.insert(inode, owner);
        }
    }

    /// Gives an inode, which may have the number of one that is no more, to root.
    pub(super) fn forget(&self, inode: Inode) {
        if !self.is_empty() {
            self.lock().owners.remove(&inode);
        }
    }

    /// Notes whose the socket will be that is about to be made.
    pub(super) fn expect(&self, directory: OwnedFd, name: CString, owner: Owner) {
        self.any.store(true, Ordering::Release);
        self.lock().expected.push(Expected { directory, name, owner });
    }

    /// Returns whether nothing was ever noted.
    pub(super) fn is_empty(&self) -> bool {
        !self.any.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Noted {
    /// Looks up the sockets that have been made meanwhile.
    fn settle(&mut self) {
        let Self { owners, expected } = self;
        expected.retain(|Expected { directory, name, owner }| {
            let Ok(stat) = statat(directory, name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW) else {
                return true;
            };
            if FileType::from_raw_mode(stat.st_mode) == FileType::Socket {
                let inode = (stat.st_dev, stat.st_ino);
                if *owner == (0, 0) {
                    owners.remove(&inode);
                } else {
                    owners.insert(inode, *owner);
                }
            }
            // Something else has the name: there was no socket, or there is none any more.
            false
        });
    }
}
