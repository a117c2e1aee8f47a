//! In-root path resolution: by the kernel where it can, else one component at a time.
//!
//! The walk is used where `openat2` is unknown (kernels before 5.6), refused (older seccomp profiles), or not able
//! (a path longer than `PATH_MAX`). It never follows a link by itself and never steps back through `..`: a `..` is
//! answered by opening again, from the root, the directories that were truly passed. So a tree that is changed
//! while it is walked cannot lead it outside either.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, futimens, mkdirat, openat, openat2, readlinkat};
use rustix::io::Errno;

use super::{DIR_FLAGS, Root};
use crate::attributes::DirAttributes;
use crate::inodes::stat_at;

/// Number of links that one path may pass through; the kernel's own number.
const MAX_LINKS: usize = 40;

/// How often a resolution that raced with a rename (`EAGAIN`) is left to the kernel before the walk takes over.
const KERNEL_ATTEMPTS: usize = 8;

/// What resolves paths here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resolver {
    /// `openat2` with `RESOLVE_IN_ROOT`.
    Kernel,
    /// The walk of this file.
    Walk,
}

impl Resolver {
    /// Asks the kernel whether it resolves.
    pub(super) fn detect(root: BorrowedFd<'_>) -> Self {
        match kernel_open(root, Path::new("."), OFlags::PATH | OFlags::CLOEXEC) {
            Err(Errno::NOSYS | Errno::PERM) => Self::Walk,
            _ => Self::Kernel,
        }
    }

    /// Opens `path` inside `root`. An empty path is the root.
    pub(super) fn open(self, root: BorrowedFd<'_>, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        if self == Self::Kernel {
            for _ in 0..KERNEL_ATTEMPTS {
                match kernel_open(root, path, flags) {
                    Err(Errno::AGAIN | Errno::INTR) => {}
                    Err(Errno::NAMETOOLONG) => break,
                    done => return done,
                }
            }
        }
        walk_open(root, path, flags)
    }
}

/// Opens by one system call.
fn kernel_open(root: BorrowedFd<'_>, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    openat2(
        root,
        path,
        flags,
        Mode::empty(),
        ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
    )
}

/// Opens by the walk.
fn walk_open(root: BorrowedFd<'_>, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut walk = Walk::new(root, path, flags.contains(OFlags::NOFOLLOW))?;
    while let Some(name) = walk.next_name()? {
        let found = openat(
            &walk.here,
            &name,
            OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        walk.enter(name, found)?;
    }
    walk.finish(flags)
}

/// Opens a directory by the walk, making what is missing.
pub(super) fn make_dirs(root: &Root, path: &Path, attributes: &DirAttributes) -> Result<OwnedFd, Errno> {
    let mut walk = Walk::new(root.as_fd(), path, false)?;
    let mut made = Vec::new();
    while let Some(name) = walk.next_name()? {
        let found = match openat(
            &walk.here,
            &name,
            OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        ) {
            Err(Errno::NOENT) => {
                match mkdirat(&walk.here, &name, Mode::RWXU) {
                    // Somebody else made it in between; it is theirs.
                    Err(Errno::EXIST) => {}
                    result => {
                        result?;
                        made.push(dressed(root, walk.here.as_fd(), &name, attributes)?);
                    }
                }
                openat(
                    &walk.here,
                    &name,
                    OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                    Mode::empty(),
                )?
            }
            found => found?,
        };
        walk.enter(name, found)?;
    }
    if let Some(mtime) = attributes.mtime {
        // Last, because a directory's time changes when the next one is made in it.
        for directory in &made {
            futimens(directory, &mtime.as_mtime())?;
        }
    }
    walk.finish(OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC)
}

/// Gives a directory that was just made its owner and mode.
fn dressed(root: &Root, parent: BorrowedFd<'_>, name: &OsStr, attributes: &DirAttributes) -> Result<OwnedFd, Errno> {
    let directory = openat(parent, name, DIR_FLAGS, Mode::empty())?;
    let inodes = root.inodes();
    inodes.dress(directory.as_fd(), FileType::Directory, attributes.attributes())?;
    Ok(directory)
}

/// The state of one walk.
struct Walk<'a> {
    root: BorrowedFd<'a>,
    /// Where the walk stands: a directory until the last component, then whatever that is.
    here: OwnedFd,
    /// The names from the root to `here`, none of them a link or `..`.
    trail: Vec<OsString>,
    /// What is still to be resolved.
    rest: VecDeque<OsString>,
    links: usize,
    keep_last_link: bool,
}

impl<'a> Walk<'a> {
    fn new(root: BorrowedFd<'a>, path: &Path, keep_last_link: bool) -> Result<Self, Errno> {
        let here = openat(
            root,
            ".",
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let mut walk = Self {
            root,
            here,
            trail: Vec::new(),
            rest: VecDeque::new(),
            links: 0,
            keep_last_link,
        };
        walk.put_in_front(path.as_os_str().as_bytes());
        Ok(walk)
    }

    /// Puts the components of a path before what is still to be resolved. A final slash asks for a directory, so
    /// it counts as a `.`.
    fn put_in_front(&mut self, path: &[u8]) {
        for component in path.split(|&byte| byte == b'/').rev() {
            let component = if component.is_empty() { b"." } else { component };
            self.rest.push_front(OsStr::from_bytes(component).to_owned());
        }
    }

    /// Returns the next name to look up, after dealing with `.` and `..`.
    fn next_name(&mut self) -> Result<Option<OsString>, Errno> {
        while let Some(component) = self.rest.pop_front() {
            match component.as_bytes() {
                b"." => self.expect_directory()?,
                b".." => {
                    self.expect_directory()?;
                    self.trail.pop();
                    self.here = self.reopen_trail()?;
                }
                _ => return Ok(Some(component)),
            }
        }
        Ok(None)
    }

    fn expect_directory(&self) -> Result<(), Errno> {
        if stat_at(self.here.as_fd(), "")?.is_dir() {
            Ok(())
        } else {
            Err(Errno::NOTDIR)
        }
    }

    /// Moves to what `name` was found to be, or puts the target of a link in front.
    fn enter(&mut self, name: OsString, found: OwnedFd) -> Result<(), Errno> {
        let is_link = stat_at(found.as_fd(), "")?.file_type == FileType::Symlink;
        if !is_link || (self.rest.is_empty() && self.keep_last_link) {
            self.trail.push(name);
            self.here = found;
            return Ok(());
        }
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(Errno::LOOP);
        }
        let target = readlinkat(&found, "", Vec::new())?.into_bytes();
        if target.starts_with(b"/") {
            self.trail.clear();
            self.here = self.reopen_trail()?;
        }
        self.put_in_front(&target);
        Ok(())
    }

    /// Opens the directory that the trail leads to, from the root down.
    fn reopen_trail(&self) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut here = openat(self.root, ".", flags, Mode::empty())?;
        for name in &self.trail {
            here = openat(&here, name, flags, Mode::empty())?;
        }
        Ok(here)
    }

    /// Opens, with the flags that were asked for, what the walk ended at.
    fn finish(mut self, flags: OFlags) -> Result<OwnedFd, Errno> {
        if flags.contains(OFlags::PATH) {
            if flags.contains(OFlags::DIRECTORY) {
                self.expect_directory()?;
            }
            return Ok(self.here);
        }
        let flags = flags | OFlags::NOFOLLOW;
        match self.trail.pop() {
            None => openat(self.root, ".", flags, Mode::empty()),
            Some(name) => openat(&self.reopen_trail()?, &name, flags, Mode::empty()),
        }
    }
}
