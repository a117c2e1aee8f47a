//! Following a path name by name, with the rights and the root directory of whoever asks.

use std::collections::VecDeque;
use std::ffi::{CStr, CString};

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, fstat, openat, readlinkat};
use rustix::io::Errno;

use super::call::Call;
use super::find::{Found, Last, Spot, is_in_proc};
use super::permission::{self, Wanted};
use super::place::HANDLE;
use super::specials::Inode;

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
}

impl<'a> Walk<'a> {
    /// Begins one.
    pub(super) fn new(call: &'a Call<'a>) -> Result<Self, Errno> {
        let root = call.place.of_thread(call.thread(), "root")?;
        let stat = fstat(&root)?;
        Ok(Self {
            call,
            root,
            root_inode: (stat.st_dev, stat.st_ino),
            links: 0,
        })
    }

    /// Follows a path from a directory of the caller's.
    pub(super) fn to(mut self, directory: i32, path: &CStr, last: Last) -> Result<Found, Errno> {
        let bytes = path.to_bytes();
        let mut at = if bytes.starts_with(b"/") {
            self.root.try_clone().map_err(|_| Errno::MFILE)?
        } else {
            self.call.open_descriptor(directory)?
        };
        let mut names = names(bytes)?;
        // A slash at the end asks for a directory, whatever link leads there.
        let wants_directory = bytes.ends_with(b"/");
        let follows_last = last == Last::Follow || wants_directory;
        while let Some(name) = names.pop_front() {
            let is_last = names.is_empty();
            self.search(&at)?;
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
                    Link::Is(file) if is_last => return self.arrived(at, name, file, wants_directory),
                    Link::Is(file) => at = file,
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

    fn step(&self, at: &OwnedFd, name: &CStr) -> Result<OwnedFd, Errno> {
        if name == c".." {
            let stat = fstat(at)?;
            if (stat.st_dev, stat.st_ino) == self.root_inode {
                return at.try_clone().map_err(|_| Errno::MFILE);
            }
        }
        let next = openat(at, name, HANDLE | rustix::fs::OFlags::NOFOLLOW, Mode::empty())?;
        self.call.seen(next)
    }

    /// Finds out where a link leads. Those of procfs are not what they look like.
    fn read_link(&self, at: &OwnedFd, name: &CStr, link: &OwnedFd) -> Result<Link, Errno> {
        if !is_in_proc(link) {
            return Ok(Link::To(readlinkat(link, c"", Vec::new())?));
        }
        if fstat(at)?.st_ino != PROC_ROOT {
            // It stands for something open, running or entered, and the kernel jumps there.
            return Ok(Link::Is(openat(at, name, HANDLE, Mode::empty())?));
        }
        // The numbers that the caller has for itself: those of its own procfs.
        let (process, thread) = self.call.place.numbers_of(self.call.thread())?;
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
}

/// What a link is.
enum Link {
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
