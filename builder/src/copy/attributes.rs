//! What a copied file is given besides its content.
//!
//! The order is owner, mode, extended attributes, time: changing the owner clears set-id bits and capabilities, and
//! everything before the last changes the time.

use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use rustix::fs::{AtFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, futimens, utimensat};
use rustix::io::Errno;
use snapshotter::xattr::Xattr;
use snapshotter::{FileType, FsError, Inodes, Timestamp};

use super::CopyError;
use super::dirs::Dir;
use crate::identity::Owner;

/// Owner, mode and time of a new file.
#[derive(Clone, Copy)]
pub(super) struct Attributes {
    pub(super) owner: Owner,
    pub(super) mode: u32,
    /// The present when absent.
    pub(super) mtime: Option<Timestamp>,
}

impl Attributes {
    /// Returns what is kept of them whenever the file is changed.
    fn kept(&self, mode: u32) -> snapshotter::Attributes {
        let Owner { uid, gid } = self.owner;
        snapshotter::Attributes { uid, gid, mode }
    }
}

/// Why a file was not given its attributes.
pub(super) enum Undressed {
    /// There is no such owner in this user namespace.
    NoSuchOwner(Owner),
    /// A call failed.
    Call(Errno),
}

impl From<Errno> for Undressed {
    fn from(errno: Errno) -> Self {
        Self::Call(errno)
    }
}

impl Undressed {
    /// Makes an error of it, about a file of the destination.
    pub(super) fn of(self, path: PathBuf) -> CopyError {
        match self {
            Self::NoSuchOwner(Owner { uid, gid }) => CopyError::UnmappedOwner { path, uid, gid },
            Self::Call(errno) => FsError::new("set the attributes of", path, errno).into(),
        }
    }
}

/// Gives files their attributes, and counts what the file system cannot keep.
#[derive(Default)]
pub(super) struct Dresser {
    /// Number of extended attributes left out.
    pub(super) xattrs_skipped: u64,
}

impl Dresser {
    /// Dresses an open file that was just made in `dir`.
    pub(super) fn new_file(
        &mut self,
        file: BorrowedFd<'_>,
        dir: Dir<'_>,
        attributes: &Attributes,
        xattrs: &[Xattr],
    ) -> Result<(), Undressed> {
        let kept = attributes.kept(attributes.mode);
        let dressed = dir.inodes.dress_new(file, FileType::RegularFile, dir.gives_group, kept);
        owned(attributes.owner, dressed)?;
        self.set_xattrs(dir.inodes, file, xattrs)?;
        Ok(futimens(file, &times(attributes.mtime))?)
    }

    /// Dresses an open directory, after everything in it was made.
    pub(super) fn directory(
        &mut self,
        directory: Dir<'_>,
        attributes: &Attributes,
        xattrs: &[Xattr],
    ) -> Result<(), Undressed> {
        let Dir { fd, inodes, .. } = directory;
        let dressed = inodes.dress(fd, FileType::Directory, attributes.kept(attributes.mode));
        owned(attributes.owner, dressed)?;
        self.set_xattrs(inodes, fd, xattrs)?;
        Ok(futimens(fd, &times(attributes.mtime))?)
    }

    /// Dresses what was just made in `dir` and cannot be opened; `mode` is `None` for a link, which has none.
    pub(super) fn by_name(
        &self,
        dir: Dir<'_>,
        name: &[u8],
        attributes: &Attributes,
        mode: Option<u32>,
    ) -> Result<(), Undressed> {
        let Dir {
            fd,
            gives_group,
            inodes,
        } = dir;
        let Owner { uid, gid } = attributes.owner;
        let dressed = match mode {
            None => inodes.dress_new_link(fd, name, gives_group, (uid, gid)),
            Some(mode) => inodes.dress_new_special(fd, name, gives_group, attributes.kept(mode)),
        };
        owned(attributes.owner, dressed)?;
        let times = times(attributes.mtime);
        Ok(utimensat(fd, name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    fn set_xattrs(&mut self, inodes: &Inodes, file: BorrowedFd<'_>, xattrs: &[Xattr]) -> Result<(), Undressed> {
        for xattr in xattrs {
            match inodes.set_xattr(file, xattr) {
                Err(Errno::OPNOTSUPP | Errno::PERM | Errno::INVAL) => self.xattrs_skipped += 1,
                result => result?,
            }
        }
        Ok(())
    }
}

/// Sets the modification time of an open file or directory.
pub(super) fn set_time(file: BorrowedFd<'_>, time: Timestamp) -> Result<(), Errno> {
    futimens(file, &times(Some(time)))
}

fn owned(owner: Owner, dressed: Result<(), Errno>) -> Result<(), Undressed> {
    match dressed {
        Err(Errno::INVAL | Errno::OVERFLOW) => Err(Undressed::NoSuchOwner(owner)),
        result => Ok(result?),
    }
}

/// Returns the argument that sets the modification time and leaves the access time alone.
fn times(mtime: Option<Timestamp>) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: match mtime {
            Some(mtime) => Timespec {
                tv_sec: mtime.seconds,
                tv_nsec: mtime.nanos.into(),
            },
            None => Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_NOW,
            },
        },
    }
}
