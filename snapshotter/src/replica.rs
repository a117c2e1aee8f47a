//! Copying files as they are on disk, bookkeeping and all, from one tree of the store's form to another.
//!
//! What a file means in the image is not looked at: its record, like every other attribute, is copied as it is, and
//! the copy means the same. Only the owners of special files, which are noted by inode, are passed on.

mod content;

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, futimens, linkat, makedev, mknodat, openat, readlinkat, symlinkat, utimensat,
};
use rustix::io::Errno;

use crate::attributes::{Attributes, Stat};
use crate::error::{FsError, OnPath as _};
use crate::form::Ownership;
use crate::inodes::{Inodes, stat_at};
use crate::root::Root;
use crate::xattr;
pub use content::ContentCopier;

/// The verb of the error that says that a file could not get a further name.
pub(crate) const LINKING: &str = "make hard link";

/// Permission bits of a file that is not finished.
const UNFINISHED: Mode = Mode::RUSR.union(Mode::WUSR);

/// Whether the new tree has files of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Each file is a new inode: whatever is done to it, the other tree does not see.
    Copied,
    /// Each file is a further name of the inode in the other tree, on the same file system. Directories are new.
    Linked,
}

/// Copies files from one tree to another.
pub(crate) struct Replicator<'a> {
    from: &'a Inodes,
    to: &'a Root,
    manner: Manner,
    /// How the disk has it.
    disk: Inodes,
    /// Whether a directory may give a group of its own to what is made in it.
    gives_group: bool,
    /// Where an inode with several names was copied to first.
    first_names: HashMap<((u32, u32), u64), PathBuf>,
    content: ContentCopier,
    xattrs: xattr::Reader,
}

impl<'a> Replicator<'a> {
    /// Prepares to copy from a tree whose inodes are `from`.
    pub(crate) fn new(from: &'a Inodes, to: &'a Root, manner: Manner) -> Self {
        Self {
            from,
            to,
            manner,
            disk: Inodes::real(),
            gives_group: to.inodes().ownership() == Ownership::Real,
            first_names: HashMap::new(),
            content: ContentCopier::default(),
            xattrs: xattr::Reader::default(),
        }
    }

    /// Copies what is no directory: `name` of `from` to `new_name` of `into`, the directory of `path` in the new tree.
    /// A name that is taken is `EEXIST`.
    pub(crate) fn file(
        &mut self,
        (from, name): (BorrowedFd<'_>, &[u8]),
        (into, new_name): (BorrowedFd<'_>, &[u8]),
        path: &Path,
    ) -> Result<(), FsError> {
        let stat = stat_at(from, name).on("stat", path)?;
        if self.manner == Manner::Linked {
            linkat(from, name, into, new_name, AtFlags::empty()).on(LINKING, path)?;
            self.pass_on_owner(&stat, &stat);
            return Ok(());
        }
        let first = self.first_names.get(&stat.inode()).filter(|_| stat.nlink > 1);
        if let Some(first) = first {
            let (directory, first_name) = self.to.parent(first)?;
            return linkat(&directory, first_name, into, new_name, AtFlags::empty()).on(LINKING, path);
        }
        match stat.file_type {
            FileType::RegularFile => self.regular((from, name), (into, new_name), &stat, path)?,
            _ => self.special((from, name), (into, new_name), &stat, path)?,
        }
        if stat.nlink > 1 {
            self.first_names.insert(stat.inode(), path.to_owned());
        }
        Ok(())
    }

    /// Gives a directory all that another has but its entries; last, because making those changes its time.
    pub(crate) fn directory(&mut self, from: impl AsFd, into: impl AsFd, path: &Path) -> Result<(), FsError> {
        let (from, into) = (from.as_fd(), into.as_fd());
        let stat = stat_at(from, c"").on("stat", path)?;
        xattr::clear_all(into, &mut self.xattrs).on("remove the extended attributes of", path)?;
        self.finish(from, into, &stat, path)
    }

    fn regular(
        &mut self,
        (from, name): (BorrowedFd<'_>, &[u8]),
        (into, new_name): (BorrowedFd<'_>, &[u8]),
        stat: &Stat,
        path: &Path,
    ) -> Result<(), FsError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let source = openat(from, name, flags, Mode::empty()).on("open", path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let copy = openat(into, new_name, flags, UNFINISHED).on("create", path)?;
        self.content.copy(&source, &copy, stat).on("copy", path)?;
        self.finish(source.as_fd(), copy.as_fd(), stat, path)
    }

    fn special(
        &self,
        (from, name): (BorrowedFd<'_>, &[u8]),
        (into, new_name): (BorrowedFd<'_>, &[u8]),
        stat: &Stat,
        path: &Path,
    ) -> Result<(), FsError> {
        if stat.file_type == FileType::Symlink {
            let target = readlinkat(from, name, Vec::new()).on("read the link", path)?;
            symlinkat(&target, into, new_name).on("make link", path)?;
            self.disk
                .dress_new_link(into, new_name, self.gives_group, (stat.uid, stat.gid))
                .on("set the owner of", path)?;
        } else {
            let device = makedev(stat.rdev.0, stat.rdev.1);
            mknodat(into, new_name, stat.file_type, UNFINISHED, device).on("make special file", path)?;
            self.disk
                .dress_new_special(into, new_name, self.gives_group, attributes(stat))
                .on("set the owner and mode of", path)?;
        }
        self.pass_on_owner(stat, &stat_at(into, new_name).on("stat", path)?);
        utimensat(into, new_name, &stat.mtime.as_mtime(), AtFlags::SYMLINK_NOFOLLOW).on("set the time of", path)
    }

    fn pass_on_owner(&self, original: &Stat, copy: &Stat) {
        if let (Some(from), Some(to)) = (self.from.specials(), self.to.inodes().specials()) {
            to.set(copy.inode(), from.owner(original.inode()));
        }
    }

    /// Gives an open copy its owner, mode, extended attributes and time, of which each may undo a later one.
    fn finish(&mut self, from: BorrowedFd<'_>, into: BorrowedFd<'_>, stat: &Stat, path: &Path) -> Result<(), FsError> {
        self.disk
            .dress_new(into, stat.file_type, self.gives_group, attributes(stat))
            .on("set the owner and mode of", path)?;
        xattr::copy_all(from, into, &mut self.xattrs).on("copy the extended attributes of", path)?;
        futimens(into, &stat.mtime.as_mtime()).on("set the time of", path)
    }
}

fn attributes(stat: &Stat) -> Attributes {
    Attributes {
        uid: stat.uid,
        gid: stat.gid,
        mode: stat.mode,
    }
}

/// Returns whether an error says that something has the name already.
pub(crate) fn is_taken(error: &FsError) -> bool {
    error.errno() == Some(Errno::EXIST)
}
