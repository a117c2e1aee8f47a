//! Listing and measuring directories of the store.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::io::Errno;

use crate::error::{FsError, OnPath as _};
use crate::inodes::stat_at;
use crate::root::Root;
use crate::walk::{self, Next, Place, Visitor};

/// What a snapshot takes on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of disk space: holes and shared hard links count once at most.
    pub bytes: u64,
    /// Number of inodes.
    pub inodes: u64,
}

/// Returns the names in a directory, sorted.
pub(super) fn names(root: &Root, path: &Path) -> Result<Vec<OsString>, FsError> {
    struct List(Vec<OsString>);
    impl Visitor for List {
        type Error = FsError;

        fn visit(&mut self, place: &Place<'_>) -> Result<Next, FsError> {
            self.0.push(OsStr::from_bytes(place.name.to_bytes()).to_owned());
            Ok(Next::Pass)
        }
    }
    let mut list = List(Vec::new());
    walk::walk(root.open_dir(path)?, &mut list)?;
    Ok(list.0)
}

/// Adds up what lies in a directory, not the directory itself.
pub fn measure(dir: OwnedFd) -> Result<Usage, FsError> {
    let mut sum = Sum {
        usage: Usage::default(),
        linked: HashSet::new(),
    };
    walk::walk(dir, &mut sum)?;
    Ok(sum.usage)
}

/// The sum so far, with the inodes that have several names.
struct Sum {
    usage: Usage,
    linked: HashSet<((u32, u32), u64)>,
}

impl Visitor for Sum {
    type Error = FsError;

    fn visit(&mut self, place: &Place<'_>) -> Result<Next, FsError> {
        let stat = match stat_at(place.dir, place.name) {
            // Others go on working while the tree is measured.
            Err(Errno::NOENT) => return Ok(Next::Pass),
            result => result.on("stat", place.path)?,
        };
        if stat.is_dir() || stat.nlink == 1 || self.linked.insert(stat.inode()) {
            self.usage.bytes += stat.blocks * 512;
            self.usage.inodes += 1;
        }
        if !stat.is_dir() {
            return Ok(Next::Pass);
        }
        match walk::open_dir(place) {
            Err(error) if error.errno() == Some(Errno::NOENT) => Ok(Next::Pass),
            result => result.map(Next::Enter),
        }
    }
}
