//! A snapshot that is being made.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, Mode, fchmod, flock, mkdirat, openat, renameat};
use rustix::io::Errno;

use super::keeper::Keeper;
use super::{ACTIVE, discard, stamp};
use crate::error::{FsError, OnPath as _};
use crate::form::Ownership;
use crate::inodes::{Inodes, stat_at};
use crate::name::SnapshotName;
use crate::overlay::Upper;
use crate::root::{DIR_FLAGS, Root};
use crate::special_owners::SpecialOwners;

/// A snapshot that is being made; dropping it without [`commit`](Self::commit) deletes it.
#[derive(Debug)]
#[must_use = "a snapshot that is not committed is deleted"]
pub struct ActiveSnapshot {
    root: Root,
    /// Relative to the store.
    path: PathBuf,
    upper: PathBuf,
    work: PathBuf,
    /// Of all that is done through [`root`](Self::root).
    inodes: Inodes,
    keeper: Option<Arc<dyn Keeper>>,
    /// The directory, locked for as long as the snapshot is active.
    lock: OwnedFd,
}

impl ActiveSnapshot {
    pub(super) fn new(
        store_path: &Path,
        store: &Root,
        ownership: Ownership,
        keeper: Option<Arc<dyn Keeper>>,
    ) -> Result<Self, FsError> {
        let root = store.try_clone()?;
        loop {
            let path = Path::new(ACTIVE).join(unique_id());
            fault::point("snapshot.make").on("make directory", &path)?;
            mkdirat(&root, &path, Mode::RWXU).on("make directory", &path)?;
            fault::point("snapshot.made").on("lock", &path)?;
            // Until it is locked another process may take the directory for abandoned.
            let directory = match openat(&root, &path, DIR_FLAGS, Mode::empty()) {
                Err(Errno::NOENT) => continue,
                opened => opened.on("open directory", &path)?,
            };
            if !lock(&directory, &path)? || root.stat(&path, false)?.is_none() {
                continue;
            }
            let (upper, work) = (store_path.join(&path).join("fs"), store_path.join(&path).join("work"));
            let active = Self {
                root,
                path,
                upper,
                work,
                inodes: Inodes::new(ownership),
                keeper,
                lock: directory,
            };
            // What fails from here on deletes it.
            active.fill()?;
            return Ok(active);
        }
    }

    /// Makes the directories in it.
    fn fill(&self) -> Result<(), FsError> {
        fault::point("snapshot.fill").on("make directory", &self.path)?;
        for (name, mode) in [("fs", 0o755), ("work", 0o700)] {
            let path = self.path.join(name);
            mkdirat(&self.lock, name, Mode::RWXU).on("make directory", &path)?;
            let made = openat(&self.lock, name, DIR_FLAGS, Mode::empty()).on("open directory", &path)?;
            // Explicitly, because `fs` becomes the `/` of whatever runs on it, whoever's umask this is.
            fchmod(&made, Mode::from_raw_mode(mode)).on("set the mode of", &path)?;
        }
        Ok(())
    }

    /// Returns the directory that becomes the snapshot: empty, `0755`, root's.
    pub fn upper(&self) -> &Path {
        &self.upper
    }

    /// Returns the empty directory that an overlay mount needs beside [`upper`](Self::upper).
    pub fn work(&self) -> &Path {
        &self.work
    }

    /// Returns both directories as the writable part of an overlay.
    pub fn as_upper(&self) -> Upper {
        Upper {
            dir: self.upper.clone(),
            work: self.work.clone(),
        }
    }

    /// Opens the snapshot's files, to be made, dressed and looked at as its store has them.
    pub fn root(&self) -> Result<Root, FsError> {
        Ok(Root::open(&self.upper)?.with_inodes(self.inodes.clone()))
    }

    /// Publishes the snapshot under a name, in one step. The caller has unmounted whatever wrote to it.
    ///
    /// A name that is taken is success: it holds the result of the same work, and this one is deleted.
    pub fn commit(self, name: &SnapshotName) -> Result<(), FsError> {
        self.commit_or_defer(name).map(|_| ())
    }

    /// Does the same, and tells whose work the name holds.
    pub(crate) fn commit_or_defer(self, name: &SnapshotName) -> Result<Committed, FsError> {
        let owners = match self.inodes.specials() {
            Some(specials) => {
                let files = self.root()?;
                SpecialOwners::find(&files, &files, specials)?
            }
            None => SpecialOwners::default(),
        };
        self.commit_owned(name, &owners)
    }

    /// Does the same where the owners of special files are known by path.
    pub(crate) fn commit_owned(self, name: &SnapshotName, owners: &SpecialOwners) -> Result<Committed, FsError> {
        fault::point("snapshot.finish").on("commit snapshot", name.as_str())?;
        self.root.remove_tree(&self.path.join("work"))?;
        owners.write(self.lock.as_fd(), &self.path)?;
        if let Some(keeper) = &self.keeper {
            keeper.keep(name).on("keep snapshot", name.as_str())?;
            stamp::write(self.lock.as_fd(), &keeper.stamp(), &self.path)?;
        }
        fault::point("snapshot.rename").on("commit snapshot", name.as_str())?;
        match renameat(&self.root, &self.path, &self.root, name.as_str()) {
            // `self.path` is gone now, so dropping `self` finds nothing to delete.
            Ok(()) => {
                fault::point("snapshot.renamed").on("commit snapshot", name.as_str())?;
                self.keeper.iter().for_each(|keeper| keeper.committed(name));
                Ok(Committed::Now)
            }
            Err(Errno::EXIST | Errno::NOTEMPTY) => Ok(Committed::Before),
            Err(error) => Err(FsError::new("commit snapshot", name.as_str(), error)),
        }
    }
}

/// Whose work the name of a snapshot holds after a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Committed {
    /// This commit's.
    Now,
    /// That of somebody who came first.
    Before,
}

impl Drop for ActiveSnapshot {
    fn drop(&mut self) {
        // What cannot be deleted now is reclaimed by a later process.
        let _ = discard(&self.root, &self.path);
    }
}

/// Returns an active snapshot whose maker is dead, locked: one that is being made may not be locked yet, and its maker must
/// not come to lock it before it is removed.
pub(super) fn abandoned(root: &Root, path: &Path) -> Result<Option<OwnedFd>, FsError> {
    match openat(root, path, DIR_FLAGS, Mode::empty()) {
        Ok(directory) => Ok(lock(&directory, path)?.then_some(directory)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(FsError::new("open directory", path, error)),
    }
}

/// Locks a directory for as long as the descriptor is open; returns whether nobody else has.
fn lock(directory: &OwnedFd, path: &Path) -> Result<bool, FsError> {
    match flock(directory, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(stat_at(directory.as_fd(), "").on("stat", path)?.nlink > 0),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(FsError::new("lock", path, error)),
    }
}

/// Returns a name that no other process or thread uses: process ids come back, so the time is part of it.
pub(super) fn unique_id() -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos();
    format!(
        "{}-{now:x}-{}",
        std::process::id(),
        COUNTER.fetch_add(1, Ordering::Relaxed)
    )
}
