//! Where the container's own entries wait, and whose turn it is.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, mkdirat, openat};
use rustix::io::Errno;

use super::error::{OnPath as _, SwapError};
use super::exchange::{DIRECTORY, Exchange, KERNEL};
use super::journal::Placement;
use super::slot::Slot;

/// The lock's name in the stash.
const LOCK: &str = "lock";

/// A directory beside what is exchanged, on the same mount.
#[derive(Debug)]
pub struct Stash {
    path: PathBuf,
    dir: OwnedFd,
}

/// The right to exchange, which one process at a time has; ends when it is dropped or the process dies.
#[derive(Debug)]
pub struct Turn<'a> {
    stash: &'a Stash,
    #[expect(dead_code, reason = "held for its lock")]
    lock: OwnedFd,
}

impl Stash {
    /// Opens a stash, made if it is not there. Its parent must exist.
    pub fn open(path: &Path) -> Result<Self, SwapError> {
        match mkdirat(CWD, path, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error).on("create", path),
        }
        let dir = openat(CWD, path, DIRECTORY | OFlags::NOFOLLOW, Mode::empty()).on("open", path)?;
        Ok(Self {
            path: path.to_owned(),
            dir,
        })
    }

    /// Returns where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the turn, unless somebody else has it. What a dead process has left exchanged is put back first.
    pub fn turn(&self) -> Result<Option<Turn<'_>>, SwapError> {
        let path = self.path.join(LOCK);
        let create = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let lock = openat(&self.dir, LOCK, create, Mode::RUSR | Mode::WUSR).on("open", &path)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => return Ok(None),
            locked => locked.on("lock", &path)?,
        }
        let turn = Turn { stash: self, lock };
        turn.restore()?;
        Ok(Some(turn))
    }
}

impl Turn<'_> {
    /// Puts the entries of trees in place of the container's own, and returns the slots in which that was done: those
    /// that were asked for and others below. If it fails, everything is back where it was.
    pub fn exchange(&self, slots: Vec<Slot>) -> Result<Vec<Slot>, SwapError> {
        let exchange = self.exchange_by_kernel();
        match exchange.begin(slots) {
            Err(error) => {
                exchange.restore()?;
                Err(error)
            }
            done => done,
        }
    }

    /// Puts something over the exchanged root file system, until that is put back. What comes from elsewhere is moved;
    /// anything else is for `make` to make, under the name in the directory that it is given.
    pub fn place<E: From<SwapError>>(
        &self,
        placement: Placement,
        make: impl FnOnce(BorrowedFd<'_>, &OsStr) -> Result<(), E>,
    ) -> Result<(), E> {
        self.exchange_by_kernel().place(placement, make)
    }

    /// Notes which of the directories that stand for others the step has made or removed, by their places.
    pub fn note_existence(&self, existing: &BTreeMap<PathBuf, bool>) -> Result<(), SwapError> {
        self.exchange_by_kernel().note_existence(existing)
    }

    /// Puts the entries of the trees back into them and the container's own into their places; nothing if nothing is
    /// exchanged.
    pub fn restore(&self) -> Result<(), SwapError> {
        self.exchange_by_kernel().restore()
    }

    fn exchange_by_kernel(&self) -> Exchange<'_> {
        Exchange {
            stash: self.stash.dir.as_fd(),
            shown: &self.stash.path,
            rename: &KERNEL,
        }
    }
}
