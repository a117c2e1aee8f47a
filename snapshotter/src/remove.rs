//! Removing trees.

use std::ffi::OsStr;
use std::os::fd::BorrowedFd;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, unlinkat};
use rustix::io::Errno;

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
    let dir = rustix::fs::openat(parent, name, DIR_FLAGS, rustix::fs::Mode::empty()).on("open directory", path)?;
    walk::walk(dir, &mut Remover)?;
    gone(unlinkat(parent, name, AtFlags::REMOVEDIR)).on("remove directory", path)
}

/// Removes files on the way down and directories on the way up.
struct Remover;

impl Visitor for Remover {
    type Error = FsError;

    fn visit(&mut self, place: &Place<'_>) -> Result<Next, FsError> {
        if place.file_type == FileType::Directory {
            return Ok(Next::Enter(walk::open_dir(place)?));
        }
        match unlinkat(place.dir, place.name, AtFlags::empty()) {
            // The directory's listing did not say what this is.
            Err(Errno::ISDIR) => Ok(Next::Enter(walk::open_dir(place)?)),
            result => gone(result).on("remove", place.path).map(|()| Next::Pass),
        }
    }

    fn leave(&mut self, place: &Place<'_>) -> Result<(), FsError> {
        gone(unlinkat(place.dir, place.name, AtFlags::REMOVEDIR)).on("remove directory", place.path)
    }
}

/// Counts a name that somebody else removed first as removed.
fn gone(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(Errno::NOENT) => Ok(()),
        result => result,
    }
}
