//! Finding the file that a call is about, as its caller would have found it.
//!
//! Whoever may pass everywhere has paths resolved by the kernel in one go. For everybody else, and wherever a path
//! may lead through `/proc/self`, which would be the supervisor's own, [`Walk`] goes step by step.

use std::ffi::{CStr, CString};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags, PROC_SUPER_MAGIC, ResolveFlags, fstat, fstatfs, openat, openat2};
use rustix::io::Errno;

use super::call::Call;
use super::permission;
use super::place::HANDLE;
use super::view::inode;
use super::walk::Walk;

/// Whether a link at the end of a path stands for what it leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Last {
    /// It does.
    Follow,
    /// It stands for itself.
    Keep,
}

impl Last {
    /// Reads the flag with which calls ask for the link itself.
    pub(super) fn unless(keep: bool) -> Self {
        if keep { Self::Keep } else { Self::Follow }
    }
}

/// Where a path leads.
pub(super) struct Found {
    /// The directory that the last name is in.
    pub(super) directory: OwnedFd,
    /// The last name.
    pub(super) name: CString,
    /// What has that name, if anything has.
    pub(super) file: Option<OwnedFd>,
    /// Whether the path ended in a slash, which asks for a directory.
    pub(super) wants_directory: bool,
    /// What is there beside what is seen.
    pub(super) spot: Spot,
}

/// What is where a name is to be made or taken away.
pub(super) enum Spot {
    /// What is seen.
    Plain,
    /// A link that cannot be changed; the name is made and taken away in the directory to which it leads.
    Elsewhere,
    /// A directory that cannot be taken away, seen or not.
    StandIn(OwnedFd),
}

impl Spot {
    /// Returns whether the kernel finds the name where it is seen.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self, Self::Plain)
    }
}

impl Call<'_> {
    /// Finds a file that must exist, and returns a handle of it.
    pub(super) fn find(&self, directory: i32, path: &CStr, last: Last) -> Result<OwnedFd, Errno> {
        if path.is_empty() {
            return Err(Errno::NOENT);
        }
        if let Some(view) = &self.place.view {
            let found = self
                .passes_everywhere()
                .then(|| view.look(self, directory, path, handle(last)));
            return match found.flatten() {
                Some(found) => found,
                None => Walk::new(self)?.to(directory, path, last)?.file.ok_or(Errno::NOENT),
            };
        }
        if self.passes_everywhere() {
            match self.find_at_once(directory, path, last) {
                Err(Errno::LOOP) => {}
                Err(Errno::NOENT) if self.passes_links(directory, path) => {}
                Ok(file) if is_in_proc(&file) => {}
                found => return found,
            }
        }
        Walk::new(self)?.to(directory, path, last)?.file.ok_or(Errno::NOENT)
    }

    /// Finds the place of a name that need not exist.
    pub(super) fn find_name(&self, directory: i32, path: &CStr, last: Last) -> Result<Found, Errno> {
        if path.is_empty() {
            return Err(Errno::NOENT);
        }
        let found = match self.find_name_at_once(directory, path, last)? {
            Some(found) => found,
            None => Walk::new(self)?.to(directory, path, last)?,
        };
        match &self.step.ground.top {
            Some(top) => top.locate(found),
            None => Ok(found),
        }
    }

    /// Returns what the caller sees of what the kernel has found.
    pub(super) fn seen(&self, file: OwnedFd) -> Result<OwnedFd, Errno> {
        match &self.step.ground.top {
            Some(top) if top.is_own(self.place, &file)? => Err(Errno::NOENT),
            Some(top) => top.seen(file),
            None => Ok(file),
        }
    }

    /// `None` if it takes a walk to find out.
    fn find_name_at_once(&self, directory: i32, path: &CStr, last: Last) -> Result<Option<Found>, Errno> {
        let bytes = path.to_bytes();
        let split = bytes
            .iter()
            .rposition(|byte| *byte == b'/')
            .map_or(0, |slash| slash + 1);
        let (parent, name) = bytes.split_at(split);
        if !self.passes_everywhere() || matches!(name, b"" | b"." | b"..") {
            return Ok(None);
        }
        let parent = CString::new(parent).map_err(|_| Errno::INVAL)?;
        let parent = match &self.place.view {
            None if parent.is_empty() => self.open_descriptor(directory),
            None => self.find_at_once(directory, &parent, Last::Follow),
            Some(view) => {
                let parent = if parent.is_empty() { c"." } else { parent.as_c_str() };
                view.look(self, directory, parent, HANDLE).unwrap_or(Err(Errno::LOOP))
            }
        };
        let Some(directory) = parent.ok().filter(|parent| !is_in_proc(parent)) else {
            return Ok(None);
        };
        let name = CString::new(name).map_err(|_| Errno::INVAL)?;
        if let Some(view) = &self.place.view
            && view.window(inode(&directory)?, &name).is_some()
        {
            return Ok(None);
        }
        let opened = openat(&directory, &name, HANDLE | OFlags::NOFOLLOW, Mode::empty());
        let file = match opened.and_then(|file| self.seen(file)) {
            Ok(file) if last == Last::Follow && is_link(&file) => return Ok(None),
            Ok(file) => Some(file),
            Err(Errno::NOENT) => None,
            Err(_) => return Ok(None),
        };
        Ok(Some(Found {
            directory,
            name,
            file,
            wants_directory: false,
            spot: Spot::Plain,
        }))
    }

    /// Finds what a path and flags that may include `AT_EMPTY_PATH` stand for.
    pub(super) fn find_or_descriptor(
        &self,
        directory: i32,
        path: &CStr,
        allows_empty: bool,
        last: Last,
    ) -> Result<OwnedFd, Errno> {
        if path.is_empty() && allows_empty {
            return self.open_descriptor(directory);
        }
        self.find(directory, path, last)
    }

    /// Whether nothing on the way can refuse the caller anything, and its root is the step's.
    pub(super) fn passes_everywhere(&self) -> bool {
        permission::passes_everywhere(&self.credentials) && !self.tag.chrooted
    }

    /// Whether nothing can refuse the caller what it wants of a path but the kernel, which sees there what the step sees.
    pub(super) fn passes_to(&self, path: u64) -> Result<bool, Errno> {
        if !self.passes_everywhere() {
            return Ok(false);
        }
        match &self.step.ground.top {
            Some(top) => Ok(!top.may_be_about(&self.read_path(path)?)),
            None => Ok(true),
        }
    }

    fn find_at_once(&self, directory: i32, path: &CStr, last: Last) -> Result<OwnedFd, Errno> {
        self.seen(self.resolve(directory, path, handle(last), ResolveFlags::NO_MAGICLINKS)?)
    }

    /// Whether a path leads through links before it ends.
    fn passes_links(&self, directory: i32, path: &CStr) -> bool {
        let resolved = self.resolve(directory, path, HANDLE, ResolveFlags::NO_SYMLINKS);
        matches!(resolved, Err(Errno::LOOP))
    }

    fn resolve(&self, directory: i32, path: &CStr, flags: OFlags, how: ResolveFlags) -> Result<OwnedFd, Errno> {
        if path.to_bytes().starts_with(b"/") {
            return openat2(CWD, path, flags, Mode::empty(), how);
        }
        let base = self.open_descriptor(directory)?;
        openat2(base.as_fd(), path, flags, Mode::empty(), how)
    }
}

/// Returns the flags with which a handle of what a path stands for is opened.
pub(super) fn handle(last: Last) -> OFlags {
    match last {
        Last::Follow => HANDLE,
        Last::Keep => HANDLE | OFlags::NOFOLLOW,
    }
}

/// Whether something is in procfs, where a path may have meant the supervisor's own directory.
pub(super) fn is_in_proc(file: &OwnedFd) -> bool {
    fstatfs(file).is_ok_and(|file_system| file_system.f_type == PROC_SUPER_MAGIC)
}

fn is_link(file: &OwnedFd) -> bool {
    fstat(file).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
}
