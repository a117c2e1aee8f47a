//! A directory that nothing resolves out of.
//!
//! Image and archive trees are written by strangers: a symbolic link in them may point anywhere, a name may be a
//! FIFO that blocks whoever opens it. Every path inside such a tree is resolved by [`Root`], as if the tree's
//! top were `/` (`openat2` with `RESOLVE_IN_ROOT`; where that call is refused, component by component), and what is
//! then done, is done on file descriptors. Absolute links lead to the root's own files, `..` at the top stays there.

mod resolve;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, openat};
use rustix::io::Errno;

use crate::attributes::{DirAttributes, Stat};
use crate::error::{FsError, OnPath as _};
use crate::inodes::Inodes;
use crate::remove;

use resolve::Resolver;

/// A directory whose paths are resolved as if it were `/`.
///
/// Paths given to its methods may be absolute or relative; both start at the root.
#[derive(Debug)]
pub struct Root {
    directory: OwnedFd,
    resolver: Resolver,
    inodes: Inodes,
}

/// The flags with which directories are opened everywhere.
pub(crate) const DIR_FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

impl Root {
    /// Opens the directory `path` of the surrounding file system as a root.
    pub fn open(path: &Path) -> Result<Self, FsError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self::from_fd(openat(CWD, path, flags, Mode::empty()).on("open", path)?))
    }

    /// Makes a root of an open directory, such as a detached mount.
    pub fn from_fd(directory: OwnedFd) -> Self {
        let resolver = Resolver::detect(directory.as_fd());
        Self {
            directory,
            resolver,
            inodes: Inodes::real(),
        }
    }

    /// Returns the same root with its inodes seen in another way than as the kernel shows them.
    #[must_use]
    pub fn with_inodes(self, inodes: Inodes) -> Self {
        Self { inodes, ..self }
    }

    /// Returns what the files below the root are looked at, made and changed by.
    pub fn inodes(&self) -> &Inodes {
        &self.inodes
    }

    /// Returns a second handle of the same root.
    pub fn try_clone(&self) -> Result<Self, FsError> {
        let directory = self.directory.try_clone().on("duplicate the handle of", "/")?;
        Ok(Self {
            directory,
            resolver: self.resolver,
            inodes: self.inodes.clone(),
        })
    }

    /// Opens a directory, following links inside the root.
    pub fn open_dir(&self, path: &Path) -> Result<OwnedFd, FsError> {
        self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY)
            .on("open directory", path)
    }

    /// Opens a regular file for reading, following links inside the root; anything else is an error and is never
    /// waited for.
    pub fn open_file(&self, path: &Path) -> Result<File, FsError> {
        let fd = self
            .resolve(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)
            .on("open", path)?;
        let stat = self.inodes.stat(fd.as_fd()).on("stat", path)?;
        if stat.file_type != FileType::RegularFile {
            let kind = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
            return Err(FsError::new("open", path, kind));
        }
        Ok(File::from(fd))
    }

    /// Returns the content of a regular file of at most `limit` bytes, or `None` when there is no such file.
    pub fn read_file(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>, FsError> {
        let file = match self.open_file(path) {
            Ok(file) => file,
            Err(error) if is_missing(error.errno()) => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut content = Vec::new();
        file.take(limit.saturating_add(1))
            .read_to_end(&mut content)
            .on("read", path)?;
        if content.len() as u64 > limit {
            let message = format!("longer than {limit} bytes");
            return Err(FsError::new(
                "read",
                path,
                io::Error::new(io::ErrorKind::FileTooLarge, message),
            ));
        }
        Ok(Some(content))
    }

    /// Returns what a path is, or `None` when nothing is there. Links before the last component are always
    /// followed; the last one only when `follow` says so.
    pub fn stat(&self, path: &Path, follow: bool) -> Result<Option<Stat>, FsError> {
        let flags = if follow {
            OFlags::PATH
        } else {
            OFlags::PATH | OFlags::NOFOLLOW
        };
        if path.as_os_str().is_empty() {
            return self.inodes.stat(self.directory.as_fd()).map(Some).on("stat", path);
        }
        match self.resolve(path, flags) {
            Ok(fd) => self.inodes.stat(fd.as_fd()).map(Some).on("stat", path),
            Err(error) if is_missing(Some(error)) => Ok(None),
            Err(error) => Err(FsError::new("stat", path, error)),
        }
    }

    /// Opens the directory that holds the last component of a path, and returns it with that component, which is
    /// neither followed nor looked at.
    ///
    /// A path that ends in no name (`/`, `a/..`) is an error.
    pub fn parent(&self, path: &Path) -> Result<(OwnedFd, OsString), FsError> {
        let Some(name) = path.file_name() else {
            return Err(FsError::new("find the parent of", path, Errno::INVAL));
        };
        let parent = path.parent().unwrap_or(Path::new(""));
        Ok((self.open_dir(parent)?, name.to_owned()))
    }

    /// Opens a directory after making it and every missing one above it with the given attributes.
    ///
    /// Existing directories are left as they are. A link on the way is followed inside the root, and what it names
    /// is made when it is missing.
    pub fn make_dirs(&self, path: &Path, attributes: &DirAttributes) -> Result<OwnedFd, FsError> {
        match self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(fd) => Ok(fd),
            Err(Errno::NOENT) => resolve::make_dirs(self, path, attributes).on("make directory", path),
            Err(error) => Err(FsError::new("make directory", path, error)),
        }
    }

    /// Removes a file, or a directory with all that is in it; links are removed, not followed. Nothing there is
    /// success. The root itself cannot be removed.
    pub fn remove_tree(&self, path: &Path) -> Result<(), FsError> {
        let (parent, name) = match self.parent(path) {
            Ok(found) => found,
            Err(error) if is_missing(error.errno()) => return Ok(()),
            Err(error) => return Err(error),
        };
        remove::remove_at(parent.as_fd(), &name, path)
    }

    /// Resolves a path inside the root and opens what it names.
    fn resolve(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        self.resolver.open(self.as_fd(), path, flags | OFlags::CLOEXEC)
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

/// Returns whether an error says that nothing is at a path.
fn is_missing(errno: Option<Errno>) -> bool {
    matches!(errno, Some(Errno::NOENT | Errno::NOTDIR))
}
