//! A step's root where nothing can be mounted: a tree, and *windows* through which the machine's `/proc` is seen in it.
//!
//! The step has changed its root to the tree, so that the kernel finds what lies in it, and nothing of what would have
//! been mounted over it. Paths that lead through a window are therefore followed by the supervisor, and what such a call
//! asks for the supervisor does (`calls::through`). All others the kernel follows.
//!
//! Where a step cannot even change its root, the kernel takes the machine's for the step's. There the supervisor follows
//! every path, and what only a process itself can do it does by a `detour`.

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, fstat, openat, openat2, readlinkat, statat};
use rustix::io::Errno;
use rustix::process::Pid;

use super::call::{AT_FDCWD, Call};
use super::place::{HANDLE, Place};
use super::programs::Programs;
use super::shown::{self, SeenBy};
use super::specials::Inode;

/// Names in the step's root that are windows. What the tree has there is covered, but for names that are not seen through
/// the window.
const WINDOWS: [&CStr; 3] = [DEV, PROC, c"sys"];

const DEV: &CStr = c"dev";
const PROC: &CStr = c"proc";

/// What the kernel writes behind the path of a file that has no name any more.
pub(super) const DELETED: &[u8] = b" (deleted)";

/// What a step sees.
#[derive(Debug)]
pub(super) struct View {
    root: OwnedFd,
    root_inode: Inode,
    /// Where the root is on the machine.
    path: Vec<u8>,
    windows: Vec<Window>,
    /// Programs that were given a short path.
    aliases: Mutex<Vec<Vec<u8>>>,
    /// Programs that the kernel can start, if it has another root than the step.
    programs: Option<Programs>,
}

#[derive(Debug)]
struct Window {
    name: &'static CStr,
    top: OwnedFd,
    inode: Inode,
}

impl View {
    /// Opens a tree and the windows in it. `programs` is an empty directory, if the kernel has another root than the step.
    pub(super) fn open(root: &Path, programs: Option<&Path>) -> io::Result<Self> {
        let directory = HANDLE | OFlags::DIRECTORY;
        let root = rustix::fs::open(root, directory, Mode::empty())?;
        let path = readlinkat(
            CWD,
            format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&root)),
            Vec::new(),
        )?;
        let machine = rustix::fs::open("/", directory, Mode::empty())?;
        let mut windows = Vec::new();
        for name in WINDOWS {
            match openat(&machine, name, directory | OFlags::NOFOLLOW, Mode::empty()) {
                Ok(top) => windows.push(Window {
                    name,
                    inode: inode(&top)?,
                    top,
                }),
                Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Self {
            root_inode: inode(&root)?,
            root,
            path: path.into_bytes(),
            windows,
            aliases: Mutex::default(),
            programs: programs.map(Programs::open).transpose()?,
        })
    }

    /// Returns a number below `limit` that stands for a program of the tree, if there is one left.
    pub(super) fn number_of(&self, program: &[u8], limit: usize) -> Option<usize> {
        let mut aliases = self.aliases.lock().unwrap_or_else(PoisonError::into_inner);
        let known = aliases.iter().position(|known| known == program);
        known.or_else(|| {
            let number = aliases.len();
            (number < limit).then(|| {
                aliases.push(program.to_vec());
                number
            })
        })
    }

    /// Returns the programs that the kernel can start, if it has another root than the step: then no path that it follows
    /// by itself leads to where it should.
    pub(super) fn programs(&self) -> Option<&Programs> {
        self.programs.as_ref()
    }

    /// Returns the step's root.
    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Returns whether a directory is the step's root.
    pub(super) fn is_root(&self, directory: Inode) -> bool {
        directory == self.root_inode
    }

    /// Opens what lies at a path of the tree, without following anything.
    pub(super) fn open_in_tree(&self, path: &Path) -> Result<OwnedFd, Errno> {
        let within = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        openat2(&self.root, path, HANDLE | OFlags::NOFOLLOW, Mode::empty(), within)
    }

    /// Returns what a name in a directory is a window to, if it is one.
    pub(super) fn window(&self, directory: Inode, name: &CStr) -> Option<&OwnedFd> {
        let window = self.windows.iter().find(|window| window.name == name)?;
        self.is_root(directory).then_some(&window.top)
    }

    /// Returns whether a directory is what a window leads to, so that the step's root is above it.
    pub(super) fn is_top(&self, directory: Inode) -> bool {
        self.windows.iter().any(|window| window.inode == directory)
    }

    /// Opens the tree's own directory in the place of what a window leads to, for a name that is not seen through the
    /// window: one that the machine lacks, or a device that the step was given. New names in `/dev` are made there.
    pub(super) fn behind(&self, directory: Inode, name: &CStr) -> Result<Option<OwnedFd>, Errno> {
        let Some(window) = self.windows.iter().find(|window| window.inode == directory) else {
            return Ok(None);
        };
        let is_dev = window.name == DEV;
        let is_sure = !is_dev || shown::is_in_dev(name.to_bytes());
        let is_there = has(&window.top, name);
        if matches!(name.to_bytes(), b"." | b"..") || is_there && is_sure {
            return Ok(None);
        }
        let flags = HANDLE | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        match openat(&self.root, window.name, flags, Mode::empty()) {
            Ok(behind) if is_dev && !is_there || has(&behind, name) => Ok(Some(behind)),
            Ok(_) | Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Fails if what lies at a path of the machine is shown to the step, and no more: another device than every container
    /// has, or what belongs to a process that is not the step's.
    pub(super) fn bar(&self, place: &Place, path: &[u8], writes: bool) -> Result<(), Errno> {
        if shown::is_no_device(path) {
            return Err(Errno::PERM);
        }
        let Some((process, seen_by)) = shown::process(path) else {
            return Ok(());
        };
        match seen_by {
            SeenBy::Everybody if !writes => Ok(()),
            SeenBy::Everybody | SeenBy::Step if self.is_own(place, process) => Ok(()),
            _ => Err(Errno::ACCESS),
        }
    }

    /// Whether a process is one of the step's.
    fn is_own(&self, place: &Place, process: &[u8]) -> bool {
        if self.programs.is_some() {
            let number = std::str::from_utf8(process).ok().and_then(|number| number.parse().ok());
            return number
                .and_then(Pid::from_raw)
                .is_some_and(|process| place.is_below(process));
        }
        let root = [process, b"/root"].concat();
        match readlinkat(&place.proc, OsStr::from_bytes(&root), Vec::new()) {
            Ok(root) => self.in_tree(root.to_bytes()).is_some(),
            // It has ended, and nobody has asked for its status so far: nothing is left of it to see.
            Err(error) => error == Errno::NOENT,
        }
    }

    /// Returns what the step takes for the path of something, of which the kernel has told the machine's path; `None` if
    /// the step cannot see it.
    pub(super) fn path_of(&self, path: &[u8]) -> Option<Vec<u8>> {
        self.in_tree(path)
            .or_else(|| self.begins_with_window(path).then_some(path))
            .map(<[u8]>::to_vec)
    }

    /// Returns what the step takes something for to which a link of procfs leads.
    pub(super) fn meant(&self, file: OwnedFd, link: &CStr) -> Result<OwnedFd, Errno> {
        let Some(programs) = &self.programs else {
            return Ok(file);
        };
        if link == c"root" {
            return self.root.try_clone().map_err(|_| Errno::MFILE);
        }
        match programs.original(inode(&file)?) {
            Some(original) => openat(CWD, OsStr::from_bytes(&original), HANDLE, Mode::empty()),
            None => Ok(file),
        }
    }

    /// Returns the path in the tree of what lies there on the machine.
    pub(super) fn in_tree<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        match path.strip_prefix(self.path.as_slice())? {
            b"" => Some(b"/"),
            below if below.starts_with(b"/") => Some(below),
            _ => None,
        }
    }

    /// Whether an absolute path of the step begins with the name of a window.
    pub(super) fn begins_with_window(&self, path: &[u8]) -> bool {
        let first = names(path).find(|name| *name != b".");
        first.is_some_and(|first| self.windows.iter().any(|window| window.name.to_bytes() == first))
    }

    /// Finds a file for a call whose root is the step's. `None` if its path may lead through a window, and somebody has
    /// to follow it name by name.
    pub(super) fn look(
        &self,
        call: &Call<'_>,
        directory: i32,
        path: &CStr,
        flags: OFlags,
    ) -> Option<Result<OwnedFd, Errno>> {
        let path = self.absolute(call, directory, path.to_bytes())?;
        let leads_out = |path: &[u8]| names(path).any(|name| name == b"..") || self.begins_with_window(path);
        if leads_out(path.to_bytes()) {
            return None;
        }
        let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let plain = within | ResolveFlags::NO_SYMLINKS;
        match openat2(&self.root, &path, flags, Mode::empty(), plain) {
            Err(Errno::LOOP) => {}
            found => return Some(found),
        }
        let found = openat2(&self.root, &path, flags, Mode::empty(), within).ok()?;
        let real = call.place.path(found.as_fd()).ok()?;
        (!leads_out(self.in_tree(real.to_bytes())?)).then_some(Ok(found))
    }

    /// Returns the path that a call means, from the step's root.
    pub(super) fn absolute(&self, call: &Call<'_>, directory: i32, path: &[u8]) -> Option<CString> {
        if path.starts_with(b"/") {
            return CString::new(path).ok();
        }
        let thread = call.thread().as_raw_pid();
        let base = if directory == AT_FDCWD {
            format!("{thread}/cwd")
        } else {
            format!("{thread}/fd/{directory}")
        };
        let base = readlinkat(&call.place.proc, base, Vec::new()).ok()?;
        if base.to_bytes().ends_with(DELETED) {
            return None;
        }
        let mut whole = self.path_of(base.to_bytes())?;
        whole.push(b'/');
        whole.extend(path);
        CString::new(whole).ok()
    }
}

/// Returns which file a descriptor stands for.
pub(super) fn inode(file: impl AsFd) -> Result<Inode, Errno> {
    let stat = fstat(file)?;
    Ok((stat.st_dev, stat.st_ino))
}

fn has(directory: &OwnedFd, name: &CStr) -> bool {
    statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
}

/// Takes a path apart.
pub(super) fn names(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/').filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_the_tree_and_of_windows_are_told_as_the_step_sees_them() {
        let tree = tempfile::tempdir().unwrap();
        let view = View::open(tree.path(), None).unwrap();
        let told = |path: &str| Some(String::from_utf8(view.path_of(path.as_bytes())?).unwrap());
        let top = tree.path().canonicalize().unwrap().display().to_string();
        assert_eq!(told(&top).as_deref(), Some("/"));
        assert_eq!(told(&format!("{top}/etc/x")).as_deref(), Some("/etc/x"));
        assert_eq!(told(&format!("{top}-other/etc")), None);
        assert_eq!(told("/proc/1/status").as_deref(), Some("/proc/1/status"));
        assert_eq!(told("/etc/shadow"), None);
        assert_eq!(told("/process"), None);
    }

    #[test]
    fn only_names_in_the_root_are_windows() {
        let tree = tempfile::tempdir().unwrap();
        let view = View::open(tree.path(), None).unwrap();
        let elsewhere = inode(rustix::fs::open("/", HANDLE, Mode::empty()).unwrap()).unwrap();
        assert!(view.window(view.root_inode, c"proc").is_some());
        assert!(view.window(view.root_inode, c"etc").is_none());
        assert!(view.window(elsewhere, c"proc").is_none());
        let proc = inode(view.window(view.root_inode, PROC).unwrap()).unwrap();
        assert!(view.is_top(proc) && !view.is_top(view.root_inode));
    }

    #[test]
    fn what_the_machine_lacks_is_what_the_tree_has() {
        let tree = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(tree.path().join("dev/pipes")).unwrap();
        let view = View::open(tree.path(), None).unwrap();
        let is_behind = |directory, name| {
            let top = inode(view.window(view.root_inode, directory).unwrap()).unwrap();
            view.behind(top, name).map(|behind| behind.is_some())
        };
        assert_eq!(is_behind(DEV, c"pipes"), Ok(true));
        assert_eq!(is_behind(DEV, c"new"), Ok(true));
        assert_eq!(is_behind(DEV, c"null"), Ok(false));
        assert_eq!(is_behind(PROC, c"meminfo"), Ok(false));
        assert_eq!(is_behind(PROC, c"new"), Ok(false), "nothing can be made there");
    }
}
