//! The directories between the top and the present entry, kept open.
//!
//! Archives list a directory's files one after the other, so nearly every entry finds its directory open; no path is
//! walked from the top. Depth costs no descriptors beyond a fixed number, and no path is ever handed to the kernel as
//! a whole.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{Mode, openat};
use rustix::io::Errno;

use crate::attributes::DirAttributes;
use crate::error::{FsError, OnPath as _};
use crate::root::{DIR_FLAGS, Root};

/// How many directories stay open.
const MAX_OPEN: usize = 128;

/// A directory in which an entry is about to be made.
#[derive(Clone, Copy)]
pub(super) struct Parent<'d> {
    pub(super) fd: BorrowedFd<'d>,
    /// Whether files made in it may get another group than the process's: it may have the set-group-ID bit.
    pub(super) may_give_group: bool,
}

/// What is done about a directory that is missing.
pub(super) enum Missing<'m> {
    /// It is an error.
    Fail,
    /// It is made, `0755` and root's, and its path is noted.
    Make(&'m mut Vec<Vec<u8>>),
}

/// The directories that are open.
pub(super) struct Dirs {
    root: Root,
    top: OwnedFd,
    /// Path of the last level.
    path: Vec<u8>,
    levels: Vec<Level>,
    /// The directory that was opened last, when it lies too deep to be kept.
    deep: Option<OwnedFd>,
}

struct Level {
    /// Length of its path.
    end: usize,
    fd: OwnedFd,
    may_give_group: bool,
}

impl Dirs {
    pub(super) fn new(root: &Root) -> Result<Self, FsError> {
        let top = root.open_dir(Path::new(""))?;
        Ok(Self {
            root: root.try_clone()?,
            top,
            path: Vec::new(),
            levels: Vec::new(),
            deep: None,
        })
    }

    /// Returns the top directory.
    pub(super) fn top(&self) -> BorrowedFd<'_> {
        self.top.as_fd()
    }

    /// Forgets all open directories, after something that may have been one of them, or a link to one, was removed.
    pub(super) fn forget(&mut self) {
        self.levels.clear();
        self.path.clear();
        self.deep = None;
    }

    /// Opens a directory by its path in the tree, following links inside of the root.
    pub(super) fn open(&mut self, path: &[u8], mut missing: Missing<'_>) -> Result<Parent<'_>, FsError> {
        self.deep = None;
        self.keep_common(path);
        let mut position = self.path.len();
        while position < path.len() {
            let start = if position == 0 { 0 } else { position + 1 };
            let end = path[start..]
                .iter()
                .position(|&byte| byte == b'/')
                .map_or(path.len(), |slash| start + slash);
            let fd = self.step(&path[..end], &path[start..end], &mut missing)?;
            self.push(&path[..end], fd, true);
            position = end;
        }
        Ok(self.last())
    }

    /// Keeps a directory that was just made, for the entries that follow in it. The path is one level below what
    /// was opened last.
    pub(super) fn push(&mut self, path: &[u8], fd: OwnedFd, may_give_group: bool) {
        if self.levels.len() < MAX_OPEN {
            self.path = path.to_vec();
            self.levels.push(Level {
                end: path.len(),
                fd,
                may_give_group,
            });
        } else {
            self.deep = Some(fd);
        }
    }

    /// Closes the directories that do not lie on the way to `path`.
    fn keep_common(&mut self, path: &[u8]) {
        let is_above = |end: usize| path.starts_with(&self.path[..end]) && matches!(path.get(end), None | Some(b'/'));
        let common = self.levels.iter().take_while(|level| is_above(level.end)).count();
        self.levels.truncate(common);
        self.path.truncate(self.levels.last().map_or(0, |level| level.end));
    }

    fn last(&self) -> Parent<'_> {
        match (&self.deep, self.levels.last()) {
            (Some(deep), _) => Parent {
                fd: deep.as_fd(),
                may_give_group: true,
            },
            (None, Some(level)) => Parent {
                fd: level.fd.as_fd(),
                may_give_group: level.may_give_group,
            },
            (None, None) => Parent {
                fd: self.top.as_fd(),
                may_give_group: true,
            },
        }
    }

    /// Opens the next directory; `path` is the whole path to it.
    fn step(&self, path: &[u8], name: &[u8], missing: &mut Missing<'_>) -> Result<OwnedFd, FsError> {
        let path = Path::new(OsStr::from_bytes(path));
        match openat(self.last().fd, name, DIR_FLAGS, Mode::empty()) {
            Ok(fd) => Ok(fd),
            // A link, or no directory at all: resolved from the top, where the root knows how far it may lead.
            Err(Errno::LOOP | Errno::NOTDIR | Errno::NOENT) => match (self.root.open_dir(path), missing) {
                (Err(error), Missing::Make(made)) if error.errno() == Some(Errno::NOENT) => {
                    made.push(path.as_os_str().as_bytes().to_vec());
                    self.root.make_dirs(path, &DirAttributes::default())
                }
                (result, _) => result,
            },
            Err(error) => Err(error).on("open directory", path),
        }
    }
}
