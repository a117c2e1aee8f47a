//! Writing changes of a tree as a snapshot of upper form.

use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{Mode, mkdirat};

use super::changes::{Change, Changes};
use crate::error::{FsError, OnPath as _};
use crate::replica::{Manner, Replicator};
use crate::root::Root;
use crate::{whiteout, xattr};

/// Fills the empty directory `upper` with what makes a tree out of what it was.
pub(super) fn write(tree: &Root, changes: &Changes, upper: &Root) -> Result<(), FsError> {
    let mut replicator = Replicator::new(tree.inodes(), upper, Manner::Copied);
    for (path, change) in changes.iter() {
        let (into, name) = upper.parent(path)?;
        match change {
            Change::Gone => whiteout::make(into.as_fd(), name.as_os_str()).on("make whiteout", path)?,
            Change::Directory { replaces } => {
                mkdirat(&into, &name, Mode::RWXU).on("make directory", path)?;
                if replaces {
                    let made = upper.open_dir(path)?;
                    xattr::set_opaque(made.as_fd()).on("mark as opaque", path)?;
                }
            }
            Change::File => {
                let (from, _) = tree.parent(path)?;
                let name = name.as_bytes();
                replicator.file((from.as_fd(), name), (into.as_fd(), name), path)?;
            }
        }
    }
    // Each directory after what is in it.
    for (path, change) in changes.iter().rev() {
        if let Change::Directory { .. } = change {
            replicator.directory(tree.open_dir(path)?, upper.open_dir(path)?, path)?;
        }
    }
    replicator.directory(tree, upper, Path::new("/"))
}
