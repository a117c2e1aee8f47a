//! Removing trees.

use std::ffi::OsStr;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, chmod, fchmod, openat, unlinkat};
use rustix::io::Errno;
use rustix::path::Arg;

use crate::error::{FsError, OnPath as _};
use crate::root::DIR_FLAGS;
use crate::walk::{self, Next, Place, Visitor};

/// Removes `name` of `parent` with everything in it. Nothing there is success; `path` is for messages.
pub(crate) fn remove_at(parent: BorrowedFd<'_>, name: &OsStr, path: &Path) -> Result<(), FsError> {
    match unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR) => {}
        Err(error) => return Err(FsError::new("remove", path, error)),
    }
    match open_to_empty(parent, name) {
        Err(Errno::NOENT) => return Ok(()),
        opened => walk::walk(opened.on("open directory", path)?, &mut Remover)?,
    }
    gone(unlinkat(parent, name, AtFlags::REMOVEDIR)).on("remove directory", path)
}

/// Removes files on the way down and directories on the way up.
struct Remover;

impl Visitor for Remover {
    type Error = FsError;

    fn visit(&mut self, place: &Place<'_>) -> Result<Next, FsError> {
        if place.file_type == FileType::Directory {
            return enter(place);
        }
        match unlink(place, AtFlags::empty()) {
            // The directory's listing did not say what this is.
            Err(Errno::ISDIR) => enter(place),
            result => result.on("remove", place.path).map(|()| Next::Pass),
        }
    }

    fn leave(&mut self, place: &Place<'_>) -> Result<(), FsError> {
        unlink(place, AtFlags::REMOVEDIR).on("remove directory", place.path)
    }
}

fn enter(place: &Place<'_>) -> Result<Next, FsError> {
    match open_to_empty(place.dir, place.name) {
        // Somebody else removes the same tree.
        Err(Errno::NOENT) => Ok(Next::Pass),
        opened => opened.on("open directory", place.path).map(Next::Enter),
    }
}

/// Opens a directory to remove what is in it. Who is not root may first have to give itself the right to do that: a
/// directory that refuses its owner can be made by any program.
fn open_to_empty(parent: BorrowedFd<'_>, name: impl Arg + Copy) -> Result<OwnedFd, Errno> {
    match openat(parent, name, DIR_FLAGS, Mode::empty()) {
        Err(Errno::ACCESS) => {
            let handle = openat(parent, name, DIR_FLAGS | OFlags::PATH, Mode::empty())?;
            chmod(format!("/proc/self/fd/{}", handle.as_raw_fd()), Mode::RWXU)?;
            openat(parent, name, DIR_FLAGS, Mode::empty())
        }
        opened => opened,
    }
}

/// Removes a name at a place, from a directory that may first have to be made writable.
fn unlink(place: &Place<'_>, flags: AtFlags) -> Result<(), Errno> {
    match unlinkat(place.dir, place.name, flags) {
        Err(Errno::ACCESS) => {
            fchmod(place.dir, Mode::RWXU)?;
            gone(unlinkat(place.dir, place.name, flags))
        }
        unlinked => gone(unlinked),
    }
}

/// Counts a name that somebody else removed first as removed.
fn gone(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(Errno::NOENT) => Ok(()),
        result => result,
    }
}
