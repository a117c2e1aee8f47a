//! Taking turns with what several steps may write to at the same time.
//!
//! A directory that is moved into one step's tree is in no other. Where steps do not take turns for a place that all
//! need, they do so for such directories; each has a lock beside it that only steps take.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;

use crate::executor::plan::{Occupation, Site};
use crate::executor::process::{MountSource, Tree};
use crate::executor::setup_error::{OnPath, SetupError};

/// How long to wait between two tries for a lock.
const RETRY: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 10_000_000,
};

/// What stands behind the name of a directory in that of its lock.
const SUFFIX: &str = ".step";

/// Locks on all that a step writes to beside its tree; held until they are dropped or all that have them are dead.
pub(super) struct Sources(#[expect(dead_code, reason = "held for the locks")] Vec<OwnedFd>);

impl Sources {
    /// Waits for the locks; `None` when croze wants nothing of this step any more. All take them in one order.
    pub(super) fn lock(occupation: &Occupation, control: &UnixStream) -> Result<Option<Self>, SetupError> {
        if let Site::Root { .. } = occupation.site {
            return Ok(Some(Self(Vec::new())));
        }
        let written: BTreeSet<&Path> = occupation
            .placements
            .iter()
            .filter_map(|(_, source)| written(source))
            .collect();
        let mut locks = Vec::new();
        for directory in written {
            match wait_for(directory, control)? {
                Some(lock) => locks.push(lock),
                None => return Ok(None),
            }
        }
        Ok(Some(Self(locks)))
    }
}

/// Returns the directory that a step writes to, if it is not the step's alone.
fn written(source: &MountSource) -> Option<&Path> {
    match source {
        MountSource::Bind {
            tree: Tree::Directory(directory),
            writable: true,
            ..
        } => Some(directory),
        _ => None,
    }
}

fn wait_for(directory: &Path, control: &UnixStream) -> Result<Option<OwnedFd>, SetupError> {
    let mut name = OsString::from(directory);
    name.push(SUFFIX);
    let path = PathBuf::from(name);
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let lock = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR).on("open", &path)?;
    loop {
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(lock)),
            Err(Errno::WOULDBLOCK) => {}
            Err(error) => return Err(error).on("lock", &path),
        }
        if !is_wanted(control)? {
            return Ok(None);
        }
    }
}

/// Waits a little; returns whether croze still wants the step. Whatever it has to say before that runs, it is not to go
/// on.
pub(super) fn is_wanted(control: &UnixStream) -> Result<bool, SetupError> {
    match poll(&mut [PollFd::new(control, PollFlags::IN)], Some(&RETRY)) {
        Ok(0) | Err(Errno::INTR) => Ok(true),
        Ok(_) => Ok(false),
        Err(error) => Err(error).on("wait for", "a turn"),
    }
}
