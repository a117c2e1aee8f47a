//! Following a path name by name, with the rights and the root directory of whoever asks.

use std::collections::VecDeque;
use std::ffi::{CStr, CString};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, fstat, openat, readlinkat};
use rustix::io::Errno;

use super::call::Call;
use super::find::{Found, Last, Spot, is_in_proc};
use super::permission::{self, Wanted};
use super::place::HANDLE;
use super::specials::Inode;
use super::view::{View, inode};

/// How many links a path may pass; the kernel's own limit.
const MAX_LINKS: usize = 40;

/// The inode of the top directory of every procfs.
const PROC_ROOT: u64 = 1;

/// A way to be gone.
pub(super) struct Walk<'a> {
    call: &'a Call<'a>,
    root: OwnedFd,
    root_inode: Inode,
    links: usize,
    /// Whether it has led where the kernel would not have led the caller: through a window.
    pub(super) has_left: bool,
}

impl<'a> Walk<'a> {
    /// Begins one.
    pub(super) fn new(call: &'a Call<'a>) -> Result<Self, Errno> {
        let root = match &call.place.view {
            Some(view) if view.programs().is_some() => view.root().try_clone_to_owned().map_err(|_| Errno::MFILE)?,
            _ => call.root()?,
        };
        Ok(Self {
            call,
            root_inode: inode(&root)?,
            root,
            links: 0,
            has_left: false,
        })
    }

    /// Follows a path from a directory of the caller's.
    pub(super) fn to(&mut self, directory: i32, path: &CStr, last: Last) -> Result<Found, Errno> {
        let bytes = path.to_bytes();
        let (mut at, mut names) = self.start(directory, bytes)?;
        // A slash at the end asks for a directory, whatever link leads there.
        let wants_directory = bytes.ends_with(b"/");
        let follows_last = last == Last::Follow || wants_directory;
        while let Some(name) = names.pop_front() {
            let is_last = names.is_empty();
            self.search(&at)?;
            if let Some(view) = &self.call.place.view
                && let Some(behind) = view.behind(inode(&at)?, &name)?
            {
                at = behind;
                self.has_left = false;
            }
            let next = match self.step(&at, &name) {
                Ok(next) => next,
                Err(Errno::NOENT) if is_last => {
                    return Ok(Found {
                        directory: at,
                        name,
                        file: None,
                        wants_directory,
                        spot: Spot::Plain,
                    });
                }
                Err(error) => return Err(error),
            };
            let attributes = self.call.attributes(&next)?;
            if attributes.is_link() && (!is_last || follows_last) {
                self.links += 1;
                if self.links > MAX_LINKS {
                    return Err(Errno::LOOP);
                }
                match self.read_link(&at, &name, &next)? {
                    Link::To(target) => {
                        if target.to_bytes().starts_with(b"/") {
                            at = self.root.try_clone().map_err(|_| Errno::MFILE)?;
                        }
                        for name in self::names(target.to_bytes())?.into_iter().rev() {
                            names.push_front(name);
                        }
                        if !names.is_empty() {
                            continue;
                        }
                        // A link to `/`.
                        names.push_front(c".".to_owned());
                        continue;
                    }
                    Link::Is(file) if is_last => return self.arrived(at, name, self.visible(file)?, wants_directory),
                    Link::Is(file) => at = self.visible(file)?,
                }
            } else if is_last {
                return self.arrived(at, name, next, wants_directory);
            } else {
                at = next;
            }
        }
        // The path was nothing but slashes.
        let file = at.try_clone().map_err(|_| Errno::MFILE)?;
        self.arrived(at, c".".to_owned(), file, true)
    }

    /// Returns where a path begins, and the names in it.
    fn start(&mut self, directory: i32, path: &[u8]) -> Result<(OwnedFd, VecDeque<CString>), Errno> {
        let mut names = names(path)?;
        if path.starts_with(b"/") {
            return Ok((self.root.try_clone().map_err(|_| Errno::MFILE)?, names));
        }
        let base = self.call.open_descriptor(directory)?;
        let Some(view) = &self.call.place.view else {
            return Ok((base, names));
        };
        let shown = self.call.place.path(base.as_fd())?;
        match view.in_tree(shown.to_bytes()) {
            // Where the kernel knows of no window, a process can only be in what is behind it.
            Some(covered) if view.begins_with_window(covered) => {
                for name in self::names(covered)?.into_iter().rev() {
                    names.push_front(name);
                }
                Ok((view.root().try_clone_to_owned().map_err(|_| Errno::MFILE)?, names))
            }
            Some(_) => Ok((base, names)),
            None => {
                self.has_left = true;
                Ok((self.visible(base)?, names))
            }
        }
    }

    /// Fails if a directory is not one that the step can see.
    fn visible(&self, file: OwnedFd) -> Result<OwnedFd, Errno> {
        let Some(view) = &self.call.place.view else {
            return Ok(file);
        };
        let is_directory = || self.call.attributes(&file).map(|attributes| attributes.is_directory());
        let is_seen = view.path_of(self.call.place.path(file.as_fd())?.to_bytes()).is_some();
        if is_seen || !is_directory()? {
            Ok(file)
        } else {
            Err(Errno::ACCESS)
        }
    }

    fn arrived(&self, directory: OwnedFd, name: CString, file: OwnedFd, wants_directory: bool) -> Result<Found, Errno> {
        if wants_directory && !self.call.attributes(&file)?.is_directory() {
            return Err(Errno::NOTDIR);
        }
        Ok(Found {
            directory,
            name,
            file: Some(file),
            wants_directory,
            spot: Spot::Plain,
        })
    }

    /// Fails unless names may be looked up in a directory.
    fn search(&self, directory: &OwnedFd) -> Result<(), Errno> {
        let attributes = self.call.attributes(directory)?;
        if !attributes.is_directory() {
            return Err(Errno::NOTDIR);
        }
        permission::may(&self.call.credentials, &attributes, Wanted::EXECUTE)
    }

    fn step(&mut self, at: &OwnedFd, name: &CStr) -> Result<OwnedFd, Errno> {
        if name == c".." && inode(at)? == self.root_inode {
            return at.try_clone().map_err(|_| Errno::MFILE);
        }
        let call = self.call;
        if let Some(view) = &call.place.view {
            return self.step_in(view, at, name);
        }
        let next = openat(at, name, HANDLE | OFlags::NOFOLLOW, Mode::empty())?;
        call.seen(next)
    }

    fn step_in(&mut self, view: &View, at: &OwnedFd, name: &CStr) -> Result<OwnedFd, Errno> {
        let copy = |fd: BorrowedFd<'_>| fd.try_clone_to_owned().map_err(|_| Errno::MFILE);
        let directory = inode(at)?;
        if name == c".." && view.is_top(directory) {
            return copy(view.root());
        }
        if name == c".." && view.is_root(directory) {
            // It is not the caller's root, which lies further down, so that the kernel would climb out of the tree.
            return Err(Errno::ACCESS);
        }
        if let Some(top) = view.window(directory, name) {
            self.has_left = true;
            return copy(top.as_fd());
        }
        openat(at, name, HANDLE | OFlags::NOFOLLOW, Mode::empty())
    }

    /// Finds out where a link leads. Those of procfs are not what they look like.
    fn read_link(&self, at: &OwnedFd, name: &CStr, link: &OwnedFd) -> Result<Link, Errno> {
        if is_in_proc(link) {
            return read_link_in_proc(self.call, at, name, link);
        }
        Ok(Link::To(readlinkat(link, c"", Vec::new())?))
    }
}

/// Finds out where a link in a directory of procfs leads.
pub(super) fn read_link_in_proc(call: &Call<'_>, at: &OwnedFd, name: &CStr, link: &OwnedFd) -> Result<Link, Errno> {
    if fstat(at)?.st_ino != PROC_ROOT {
        if let Some(view) = &call.place.view {
            view.bar(call.place, call.place.path(link.as_fd())?.to_bytes(), false)?;
        }
        // It stands for something open, running or entered, and the kernel jumps there.
        let file = openat(at, name, HANDLE, Mode::empty())?;
        return Ok(Link::Is(match &call.place.view {
            Some(view) => view.meant(file, name)?,
            None => file,
        }));
    }
    // The numbers that the caller has for itself: those of its own procfs.
    let (process, thread) = call.place.numbers_of(call.thread())?;
    let number = |numbers: Vec<i32>| numbers.last().copied().ok_or(Errno::NOENT);
    match name.to_bytes() {
        b"self" => Ok(Link::To(path(number(process)?.to_string())?)),
        b"thread-self" => Ok(Link::To(path(format!(
            "{}/task/{}",
            number(process)?,
            number(thread)?
        ))?)),
        _ => Ok(Link::To(readlinkat(link, c"", Vec::new())?)),
    }
}

/// What a link is.
pub(super) enum Link {
    /// A path to follow.
    To(CString),
    /// Another name of a file.
    Is(OwnedFd),
}

fn path(text: String) -> Result<CString, Errno> {
    CString::new(text).map_err(|_| Errno::INVAL)
}

/// Takes a path apart.
fn names(path: &[u8]) -> Result<VecDeque<CString>, Errno> {
    path.split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty())
        .map(|name| CString::new(name).map_err(|_| Errno::INVAL))
        .collect()
}
