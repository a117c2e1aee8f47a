//! The moves of an exchange, in both directions.
//!
//! Every move is one rename that replaces nothing, and before the meaning of a place changes, the journal says so. A
//! process that dies in between leaves entries on both sides, which are told apart by where they lie.
//!
//! A directory of a lower layer of the container's overlay cannot be renamed, but what is in it often can. Then its
//! entries are exchanged and it stands for the tree's directory meanwhile.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, RenameFlags, mkdirat, openat, renameat, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;
use snapshotter::Root;

use super::error::{OnPath as _, SwapError};
use super::journal::{Journal, Stage};
use super::looks::Looks;
use super::root::{leads_only_to_mounts, mount_points};
use super::slot::{Slot, StandIn};

/// How directories are opened.
pub(super) const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Directory of the container's own entries in the stash.
const OWN: &str = "own";
/// Directory of what nobody wants in the stash.
const DISCARDED: &str = "discarded";

/// How many entries the container may have of its own: with more it has an image that is not meant to make room.
const MAX_OWN: usize = 256;

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
    /// Moves the container's own entries out and those of the trees in. Returns the slots in which that was done.
    pub(super) fn begin(&self, slots: Vec<Slot>) -> Result<Vec<Slot>, SwapError> {
        let mut journal = Journal {
            stage: Stage::Clearing,
            slots,
            placed: Vec::new(),
        };
        journal.write(self.stash, self.shown, self.rename)?;
        let (mut number, mut cleared) = (0, 0);
        while number < journal.slots.len() {
            self.clear(&mut journal, number, &mut cleared)?;
            number += 1;
        }
        journal.stage = Stage::Occupied;
        journal.write(self.stash, self.shown, self.rename)?;
        for slot in &journal.slots {
            self.fill(slot)?;
        }
        Ok(journal.slots)
    }

    /// Returns the journal of the exchange that has been completed.
    pub(super) fn occupied(&self) -> Result<Journal, SwapError> {
        let journal = Journal::read(self.stash, self.shown)?;
        let occupied = journal.filter(|journal| journal.stage == Stage::Occupied);
        occupied.ok_or(Errno::NOTCONN).on("exchange by means of", self.shown)
    }

    /// Notes that the step has made or removed a directory for which one stands that was there all the time.
    pub(super) fn note_existence(&self, existing: &BTreeMap<PathBuf, bool>) -> Result<(), SwapError> {
        let mut journal = self.occupied()?;
        for slot in &mut journal.slots {
            if let (Some(stands_in), Some(exists)) = (&mut slot.stands_in, existing.get(&slot.place)) {
                stands_in.is_extra = !exists;
            }
        }
        journal.write(self.stash, self.shown, self.rename)
    }

    /// Moves everything back to where the journal says it belongs.
    pub(super) fn restore(&self) -> Result<(), SwapError> {
        let Some(mut journal) = Journal::read(self.stash, self.shown)? else {
            return Ok(());
        };
        if journal.stage == Stage::Occupied {
            self.take_back(&mut journal)?;
            for (number, slot) in journal.slots.iter().enumerate() {
                self.give_back(number, slot)?;
            }
            journal.stage = Stage::Clearing;
            journal.write(self.stash, self.shown, self.rename)?;
        }
        for (number, slot) in journal.slots.iter().enumerate() {
            let (own, place) = (self.own(number)?, open(CWD, &slot.place)?);
            for name in names(&own, self.shown)? {
                let moved = self.rename.shift((own.as_fd(), &name), (place.as_fd(), &name));
                moved.map_err(|source| SwapError::Stranded {
                    path: slot.place.join(&name),
                    kept: self.kept(number).join(&name),
                    source: source.into(),
                })?;
            }
            if let Some(StandIn { own, .. }) = &slot.stands_in {
                own.put(place.as_fd()).on("set the attributes of", &slot.place)?;
            }
        }
        Journal::remove(self.stash, self.shown)?;
        let stash = Root::from_fd(self.stash.try_clone_to_owned().on("use", self.shown)?);
        let removed = stash.remove_tree(Path::new(DISCARDED));
        removed
            .map_err(|error| error.source)
            .on("remove", self.shown.join(DISCARDED))
    }

    /// Moves the container's own entries of one slot to the stash. `cleared` counts those of all slots.
    fn clear(&self, journal: &mut Journal, number: usize, cleared: &mut usize) -> Result<(), SwapError> {
        let slot = journal.slots[number].clone();
        let (place, own) = (open(CWD, &slot.place)?, self.own(number)?);
        for name in names(&place, &slot.place)?.into_iter().filter(|name| slot.moves(name)) {
            let path = slot.place.join(&name);
            match self.rename.shift((place.as_fd(), &name), (own.as_fd(), &name)) {
                // Of a lower layer, a mount, or in or of a directory that is somebody else's.
                Err(error @ (Errno::XDEV | Errno::BUSY | Errno::ACCESS | Errno::PERM)) => {
                    journal.slots.extend(beneath(&slot, &place, &name, error)?);
                    journal.slots[number].kept.insert(name);
                    journal.write(self.stash, self.shown, self.rename)?;
                }
                moved => moved.on("move away", &path)?,
            }
            *cleared += 1;
            if *cleared > MAX_OWN {
                let source = Errno::XDEV.into();
                return Err(SwapError::Immovable { path, source });
            }
        }
        Ok(())
    }

    /// Moves the entries of a tree into their place.
    fn fill(&self, slot: &Slot) -> Result<(), SwapError> {
        let (place, tree) = match &slot.stands_in {
            Some(StandIn { is_extra: true, .. }) => (open(CWD, &slot.place)?, make_dir(CWD, &slot.tree)?),
            _ => (open(CWD, &slot.place)?, open(CWD, &slot.tree)?),
        };
        let looks = Looks::of(tree.as_fd()).on("stat", &slot.tree)?;
        for name in names(&tree, &slot.tree)?.into_iter().filter(|name| slot.moves(name)) {
            let path = slot.place.join(&name);
            let moved = self.rename.shift((tree.as_fd(), &name), (place.as_fd(), &name));
            moved.on("move in", &path)?;
        }
        if slot.stands_in.is_some() {
            looks.put(place.as_fd()).on("set the attributes of", &slot.place)?;
        }
        Ok(())
    }

    /// Moves what lies in a slot's place to the tree, or out of the way if the tree is gone.
    fn give_back(&self, number: usize, slot: &Slot) -> Result<(), SwapError> {
        let place = open(CWD, &slot.place)?;
        let tree = match openat(CWD, &slot.tree, DIRECTORY, Mode::empty()) {
            // It belonged to a dead process, and its files have been reclaimed.
            Err(Errno::NOENT) => self.subdirectory(DISCARDED)?,
            opened => opened.on("open", &slot.tree)?,
        };
        let looks = Looks::of(place.as_fd()).on("stat", &slot.place)?;
        for name in names(&place, &slot.place)?.into_iter().filter(|name| slot.moves(name)) {
            let moved = self.rename.shift((place.as_fd(), &name), (tree.as_fd(), &name));
            // It keeps the container's own out.
            moved.map_err(|source| SwapError::Stranded {
                path: slot.place.join(&name),
                kept: self.kept(number),
                source: source.into(),
            })?;
        }
        let Some(StandIn { is_extra, .. }) = &slot.stands_in else {
            return Ok(());
        };
        if *is_extra {
            match unlinkat(CWD, &slot.tree, AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOENT) => return Ok(()),
                // The step has put something into it.
                Err(Errno::NOTEMPTY | Errno::EXIST) => {}
                Err(error) => return Err(error).on("remove", &slot.tree),
            }
        }
        looks.put(tree.as_fd()).on("set the attributes of", &slot.tree)
    }

    /// Returns where the container's own entries of one slot lie meanwhile.
    fn kept(&self, number: usize) -> PathBuf {
        self.shown.join(OWN).join(number.to_string())
    }

    fn own(&self, number: usize) -> Result<OwnedFd, SwapError> {
        let own = self.subdirectory(OWN)?;
        make_dir(own.as_fd(), Path::new(&number.to_string()))
    }

    pub(super) fn subdirectory(&self, name: &str) -> Result<OwnedFd, SwapError> {
        make_dir(self.stash, Path::new(name))
    }
}

/// Returns what to do about an entry of a place that cannot be moved: exchange what is in it, or, where there is nothing
/// in it but mounts, nothing.
fn beneath(slot: &Slot, place: &OwnedFd, name: &OsStr, error: Errno) -> Result<Option<Slot>, SwapError> {
    let (path, tree) = (slot.place.join(name), slot.tree.join(name));
    let is_directory = |stat: rustix::fs::Stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    let own_is = statat(place, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(is_directory);
    let theirs_is = statat(CWD, &tree, AtFlags::SYMLINK_NOFOLLOW).map(is_directory);
    match theirs_is {
        Err(_) if leads_only_to_mounts(place, name) => Ok(None),
        Ok(true) | Err(_) if own_is => {
            let dir = open(CWD, &path)?;
            let stands_in = StandIn {
                own: Looks::of(dir.as_fd()).on("stat", &path)?,
                is_extra: theirs_is.is_err(),
            };
            let kept = mount_points(&dir, &path)?;
            Ok(Some(Slot {
                stands_in: Some(stands_in),
                ..Slot::of_all_but(path, tree, kept)
            }))
        }
        _ => {
            let source = error.into();
            Err(SwapError::Immovable { path, source })
        }
    }
}

pub(super) fn open(at: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, SwapError> {
    openat(at, path, DIRECTORY, Mode::empty()).on("open", path)
}

/// Opens a directory, made if it is not there.
fn make_dir(at: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, SwapError> {
    match mkdirat(at, path, Mode::RWXU | Mode::RGRP | Mode::XGRP | Mode::ROTH | Mode::XOTH) {
        Ok(()) | Err(Errno::EXIST) => open(at, path),
        Err(error) => Err(error).on("create", path),
    }
}

/// Returns the names in a directory.
pub(super) fn names(dir: &OwnedFd, shown: &Path) -> Result<Vec<OsString>, SwapError> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir).on("list", shown)? {
        let entry = entry.on("list", shown)?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}
