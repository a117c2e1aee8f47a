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
pub type Inode = (u64, u64);

/// User and group.
pub type Owner = (u32, u32);

/// The owners that the disk cannot tell; who is not listed is root's.
#[derive(Default)]
pub(super) struct Specials {
    /// Whether anything was ever noted: most steps do without the lock.
    any: AtomicBool,
    noted: Mutex<Noted>,
}

#[derive(Default)]
struct Noted {
    /// With the type of the file: the number of an inode that is no more may soon be another file's.
    owners: HashMap<Inode, (FileType, Owner)>,
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
    pub(super) fn owner(&self, inode: Inode, file_type: FileType) -> Option<Owner> {
        if self.is_empty() {
            return None;
        }
        let mut noted = self.lock();
        noted.settle();
        let (noted_type, owner) = noted.owners.get(&inode)?;
        (*noted_type == file_type).then_some(*owner)
    }

    /// Gives an inode an owner.
    pub(super) fn set(&self, inode: Inode, file_type: FileType, owner: Owner) {
        if owner != (0, 0) {
            self.any.store(true, Ordering::Release);
        }
        if !self.is_empty() {
            note(&mut self.lock().owners, inode, file_type, owner);
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
            // If something else has the name, there was no socket, or there is none any more.
            if FileType::from_raw_mode(stat.st_mode) == FileType::Socket {
                note(owners, (stat.st_dev, stat.st_ino), FileType::Socket, *owner);
            }
            false
        });
    }
}

/// An inode that is root's is not listed: its number may have been another's before.
fn note(owners: &mut HashMap<Inode, (FileType, Owner)>, inode: Inode, file_type: FileType, owner: Owner) {
    if owner == (0, 0) {
        owners.remove(&inode);
    } else {
        owners.insert(inode, (file_type, owner));
    }
}
