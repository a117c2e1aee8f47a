//! What a file is taken for: owner, mode and device.
//!
//! Files that can carry an extended attribute have an [`InodeRecord`] there, and what the disk says else. Symbolic
//! links, FIFOs, sockets and what lies in file systems without attributes are in a table of the step, by inode.

use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, FileType, Gid, Uid, XattrFlags, chownat, fstat, major, makedev, minor};
use rustix::io::Errno;
use rustix::process::{getegid, geteuid};
use snapshotter::{CAPABILITY_XATTR, InodeRecord, is_device};

use super::call::Call;
use super::place::Place;
use super::specials::{Inode, Specials};
use super::status;

/// Longer than any record.
const MAX_RECORD: usize = 64;

/// Owner, mode and device that a file has, or is to have, in the eyes of a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Meaning {
    /// Its owner.
    pub(super) uid: u32,
    /// Its group.
    pub(super) gid: u32,
    /// `st_mode`.
    pub(super) mode: u32,
    /// Its number, if it is a device.
    pub(super) rdev: Option<u64>,
}

impl Meaning {
    /// Returns whether it is root's.
    pub(super) fn is_root(&self) -> bool {
        (self.uid, self.gid) == (0, 0)
    }

    /// Returns whether whoever owns the file on disk could use it with just this mode.
    pub(super) fn is_usable(&self) -> bool {
        self.mode & 0o777 == self.mode_on_disk()
    }

    /// Returns the permissions to have on disk.
    pub(super) fn mode_on_disk(&self) -> u32 {
        match FileType::from_raw_mode(self.mode) {
            FileType::Fifo | FileType::Socket => self.mode & 0o777,
            _ => self.record().mode_on_disk(),
        }
    }

    fn record(&self) -> InodeRecord {
        InodeRecord {
            uid: self.uid,
            gid: self.gid,
            mode: self.mode,
            rdev: self.rdev.map(|rdev| (major(rdev), minor(rdev))),
        }
    }
}

/// What a file is taken for, and what of that is on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Attributes {
    /// What it is taken for.
    pub(super) meaning: Meaning,
    /// `st_rdev`.
    pub(super) rdev: u64,
    /// Which file it is.
    pub(super) inode: Inode,
    type_on_disk: FileType,
    mode_on_disk: u32,
    has_record: bool,
    /// Whether its owner was noted somewhere, and is not just the one that every file has.
    pub(super) is_noted: bool,
}

impl std::ops::Deref for Attributes {
    type Target = Meaning;

    fn deref(&self) -> &Meaning {
        &self.meaning
    }
}

impl Attributes {
    /// Returns what kind of file it is.
    pub(super) fn file_type(&self) -> FileType {
        FileType::from_raw_mode(self.mode)
    }

    /// Returns whether it is a directory.
    pub(super) fn is_directory(&self) -> bool {
        self.file_type() == FileType::Directory
    }

    /// Returns whether it is a symbolic link.
    pub(super) fn is_link(&self) -> bool {
        self.file_type() == FileType::Symlink
    }
}

/// Finds out what files are taken for, and changes it.
pub(super) struct Inodes {
    /// Whom every file on disk belongs to; root, to the step.
    own: (u32, u32),
    /// What the disk cannot tell.
    pub(super) specials: Specials,
}

impl Inodes {
    pub(super) fn new() -> Self {
        Self {
            own: (geteuid().as_raw(), getegid().as_raw()),
            specials: Specials::default(),
        }
    }

    /// Returns what a handle's file is taken for.
    pub(super) fn attributes(&self, place: &Place, handle: BorrowedFd<'_>) -> Result<Attributes, Errno> {
        let stat = fstat(handle)?;
        let root_for = |id, own| if id == own { 0 } else { id };
        let type_on_disk = FileType::from_raw_mode(stat.st_mode);
        let mut attributes = Attributes {
            meaning: Meaning {
                uid: root_for(stat.st_uid, self.own.0),
                gid: root_for(stat.st_gid, self.own.1),
                mode: stat.st_mode,
                rdev: is_device(type_on_disk).then_some(stat.st_rdev),
            },
            rdev: stat.st_rdev,
            inode: (stat.st_dev, stat.st_ino),
            type_on_disk,
            mode_on_disk: stat.st_mode & 0o7777,
            has_record: false,
            is_noted: false,
        };
        // What is not its own, croze can have written no record to; procfs even refuses to be asked.
        let is_own = stat.st_uid == self.own.0 && !place.foreign.are_about_processes(stat.st_dev);
        if attributes.can_have_record() && is_own {
            let mut value = [0; MAX_RECORD];
            if let Some(value) = place.xattr(handle, InodeRecord::XATTR, &mut value)? {
                let record = InodeRecord::parse(value).map_err(|_| Errno::UCLEAN)?;
                let rdev = record.rdev.map(|(major, minor)| makedev(major, minor));
                attributes.meaning = Meaning {
                    uid: record.uid,
                    gid: record.gid,
                    mode: record.mode,
                    rdev,
                };
                attributes.rdev = rdev.unwrap_or_default();
                (attributes.has_record, attributes.is_noted) = (true, true);
                return Ok(attributes);
            }
        }
        if let Some((uid, gid)) = self.specials.owner(attributes.inode, type_on_disk) {
            (attributes.meaning.uid, attributes.meaning.gid) = (uid, gid);
            attributes.is_noted = true;
        }
        Ok(attributes)
    }

    /// Makes a new file be taken for what it is to be.
    pub(super) fn dress(&self, place: &Place, handle: impl AsFd, meaning: Meaning) -> Result<(), Errno> {
        let made = self.attributes(place, handle.as_fd())?;
        self.change(place, handle.as_fd(), &made, meaning)
    }

    /// Gives a file an owner. What else the kernel does on that occasion it does here as well: it copies the file up,
    /// notes the time, takes file capabilities away, and refuses on a file system that is read-only.
    pub(super) fn change_owner(
        &self,
        place: &Place,
        handle: BorrowedFd<'_>,
        old: &Attributes,
        (uid, gid, mode): (u32, u32, u32),
    ) -> Result<(), Errno> {
        let (own_uid, own_gid) = (Uid::from_raw(self.own.0), Gid::from_raw(self.own.1));
        chownat(handle, c"", Some(own_uid), Some(own_gid), AtFlags::EMPTY_PATH)?;
        if old.type_on_disk == FileType::RegularFile {
            match place.remove_xattr(handle, CAPABILITY_XATTR) {
                Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
                Err(error) => return Err(error),
            }
        }
        let to = Meaning {
            uid,
            gid,
            mode,
            ..old.meaning
        };
        self.change(place, handle, old, to)
    }

    /// Gives a file a mode.
    pub(super) fn change_mode(
        &self,
        place: &Place,
        handle: BorrowedFd<'_>,
        old: &Attributes,
        mode: u32,
    ) -> Result<(), Errno> {
        let to = Meaning { mode, ..old.meaning };
        self.change(place, handle, old, to)?;
        if old.mode == mode {
            // Nothing has changed but the time.
            return place.set_mode(handle, old.mode_on_disk);
        }
        Ok(())
    }

    /// At no moment does the file look like neither what it was nor what it is to be.
    fn change(&self, place: &Place, handle: BorrowedFd<'_>, old: &Attributes, to: Meaning) -> Result<(), Errno> {
        let record = to.record();
        if !old.can_have_record() {
            return self.change_special(place, handle, old, to);
        }
        if !record.is_implied() {
            let value = record.encode();
            return match place.set_xattr(handle, InodeRecord::XATTR, value.as_bytes(), XattrFlags::empty()) {
                Err(Errno::OPNOTSUPP) => self.change_special(place, handle, old, to),
                Err(error) => Err(error),
                Ok(()) => set_mode(place, handle, old, record.mode_on_disk()),
            };
        }
        set_mode(place, handle, old, record.mode_on_disk())?;
        if old.has_record {
            return place.remove_xattr(handle, InodeRecord::XATTR);
        }
        self.specials.set(old.inode, old.type_on_disk, (0, 0))
    }

    fn change_special(
        &self,
        place: &Place,
        handle: BorrowedFd<'_>,
        old: &Attributes,
        to: Meaning,
    ) -> Result<(), Errno> {
        self.specials.set(old.inode, old.type_on_disk, (to.uid, to.gid))?;
        if old.is_link() {
            return Ok(());
        }
        set_mode(place, handle, old, to.mode & 0o7777)
    }
}

impl Attributes {
    fn can_have_record(&self) -> bool {
        matches!(self.type_on_disk, FileType::RegularFile | FileType::Directory)
    }
}

fn set_mode(place: &Place, handle: BorrowedFd<'_>, old: &Attributes, mode: u32) -> Result<(), Errno> {
    if old.mode_on_disk == mode {
        return Ok(());
    }
    place.set_mode(handle, mode)
}

impl Call<'_> {
    /// Returns what a handle's file is taken for by the caller.
    pub(super) fn attributes(&self, handle: impl AsFd) -> Result<Attributes, Errno> {
        let handle = handle.as_fd();
        let mut attributes = self.step.inodes.attributes(self.place, handle)?;
        let (device, _) = attributes.inode;
        let foreign = &self.place.foreign;
        if attributes.is_noted {
            return Ok(attributes);
        }
        if self.place.view.is_some()
            && let Some(meaning) = self.step.machine.meaning(attributes.inode, attributes.type_on_disk)
        {
            attributes.meaning = meaning;
            return Ok(attributes);
        }
        if foreign.belong_to_makers(device) {
            // Who looks at it is the best guess: it can only have been handed over by somebody, and rarely is.
            let ids = &self.credentials;
            (attributes.meaning.uid, attributes.meaning.gid) = (ids.users.files, ids.groups.files);
        } else if foreign.are_about_processes(device)
            && let Some(tag) = status::tag_of(self.place, handle, device)?
        {
            let ids = self.step.states.known(tag);
            (attributes.meaning.uid, attributes.meaning.gid) = (ids.users.effective, ids.groups.effective);
        }
        Ok(attributes)
    }
}
