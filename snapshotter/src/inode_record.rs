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
use std::os::fd::AsFd;

use rustix::fs::{FileType, XattrFlags, fgetxattr, fsetxattr};
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
        let length = fgetxattr(fd, Self::XATTR, &mut value);
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

    /// Returns what kind of file the image has here.
    pub fn file_type(&self) -> FileType {
        FileType::from_raw_mode(self.mode)
    }

    /// Returns the permission bits with set-user-ID, set-group-ID and sticky: `mode & 0o7777`.
    pub fn permissions(&self) -> u32 {
        self.mode & 0o7777
    }
}

/// Returns whether files of a type have a device number.
fn is_device(file_type: FileType) -> bool {
    matches!(file_type, FileType::CharacterDevice | FileType::BlockDevice)
}

#[cfg(test)]
mod tests;
