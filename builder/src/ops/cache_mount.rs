//! Directories that outlive the build: `RUN --mount=type=cache`.
//!
//! A cache is known by its id and by what a new one would look like (mode, owner, what it is filled with),
//! hashed: an id is never part of a path. Each is a directory with a lock beside it:
//!
//! ```text
//! mounts/<hash>/        one cache
//!   stamp               which build used it last; what a power cut may have damaged is thrown away
//!   0.lock  0/          its first directory and the lock of who uses it
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
use snapshotter::{Attributes, FileType, Inodes, Ownership, Root};

use crate::dockerfile::Sharing;
use crate::state_dir::{Class, Lease};

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
    fn directory_name(&self) -> String {
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
            Sharing::Shared => lock.lock_shared().map(|()| true),
            // Polling instead of one blocking call: a cancelled build must not be stuck in the kernel.
            Sharing::Locked => loop {
                match lock.try_lock() {
                    Ok(()) => break Ok(true),
                    Err(TryLockError::WouldBlock) if (usage.cancelled)() => {
                        break Err(io::ErrorKind::Interrupted.into());
                    }
                    Err(TryLockError::WouldBlock) => std::thread::sleep(RETRY),
                    Err(TryLockError::Error(error)) => break Err(error),
                }
            },
            Sharing::Private => take_if_free(&lock),
        };
        if taken.map_err(failed("lock", &path))? {
            let directory = cache.join(number.to_string());
            create(&directory, identity, usage).map_err(failed("make", &directory))?;
            return Ok(CacheLease { directory, _lock: lock });
        }
    }
    Err(failed("find a free directory in", &cache)(
        io::ErrorKind::ResourceBusy.into(),
    ))
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
    match fs::rename(fresh.path(), directory) {
        Ok(()) => {
            // It has another name now: there is nothing left to remove.
            let _moved = fresh.keep();
            Ok(())
        }
        // Two sharers came at once, and the other one was first.
        Err(_) if directory.exists() => Ok(()),
        Err(error) => Err(error),
    }
}

fn failed(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CacheMountError {
    let path = path.to_owned();
    move |source| CacheMountError { verb, path, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::state_dir::{Scratch, StateDir};

    const PLAIN: CacheIdentity<'_> = CacheIdentity {
        id: "../../etc",
        mode: 0o750,
        uid: 0,
        gid: 0,
        filled_from: None,
    };

    /// A state directory and a build in it.
    struct Store {
        dir: tempfile::TempDir,
        lease: Lease,
        _scratch: Scratch,
    }

    impl Store {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let state = StateDir::open(&dir.path().join("state"), Ownership::Real).unwrap();
            let scratch = state.scratch().unwrap();
            let lease = state.lease(&scratch).unwrap();
            Self {
                dir,
                lease,
                _scratch: scratch,
            }
        }

        fn mounts(&self) -> PathBuf {
            self.dir.path().join("state/v1").join(Class::Mounts.directory())
        }
    }

    fn take(lease: &Lease, identity: &CacheIdentity<'_>, sharing: Sharing) -> PathBuf {
        hold(lease, identity, sharing).directory
    }

    fn hold(lease: &Lease, identity: &CacheIdentity<'_>, sharing: Sharing) -> CacheLease {
        let usage = Usage {
            ownership: Ownership::Real,
            emptied: None,
            sharing,
            fill: &|fresh| fs::write(fresh.join("filled"), ""),
            cancelled: &|| false,
        };
        acquire(lease, identity, &usage).unwrap()
    }

    #[test]
    fn a_cache_keeps_its_files_and_an_id_cannot_leave_the_store() {
        let store = Store::new();
        let first = take(&store.lease, &PLAIN, Sharing::Shared);
        assert!(first.starts_with(store.mounts()) && first.join("filled").exists());
        assert_eq!(fs::metadata(&first).unwrap().permissions().mode() & 0o7777, 0o750);
        fs::write(first.join("kept"), "").unwrap();
        fs::remove_file(first.join("filled")).unwrap();
        let second = take(&store.lease, &PLAIN, Sharing::Shared);
        assert!(second.join("kept").exists() && !second.join("filled").exists());
    }

    #[test]
    fn a_private_cache_in_use_gives_another_directory() {
        let store = Store::new();
        let first = hold(&store.lease, &PLAIN, Sharing::Private);
        let second = hold(&store.lease, &PLAIN, Sharing::Private);
        assert_ne!(first.directory, second.directory);
        let used = first.directory.clone();
        drop(first);
        assert_eq!(take(&store.lease, &PLAIN, Sharing::Private), used);
    }

    #[test]
    fn a_locked_cache_in_use_is_waited_for() {
        let store = Store::new();
        let first = hold(&store.lease, &PLAIN, Sharing::Locked);
        std::thread::scope(|scope| {
            let second = scope.spawn(|| take(&store.lease, &PLAIN, Sharing::Locked));
            std::thread::sleep(RETRY * 3);
            assert!(!second.is_finished());
            let directory = first.directory.clone();
            drop(first);
            assert_eq!(second.join().unwrap(), directory);
        });
    }

    #[test]
    fn a_cancelled_wait_ends() {
        let store = Store::new();
        let _held = hold(&store.lease, &PLAIN, Sharing::Locked);
        let usage = Usage {
            ownership: Ownership::Real,
            emptied: None,
            sharing: Sharing::Locked,
            fill: &|_| Ok(()),
            cancelled: &|| true,
        };
        assert!(acquire(&store.lease, &PLAIN, &usage).is_err());
    }

    #[test]
    fn another_mode_or_filling_is_another_cache() {
        let filled = |path: &str| Some(("image".to_owned(), path.to_owned()));
        let names = [
            PLAIN,
            CacheIdentity { mode: 0o755, ..PLAIN },
            CacheIdentity { uid: 1, ..PLAIN },
            CacheIdentity {
                filled_from: filled("/a"),
                ..PLAIN
            },
            CacheIdentity {
                filled_from: filled("/b"),
                ..PLAIN
            },
        ]
        .map(|identity| identity.directory_name());
        let distinct: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
    }

    #[test]
    fn a_build_without_cache_empties_each_cache_once_unless_another_build_uses_it() {
        let store = Store::new();
        let emptied = Mutex::default();
        let take = |emptied: Option<&Mutex<HashSet<String>>>| {
            let usage = Usage {
                ownership: Ownership::Real,
                emptied,
                sharing: Sharing::Shared,
                fill: &|_| Ok(()),
                cancelled: &|| false,
            };
            acquire(&store.lease, &PLAIN, &usage).unwrap()
        };
        let has = |lease: &CacheLease, name: &str| lease.directory.join(name).exists();
        let first = take(None);
        fs::write(first.directory.join("old"), "").unwrap();
        let other = Mutex::default();
        assert!(has(&take(Some(&other)), "old"), "it was in use");
        drop(first);
        let renewed = take(Some(&emptied));
        assert!(!has(&renewed, "old"));
        fs::write(renewed.directory.join("new"), "").unwrap();
        drop(renewed);
        assert!(has(&take(Some(&emptied)), "new"), "it was emptied twice");
    }

    #[test]
    fn what_a_lost_boot_has_left_is_thrown_away() {
        let store = Store::new();
        let first = take(&store.lease, &PLAIN, Sharing::Shared);
        fs::write(first.join("damaged"), "").unwrap();
        let stamp = first.parent().unwrap().join("stamp");
        fs::write(stamp, "00000000-0000-0000-0000-000000000000 1-2-3\n").unwrap();
        let second = take(&store.lease, &PLAIN, Sharing::Shared);
        assert!(second.join("filled").exists() && !second.join("damaged").exists());
    }
}
