//! Directories that outlive the build: `RUN --mount=type=cache`.
//!
//! A cache is known by its id and by what a new one would look like (mode, owner, what it is filled with),
//! hashed: an id is never part of a path. Each is a directory with a lock beside it:
//!
//! ```text
//! mounts/<hash>/        one cache
//!   stamp               which build used it last; what a power cut may have damaged is thrown away
//!   0.lock  0/          its first directory and the lock of who uses it
//!   packed              a note: the blob that the first directory was packed into, if nobody has used it since
//!   1.lock  1/ …        further ones, for `private` caches in use at the same time
//! ```

use std::collections::HashSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use registry::oci::Hasher;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use snapshotter::{Attributes, FileType, Inodes, Ownership, Root};

use crate::dockerfile::Sharing;
use crate::state_dir::{Class, Lease};

mod travel;

pub(super) use travel::pack;
pub use travel::{MountPackError, PackedMount};

/// The note about what was packed.
const PACKED: &str = "packed";

/// How long to wait between two tries for a lock that another process holds.
const RETRY: Duration = Duration::from_millis(20);

/// What makes a cache this one and no other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct CacheIdentity<'a> {
    /// The id.
    pub id: &'a str,
    /// Mode of the top directory.
    pub mode: u32,
    /// Owner of the top directory.
    pub uid: u32,
    /// Group of the top directory.
    pub gid: u32,
    /// Identity of the files that fill a new cache, and the path in them.
    pub filled_from: Option<(String, String)>,
}

/// A cache in use: hold it while the step runs.
#[derive(Debug)]
pub(super) struct CacheLease {
    /// The directory to mount.
    pub directory: PathBuf,
    _lock: File,
}

/// Why a cache cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} `{path}` of a cache mount")]
pub struct CacheMountError {
    verb: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl CacheIdentity<'_> {
    /// Returns the name of the cache's directory.
    pub(super) fn directory_name(&self) -> String {
        let mut hasher = Hasher::new();
        let (from, path) = self.filled_from.as_ref().map_or(("", ""), |(from, path)| (from, path));
        for part in [self.id, from, path] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        for number in [self.mode, self.uid, self.gid] {
            hasher.update(&number.to_le_bytes());
        }
        hasher.finish().hex()
    }
}

/// What a user of a cache brings along.
pub(super) struct Usage<'a> {
    /// Who holds the owners of the files in it.
    pub ownership: Ownership,
    /// How it shares the cache.
    pub sharing: Sharing,
    /// With `--no-cache`: which caches this build has emptied already, so that each is emptied once.
    pub emptied: Option<&'a Mutex<HashSet<String>>>,
    /// Fills a new cache; nobody sees the directory before it returns.
    pub fill: &'a dyn Fn(&Path) -> io::Result<()>,
    /// Whether waiting has become pointless.
    pub cancelled: &'a dyn Fn() -> bool,
}

/// Takes a cache, waiting for it if it is `locked` and in use. Blocks.
///
/// # Errors
/// If its directory or lock cannot be made, it cannot be filled, or the wait was cancelled.
pub(super) fn acquire(
    lease: &Lease,
    identity: &CacheIdentity<'_>,
    usage: &Usage<'_>,
) -> Result<CacheLease, CacheMountError> {
    let name = identity.directory_name();
    let discard = |cache: &Path| empty(cache).map_err(|error| error.source);
    let held = lease.hold_directory(Class::Mounts, &name, discard);
    let cache = held.map_err(failed("make", Path::new(&name)))?;
    if let Some(emptied) = usage.emptied {
        // The guard is held until it is empty: another step of this build must not begin to use it before.
        let mut emptied = emptied.lock().unwrap_or_else(PoisonError::into_inner);
        if emptied.insert(name) {
            empty(&cache)?;
        }
    }
    for number in 0u32.. {
        let path = cache.join(format!("{number}.lock"));
        let lock = open_lock(&path)?;
        let taken = match usage.sharing {
            Sharing::Shared => wait_for(|| lock.try_lock_shared(), usage.cancelled).map(|()| true),
            Sharing::Locked => wait_for(|| lock.try_lock(), usage.cancelled).map(|()| true),
            Sharing::Private => take_if_free(&lock),
        };
        if taken.map_err(failed("lock", &path))? {
            if number == 0 {
                forget_packed(&cache)?;
            }
            let directory = cache.join(number.to_string());
            create(&directory, identity, usage).map_err(failed("make", &directory))?;
            return Ok(CacheLease { directory, _lock: lock });
        }
    }
    Err(failed("find a free directory in", &cache)(
        io::ErrorKind::ResourceBusy.into(),
    ))
}

/// Waits for a lock, asking again and again: a cancelled build must not be stuck in the kernel.
fn wait_for(attempt: impl Fn() -> Result<(), TryLockError>, cancelled: &dyn Fn() -> bool) -> io::Result<()> {
    loop {
        match attempt() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if cancelled() => return Err(io::ErrorKind::Interrupted.into()),
            Err(TryLockError::WouldBlock) => std::thread::sleep(RETRY),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// Forgets what a cache was packed into: it is about to change.
fn forget_packed(cache: &Path) -> Result<(), CacheMountError> {
    let path = cache.join(PACKED);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", &path)(error)),
        _ => Ok(()),
    }
}

/// Returns whether a cache has a directory already; `mounts` is that of all caches.
pub(super) fn exists(mounts: &Path, name: &str) -> bool {
    mounts.join(name).join("0").exists()
}

fn open_lock(path: &Path) -> Result<File, CacheMountError> {
    let open = File::options().create(true).truncate(false).write(true).open(path);
    open.map_err(failed("open", path))
}

/// Removes all directories of a cache but those that other builds use now.
fn empty(cache: &Path) -> Result<(), CacheMountError> {
    for number in 0u32.. {
        let directory = cache.join(number.to_string());
        if !directory.exists() {
            break;
        }
        let lock = open_lock(&cache.join(format!("{number}.lock")))?;
        if take_if_free(&lock).map_err(failed("lock", &directory))? {
            let removed = Root::open(cache).and_then(|cache| cache.remove_tree(number.to_string().as_ref()));
            removed.map_err(|error| failed("empty", &directory)(error.source))?;
        }
    }
    Ok(())
}

/// Takes the lock of a directory unless somebody uses it.
///
/// A process that another thread is just starting has copies of our descriptors, and with them of a lock that was
/// given back, until it executes its program: hence a few tries.
fn take_if_free(lock: &File) -> io::Result<bool> {
    const TRIES: u32 = 12;
    const PAUSE: Duration = Duration::from_millis(5);
    for _ in 0..TRIES {
        match lock.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(false)
}

/// Makes the directory, complete under another name first, unless it is there.
fn create(directory: &Path, identity: &CacheIdentity<'_>, usage: &Usage<'_>) -> io::Result<()> {
    if directory.exists() {
        return Ok(());
    }
    let parent = directory.parent().unwrap_or(directory);
    let fresh = tempfile::Builder::new().prefix("new-").tempdir_in(parent)?;
    fault::point("mount.fill")?;
    (usage.fill)(fresh.path())?;
    let attributes = Attributes {
        uid: identity.uid,
        gid: identity.gid,
        mode: identity.mode,
    };
    let top = File::open(fresh.path())?;
    Inodes::new(usage.ownership).dress(top.as_fd(), FileType::Directory, attributes)?;
    fault::point("mount.rename")?;
    // Without the flag one that is still empty would give way, though somebody is about to mount it.
    match renameat_with(CWD, fresh.path(), CWD, directory, RenameFlags::NOREPLACE) {
        Ok(()) => {
            // It has another name now: there is nothing left to remove.
            let _moved = fresh.keep();
            Ok(())
        }
        // Two sharers came at once, and the other one was first.
        Err(_) if directory.exists() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn failed(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CacheMountError {
    let path = path.to_owned();
    move |source| CacheMountError { verb, path, source }
}

#[cfg(test)]
mod tests;
