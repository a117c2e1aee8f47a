//! Scratch space of one process, which is recognised as abandoned when the process is gone.
//!
//! The lease is an `flock` on the directory. Between making a directory and locking it another process may
//! take it for abandoned and delete it; then its maker notices and makes another one.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use snapshotter::Root;

use super::lock::lock_named;
use super::{StateDirError, create_private};

/// A private directory on the file system of the store; deleted when dropped.
#[derive(Debug)]
#[must_use = "the directory is deleted when this is dropped"]
pub struct Scratch {
    path: PathBuf,
    _lease: File,
}

impl Scratch {
    pub(super) fn create(run: &Path) -> Result<Self, StateDirError> {
        loop {
            let path = run.join(unique_name());
            fault::point("scratch.make").map_err(StateDirError::io("create", &path))?;
            create_private(&path)?;
            fault::point("scratch.made").map_err(StateDirError::io("lock", &path))?;
            let lease = match File::open(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                opened => opened.map_err(StateDirError::io("open", &path))?,
            };
            if lock_named(&lease, &path)? {
                return Ok(Self { path, _lease: lease });
            }
        }
    }

    /// Returns the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns its name, which no other process had or will have.
    pub fn name(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// Deletes the directory and says whether that worked.
    pub fn close(self) -> Result<(), StateDirError> {
        remove(&self.path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be deleted now is reclaimed by a later process.
        let removed = fault::point("scratch.remove").map_err(StateDirError::io("remove", &self.path));
        let _reclaimed_later = removed.and_then(|()| remove(&self.path));
    }
}

/// Deletes the scratch space of every process that is gone.
pub(super) fn reclaim(run: &Path) -> Result<(), StateDirError> {
    for entry in std::fs::read_dir(run).map_err(StateDirError::io("list", run))? {
        let path = entry.map_err(StateDirError::io("list", run))?.path();
        let lease = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened.map_err(StateDirError::io("open", &path))?,
        };
        // Kept locked until the last file is gone, so that no two processes delete the same directory.
        if lock_named(&lease, &path)? {
            fault::point("scratch.reclaim").map_err(StateDirError::io("remove", &path))?;
            remove(&path)?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), StateDirError> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(());
    };
    Ok(Root::open(parent)?.remove_tree(Path::new(name))?)
}

/// Returns a name for this process that was never used before: process ids come back, so the time is in it.
fn unique_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let count = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{}-{:x}-{count}", std::process::id(), since_epoch.as_nanos())
}
