//! What an inode means to the image where every file on disk belongs to one user.
//!
//! Where a process may use one id only, it cannot give a file to another owner, make a device, or be sure to read a
//! file back whose mode refuses its owner. There the files on disk are all its own and readable to it, and what the
//! image has instead is an extended attribute on the inode itself ([`InodeRecord::XATTR`]), so that a copy-up of the
//! overlay, a rename and a hard link carry it along. An inode without the attribute is root's and has the mode that
//! is on disk.
//!
//! The attribute is text: `uid:gid:mode`, and `uid:gid:mode:major:minor` for a device, for which a regular file
//! stands on disk. Ids and device numbers are decimal; the mode is octal and has the bits of the file's type. Each
//! record has one spelling. Neither attribute is ever part of a layer, and no step sees them.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};

use rustix::fs::{FileType, Mode, XattrFlags, fchmod, fgetxattr, fremovexattr, fsetxattr, getxattr, lgetxattr};
use rustix::io::Errno;

/// The attribute that holds what `security.capability` would: file capabilities of version 2, as bytes.
pub const CAPABILITY_XATTR: &CStr = c"user.croze.capability";

/// Longer than any record.
const MAX_LEN: usize = 64;

/// Owner, mode and device of one inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InodeRecord {
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// `st_mode`: the permission bits and the bits of the file's type.
    pub mode: u32,
    /// Of a device, `(major, minor)`; of everything else, `None`.
    pub rdev: Option<(u32, u32)>,
}

/// A value of [`InodeRecord::XATTR`] that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the inode's record is damaged")]
pub struct InvalidInodeRecord;

impl InodeRecord {
    /// The attribute that holds the record.
    pub const XATTR: &CStr = c"user.croze.stat";

    /// Returns the record that a value of the attribute is.
    pub fn parse(value: &[u8]) -> Result<Self, InvalidInodeRecord> {
        let text = str::from_utf8(value).map_err(|_| InvalidInodeRecord)?;
        let record = Self::parse_fields(text).ok_or(InvalidInodeRecord)?;
        // Of the spellings that the numbers would allow (`+1`, `01`) only one is a record.
        if record.encode() == text && record.rdev.is_some() == is_device(record.file_type()) {
            Ok(record)
        } else {
            Err(InvalidInodeRecord)
        }
    }

    fn parse_fields(text: &str) -> Option<Self> {
        let mut fields = text.split(':');
        let mut number = |radix| Some(u32::from_str_radix(fields.next()?, radix));
        let (uid, gid, mode) = (number(10)?.ok()?, number(10)?.ok()?, number(8)?.ok()?);
        let rdev = match number(10) {
            None => None,
            Some(major) => Some((major.ok()?, number(10)?.ok()?)),
        };
        Some(Self { uid, gid, mode, rdev })
    }

    /// Returns the record as a value of the attribute.
    pub fn encode(&self) -> String {
        let Self { uid, gid, mode, .. } = self;
        match self.rdev {
            None => format!("{uid}:{gid}:{mode:o}"),
            Some((major, minor)) => format!("{uid}:{gid}:{mode:o}:{major}:{minor}"),
        }
    }

    /// Reads the record of an open file or directory; `None` when it has none, or cannot have one.
    ///
    /// A damaged record is `EUCLEAN`, which is what file systems say of damage of their own.
    pub fn read(fd: impl AsFd) -> Result<Option<Self>, Errno> {
        let mut value = [0; MAX_LEN];
        let fd = fd.as_fd();
        let length = match fgetxattr(fd, Self::XATTR, &mut value) {
            // A mere handle (`O_PATH`) has no attributes, but `/proc` has a name for what it is a handle of.
            Err(Errno::BADF) => getxattr(in_proc(fd, b""), Self::XATTR, &mut value),
            length => length,
        };
        Self::of_disk(length.map(|length| &value[..length]))
    }

    /// Reads the record of `name` in `dir`; a link is not followed and has none.
    pub fn read_at(dir: impl AsFd, name: &[u8]) -> Result<Option<Self>, Errno> {
        let mut value = [0; MAX_LEN];
        let length = lgetxattr(in_proc(dir.as_fd(), name), Self::XATTR, &mut value);
        Self::of_disk(length.map(|length| &value[..length]))
    }

    /// Makes sense of what the kernel answered when it was asked for the attribute.
    fn of_disk(value: Result<&[u8], Errno>) -> Result<Option<Self>, Errno> {
        match value {
            Ok(value) => Self::parse(value).map(Some).map_err(|_| Errno::UCLEAN),
            Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
            // The value is longer than any record.
            Err(Errno::RANGE) => Err(Errno::UCLEAN),
            Err(error) => Err(error),
        }
    }

    /// Writes the record to an open file or directory.
    pub fn write(&self, fd: impl AsFd) -> Result<(), Errno> {
        let value = self.encode();
        fsetxattr(fd, Self::XATTR, value.as_bytes(), XattrFlags::empty())
    }

    /// Returns the permission bits that the file has on disk: its owner, whose mode in the image may refuse even
    /// root's own writes, must still be able to use it. A bit that would give rights to whoever runs a file is not
    /// set.
    pub fn mode_on_disk(&self) -> u32 {
        let rwx = self.mode & 0o777;
        match self.file_type() {
            FileType::Directory => rwx | 0o700,
            // Root may run a file that anybody may run.
            FileType::RegularFile if rwx & 0o111 != 0 => rwx | 0o700,
            FileType::RegularFile => rwx | 0o600,
            // A placeholder.
            _ => 0o600,
        }
    }

    /// Returns whether an inode without a record, but with the right mode on disk, means the same.
    pub fn is_implied(&self) -> bool {
        (self.uid, self.gid) == (0, 0) && self.rdev.is_none() && self.permissions() == self.mode_on_disk()
    }

    /// Makes an open file or directory mean this record: the mode on disk is set as well, and a record that says no
    /// more than the disk is not kept.
    pub fn apply(&self, fd: impl AsFd) -> Result<(), Errno> {
        let fd = fd.as_fd();
        fchmod(fd, Mode::from_raw_mode(self.mode_on_disk()))?;
        if !self.is_implied() {
            return self.write(fd);
        }
        match fremovexattr(fd, Self::XATTR) {
            Err(Errno::NODATA) => Ok(()),
            removed => removed,
        }
    }

    /// Returns what kind of file the image has here.
    pub fn file_type(&self) -> FileType {
        FileType::from_raw_mode(self.mode)
    }

    /// Returns the permission bits with set-user-ID, set-group-ID and sticky: `mode & 0o7777`.
    pub fn permissions(&self) -> u32 {
        self.mode & 0o7777
    }
}

/// Returns the name in `/proc` of `name` in `dir`, or of `dir` itself when `name` is empty.
fn in_proc(dir: BorrowedFd<'_>, name: &[u8]) -> Vec<u8> {
    let mut path = format!("/proc/self/fd/{}", dir.as_raw_fd()).into_bytes();
    if !name.is_empty() {
        path.push(b'/');
        path.extend_from_slice(name);
    }
    path
}

/// Returns whether files of a type have a device number.
pub fn is_device(file_type: FileType) -> bool {
    matches!(file_type, FileType::CharacterDevice | FileType::BlockDevice)
}

#[cfg(test)]
mod tests;
