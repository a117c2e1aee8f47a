//! Owners of the files that can carry no extended attribute, by inode.
//!
//! One kind of file comes into being where nobody can look at once: the socket that `bind` makes after the supervisor
//! has let the call pass. Where it will be is remembered, and its inode looked up when it matters.

use std::collections::HashMap;
use std::ffi::CString;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, fstat, statat};
use rustix::io::Errno;

/// A file system and an inode in it.
pub type Inode = (u64, u64);

/// User and group.
pub type Owner = (u32, u32);

/// How many owners a step can have noted, and how many sockets it can be about to make at once, each of which keeps a
/// directory open.
const MAX_OWNERS: usize = 1 << 20;
const MAX_EXPECTED: usize = 128;

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
    /// By where they will be: the directory and the name.
    expected: HashMap<(Inode, CString), Expected>,
}

/// A socket that is about to be made.
struct Expected {
    directory: OwnedFd,
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
    pub(super) fn set(&self, inode: Inode, file_type: FileType, owner: Owner) -> Result<(), Errno> {
        if owner != (0, 0) {
            self.any.store(true, Ordering::Release);
        }
        if self.is_empty() {
            return Ok(());
        }
        note(&mut self.lock().owners, inode, file_type, owner)
    }

    /// Notes whose the socket will be that is about to be made.
    pub(super) fn expect(&self, directory: OwnedFd, name: CString, owner: Owner) -> Result<(), Errno> {
        self.any.store(true, Ordering::Release);
        let stat = fstat(&directory)?;
        let mut noted = self.lock();
        noted.settle();
        let place = ((stat.st_dev, stat.st_ino), name);
        if noted.expected.len() >= MAX_EXPECTED && !noted.expected.contains_key(&place) {
            // The calls that were let pass have been performed, or have failed, but for the last.
            noted.expected.clear();
        }
        noted.expected.insert(place, Expected { directory, owner });
        Ok(())
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
        expected.retain(|(_, name), Expected { directory, owner }| {
            let Ok(stat) = statat(directory, name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW) else {
                return true;
            };
            // If something else has the name, there was no socket, or there is none any more.
            if FileType::from_raw_mode(stat.st_mode) == FileType::Socket {
                // Where there is no room it is root's.
                let _full = note(owners, (stat.st_dev, stat.st_ino), FileType::Socket, *owner);
            }
            false
        });
    }
}

/// An inode that is root's is not listed: its number may have been another's before.
fn note(
    owners: &mut HashMap<Inode, (FileType, Owner)>,
    inode: Inode,
    file_type: FileType,
    owner: Owner,
) -> Result<(), Errno> {
    if owner == (0, 0) {
        owners.remove(&inode);
        return Ok(());
    }
    if owners.len() >= MAX_OWNERS && !owners.contains_key(&inode) {
        return Err(Errno::NOSPC);
    }
    owners.insert(inode, (file_type, owner));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn sockets_that_never_come_to_be_take_no_more_than_their_share() {
        let scratch = tempfile::tempdir().unwrap();
        let specials = Specials::default();
        let expect = |name: String| {
            let directory = OwnedFd::from(File::open(scratch.path()).unwrap());
            specials.expect(directory, CString::new(name).unwrap(), (5, 6)).unwrap();
            specials.lock().expected.len()
        };
        assert_eq!((expect("again".into()), expect("again".into())), (1, 1));
        for number in 0..1000 {
            assert!(expect(number.to_string()) <= MAX_EXPECTED);
        }
        expect("socket".into());
        let _listener = UnixListener::bind(scratch.path().join("socket")).unwrap();
        let stat = statat(File::open(scratch.path()).unwrap(), "socket", AtFlags::empty()).unwrap();
        assert_eq!(
            specials.owner((stat.st_dev, stat.st_ino), FileType::Socket),
            Some((5, 6))
        );
    }
}
