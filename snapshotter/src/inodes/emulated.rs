//! The inodes of a tree in which every file on disk belongs to one user.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;

use rustix::fs::{FileType, Mode, OFlags, fchmod, openat};
use rustix::io::Errno;

use super::specials::Specials;
use super::{UNFINISHED, set_mode_at, stat_at};
use crate::attributes::{Attributes, Stat};
use crate::inode_record::{InodeRecord, is_device};

/// Keeps owner, mode and device of files beside them.
#[derive(Clone, Debug)]
pub(super) struct Emulated {
    /// The owners of files that can carry no record.
    pub(super) specials: Arc<Specials>,
}

impl Emulated {
    /// Turns what is on disk into what the image has; `record` is asked only where there can be one.
    pub(super) fn seen(
        &self,
        on_disk: Stat,
        record: impl FnOnce() -> Result<Option<InodeRecord>, Errno>,
    ) -> Result<Stat, Errno> {
        let mut stat = on_disk;
        (stat.uid, stat.gid) = (0, 0);
        match stat.file_type {
            FileType::RegularFile | FileType::Directory => {
                if let Some(record) = record()? {
                    means(&mut stat, &record)?;
                }
            }
            FileType::CharacterDevice | FileType::BlockDevice => {}
            _ => (stat.uid, stat.gid) = self.specials.owner(stat.inode()),
        }
        Ok(stat)
    }

    pub(super) fn dress(&self, fd: BorrowedFd<'_>, file_type: FileType, to: Attributes) -> Result<(), Errno> {
        match file_type {
            FileType::RegularFile | FileType::Directory => record(file_type, to).apply(fd),
            _ => self.dress_new(fd, file_type, to),
        }
    }

    pub(super) fn dress_new(&self, fd: BorrowedFd<'_>, file_type: FileType, to: Attributes) -> Result<(), Errno> {
        if !matches!(file_type, FileType::RegularFile | FileType::Directory) {
            self.specials.set(stat_at(fd, c"")?.inode(), (to.uid, to.gid));
            return fchmod(fd, Mode::from_raw_mode(to.mode));
        }
        let record = record(file_type, to);
        fchmod(fd, Mode::from_raw_mode(record.mode_on_disk()))?;
        if record.is_implied() { Ok(()) } else { record.write(fd) }
    }

    pub(super) fn dress_link(&self, dir: BorrowedFd<'_>, name: &[u8], owner: (u32, u32)) -> Result<(), Errno> {
        self.specials.set(stat_at(dir, name)?.inode(), owner);
        Ok(())
    }

    pub(super) fn dress_special(&self, dir: BorrowedFd<'_>, name: &[u8], to: Attributes) -> Result<(), Errno> {
        if stat_at(dir, name)?.file_type != FileType::RegularFile {
            self.dress_link(dir, name, (to.uid, to.gid))?;
            return set_mode_at(dir, name, to.mode);
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let placeholder = openat(dir, name, flags, Mode::empty())?;
        let made = InodeRecord::read(&placeholder)?.ok_or(Errno::UCLEAN)?;
        let record = InodeRecord {
            rdev: made.rdev,
            ..record(made.file_type(), to)
        };
        record.write(&placeholder)
    }

    /// Makes a regular file that stands for a device.
    pub(super) fn make_device(
        &self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        file_type: FileType,
        rdev: (u32, u32),
    ) -> Result<(), Errno> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let placeholder = openat(dir, name, flags, UNFINISHED)?;
        let root = Attributes {
            uid: 0,
            gid: 0,
            mode: UNFINISHED.as_raw_mode(),
        };
        let record = InodeRecord {
            rdev: Some(rdev),
            ..record(file_type, root)
        };
        record.write(placeholder.as_fd())
    }
}

/// Returns the record of a file that is no device.
fn record(file_type: FileType, attributes: Attributes) -> InodeRecord {
    InodeRecord {
        uid: attributes.uid,
        gid: attributes.gid,
        mode: file_type.as_raw_mode() | attributes.mode,
        rdev: None,
    }
}

/// Replaces what is on disk by what the record says. A record of another kind of file is damaged.
fn means(stat: &mut Stat, record: &InodeRecord) -> Result<(), Errno> {
    let stands_for_itself = record.file_type() == stat.file_type;
    let stands_for_a_device = stat.file_type == FileType::RegularFile && is_device(record.file_type());
    if !stands_for_itself && !stands_for_a_device {
        return Err(Errno::UCLEAN);
    }
    stat.file_type = record.file_type();
    (stat.uid, stat.gid, stat.mode) = (record.uid, record.gid, record.permissions());
    if let Some(rdev) = record.rdev {
        stat.rdev = rdev;
    }
    Ok(())
}
