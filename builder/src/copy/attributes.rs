//! What a copied file is given besides its content.
//!
//! The order is owner, mode, extended attributes, time: changing the owner clears set-id bits and capabilities, and
//! everything before the last changes the time.

use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use rustix::fs::{
    AtFlags, Gid, Mode, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, Uid, chmodat, chownat, fchmod, fchown, futimens,
    utimensat,
};
use rustix::io::Errno;
use snapshotter::xattr::Xattr;
use snapshotter::{FsError, Timestamp};

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
pub(super) struct Dresser {
    /// Whom new files belong to by themselves.
    process: Owner,
    /// Number of extended attributes left out.
    pub(super) xattrs_skipped: u64,
}

impl Dresser {
    pub(super) fn new() -> Self {
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        Self {
            process: Owner {
                uid: uid.as_raw(),
                gid: gid.as_raw(),
            },
            xattrs_skipped: 0,
        }
    }

    /// Dresses an open file that was just made in `dir`.
    pub(super) fn new_file(
        &mut self,
        file: BorrowedFd<'_>,
        dir: Dir<'_>,
        attributes: &Attributes,
        xattrs: &[Xattr],
    ) -> Result<(), Undressed> {
        if dir.gives_group || attributes.owner != self.process {
            set_owner(file, attributes.owner)?;
        }
        fchmod(file, Mode::from_raw_mode(attributes.mode))?;
        self.set_xattrs(file, xattrs)?;
        Ok(futimens(file, &times(attributes.mtime))?)
    }

    /// Dresses an open directory, after everything in it was made.
    pub(super) fn directory(
        &mut self,
        directory: BorrowedFd<'_>,
        attributes: &Attributes,
        xattrs: &[Xattr],
    ) -> Result<(), Undressed> {
        set_owner(directory, attributes.owner)?;
        fchmod(directory, Mode::from_raw_mode(attributes.mode))?;
        self.set_xattrs(directory, xattrs)?;
        Ok(futimens(directory, &times(attributes.mtime))?)
    }

    /// Dresses what was just made in `dir` and cannot be opened; `mode` is `None` for a link, which has none.
    pub(super) fn by_name(
        &self,
        dir: Dir<'_>,
        name: &[u8],
        attributes: &Attributes,
        mode: Option<u32>,
    ) -> Result<(), Undressed> {
        let owner = attributes.owner;
        if dir.gives_group || owner != self.process {
            let (uid, gid) = (Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)));
            owned(owner, chownat(dir.fd, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW))?;
        }
        if let Some(mode) = mode {
            chmodat(dir.fd, name, Mode::from_raw_mode(mode), AtFlags::empty())?;
        }
        Ok(utimensat(
            dir.fd,
            name,
            &times(attributes.mtime),
            AtFlags::SYMLINK_NOFOLLOW,
        )?)
    }

    fn set_xattrs(&mut self, file: BorrowedFd<'_>, xattrs: &[Xattr]) -> Result<(), Undressed> {
        for xattr in xattrs {
            match xattr.set(file) {
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

fn set_owner(file: BorrowedFd<'_>, owner: Owner) -> Result<(), Undressed> {
    let Owner { uid, gid } = owner;
    owned(owner, fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))))
}

fn owned(owner: Owner, result: Result<(), Errno>) -> Result<(), Undressed> {
    match result {
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
