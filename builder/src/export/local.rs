//! The root file system as files in a directory of the host.
//!
//! The destination may hold anything, put there by an earlier export or by somebody who hopes that this one
//! will follow a link out of it. Every name is therefore handled relative to the descriptor of its directory,
//! and no link is ever followed below the destination: files and links that are in the way are replaced,
//! directories are merged into, and everything else is an error.

mod destination;
mod stale;

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, openat, readlinkat};
use snapshotter::walk::{self, Next, Place, Visitor};
use snapshotter::{ContentCopier, FileType, FsError, Inodes, Root, Stat, Timestamp};
use tokio_util::sync::CancellationToken;

use super::ExportError;
use crate::cancellation::go_on;
use destination::Directory;
pub use stale::remove_stale;

/// Whether exported files belong to whom they belong to in the image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ownership {
    /// Yes: for a real root.
    Keep,
    /// No, to whoever exports: an unprivileged user could not even delete files of others.
    Mine,
}

/// How files are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LocalOptions {
    /// Whose they become.
    pub ownership: Ownership,
    /// The latest modification time that they bear, in seconds since 1970: later ones are lowered to it.
    pub clamp_mtime: Option<i64>,
}

/// What was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LocalSummary {
    /// Number of names.
    pub entries: u64,
    /// Bytes of content.
    pub bytes: u64,
    /// Number of sockets left out.
    pub sockets_skipped: u64,
}

/// Copies a mounted root file system into a directory, which is created if it is missing.
///
/// Modes, times and hard links are kept; extended attributes are not. Fails before the next file once `cancel` is
/// cancelled.
pub fn write_local(
    tree: &Root,
    directory: &Path,
    options: LocalOptions,
    cancel: &CancellationToken,
) -> Result<LocalSummary, ExportError> {
    std::fs::create_dir_all(directory).map_err(ExportError::io("create", directory))?;
    let top = File::open(directory).map_err(ExportError::io("open", directory))?;
    let mut copier = Copier {
        directory: directory.to_owned(),
        options,
        cancel,
        inodes: tree.inodes().clone(),
        content: ContentCopier::default(),
        open: vec![Directory::from(OwnedFd::from(top))],
        linked: HashMap::new(),
        summary: LocalSummary::default(),
    };
    walk::walk(tree.open_dir(Path::new(""))?, &mut copier)?;
    Ok(copier.summary)
}

/// The copy being made.
struct Copier<'c> {
    /// For messages.
    directory: PathBuf,
    options: LocalOptions,
    cancel: &'c CancellationToken,
    /// Of the tree that is copied.
    inodes: Inodes,
    content: ContentCopier,
    /// The directories from the destination to where the walk is.
    open: Vec<Directory>,
    /// The first path, below the destination, of every inode that has several.
    linked: HashMap<((u32, u32), u64), PathBuf>,
    summary: LocalSummary,
}

impl Visitor for Copier<'_> {
    type Error = ExportError;

    fn visit(&mut self, place: &Place<'_>) -> Result<Next, ExportError> {
        let stat = self.stat(place)?;
        if stat.file_type == FileType::Socket {
            self.summary.sockets_skipped += 1;
            return Ok(Next::Pass);
        }
        self.summary.entries += 1;
        let here = self.directory.join(place.path);
        go_on(self.cancel).map_err(ExportError::io("write", &here))?;
        if stat.is_dir() {
            let entered = walk::open_dir(place)?;
            let made = self.here().enter(place.name, &here)?;
            self.open.push(made);
            return Ok(Next::Enter(entered));
        }
        self.here().make_room(place.name, &here)?;
        if stat.nlink > 1 {
            if let Some(first) = self.linked.get(&stat.inode()) {
                let top = &self.open[0];
                self.here().link(place.name, top, first, &here)?;
                return Ok(Next::Pass);
            }
            self.linked.insert(stat.inode(), place.path.to_owned());
        }
        match stat.file_type {
            FileType::RegularFile => self.copy_file(place, &stat, &here)?,
            FileType::Symlink => {
                let target = readlinkat(place.dir, place.name, Vec::new())
                    .map_err(|error| FsError::new("read the link", place.path, error))?;
                self.here().symlink(&target, place.name, &here)?;
                self.here()
                    .finish_link(place.name, &stat, self.options.ownership, &here)?;
            }
            _ => {
                self.here().special(place.name, &stat, &here)?;
                self.here()
                    .finish_special(place.name, &stat, self.options.ownership, &here)?;
            }
        }
        Ok(Next::Pass)
    }

    fn leave(&mut self, place: &Place<'_>) -> Result<(), ExportError> {
        let stat = self.stat(place)?;
        let path = self.directory.join(place.path);
        // Last, because whatever is put into a directory changes its time, and it may not be writable.
        match self.open.pop() {
            Some(directory) => directory.finish(&stat, self.options.ownership, &path),
            None => Ok(()),
        }
    }
}

impl Copier<'_> {
    fn here(&self) -> &Directory {
        // The destination itself is never left.
        &self.open[self.open.len() - 1]
    }

    fn copy_file(&mut self, place: &Place<'_>, stat: &Stat, here: &Path) -> Result<(), ExportError> {
        // A FIFO that takes the file's place must not be waited for.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let source = openat(place.dir, place.name, flags, Mode::empty())
            .map_err(|error| FsError::new("open", place.path, error))?;
        let copy = self.here().create(place.name, here)?;
        let copied = self.content.copy(&source, &copy, stat);
        copied.map_err(|errno| ExportError::io("copy to", here)(errno.into()))?;
        self.summary.bytes += stat.size;
        Directory::finish_open(copy.as_fd(), stat, self.options.ownership, here)
    }

    /// Returns the attributes that the copy of a file is given.
    fn stat(&self, place: &Place<'_>) -> Result<Stat, ExportError> {
        let stat = self.inodes.stat_at(place.dir, place.name.to_bytes());
        let mut stat = stat.map_err(|error| FsError::new("stat", place.path, error))?;
        if let Some(latest) = self.options.clamp_mtime {
            stat.mtime = stat.mtime.min(Timestamp::from_seconds(latest));
        }
        Ok(stat)
    }
}

#[cfg(test)]
mod tests;
