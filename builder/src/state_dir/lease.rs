//! What a running build relies on, told to whoever removes things.
//!
//! A build writes the name of everything in the state directory that it counts on into a file in its scratch space, its
//! *lease*, before it looks whether the thing is there. Whoever removes things reads all leases first. Names are added
//! under the *sweep lock*, shared; things are removed under it, alone, after the leases were read again. So either the
//! name was added before, and the thing stays; or it is added after, and the build finds the thing gone and makes it again.
//! The lock is held for one write, or for some milliseconds of renames.
//!
//! A lease counts for as long as its process holds the lock of the scratch space. What a build relies on bears the time of
//! that build: the first thing it named has the latest time of them. Layers are named from the lowest up, so of one build's
//! layers the topmost, without which the fewest others are useless, is the one that was used the longest ago.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use registry::content;
use registry::oci::Digest;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use snapshotter::SnapshotName;

use super::lock::SweepLock;
use super::{Class, Epoch, Scratch, StateDir, StateDirError, paths};

/// The file in a process's scratch space.
const FILE: &str = "lease";

/// What one build relies on.
#[derive(Debug)]
pub struct Lease {
    layout: PathBuf,
    epoch: Epoch,
    began: SystemTime,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    /// Paths in the layout.
    names: HashSet<PathBuf>,
    file: File,
    sweep: SweepLock,
}

impl StateDir {
    /// Begins a lease in a process's scratch space.
    pub fn lease(&self, scratch: &Scratch) -> Result<Lease, StateDirError> {
        let path = scratch.path().join(FILE);
        let created = fault::point("lease.make").and_then(|()| File::create_new(&path));
        let file = created.map_err(StateDirError::io("create", &path))?;
        Ok(Lease {
            layout: self.layout.clone(),
            epoch: self.epoch_of(scratch),
            began: SystemTime::now(),
            held: Mutex::new(Held {
                names: HashSet::new(),
                file,
                sweep: self.sweep_lock()?,
            }),
        })
    }
}

impl Lease {
    /// Keeps what is, or will be, at a path of the layout from being removed; blocks for a moment while things are.
    ///
    /// # Errors
    /// If the name cannot be written: then nothing may be relied on.
    pub fn hold(&self, path: &Path) -> io::Result<()> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.names.contains(path) {
            return Ok(());
        }
        let Held { names, file, sweep } = &mut *held;
        let mut line = path.as_os_str().as_encoded_bytes().to_vec();
        line.push(b'\n');
        sweep.shared(|| {
            fault::point("lease.write")?;
            file.write_all(&line)?;
            fault::point("lease.written")
        })??;
        let number = names.len();
        names.insert(path.to_owned());
        drop(held);
        self.touch(path, number);
        Ok(())
    }

    /// Keeps a directory whose content builds change in place, makes it if it is not there, and returns it. What is in it is
    /// believed if the last build that did this is; else `discard` removes it, all but the file `stamp`.
    ///
    /// # Errors
    /// If it cannot be made or emptied, or its stamp not be written.
    pub fn hold_directory(
        &self,
        class: Class,
        name: &str,
        discard: impl FnOnce(&Path) -> io::Result<()>,
    ) -> io::Result<PathBuf> {
        let relative = Path::new(class.directory()).join(name);
        self.hold(&relative)?;
        let path = self.layout.join(relative);
        fault::point("mount.make")?;
        fs::create_dir_all(&path)?;
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(path.join("stamp"))?;
        // Until this is dropped: who comes second finds a directory that is empty already.
        file.lock()?;
        let mut stamp = String::new();
        let is_read = file.read_to_string(&mut stamp).is_ok();
        if !(is_read && self.epoch.believes(&stamp)) {
            discard(&path)?;
        }
        file.set_len(0)?;
        fault::point("mount.stamp")?;
        file.write_all_at(self.epoch.stamp().as_bytes(), 0)?;
        self.epoch.change();
        Ok(path)
    }

    /// Returns the directory of a class of content.
    pub fn directory(&self, class: Class) -> PathBuf {
        self.layout.join(class.directory())
    }

    /// Returns the boots whose content is believed.
    pub fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    /// Gives what is at a path the time of this build.
    fn touch(&self, path: &Path, number: usize) {
        let age = Duration::from_micros(number as u64);
        let time = self.began.checked_sub(age).unwrap_or(UNIX_EPOCH);
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let time = Timespec {
            tv_sec: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: since.subsec_nanos().into(),
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        // What is not there yet has no time, and what refuses one is only removed a little early.
        let _not_there = utimensat(CWD, self.layout.join(path), &times, AtFlags::SYMLINK_NOFOLLOW);
    }

    fn retouch(&self, path: &Path) {
        let number = self.held.lock().unwrap_or_else(PoisonError::into_inner).names.len();
        self.touch(path, number);
        self.epoch.change();
    }
}

impl snapshotter::Keeper for Lease {
    fn keep(&self, name: &SnapshotName) -> io::Result<()> {
        self.hold(&paths::snapshot(name))
    }

    fn stamp(&self) -> String {
        self.epoch.stamp()
    }

    fn believes(&self, stamp: Option<&str>) -> bool {
        stamp.is_some_and(|stamp| self.epoch.believes(stamp))
    }

    fn committed(&self, name: &SnapshotName) {
        self.retouch(&paths::snapshot(name));
    }
}

impl content::Keeper for Lease {
    fn keep(&self, digest: Digest) -> io::Result<()> {
        self.hold(&paths::blob(digest))
    }

    fn published(&self, digest: Digest) {
        self.retouch(&paths::blob(digest));
    }
}

/// Reads the lease of a process that lives; one without a lease relies on nothing.
pub(super) fn read(scratch: &Path) -> Result<Vec<PathBuf>, StateDirError> {
    let path = scratch.join(FILE);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.lines().map(PathBuf::from).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(StateDirError::io("read", path)(error)),
    }
}
