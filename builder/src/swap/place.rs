//! Putting things over the exchanged `/` for the time of a step, where nothing can be mounted.
//!
//! What is covered waits in the stash. Directories whose entries come and go get their old modification time back, so
//! that neither the step nor a scan for what the step has changed sees a trace.
//!
//! Each placement enters the journal before it is performed. Taken back is what is found: a covered file that is still
//! in the stash, a directory that is still away from where it belongs.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Timespec, Timestamps, UTIME_OMIT, fstat, futimens, mkdirat,
    openat, openat2, statat, unlinkat,
};
use rustix::io::Errno;
use snapshotter::{Root, duplicate};

use super::error::{OnPath as _, SwapError};
use super::exchange::{DIRECTORY, Entry, Exchange};
use super::journal::{Journal, Placement, Stay};

/// Directory of what is covered in the stash.
const COVERED: &str = "covered";

/// The name there of a copy that is not finished.
const COPY: &str = "copy";

/// Mode of directories that are made on the way to a target.
const PARENT: Mode = Mode::RWXU
    .union(Mode::RGRP)
    .union(Mode::XGRP)
    .union(Mode::ROTH)
    .union(Mode::XOTH);

impl Exchange<'_> {
    /// Puts something at a path. What comes from elsewhere is moved there; anything else is for `make` to make, under
    /// the name in the directory that it is given.
    pub(super) fn place<E: From<SwapError>>(
        &self,
        placement: Placement,
        make: impl FnOnce(BorrowedFd<'_>, &OsStr) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut journal = self.occupied()?;
        let number = journal.placed.len().to_string();
        journal.placed.push(placement.clone());
        journal.write(self.stash, self.shown, self.rename)?;
        let Placement { target, missing, stay } = &placement;
        let parent = make_parents(target, *missing)?;
        let name = target.file_name().unwrap_or_default();
        keeping_time(&parent, target, || {
            if *stay == Stay::Overwritten {
                let covered = self.subdirectory(COVERED)?;
                let copied = duplicate((parent.as_fd(), name), (covered.as_fd(), COPY.as_ref()));
                copied.map_err(|error| error.source).on("copy", target)?;
                self.rename
                    .replace(covered.as_fd(), COPY, &number)
                    .on("rename a copy of", target)?;
            } else if *missing == 0 {
                let covered = self.subdirectory(COVERED)?;
                let moved = self
                    .rename
                    .shift((parent.as_fd(), name), (covered.as_fd(), number.as_ref()));
                moved.on("cover", target)?;
            }
            match stay {
                Stay::Made | Stay::Overwritten => make(parent.as_fd(), name),
                Stay::Moved { from } => Ok(self.bring(from, (parent.as_fd(), name))?),
            }
        })
    }

    /// Takes back whatever the journal knows of, the last one first.
    pub(super) fn take_back(&self, journal: &mut Journal) -> Result<(), SwapError> {
        while let Some(placement) = journal.placed.pop() {
            self.take_back_one(&placement, &journal.placed.len().to_string())?;
            journal.write(self.stash, self.shown, self.rename)?;
        }
        Ok(())
    }

    fn take_back_one(&self, placement: &Placement, number: &str) -> Result<(), SwapError> {
        let Placement { target, missing, stay } = placement;
        let parent = match open_parent(target) {
            // The step has removed what a mount would have kept from it.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
            opened => opened.on("open the directory of", target)?,
        };
        let name = target.file_name().unwrap_or_default();
        let covered = self.subdirectory(COVERED)?;
        let is_covered = exists(&covered, number.as_ref());
        keeping_time(&parent, target, || {
            // Where something was to be covered that is not, it has not yet been, or is back.
            if *missing == 0 && !is_covered {
                return Ok(());
            }
            match stay {
                Stay::Overwritten => {
                    let copy = (covered.as_fd(), number.as_ref());
                    return give_content(copy, (parent.as_fd(), name)).on("write", target);
                }
                Stay::Moved { from } => self.send_back((parent.as_fd(), name), from)?,
                Stay::Made => {}
            }
            remove(&parent, name).on("remove", target)?;
            if is_covered {
                let moved = self
                    .rename
                    .shift((covered.as_fd(), number.as_ref()), (parent.as_fd(), name));
                moved.on("uncover", target)?;
            }
            Ok::<_, SwapError>(())
        })?;
        remove_empty_parents(target, *missing)
    }

    /// Moves what lies at a path to a target.
    fn bring(&self, from: &Path, to: (BorrowedFd<'_>, &OsStr)) -> Result<(), SwapError> {
        let parent = open_parent(from).on("open the directory of", from)?;
        let name = from.file_name().unwrap_or_default();
        self.rename
            .shift((parent.as_fd(), name), to)
            .on("move into place", from)
    }

    /// Moves a directory back from a target to where it belongs, unless it never left. If the step has put something
    /// else there, or nothing, the directory is gone.
    fn send_back(&self, target: (BorrowedFd<'_>, &OsStr), from: &Path) -> Result<(), SwapError> {
        let parent = open_parent(from).on("open the directory of", from)?;
        let name = from.file_name().unwrap_or_default();
        let is_there = statat(target.0, target.1, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory);
        if exists(&parent, name) || !is_there {
            return Ok(());
        }
        self.rename.shift(target, (parent.as_fd(), name)).on("move back", from)
    }
}

/// Does something to the entries of a directory, and sets its modification time to what it was.
fn keeping_time<E: From<SwapError>>(dir: &OwnedFd, shown: &Path, act: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
    let stat = fstat(dir).on("stat the directory of", shown)?;
    act()?;
    let time = |seconds, nanoseconds| Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds,
    };
    let times = Timestamps {
        last_access: time(0, UTIME_OMIT),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec as _),
    };
    Ok(futimens(dir, &times).on("set the time of the directory of", shown)?)
}

/// Opens the directory that holds a path, unless a link leads there.
fn open_parent(path: &Path) -> Result<OwnedFd, Errno> {
    let parent = path.parent().unwrap_or(path);
    openat2(CWD, parent, DIRECTORY, Mode::empty(), ResolveFlags::NO_SYMLINKS)
}

/// Makes the directories that are missing above a path, and returns the one that holds it.
fn make_parents(path: &Path, missing: usize) -> Result<OwnedFd, SwapError> {
    let parents: Vec<&Path> = path.ancestors().skip(1).take(missing.saturating_sub(1)).collect();
    for made in parents.into_iter().rev() {
        let parent = open_parent(made).on("open the directory of", made)?;
        keeping_time(&parent, made, || {
            match mkdirat(&parent, made.file_name().unwrap_or_default(), PARENT) {
                Err(Errno::EXIST) => Ok(()),
                result => result.on("create", made),
            }
        })?;
    }
    open_parent(path).on("open the directory of", path)
}

/// Removes the directories that were made above a path, unless the step has put something into them.
fn remove_empty_parents(path: &Path, missing: usize) -> Result<(), SwapError> {
    for made in path.ancestors().skip(1).take(missing.saturating_sub(1)) {
        let parent = match open_parent(made) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
            opened => opened.on("open the directory of", made)?,
        };
        keeping_time(&parent, made, || {
            match unlinkat(&parent, made.file_name().unwrap_or_default(), AtFlags::REMOVEDIR) {
                Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT | Errno::NOTDIR) => Ok(()),
                result => result.on("remove", made),
            }
        })?;
    }
    Ok(())
}

/// Gives a file the content of a copy, which is then removed.
fn give_content(copy: Entry<'_>, file: Entry<'_>) -> io::Result<()> {
    let from = openat(copy.0, copy.1, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let to = openat(
        file.0,
        file.1,
        OFlags::WRONLY | OFlags::TRUNC | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    io::copy(&mut File::from(from), &mut File::from(to))?;
    Ok(unlinkat(copy.0, copy.1, AtFlags::empty())?)
}

fn exists(dir: &OwnedFd, name: &OsStr) -> bool {
    statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
}

fn remove(dir: &OwnedFd, name: &OsStr) -> io::Result<()> {
    let dir = Root::from_fd(dir.try_clone()?);
    dir.remove_tree(Path::new(name)).map_err(|error| error.source)
}
