//! Open directories along the path of the entry that is being copied.
//!
//! Entries come directory by directory, so nearly every one finds its directory open. No link is followed below the
//! top, and depth costs no more than a fixed number of descriptors.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, openat};
use snapshotter::{FsError, Inodes, Root};

/// How many directories stay open.
const MAX_OPEN: usize = 64;

/// The flags that open a directory and nothing else.
const DIR_FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// The set-group-ID bit, by which a directory gives its group to what is made in it.
const SET_GROUP_ID: u32 = 0o2000;

/// The directories of one tree that are open.
pub(super) struct Dirs {
    /// Where the top is, for messages.
    shown: PathBuf,
    inodes: Inodes,
    top: Level,
    levels: Vec<Level>,
    /// What was opened last, if it lies too deep to stay open.
    deep: Option<Level>,
}

struct Level {
    path: PathBuf,
    fd: OwnedFd,
    gives_group: bool,
}

/// A directory that is open for now.
#[derive(Clone, Copy)]
pub(super) struct Dir<'d> {
    pub(super) fd: BorrowedFd<'d>,
    /// Whether what is made in it gets its group instead of the process's.
    pub(super) gives_group: bool,
    /// Looks at, makes and dresses what is in it.
    pub(super) inodes: &'d Inodes,
}

impl Dirs {
    /// Starts at an open directory of the tree `root`, which is called `shown` in messages.
    pub(super) fn new(root: &Root, top: OwnedFd, shown: PathBuf) -> Result<Self, FsError> {
        let inodes = root.inodes().clone();
        let top = Level::new(&inodes, PathBuf::new(), top).map_err(|errno| FsError::new("stat", &shown, errno))?;
        Ok(Self {
            shown,
            inodes,
            top,
            levels: Vec::new(),
            deep: None,
        })
    }

    /// Returns the path of an entry, for messages.
    pub(super) fn shown(&self, path: &Path) -> PathBuf {
        if path.as_os_str().is_empty() {
            self.shown.clone()
        } else {
            self.shown.join(path)
        }
    }

    /// Returns what looks at the files of the tree.
    pub(super) fn inodes(&self) -> &Inodes {
        &self.inodes
    }

    /// Opens a directory by its path from the top.
    pub(super) fn open(&mut self, path: &Path) -> Result<Dir<'_>, FsError> {
        self.deep = None;
        while self.levels.last().is_some_and(|level| !path.starts_with(&level.path)) {
            self.levels.pop();
        }
        if self.last().path != path {
            self.descend(path)?;
        }
        let level = self.last();
        Ok(Dir {
            fd: level.fd.as_fd(),
            gives_group: level.gives_group,
            inodes: &self.inodes,
        })
    }

    /// Opens what is missing between the last open directory and `path`, which lies below it.
    fn descend(&mut self, path: &Path) -> Result<(), FsError> {
        let mut here = self.last().path.clone();
        for name in path.strip_prefix(here.clone()).unwrap_or(path) {
            here.push(name);
            let fd = openat(&self.last().fd, name, DIR_FLAGS, Mode::empty());
            let level = fd.and_then(|fd| Level::new(&self.inodes, here.clone(), fd));
            let level = level.map_err(|errno| FsError::new("open directory", self.shown(&here), errno))?;
            if self.levels.len() < MAX_OPEN {
                self.levels.push(level);
            } else {
                self.deep = Some(level);
            }
        }
        Ok(())
    }

    fn last(&self) -> &Level {
        self.deep.as_ref().or(self.levels.last()).unwrap_or(&self.top)
    }
}

impl Level {
    fn new(inodes: &Inodes, path: PathBuf, fd: OwnedFd) -> rustix::io::Result<Self> {
        let stat = inodes.stat(fd.as_fd())?;
        Ok(Self {
            path,
            fd,
            gives_group: stat.mode & SET_GROUP_ID != 0,
        })
    }
}
