//! The moves of an exchange, in both directions.
//!
//! Every move is one rename that replaces nothing, and before the meaning of a place changes, the journal says so. A
//! process that dies in between leaves entries on both sides, which are told apart by where they lie.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{CWD, Dir, Mode, OFlags, RenameFlags, mkdirat, openat, renameat, renameat_with};
use rustix::io::Errno;
use snapshotter::Root;

use super::error::{OnPath as _, SwapError};
use super::journal::{Journal, Slot, Stage};
use super::root::leads_only_to_mounts;

/// How directories are opened.
pub(super) const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Directory of the container's own entries in the stash.
const OWN: &str = "own";
/// Directory of what nobody wants in the stash.
const DISCARDED: &str = "discarded";

/// A name in a directory.
pub(super) type Entry<'a> = (BorrowedFd<'a>, &'a OsStr);

/// What an exchange needs of the kernel; a test lets it end at any move.
pub(super) trait Rename {
    /// Moves a name in one directory to a name in another, which must be free.
    fn shift(&self, from: Entry<'_>, to: Entry<'_>) -> Result<(), Errno>;

    /// Gives what is called `from` another name, whatever that has named before.
    fn replace(&self, dir: BorrowedFd<'_>, from: &str, to: &str) -> Result<(), Errno>;
}

/// The real thing.
pub(super) struct Kernel;

pub(super) const KERNEL: Kernel = Kernel;

impl Rename for Kernel {
    fn shift(&self, from: Entry<'_>, to: Entry<'_>) -> Result<(), Errno> {
        renameat_with(from.0, from.1, to.0, to.1, RenameFlags::NOREPLACE)
    }

    fn replace(&self, dir: BorrowedFd<'_>, from: &str, to: &str) -> Result<(), Errno> {
        renameat(dir, from, dir, to)
    }
}

/// An exchange through one stash.
pub(super) struct Exchange<'a> {
    pub(super) stash: BorrowedFd<'a>,
    /// The stash's path, for messages.
    pub(super) shown: &'a Path,
    pub(super) rename: &'a dyn Rename,
}

impl Exchange<'_> {
    /// Moves the container's own entries out and those of the trees in.
    pub(super) fn begin(&self, slots: Vec<Slot>) -> Result<(), SwapError> {
        let mut journal = Journal {
            stage: Stage::Clearing,
            slots,
            placed: Vec::new(),
        };
        journal.write(self.stash, self.shown, self.rename)?;
        for (number, slot) in journal.slots.iter_mut().enumerate() {
            self.clear(number, slot)?;
        }
        journal.stage = Stage::Occupied;
        journal.write(self.stash, self.shown, self.rename)?;
        for slot in &journal.slots {
            let (place, tree) = (open(CWD, &slot.place)?, open(CWD, &slot.tree)?);
            for name in names(&tree, &slot.kept, &slot.tree)? {
                let path = slot.place.join(&name);
                self.rename
                    .shift((tree.as_fd(), &name), (place.as_fd(), &name))
                    .on("move in", &path)?;
            }
        }
        Ok(())
    }

    /// Returns the journal of the exchange that has been completed.
    pub(super) fn occupied(&self) -> Result<Journal, SwapError> {
        let journal = Journal::read(self.stash, self.shown)?;
        let occupied = journal.filter(|journal| journal.stage == Stage::Occupied);
        occupied.ok_or(Errno::NOTCONN).on("exchange by means of", self.shown)
    }

    /// Moves everything back to where the journal says it belongs.
    pub(super) fn restore(&self) -> Result<(), SwapError> {
        let Some(mut journal) = Journal::read(self.stash, self.shown)? else {
            return Ok(());
        };
        if journal.stage == Stage::Occupied {
            self.take_back(&mut journal)?;
            for slot in &journal.slots {
                self.give_back(slot)?;
            }
            journal.stage = Stage::Clearing;
            journal.write(self.stash, self.shown, self.rename)?;
        }
        for (number, slot) in journal.slots.iter().enumerate() {
            let own = self.own(number)?;
            let place = open(CWD, &slot.place)?;
            for name in names(&own, &BTreeSet::new(), self.shown)? {
                let path = slot.place.join(&name);
                self.rename
                    .shift((own.as_fd(), &name), (place.as_fd(), &name))
                    .on("move back", &path)?;
            }
        }
        Journal::remove(self.stash, self.shown)?;
        let discarded = Root::from_fd(self.stash.try_clone_to_owned().on("use", self.shown)?);
        let removed = discarded.remove_tree(Path::new(DISCARDED));
        removed
            .map_err(|error| error.source)
            .on("remove", self.shown.join(DISCARDED))
    }

    /// Moves the container's own entries of one slot to the stash. A directory that cannot be moved may stay if there
    /// is nothing in it but mounts, and the tree has no such name.
    fn clear(&self, number: usize, slot: &mut Slot) -> Result<(), SwapError> {
        let (place, own) = (open(CWD, &slot.place)?, self.own(number)?);
        for name in names(&place, &slot.kept, &slot.place)? {
            let path = slot.place.join(&name);
            match self.rename.shift((place.as_fd(), &name), (own.as_fd(), &name)) {
                Err(Errno::XDEV | Errno::BUSY) if !exists(slot, &name) && leads_only_to_mounts(&place, &name) => {
                    slot.kept.insert(name);
                }
                Err(error @ (Errno::XDEV | Errno::BUSY)) => {
                    let source = error.into();
                    return Err(SwapError::Immovable { path, source });
                }
                moved => moved.on("move away", &path)?,
            }
        }
        Ok(())
    }

    /// Moves what lies in a slot's place to the tree, or out of the way if the tree is gone.
    fn give_back(&self, slot: &Slot) -> Result<(), SwapError> {
        let place = open(CWD, &slot.place)?;
        let tree = match openat(CWD, &slot.tree, DIRECTORY, Mode::empty()) {
            // It belonged to a dead process, and its files have been reclaimed.
            Err(Errno::NOENT) => self.subdirectory(DISCARDED)?,
            opened => opened.on("open", &slot.tree)?,
        };
        for name in names(&place, &slot.kept, &slot.place)? {
            let path = slot.place.join(&name);
            self.rename
                .shift((place.as_fd(), &name), (tree.as_fd(), &name))
                .on("move out", &path)?;
        }
        Ok(())
    }

    fn own(&self, number: usize) -> Result<OwnedFd, SwapError> {
        let own = self.subdirectory(OWN)?;
        make_dir(own.as_fd(), &number.to_string(), self.shown)
    }

    pub(super) fn subdirectory(&self, name: &str) -> Result<OwnedFd, SwapError> {
        make_dir(self.stash, name, self.shown)
    }
}

/// Whether the tree of a slot has an entry of this name.
fn exists(slot: &Slot, name: &OsStr) -> bool {
    slot.tree.join(name).symlink_metadata().is_ok()
}

pub(super) fn open(at: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, SwapError> {
    openat(at, path, DIRECTORY, Mode::empty()).on("open", path)
}

/// Opens a directory, made if it is not there.
fn make_dir(parent: BorrowedFd<'_>, name: &str, shown: &Path) -> Result<OwnedFd, SwapError> {
    match mkdirat(parent, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => open(parent, Path::new(name)),
        Err(error) => Err(error).on("create", shown.join(name)),
    }
}

/// Returns the names in a directory but for some.
pub(super) fn names(dir: &OwnedFd, but: &BTreeSet<OsString>, shown: &Path) -> Result<Vec<OsString>, SwapError> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir).on("list", shown)? {
        let entry = entry.on("list", shown)?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." && !but.contains(name) {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}
