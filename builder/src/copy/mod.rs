//! Copying a selection into a root file system, with BuildKit's meaning of `COPY` and `ADD`.
//!
//! A [`Copier`] is given the sources of one operation in order. What arrives is what was selected: names and
//! attributes are those of the [`Selection`], and the bytes are hashed while they are copied; if they are not the
//! ones that were digested, the copy fails with [`CopyError::ChangedWhileReading`] and no key ever stands for other
//! bytes. After an error the destination holds a part of the copy and is to be thrown away.
//!
//! | what | becomes |
//! |---|---|
//! | a directory | its *content* is merged into the destination, which is made if it is missing |
//! | the destination itself, if it existed | keeps its owner and mode |
//! | a directory below it that existed | gets the source's owner, mode and time; with `--parents` only the mode |
//! | a file | the destination, or a file in it if that is a directory, ends with `/`, or there are several sources |
//! | a missing directory on the way | is made `0755`, or with the mode of an octal `--chmod`, and owned by root or `--chown` |
//! | links in the destination path | are followed inside the root; links *below* the destination are replaced by files and refused by directories |
//! | links in a source directory | stay links |
//! | a socket | an empty file |
//! | an archive, in `ADD` | its content, with its own owners (or `--chown`) and modes; `--chmod` does not reach inside |
//! | times | kept to the nanosecond; heredocs and directories that were made have `SOURCE_DATE_EPOCH`, else the present |

pub(crate) mod archive;
mod attributes;
mod bytes;
mod dirs;
mod error;
#[cfg(test)]
mod tests;
mod transfer;
mod tree;

use std::ffi::OsString;
use std::io::Seek as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use snapshotter::{DirAttributes, FsError, Root, Stat, Timestamp};
use tokio_util::sync::CancellationToken;

pub use error::CopyError;

use crate::context::{
    Content, FileContent, Match, ResolveError, Selection, Tree, absolute, begin_file_digest, resolve,
};
use crate::identity::Owner;
use crate::op::{Chmod, CopyOp, InlineFile};
use dirs::Dirs;
use transfer::{Manner, Route, Transfer};

/// Performs one `COPY` or `ADD`.
pub struct Copier<'a> {
    op: &'a CopyOp,
    owner: Option<Owner>,
    into: &'a Root,
    transfer: Transfer,
    /// Directories that were made and are to bear a certain time, which everything put into them changes.
    made: Vec<PathBuf>,
}

/// How the files of one source arrive.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Arrival {
    /// Whether with their own owners, unless `--chown` is given; else they become root's.
    pub keep_owner: bool,
    /// Whether archives arrive as the files in them.
    pub unpack: bool,
}

impl Arrival {
    /// As they are in every respect: `COPY --from`.
    pub fn kept() -> Self {
        Self {
            keep_owner: true,
            unpack: false,
        }
    }
}

/// What was copied.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Copied {
    /// Number of files, links and special files, not of directories.
    pub files: u64,
    /// Bytes of the files, holes included.
    pub bytes: u64,
    /// Number of extended attributes that the destination cannot keep.
    pub xattrs_skipped: u64,
    /// Number of device nodes in archives that cannot be made here.
    pub devices_skipped: u64,
}

/// Where one source goes.
struct Destination {
    /// Path in the root, without links.
    path: PathBuf,
    stat: Option<Stat>,
    /// Whether it must be a directory even if nothing is there yet.
    as_directory: bool,
}

impl<'a> Copier<'a> {
    /// Starts a copy into a root file system; `owner` is what `--chown` was resolved to.
    pub fn new(op: &'a CopyOp, owner: Option<Owner>, into: &'a Root) -> Self {
        Self {
            op,
            owner,
            into,
            transfer: Transfer::new(),
            made: Vec::new(),
        }
    }

    /// Fails, before the next file or the next piece of one, once `cancel` is cancelled.
    #[must_use]
    pub fn until(mut self, cancel: CancellationToken) -> Self {
        self.transfer.pipe.cancel = cancel;
        self
    }

    /// Copies all that a source names.
    pub fn add_selection(&mut self, tree: &Tree, selection: &Selection, arrival: Arrival) -> Result<(), CopyError> {
        let Arrival { keep_owner, unpack } = arrival;
        let several = selection.matches.len() > 1;
        for matched in &selection.matches {
            let destination = self.destination(several)?;
            match matched.entries.first().map(|top| &top.content) {
                Some(Content::Directory(_)) => self.merge(tree, matched, &destination, keep_owner)?,
                Some(Content::File(content)) if unpack && self.unpack(tree, matched, content, &destination)? => {}
                Some(_) => self.place(tree, matched, &destination, keep_owner)?,
                None => {}
            }
        }
        Ok(())
    }

    /// Writes a heredoc: mode 0644, unless `--chmod` says otherwise.
    pub fn add_inline(&mut self, file: &InlineFile) -> Result<(), CopyError> {
        let destination = self.destination(false)?;
        let (directory, name) = self.directory_and_name(&destination, &file.name.clone().into())?;
        let mut target = Dirs::new(self.into, directory, self.directory_of(&destination))?;
        let manner = self.manner(false);
        self.transfer
            .inline(&mut target, Path::new(&name), file.content.as_bytes(), &manner)
    }

    /// Ends the copy and tells what it did.
    pub fn finish(self) -> Result<Copied, CopyError> {
        if let Some(time) = self.time() {
            for path in &self.made {
                let directory = self.into.open_dir(path)?;
                attributes::set_time(directory.as_fd(), time)
                    .map_err(|errno| FsError::new("set the time of", absolute(path), errno))?;
            }
        }
        Ok(self.transfer.finish())
    }

    /// Returns the time of what the copy itself makes; the present if there is none.
    fn time(&self) -> Option<Timestamp> {
        self.op.mtime.map(Timestamp::from_seconds)
    }

    fn manner(&self, keep_owner: bool) -> Manner<'a> {
        Manner {
            owner: self.owner,
            keep_owner,
            chmod: self.op.chmod.as_ref(),
            parents: self.op.parents,
            time: self.time(),
        }
    }

    /// Finds out where the next source goes; looked up each time, since a source may make what the next one meets.
    fn destination(&self, several: bool) -> Result<Destination, CopyError> {
        let written = Path::new(&self.op.destination);
        let resolved = resolve(self.into, written).map_err(|error| match error {
            ResolveError::TooManyLinks => CopyError::TooManyLinks {
                path: written.to_owned(),
            },
            ResolveError::Unreadable(error) => error.into(),
        })?;
        let as_directory = self.op.destination.ends_with('/') || self.op.sources.len() > 1 || several;
        Ok(Destination {
            path: resolved.path,
            stat: resolved.stat,
            as_directory,
        })
    }

    fn merge(
        &mut self,
        tree: &Tree,
        matched: &Match,
        destination: &Destination,
        keep_owner: bool,
    ) -> Result<(), CopyError> {
        let target = Dirs::new(
            self.into,
            self.make_directory(destination)?,
            absolute(&destination.path),
        )?;
        let source = Dirs::new(
            tree.root(),
            tree.root().open_dir(&matched.origin)?,
            absolute(&matched.origin),
        )?;
        let manner = self.manner(keep_owner);
        tree::merge(&mut self.transfer, source, target, &matched.entries, &manner)
    }

    fn place(
        &mut self,
        tree: &Tree,
        matched: &Match,
        destination: &Destination,
        keep_owner: bool,
    ) -> Result<(), CopyError> {
        let Some(entry) = matched.entries.first() else {
            return Ok(());
        };
        let (directory, name) = self.directory_and_name(destination, &matched.name)?;
        let route = Route {
            source: &mut directory_around(tree, &matched.origin)?,
            from: Path::new(matched.origin.file_name().unwrap_or_default()),
            target: &mut Dirs::new(self.into, directory, self.directory_of(destination))?,
            to: Path::new(&name),
        };
        self.transfer.entry(route, entry, &self.manner(keep_owner))
    }

    /// Unpacks an archive into the destination, which is then always a directory; returns whether it was one.
    fn unpack(
        &mut self,
        tree: &Tree,
        matched: &Match,
        content: &FileContent,
        destination: &Destination,
    ) -> Result<bool, CopyError> {
        let path = absolute(&matched.origin);
        let name = Path::new(matched.origin.file_name().unwrap_or_default());
        let mut file = transfer::open_source(&mut directory_around(tree, &matched.origin)?, name)?;
        if !archive::is_archive(&file) {
            return Ok(false);
        }
        let failed = |error| FsError::new("read", &path, error);
        file.rewind().map_err(failed)?;
        let into = Root::from_fd(self.make_directory(destination)?).with_inodes(self.into.inodes().clone());
        let size = matched.entries.first().map_or(0, |entry| entry.stat.size);
        let hasher = begin_file_digest(&self.transfer.read_xattrs(tree.root().inodes(), &file, content, &path)?);
        let outcome = archive::unpack(&file, size, hasher, &into, self.owner, &self.transfer.pipe.cancel);
        let outcome = outcome.map_err(failed)?;
        // An archive that changed underneath may well look damaged: then the change is what is to be told.
        if outcome.digest != content.digest {
            return Err(CopyError::ChangedWhileReading { path });
        }
        match outcome.unpacked {
            Ok(unpacked) => self.transfer.count_unpacked(&unpacked),
            Err(source) => return Err(CopyError::Archive { path, source }),
        }
        Ok(true)
    }

    /// Opens the destination as a directory, which is made if it is missing.
    fn make_directory(&mut self, destination: &Destination) -> Result<OwnedFd, CopyError> {
        if destination.stat.is_some_and(|stat| !stat.is_dir()) {
            return Err(CopyError::DirectoryOverFile {
                path: absolute(&destination.path),
            });
        }
        self.make_dirs(&destination.path)
    }

    /// Opens the directory that a file goes to, and returns it with the file's name there; `own_name` is what the
    /// file is called if the destination is a directory.
    fn directory_and_name(
        &mut self,
        destination: &Destination,
        own_name: &OsString,
    ) -> Result<(OwnedFd, OsString), CopyError> {
        if destination.is_directory() {
            return Ok((self.make_directory(destination)?, own_name.clone()));
        }
        let name = destination.path.file_name().unwrap_or_default().to_owned();
        Ok((self.make_dirs(&self.directory_of(destination))?, name))
    }

    /// Returns the path of the directory that a file goes to.
    fn directory_of(&self, destination: &Destination) -> PathBuf {
        let path = absolute(&destination.path);
        if destination.is_directory() {
            path
        } else {
            path.parent().unwrap_or(Path::new("/")).to_owned()
        }
    }

    fn make_dirs(&mut self, path: &Path) -> Result<OwnedFd, CopyError> {
        if self.op.mtime.is_some() {
            for missing in path.ancestors() {
                if self.into.stat(missing, false)?.is_some() {
                    break;
                }
                self.made.push(missing.to_owned());
            }
        }
        let Owner { uid, gid } = self.owner.unwrap_or_default();
        let mode = match self.op.chmod {
            Some(Chmod::Octal(mode)) => mode,
            _ => 0o755,
        };
        let attributes = DirAttributes {
            mode,
            uid,
            gid,
            mtime: None,
        };
        self.into
            .make_dirs(path, &attributes)
            .map_err(|error| match error.errno() {
                Some(Errno::INVAL | Errno::OVERFLOW) => CopyError::UnmappedOwner {
                    path: absolute(path),
                    uid,
                    gid,
                },
                _ => error.into(),
            })
    }
}

impl Destination {
    fn is_directory(&self) -> bool {
        self.as_directory || self.stat.is_some_and(|stat| stat.is_dir())
    }
}

/// Opens the directory that a file of a tree is in; the path has no links.
fn directory_around(tree: &Tree, path: &Path) -> Result<Dirs, FsError> {
    let directory = path.parent().unwrap_or(Path::new(""));
    Dirs::new(tree.root(), tree.root().open_dir(directory)?, absolute(directory))
}
