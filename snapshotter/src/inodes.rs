//! What the inodes of one tree are in the image: the kernel's word for it, or a note beside them.
//!
//! Everything that looks at, makes or changes a file of an image does it through the [`Inodes`] of the tree, so that
//! nothing else has to know who holds the owners. With [`Ownership::Real`] each method is the system call that its
//! name suggests. With [`Ownership::Emulated`] every file on disk stays readable and writable to the one user there
//! is, and its owner, mode and device are an [`InodeRecord`]; links, FIFOs and sockets, which can carry none, have
//! their owners in [`Specials`].

mod emulated;
mod specials;
#[cfg(test)]
mod tests;

use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::sync::Arc;

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, StatxFlags, Uid, chmodat, chownat, fchmod, fchown, makedev, mknodat,
    openat, statx,
};
use rustix::io::Errno;

use crate::attributes::{Attributes, Stat};
use crate::form::Ownership;
use crate::inode_record::{InodeRecord, is_device};
use crate::xattr::{self, Xattr};
use emulated::Emulated;
pub(crate) use specials::Specials;

/// Permission bits of a file that is not finished: nobody else reads it.
const UNFINISHED: Mode = Mode::RUSR.union(Mode::WUSR);

/// Looks at the inodes of one tree and changes them. A clone is about the same tree.
#[derive(Clone, Debug)]
pub struct Inodes(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Real {
        /// Whom new files belong to by themselves.
        process: (u32, u32),
    },
    Emulated(Emulated),
}

/// Returns what `statx` says of `name` in `dir`; of `dir` itself when `name` is empty. Never follows a link.
pub(crate) fn stat_at(dir: BorrowedFd<'_>, name: impl rustix::path::Arg) -> Result<Stat, Errno> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT;
    statx(dir, name, flags, StatxFlags::BASIC_STATS).map(Stat::from)
}

impl Inodes {
    /// Returns the inodes of a tree whose owners the kernel holds.
    pub fn real() -> Self {
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        Self(Kind::Real {
            process: (uid.as_raw(), gid.as_raw()),
        })
    }

    /// Returns the inodes of a tree that belongs to one user, with the owners of its special files.
    pub(crate) fn emulated(specials: Arc<Specials>) -> Self {
        Self(Kind::Emulated(Emulated { specials }))
    }

    /// Returns the inodes of a tree in which no special file has another owner than root as yet.
    pub fn new(ownership: Ownership) -> Self {
        match ownership {
            Ownership::Real => Self::real(),
            Ownership::Emulated => Self::emulated(Arc::default()),
        }
    }

    /// Returns who holds the owners.
    pub fn ownership(&self) -> Ownership {
        match self.0 {
            Kind::Real { .. } => Ownership::Real,
            Kind::Emulated(_) => Ownership::Emulated,
        }
    }

    /// Returns the owners of special files, where the kernel does not hold them.
    pub(crate) fn specials(&self) -> Option<&Arc<Specials>> {
        match &self.0 {
            Kind::Real { .. } => None,
            Kind::Emulated(emulated) => Some(&emulated.specials),
        }
    }

    /// Returns what an open file is.
    pub fn stat(&self, fd: BorrowedFd<'_>) -> Result<Stat, Errno> {
        let stat = stat_at(fd, c"")?;
        match &self.0 {
            Kind::Real { .. } => Ok(stat),
            Kind::Emulated(emulated) => emulated.seen(stat, || InodeRecord::read(fd)),
        }
    }

    /// Returns what `name` in `dir` is; a link is not followed.
    pub fn stat_at(&self, dir: BorrowedFd<'_>, name: &[u8]) -> Result<Stat, Errno> {
        let stat = stat_at(dir, name)?;
        match &self.0 {
            Kind::Real { .. } => Ok(stat),
            Kind::Emulated(emulated) => emulated.seen(stat, || InodeRecord::read_at(dir, name)),
        }
    }

    /// Gives an open file, directory or FIFO of the type `file_type` its owner and mode; the owner first, because
    /// changing it clears mode bits.
    pub fn dress(&self, fd: BorrowedFd<'_>, file_type: FileType, attributes: Attributes) -> Result<(), Errno> {
        match &self.0 {
            Kind::Real { .. } => {
                chown(fd, attributes)?;
                fchmod(fd, Mode::from_raw_mode(attributes.mode))
            }
            Kind::Emulated(emulated) => emulated.dress(fd, file_type, attributes),
        }
    }

    /// Does the same for what this process has just made. `gives_group` says that the directory it was made in may
    /// have given it a group.
    pub fn dress_new(
        &self,
        fd: BorrowedFd<'_>,
        file_type: FileType,
        gives_group: bool,
        attributes: Attributes,
    ) -> Result<(), Errno> {
        match &self.0 {
            Kind::Real { process } if !gives_group && *process == (attributes.uid, attributes.gid) => {
                fchmod(fd, Mode::from_raw_mode(attributes.mode))
            }
            Kind::Real { .. } => self.dress(fd, file_type, attributes),
            Kind::Emulated(emulated) => emulated.dress_new(fd, file_type, attributes),
        }
    }

    /// Gives a new symbolic link, which has no mode, its owner; `gives_group` as in [`dress_new`](Self::dress_new).
    pub fn dress_new_link(
        &self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        gives_group: bool,
        (uid, gid): (u32, u32),
    ) -> Result<(), Errno> {
        match &self.0 {
            Kind::Real { process } if !gives_group && *process == (uid, gid) => Ok(()),
            Kind::Real { .. } => {
                let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
                chownat(dir, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
            }
            Kind::Emulated(emulated) => emulated.dress_link(dir, name, (uid, gid)),
        }
    }

    /// Gives a new FIFO or device, which cannot be opened without effect, its owner and mode.
    pub fn dress_new_special(
        &self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        gives_group: bool,
        attributes: Attributes,
    ) -> Result<(), Errno> {
        match &self.0 {
            Kind::Real { .. } => {
                self.dress_new_link(dir, name, gives_group, (attributes.uid, attributes.gid))?;
                set_mode_at(dir, name, attributes.mode)
            }
            Kind::Emulated(emulated) => emulated.dress_special(dir, name, attributes),
        }
    }

    /// Changes the mode of an open directory, and nothing else.
    pub fn set_directory_mode(&self, fd: BorrowedFd<'_>, mode: u32) -> Result<(), Errno> {
        match &self.0 {
            Kind::Real { .. } => fchmod(fd, Mode::from_raw_mode(mode)),
            Kind::Emulated(_) => {
                let Stat { uid, gid, .. } = self.stat(fd)?;
                self.dress(fd, FileType::Directory, Attributes { uid, gid, mode })
            }
        }
    }

    /// Makes a FIFO or a device that is still to be given its owner and mode.
    pub fn make_special(
        &self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        file_type: FileType,
        rdev: (u32, u32),
    ) -> Result<(), Errno> {
        match &self.0 {
            Kind::Emulated(emulated) if is_device(file_type) => emulated.make_device(dir, name, file_type, rdev),
            _ => mknodat(dir, name, file_type, UNFINISHED, makedev(rdev.0, rdev.1)),
        }
    }

    /// Sets an extended attribute of an open file or directory.
    pub fn set_xattr(&self, fd: BorrowedFd<'_>, xattr: &Xattr) -> Result<(), Errno> {
        xattr.set(fd, self.ownership())
    }

    /// Returns the extended attributes of an open file or directory.
    pub fn xattrs(&self, fd: BorrowedFd<'_>, reader: &mut xattr::Reader) -> Result<xattr::Found, Errno> {
        reader.read(fd, self.ownership())
    }
}

fn chown(fd: BorrowedFd<'_>, attributes: Attributes) -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(attributes.uid), Gid::from_raw(attributes.gid));
    fchown(fd, Some(uid), Some(gid))
}

/// Sets the mode of a special file by way of `/proc`: changing a mode by name would follow a link.
fn set_mode_at(dir: BorrowedFd<'_>, name: &[u8], mode: u32) -> Result<(), Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let handle = openat(dir, name, flags, Mode::empty())?;
    let path = format!("/proc/self/fd/{}", handle.as_raw_fd());
    chmodat(CWD, path, Mode::from_raw_mode(mode), AtFlags::empty())
}
