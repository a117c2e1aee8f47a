//! What a tree looked like: enough of every inode to notice any change to it.
//!
//! The kernel changes an inode's time of change (`ctime`) whenever anything about it is changed, and nobody else can
//! set it. With inode number and time of birth it also shows that a name stands for another file now.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::ffi::CStr;
use std::hash::{BuildHasher as _, Hasher as _};
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, StatxFlags, openat, statx};
use rustix::io::{Errno, read};

use super::Evidence;
use crate::attributes::{Stat, Timestamp};
use crate::error::{FsError, OnPath as _};
use crate::replica::Manner;
use crate::root::Root;
use crate::walk::{self, Next, Place, Visitor};

/// Bytes that are read at once.
const BUFFER: usize = 128 * 1024;

/// All names of a tree but its top, by path.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) stamps: HashMap<Box<[u8]>, Stamp>,
    /// The latest time of change of any of them.
    pub(super) latest: Timestamp,
    /// What contents were hashed with.
    pub(super) hashing: RandomState,
}

/// What one name stood for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) inode: u64,
    /// Where the file system knows it.
    born: Option<Timestamp>,
    changed: Timestamp,
    modified: Timestamp,
    size: u64,
    mode: u32,
    owner: (u32, u32),
    /// Number of names.
    names: u32,
    /// A hash of the content of a regular file, where times are no sufficient evidence.
    content: Option<u64>,
    /// Whether the inode is a snapshot's as well.
    pub(super) is_shared: bool,
}

impl Stamp {
    pub(super) fn is_dir(&self) -> bool {
        FileType::from_raw_mode(self.mode) == FileType::Directory
    }

    /// Returns whether the name stands for the inode that it stood for.
    pub(super) fn is_same_inode(&self, before: &Self) -> bool {
        (self.inode, self.born, FileType::from_raw_mode(self.mode))
            == (before.inode, before.born, FileType::from_raw_mode(before.mode))
    }

    /// Returns whether it may be that nothing was done to the inode but that another of its names was removed.
    pub(super) fn may_have_lost_a_name_only(&self, before: &Self) -> bool {
        let with_names_of_before = Self {
            changed: before.changed,
            names: before.names,
            ..*self
        };
        self.names < before.names && with_names_of_before == *before
    }

    /// Returns whether nothing was done to what the name stood for.
    pub(super) fn is_untouched(&self, before: &Self) -> bool {
        if before.is_shared {
            // Other trees come and go, and with each of them the number of names and the time change. But nobody
            // writes to a shared inode, and while the snapshot has it, its number is not given to another.
            return self.is_same_inode(before);
        }
        *self == *before
    }
}

impl Index {
    /// Returns an empty index that can be compared with another.
    pub(super) fn like(other: &Self) -> Self {
        Self {
            hashing: other.hashing.clone(),
            ..Self::default()
        }
    }

    /// Scans a tree whose index was `self` before snapshots were laid on it, in the given manner.
    pub(super) fn renewed(&self, tree: &Root, manner: Manner, evidence: Evidence) -> Result<Self, FsError> {
        let mut scan = Scan {
            observer: Observer::new(evidence, self.hashing.clone()),
            before: self,
            after: Self::like(self),
            manner,
        };
        walk::walk(tree.open_dir(Path::new(""))?, &mut scan)?;
        Ok(scan.after)
    }

    /// Notes what a name stands for.
    pub(super) fn insert(&mut self, path: &[u8], stamp: Stamp) {
        self.latest = self.latest.max(stamp.changed);
        self.stamps.insert(path.into(), stamp);
    }
}

/// Notes all names of a tree.
struct Scan<'a> {
    observer: Observer,
    before: &'a Index,
    after: Index,
    manner: Manner,
}

impl Visitor for Scan<'_> {
    type Error = FsError;

    fn visit(&mut self, place: &Place<'_>) -> Result<Next, FsError> {
        let (mut stamp, _) = self.observer.look(place.dir, place.name).on("stat", place.path)?;
        let path = place.path.as_os_str().as_bytes();
        let was = self.before.stamps.get(path).filter(|was| stamp.is_same_inode(was));
        stamp.is_shared = match was {
            Some(was) => was.is_shared,
            None => self.manner == Manner::Linked && !stamp.is_dir(),
        };
        self.after.insert(path, stamp);
        if stamp.is_dir() {
            return Ok(Next::Enter(walk::open_dir(place)?));
        }
        Ok(Next::Pass)
    }
}

/// Looks at names.
#[derive(Debug)]
pub(super) struct Observer {
    evidence: Evidence,
    hashing: RandomState,
    buffer: Vec<u8>,
}

impl Observer {
    /// Makes an observer. What is compared must have been observed with the same `hashing`.
    pub(super) fn new(evidence: Evidence, hashing: RandomState) -> Self {
        Self {
            evidence,
            hashing,
            buffer: Vec::new(),
        }
    }

    /// Returns what a name stands for, and its attributes.
    pub(super) fn look(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<(Stamp, Stat), Errno> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        let found = statx(dir, name, flags, StatxFlags::BASIC_STATS | StatxFlags::BTIME)?;
        let has_birth = StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::BTIME);
        let born = has_birth.then_some(Timestamp {
            seconds: found.stx_btime.tv_sec,
            nanos: found.stx_btime.tv_nsec,
        });
        let mode = u32::from(found.stx_mode);
        let stat = Stat::from(found);
        let content = match self.evidence {
            Evidence::Contents if stat.file_type == FileType::RegularFile => Some(self.hash(dir, name)?),
            Evidence::Contents | Evidence::Times => None,
        };
        let stamp = Stamp {
            inode: stat.ino,
            born,
            changed: stat.ctime,
            modified: stat.mtime,
            size: stat.size,
            mode,
            owner: (stat.uid, stat.gid),
            names: stat.nlink,
            content,
            is_shared: false,
        };
        Ok((stamp, stat))
    }

    fn hash(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<u64, Errno> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(dir, name, flags, Mode::empty())?;
        self.buffer.resize(BUFFER, 0);
        let mut hasher = self.hashing.build_hasher();
        loop {
            match read(&file, &mut self.buffer) {
                Ok(0) => return Ok(hasher.finish()),
                Ok(length) => hasher.write(&self.buffer[..length]),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
    }
}
