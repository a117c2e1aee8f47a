//! The locks between builds and whoever removes things.
//!
//! On a disk of this machine both work at the same time, and only a moment is exclusive ([`SweepLock`]). On the file system
//! of a network, where leases may be seen late, a sweep ([`SweepAlone`]) and builds ([`BuildLock`]) take turns. `flock` belongs to the open file, so it ends with the process, whatever ends that.

use std::fs::File;
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

/// Held by a sweep; nothing else is held meanwhile.
#[derive(Debug)]
#[must_use = "the lock ends when this is dropped"]
pub(super) struct SweepAlone(#[expect(dead_code, reason = "held for its lock")] File);

impl BuildLock {
    /// Takes it, after a sweep that goes on: `waits` is told of its directory before this blocks. A signal that ends the
    /// process ends that too.
    pub(super) fn take(path: &Path, waits: &dyn Fn(&Path)) -> Result<Self, StateDirError> {
        let file = open(path)?;
        if !lock(&file, path, FlockOperation::NonBlockingLockShared)? {
            waits(path.parent().unwrap_or(path));
            lock(&file, path, FlockOperation::LockShared)?;
        }
        Ok(Self(file))
    }
}

impl SweepAlone {
    /// Takes it; `None` if a build runs.
    pub(super) fn take(path: &Path) -> Result<Option<Self>, StateDirError> {
        let file = open(path)?;
        let is_alone = lock(&file, path, FlockOperation::NonBlockingLockExclusive)?;
        Ok(is_alone.then_some(Self(file)))
    }
}

fn open(path: &Path) -> Result<File, StateDirError> {
    let open = File::options().write(true).create(true).truncate(false).open(path);
    open.map_err(StateDirError::io("open", path))
}

/// Locks an open file; returns whether nobody else's lock is in the way.
fn lock(file: &File, path: &Path, operation: FlockOperation) -> Result<bool, StateDirError> {
    match flock(file, operation) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(StateDirError::io("lock", path)(error.into())),
    }
}

/// Locks an open file or directory for us alone; returns whether it is ours now and still has a name.
///
/// Who makes a name and then locks it may find that somebody took it for abandoned in between, and removed it: then
/// what is locked is nothing any more.
pub(super) fn lock_named(file: &File, path: &Path) -> Result<bool, StateDirError> {
    if !lock(file, path, FlockOperation::NonBlockingLockExclusive)? {
        return Ok(false);
    }
    let metadata = file.metadata().map_err(StateDirError::io("stat", path))?;
    Ok(metadata.nlink() > 0)
}

/// The lock between those who add to a lease and those who remove things.
#[derive(Debug)]
pub(super) struct SweepLock(File);

impl SweepLock {
    pub(super) fn open(path: &Path) -> Result<Self, StateDirError> {
        Ok(Self(open(path)?))
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
