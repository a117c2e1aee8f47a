//! The names in `/` of a step that can change none of them, shown as if it could.
//!
//! Where a container's `/` is somebody else's, directories that are there all the time stand for those of the step, and
//! links lead to a directory in which anything can lie that has one of their names. Here a directory is there or not as
//! the step has made or removed it, a link is what it leads to, and croze's own directory is not there.
//!
//! What the kernel resolves by itself it resolves through the links, and a directory that is not there is empty. So
//! only those calls need be looked at that are about a name in `/` itself, or about what lies in croze's own directory.
//! The supervisor, which may use that, must not do so for the step; the kernel refuses the step itself, where it has
//! Landlock.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{CStr, CString, OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, fstat, open, openat, statat};
use rustix::io::Errno;

use super::find::{Found, Spot};
use super::place::{HANDLE, Place};
use super::specials::Inode;

/// What lies in a `/` that is not the step's to change.
#[derive(Clone, Default, Debug)]
pub struct Top {
    /// The directories that stand for the step's, and whether the step has these.
    pub directories: BTreeMap<PathBuf, bool>,
    /// The names of links.
    pub links: Vec<OsString>,
    /// The directory in which lies what the links lead to.
    pub linked: PathBuf,
    /// The directory that is croze's own.
    pub own: PathBuf,
}

/// The names in such a `/`.
pub(super) struct TopNames {
    root: OwnedFd,
    root_inode: Inode,
    linked: OwnedFd,
    linked_inode: Inode,
    own: PathBuf,
    linked_path: PathBuf,
    directories: HashMap<Inode, StandIn>,
    links: HashMap<Inode, CString>,
    without_place: OnceLock<PathBuf>,
}

struct StandIn {
    path: PathBuf,
    exists: AtomicBool,
    /// Whether the step has made or removed it.
    is_changed: AtomicBool,
}

impl TopNames {
    /// Looks at what lies in `/`.
    pub(super) fn look(top: Top) -> io::Result<Self> {
        let of = |path: &Path| -> io::Result<Inode> {
            let stat = statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW)?;
            Ok((stat.st_dev, stat.st_ino))
        };
        let mut directories = HashMap::new();
        for (path, exists) in top.directories {
            // What is mounted in it, or placed, the step sees too.
            let exists = AtomicBool::new(exists || !is_empty(open(&path, LISTED, Mode::empty())?)?);
            let stand_in = StandIn {
                exists,
                is_changed: AtomicBool::new(false),
                path: path.clone(),
            };
            directories.insert(of(&path)?, stand_in);
        }
        let mut links = HashMap::new();
        for name in top.links {
            links.insert(of(&Path::new("/").join(&name))?, CString::new(name.as_bytes())?);
        }
        let root = open("/", HANDLE, Mode::empty())?;
        let linked = open(&top.linked, HANDLE, Mode::empty())?;
        Ok(Self {
            root_inode: inode(&root)?,
            root,
            linked_inode: inode(&linked)?,
            linked,
            own: top.own,
            linked_path: top.linked,
            directories,
            links,
            without_place: OnceLock::new(),
        })
    }

    /// Returns the directories that the step has made or removed, and whether they are there now.
    pub(super) fn changed(&self) -> BTreeMap<PathBuf, bool> {
        let directories = self.directories.values();
        directories
            .filter(|stand_in| stand_in.is_changed.load(Ordering::Acquire))
            .map(|stand_in| (stand_in.path.clone(), stand_in.exists.load(Ordering::Acquire)))
            .collect()
    }

    /// Returns the first path that was to be made where it has no place.
    pub(super) fn without_place(&self) -> Option<PathBuf> {
        self.without_place.get().cloned()
    }

    /// Notes a name that is about to be made and cannot be, because `/` is not the step's.
    pub(super) fn note_new(&self, found: &Found, is_directory: bool) -> Result<(), Errno> {
        let has_place = match found.spot {
            Spot::Plain => inode(&found.directory)? != self.root_inode,
            Spot::StandIn(_) => is_directory,
            Spot::Elsewhere => true,
        };
        if !has_place {
            let path = Path::new("/").join(OsStr::from_bytes(found.name.to_bytes()));
            // The first is the one to tell.
            let _noted = self.without_place.set(path);
        }
        Ok(())
    }

    /// Returns what a step sees of what the kernel has found.
    pub(super) fn seen(&self, file: OwnedFd) -> Result<OwnedFd, Errno> {
        let inode = inode(&file)?;
        if inode == self.linked_inode {
            return self.root.try_clone().map_err(|_| Errno::MFILE);
        }
        if let Some(name) = self.links.get(&inode) {
            return openat(&self.linked, name, HANDLE | OFlags::NOFOLLOW, Mode::empty());
        }
        match self.directories.get(&inode) {
            Some(stand_in) if !stand_in.exists.load(Ordering::Acquire) => Err(Errno::NOENT),
            _ => Ok(file),
        }
    }

    /// Whether a file lies in croze's own directory, or is it. What has this path is not the step's, however it was found.
    pub(super) fn is_own(&self, place: &Place, file: &OwnedFd) -> Result<bool, Errno> {
        match place.path(file.as_fd()) {
            Ok(path) => {
                let path = Path::new(OsStr::from_bytes(path.to_bytes()));
                Ok(path.starts_with(&self.own) && !path.starts_with(&self.linked_path))
            }
            // Only what the step has made itself lies so deep.
            Err(Errno::NAMETOOLONG) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Finds out what is behind a name that was found.
    pub(super) fn locate(&self, mut found: Found) -> Result<Found, Errno> {
        if inode(&found.directory)? != self.root_inode {
            return Ok(found);
        }
        if self.links.values().any(|name| *name == found.name) {
            found.directory = self.linked.try_clone().map_err(|_| Errno::MFILE)?;
            found.spot = Spot::Elsewhere;
        } else if let Ok(file) = openat(&self.root, &found.name, HANDLE | OFlags::NOFOLLOW, Mode::empty())
            && self.directories.contains_key(&inode(&file)?)
        {
            found.spot = Spot::StandIn(file);
        }
        Ok(found)
    }

    /// Makes a directory be there that stands for one, and returns whether it has not been there before.
    pub(super) fn show(&self, directory: &OwnedFd) -> Result<bool, Errno> {
        let stand_in = self.directories.get(&inode(directory)?).ok_or(Errno::NOENT)?;
        stand_in.is_changed.store(true, Ordering::Release);
        Ok(!stand_in.exists.swap(true, Ordering::AcqRel))
    }

    /// Makes an empty directory not be there any more.
    pub(super) fn hide(&self, directory: &OwnedFd) -> Result<(), Errno> {
        let stand_in = self.directories.get(&inode(directory)?).ok_or(Errno::NOENT)?;
        let listed = openat(directory, c".", LISTED, Mode::empty())?;
        if !is_empty(listed)? {
            return Err(Errno::NOTEMPTY);
        }
        stand_in.is_changed.store(true, Ordering::Release);
        stand_in.exists.store(false, Ordering::Release);
        Ok(())
    }

    /// Returns whether a path may be that of a name in `/` or lead through croze's own directory, as far as can be told
    /// from the path alone.
    pub(super) fn may_be_about(&self, path: &CStr) -> bool {
        let own = self.own.file_name().map(OsStr::as_bytes);
        may_be_meant(path) || names(path).any(|name| Some(name) == own)
    }

    /// Returns whether a directory is `/`.
    pub(super) fn is_root(&self, directory: impl AsFd) -> Result<bool, Errno> {
        Ok(inode(directory)? == self.root_inode)
    }

    /// Returns whether a step sees a name in `/`.
    pub(super) fn shows(&self, name: &CStr) -> bool {
        let is_own = self.own.file_name().map(OsStr::as_bytes) == Some(name.to_bytes());
        let file = openat(&self.root, name, HANDLE | OFlags::NOFOLLOW, Mode::empty());
        !is_own && file.and_then(|file| self.seen(file)).is_ok()
    }
}

/// Returns whether a path may be that of a name in `/`, as far as can be told from the path alone.
pub(super) fn may_be_meant(path: &CStr) -> bool {
    let mut names = names(path);
    let has_dots = names.clone().any(|name| matches!(name, b"." | b".."));
    has_dots || names.nth(1).is_none()
}

fn names(path: &CStr) -> impl Iterator<Item = &[u8]> + Clone {
    let names = path.to_bytes().split(|byte| *byte == b'/');
    names.filter(|name| !name.is_empty())
}

const LISTED: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

fn is_empty(directory: OwnedFd) -> Result<bool, Errno> {
    for entry in Dir::new(directory)? {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}

fn inode(file: impl AsFd) -> Result<Inode, Errno> {
    let stat = fstat(file)?;
    Ok((stat.st_dev, stat.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_path_of_one_name_or_with_dots_may_mean_a_name_in_the_root() {
        for path in [
            c"/app",
            c"app",
            c"//app/",
            c"/",
            c"",
            c"../app",
            c"/usr/../app",
            c"./app",
        ] {
            assert!(may_be_meant(path), "{path:?}");
        }
        for path in [c"/usr/bin", c"a/b", c"/etc/passwd/"] {
            assert!(!may_be_meant(path), "{path:?}");
        }
    }
}
