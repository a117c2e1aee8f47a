//! The lock between builds and prunes.
//!
//! `flock` belongs to the open file, so it ends with the process, whatever ends that.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::{Errno, retry_on_intr};

use super::StateDirError;

/// Held by a running build; many can be held at once.
#[derive(Debug)]
#[must_use = "the lock ends when this is dropped"]
pub struct BuildLock(#[expect(dead_code, reason = "held for its lock")] File);

/// Held by a prune; nothing else is held meanwhile.
#[derive(Debug)]
#[must_use = "the lock ends when this is dropped"]
pub struct PruneLock(#[expect(dead_code, reason = "held for its lock")] File);

impl BuildLock {
    pub(super) fn take(path: &Path) -> Result<Self, StateDirError> {
        match lock(path, FlockOperation::NonBlockingLockShared)? {
            Some(file) => Ok(Self(file)),
            None => Err(StateDirError::BeingPruned {
                path: path.parent().unwrap_or(path).to_owned(),
            }),
        }
    }
}

impl PruneLock {
    pub(super) fn take(path: &Path) -> Result<Self, StateDirError> {
        match lock(path, FlockOperation::NonBlockingLockExclusive)? {
            Some(file) => Ok(Self(file)),
            None => Err(StateDirError::InUse {
                path: path.parent().unwrap_or(path).to_owned(),
            }),
        }
    }
}

/// Returns the locked file, or `None` if somebody else's lock is in the way.
fn lock(path: &Path, operation: FlockOperation) -> Result<Option<File>, StateDirError> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(StateDirError::io("open", path))?;
    match flock(&file, operation) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(StateDirError::io("lock", path)(error.into())),
    }
}

/// Locks an open file or directory for us alone; returns whether it is ours now and still has a name.
///
/// Who makes a name and then locks it may find that somebody took it for abandoned in between, and removed it: then
/// what is locked is nothing any more.
pub(super) fn lock_named(file: &File, path: &Path) -> Result<bool, StateDirError> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Ok(false),
        Err(error) => return Err(StateDirError::io("lock", path)(error.into())),
    }
    let metadata = file.metadata().map_err(StateDirError::io("stat", path))?;
    Ok(metadata.nlink() > 0)
}

/// The lock between those who add to a lease and those who remove things.
#[derive(Debug)]
pub(super) struct SweepLock(File);

impl SweepLock {
    pub(super) fn open(path: &Path) -> Result<Self, StateDirError> {
        let open = File::options().write(true).create(true).truncate(false).open(path);
        Ok(Self(open.map_err(StateDirError::io("open", path))?))
    }

    /// Does something while nothing is removed.
    pub(super) fn shared<T>(&mut self, act: impl FnOnce() -> T) -> io::Result<T> {
        self.hold(FlockOperation::LockShared, act)
    }

    /// Does something while no lease is added to.
    pub(super) fn alone<T>(&mut self, act: impl FnOnce() -> T) -> io::Result<T> {
        self.hold(FlockOperation::LockExclusive, act)
    }

    /// The lock is of the open file and would be released by whoever ends first; `&mut` keeps threads apart.
    fn hold<T>(&mut self, operation: FlockOperation, act: impl FnOnce() -> T) -> io::Result<T> {
        retry_on_intr(|| flock(&self.0, operation))?;
        let done = act();
        // Explicitly, because a process that is just being started may have a copy of the descriptor.
        flock(&self.0, FlockOperation::Unlock)?;
        Ok(done)
    }
}
