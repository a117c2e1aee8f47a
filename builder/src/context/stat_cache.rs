//! File digests of earlier builds, believed as long as nothing about the file says otherwise.
//!
//! A digest is remembered under the file's path together with device, inode, size, mode and both times to the
//! nanosecond. `ctime` is the kernel's own, so a program that restores an old `mtime` after it wrote is still
//! noticed. What remains is a write within the same tick of the clock as the reading: a file that was changed less
//! than two seconds before it was hashed is not remembered (*racily clean*, as git calls it; two seconds are the
//! coarsest time stamps of any file system, FAT's).
//!
//! One file per context directory, written whole and renamed into place:
//!
//! ```text
//! "croze stat cache 1\n"
//! per record, numbers little-endian:
//!     path length u32 · path
//!     device major u32 · minor u32 · inode u64 · size u64 · mode u32
//!     mtime seconds i64 · nanoseconds u32 · ctime seconds i64 · nanoseconds u32
//!     digest 32 bytes · has extended attributes u8 · builds since it was last seen u8
//! SHA-256 of all before, 32 bytes
//! ```
//!
//! A file that is damaged, of another version or missing is an empty cache: the price is reading the files again.
//! When two builds write it, the later one wins.

mod format;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use snapshotter::{FsError, Stat, Timestamp};

use super::selection::FileContent;
use crate::state_dir::unfinished;

/// How long before it is hashed a file must have been left alone to be remembered.
const SETTLED: Duration = Duration::from_secs(2);

/// Number of builds that change the cache after which an unseen record is forgotten.
const FORGOTTEN_AFTER: u8 = 16;

/// What must be the same for a digest to be believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stamp {
    dev: (u32, u32),
    ino: u64,
    size: u64,
    mode: u32,
    mtime: Timestamp,
    ctime: Timestamp,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Record {
    stamp: Stamp,
    content: FileContent,
    unseen: u8,
}

/// The digests of one context directory.
#[derive(Debug)]
pub struct StatCache {
    file: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    records: HashMap<Box<[u8]>, Record>,
    changed: bool,
}

impl StatCache {
    /// Loads what earlier builds left in `file`; nothing if it cannot be read or believed.
    pub fn load(file: &Path) -> Self {
        let records = std::fs::read(file)
            .ok()
            .and_then(|bytes| format::decode(&bytes))
            .unwrap_or_default();
        Self {
            file: file.to_owned(),
            state: Mutex::new(State {
                records,
                changed: false,
            }),
        }
    }

    /// Returns what is remembered of the file at `path` of the context, if it is still the same file.
    pub fn lookup(&self, path: &Path, stat: &Stat) -> Option<FileContent> {
        let mut state = self.lock();
        let record = state.records.get_mut(path.as_os_str().as_bytes())?;
        if record.stamp != Stamp::of(stat) {
            return None;
        }
        record.unseen = 0;
        Some(record.content)
    }

    /// Remembers a file that was hashed at `hashed` (when the reading began) and had `stat` before and after.
    pub fn record(&self, path: &Path, stat: &Stat, content: FileContent, hashed: SystemTime) {
        if !is_settled(stat, hashed) {
            return;
        }
        let mut state = self.lock();
        state.changed = true;
        let record = Record {
            stamp: Stamp::of(stat),
            content,
            unseen: 0,
        };
        state.records.insert(path.as_os_str().as_bytes().into(), record);
    }

    /// Writes the file, if there is anything new, by way of `scratch`, a directory on the same file system.
    pub fn save(&self, scratch: &Path) -> Result<(), FsError> {
        let bytes = {
            let mut state = self.lock();
            if !std::mem::take(&mut state.changed) {
                return Ok(());
            }
            state.records.retain(|_, record| record.unseen < FORGOTTEN_AFTER);
            format::encode(&state.records)
        };
        let failed = |error| FsError::new("write stat cache", &self.file, error);
        let (mut file, unfinished) = unfinished::create(scratch, "context-").map_err(failed)?;
        file.write_all(&bytes).map_err(failed)?;
        fault::point("contexts.rename").map_err(failed)?;
        unfinished::put(unfinished, &self.file).map_err(failed)
    }

    /// A thread that panicked cannot have left a record half written, so its lock is taken over.
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stamp {
    fn of(stat: &Stat) -> Self {
        let Stat {
            dev,
            ino,
            size,
            mode,
            mtime,
            ctime,
            ..
        } = *stat;
        Self {
            dev,
            ino,
            size,
            mode,
            mtime,
            ctime,
        }
    }
}

/// Returns whether both times lie far enough before `hashed`; a time in the future does not.
fn is_settled(stat: &Stat, hashed: SystemTime) -> bool {
    let latest = stat.mtime.max(stat.ctime);
    let Ok(hashed) = hashed.duration_since(UNIX_EPOCH) else {
        return false;
    };
    let limit = hashed.saturating_sub(SETTLED);
    let limit = (i64::try_from(limit.as_secs()).unwrap_or(i64::MAX), limit.subsec_nanos());
    (latest.seconds, latest.nanos) < limit
}
