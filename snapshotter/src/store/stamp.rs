//! The stamp beside a snapshot: text of its maker's, by which it is believed later or not.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, openat};
use rustix::io::{Errno, retry_on_intr};

use super::{Keeper, discard};
use crate::error::{FsError, OnPath as _};
use crate::inodes::stat_at;
use crate::name::SnapshotName;
use crate::root::{DIR_FLAGS, Root};

/// The names whose stamps were looked at.
#[derive(Debug, Default)]
pub(super) struct Vouched(Mutex<HashSet<SnapshotName>>);

impl Vouched {
    /// Does a check the first time that a name comes; whoever comes with the same name meanwhile waits for it.
    pub(super) fn check(
        &self,
        name: &SnapshotName,
        check: impl FnOnce() -> Result<(), FsError>,
    ) -> Result<(), FsError> {
        let mut vouched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !vouched.contains(name) {
            check()?;
            vouched.insert(name.clone());
        }
        Ok(())
    }
}

/// The file's name.
const STAMP: &str = "stamp";
/// The longest stamp that is read, in bytes.
const LIMIT: u64 = 256;

/// Writes the stamp of a snapshot that is not committed yet; `path` is for messages.
pub(super) fn write(directory: BorrowedFd<'_>, stamp: &str, path: &Path) -> Result<(), FsError> {
    fault::point("snapshot.stamp").on("write stamp in", path)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
    let file = openat(directory, STAMP, flags, Mode::RUSR).on("create stamp in", path)?;
    File::from(file).write_all(stamp.as_bytes()).on("write stamp in", path)
}

/// Removes a snapshot if its stamp is not believed; none is success.
///
/// Several processes may come to doubt the same snapshot, and one of them makes it anew while another is still about to
/// remove the old one. The lock on the directory keeps the new one from being taken for the old.
pub(super) fn discard_doubtful(root: &Root, path: &Path, keeper: &dyn Keeper) -> Result<(), FsError> {
    let Some(directory) = open(root, path)? else {
        return Ok(());
    };
    if keeper.believes(read(directory.as_fd()).as_deref()) {
        return Ok(());
    }
    retry_on_intr(|| flock(&directory, FlockOperation::LockExclusive)).on("lock", path)?;
    let ours = stat_at(directory.as_fd(), "").on("stat", path)?.inode();
    match root.stat(path, false)? {
        Some(named) if named.inode() == ours => discard(root, path),
        _ => Ok(()),
    }
}

/// Returns the stamp of a snapshot.
pub(super) fn of(root: &Root, path: &Path) -> Result<Option<String>, FsError> {
    Ok(open(root, path)?.and_then(|directory| read(directory.as_fd())))
}

fn open(root: &Root, path: &Path) -> Result<Option<OwnedFd>, FsError> {
    match openat(root, path, DIR_FLAGS, Mode::empty()) {
        Ok(directory) => Ok(Some(directory)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(FsError::new("open directory", path, error)),
    }
}

/// Returns the stamp in a directory; what cannot be read is none.
fn read(directory: BorrowedFd<'_>) -> Option<String> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(directory, STAMP, flags, Mode::empty()).ok()?;
    let mut stamp = String::new();
    File::from(file).take(LIMIT).read_to_string(&mut stamp).ok()?;
    Some(stamp)
}
