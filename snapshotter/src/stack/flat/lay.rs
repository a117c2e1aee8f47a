//! Laying a snapshot on the tree of those below it.

use std::ffi::OsStr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, mkdirat, openat};
use rustix::io::Errno;

use crate::error::{FsError, OnPath as _};
use crate::inodes::stat_at;
use crate::remove::remove_at;
use crate::replica::{Manner, Replicator, is_taken};
use crate::root::{DIR_FLAGS, Root};
use crate::walk::{self, Next, Place, Visitor};
use crate::whiteout::is_whiteout;
use crate::xattr;

/// Makes a tree show what it shows with a snapshot of upper form on top.
pub(crate) fn lay(snapshot: &Root, tree: &Root, manner: Manner) -> Result<(), FsError> {
    let top = snapshot.open_dir(Path::new(""))?;
    let mut laying = Laying {
        replicator: Replicator::new(snapshot.inodes(), tree, manner),
        tree,
        here: OpenDirectory {
            path: PathBuf::new(),
            fd: tree.open_dir(Path::new(""))?,
        },
    };
    walk::walk(snapshot.open_dir(Path::new(""))?, &mut laying)?;
    laying.replicator.directory(top, tree, Path::new("/"))
}

struct Laying<'a> {
    replicator: Replicator<'a>,
    tree: &'a Root,
    /// The directory of the tree that was used last.
    here: OpenDirectory,
}

struct OpenDirectory {
    path: PathBuf,
    fd: OwnedFd,
}

impl OpenDirectory {
    /// Opens a directory of a tree unless it is the one that is open.
    fn go(&mut self, tree: &Root, path: &Path) -> Result<BorrowedFd<'_>, FsError> {
        if self.path != path {
            self.fd = tree.open_dir(path)?;
            self.path = path.to_owned();
        }
        Ok(self.fd.as_fd())
    }
}

impl Visitor for Laying<'_> {
    type Error = FsError;

    fn visit(&mut self, place: &Place<'_>) -> Result<Next, FsError> {
        let parent = place.path.parent().unwrap_or(Path::new(""));
        let here = self.here.go(self.tree, parent)?;
        let stat = stat_at(place.dir, place.name).on("stat", place.path)?;
        let name = place.name.to_bytes();
        if is_whiteout(&stat) {
            remove_at(here, OsStr::from_bytes(name), place.path)?;
            return Ok(Next::Pass);
        }
        if stat.is_dir() {
            let source = walk::open_dir(place)?;
            let fd = make_directory(here, place, &source)?;
            self.here = OpenDirectory {
                path: place.path.to_owned(),
                fd,
            };
            return Ok(Next::Enter(source));
        }
        let from = (place.dir, name);
        match self.replicator.file(from, (here, name), place.path) {
            Err(error) if is_taken(&error) => {
                remove_at(here, OsStr::from_bytes(name), place.path)?;
                self.replicator.file(from, (here, name), place.path)?;
            }
            copied => copied?,
        }
        Ok(Next::Pass)
    }

    fn leave(&mut self, place: &Place<'_>) -> Result<(), FsError> {
        let source = walk::open_dir(place)?;
        let here = self.here.go(self.tree, place.path)?;
        self.replicator.directory(source, here, place.path)
    }
}

/// Makes the directory that a snapshot has at a place, unless the tree has one that the snapshot's is merged with.
fn make_directory(here: BorrowedFd<'_>, place: &Place<'_>, source: &OwnedFd) -> Result<OwnedFd, FsError> {
    let open = || openat(here, place.name, DIR_FLAGS, Mode::empty());
    match mkdirat(here, place.name, Mode::RWXU) {
        Err(Errno::EXIST) => {}
        made => {
            made.on("make directory", place.path)?;
            return open().on("open directory", place.path);
        }
    }
    let is_opaque = xattr::is_opaque(source.as_fd()).on("read the extended attributes of", place.path)?;
    match open() {
        Ok(there) if !is_opaque => return Ok(there),
        Ok(_) | Err(Errno::NOTDIR | Errno::LOOP) => {}
        Err(error) => return Err(FsError::new("open directory", place.path, error)),
    }
    remove_at(here, OsStr::from_bytes(place.name.to_bytes()), place.path)?;
    mkdirat(here, place.name, Mode::RWXU).on("make directory", place.path)?;
    open().on("open directory", place.path)
}
