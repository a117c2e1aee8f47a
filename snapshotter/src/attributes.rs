//! What a file is besides its content: type, mode, owner and times.

use rustix::fs::{FileType, Statx, Timespec, Timestamps, UTIME_OMIT};

/// A point in time as file systems keep it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Whole seconds since 1970-01-01T00:00:00Z, rounded down; negative before it.
    pub seconds: i64,
    /// Nanoseconds past `seconds`, less than 1,000,000,000.
    pub nanos: u32,
}

impl Timestamp {
    /// Makes a time of whole seconds since 1970.
    pub fn from_seconds(seconds: i64) -> Self {
        Self { seconds, nanos: 0 }
    }

    /// Returns the argument of `utimensat` that sets the modification time and leaves the access time alone.
    pub(crate) fn as_mtime(self) -> Timestamps {
        Timestamps {
            last_access: Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_OMIT,
            },
            last_modification: Timespec {
                tv_sec: self.seconds,
                tv_nsec: self.nanos.into(),
            },
        }
    }
}

/// What the kernel says of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Regular file, directory, symbolic link, …
    pub file_type: FileType,
    /// The permission bits with set-user-ID, set-group-ID and sticky: `mode & 0o7777`.
    pub mode: u32,
    /// The owner, as seen in the current user namespace.
    pub uid: u32,
    /// The group, as seen in the current user namespace.
    pub gid: u32,
    /// Content length in bytes.
    pub size: u64,
    /// Disk space in units of 512 bytes.
    pub blocks: u64,
    /// When the content last changed.
    pub mtime: Timestamp,
    /// When the inode last changed; nothing but the kernel sets it.
    pub ctime: Timestamp,
    /// The file system, as `(major, minor)`.
    pub dev: (u32, u32),
    /// The inode's number in that file system.
    pub ino: u64,
    /// Number of names of the inode.
    pub nlink: u32,
    /// Of a device node: the device, as `(major, minor)`.
    pub rdev: (u32, u32),
}

impl Stat {
    /// Returns whether this is the device `0:0` by which overlay marks a deleted name.
    pub fn is_overlay_whiteout(&self) -> bool {
        self.file_type == FileType::CharacterDevice && self.rdev == (0, 0)
    }

    /// Returns whether this is a directory.
    pub fn is_dir(&self) -> bool {
        self.file_type == FileType::Directory
    }

    /// Returns what identifies the inode among all mounted file systems.
    pub fn inode(&self) -> ((u32, u32), u64) {
        (self.dev, self.ino)
    }
}

impl From<Statx> for Stat {
    fn from(statx: Statx) -> Self {
        let mode = u32::from(statx.stx_mode);
        let time = |time: rustix::fs::StatxTimestamp| Timestamp {
            seconds: time.tv_sec,
            nanos: time.tv_nsec,
        };
        Self {
            file_type: FileType::from_raw_mode(mode),
            mode: mode & 0o7777,
            uid: statx.stx_uid,
            gid: statx.stx_gid,
            size: statx.stx_size,
            blocks: statx.stx_blocks,
            mtime: time(statx.stx_mtime),
            ctime: time(statx.stx_ctime),
            dev: (statx.stx_dev_major, statx.stx_dev_minor),
            ino: statx.stx_ino,
            nlink: statx.stx_nlink,
            rdev: (statx.stx_rdev_major, statx.stx_rdev_minor),
        }
    }
}

/// Owner and permissions that a file is to have in the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits with set-user-ID, set-group-ID and sticky. Symbolic links have none.
    pub mode: u32,
}

/// What a directory that has to be made is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirAttributes {
    /// Permission bits, independent of the umask.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time; the present when absent.
    pub mtime: Option<Timestamp>,
}

impl DirAttributes {
    /// Returns all of it but the time.
    pub(crate) fn attributes(&self) -> Attributes {
        Attributes {
            uid: self.uid,
            gid: self.gid,
            mode: self.mode,
        }
    }
}

impl Default for DirAttributes {
    /// Returns what implied directories of an image have: `0755`, root's.
    fn default() -> Self {
        Self {
            mode: 0o755,
            uid: 0,
            gid: 0,
            mtime: None,
        }
    }
}
