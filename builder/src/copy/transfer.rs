//! One file from one directory to another: made, filled, verified and dressed.
//!
//! What has the name already is removed first, never written through or followed; a directory is never removed.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, linkat, openat, symlinkat, unlinkat};
use rustix::io::Errno;
use snapshotter::layer::Unpacked;
use snapshotter::xattr::{self, Xattr};
use snapshotter::{FsError, Inodes, Stat, Timestamp};

use super::attributes::{Attributes, Dresser};
use super::bytes::{self, Pipe};
use super::dirs::{Dir, Dirs};
use super::{Copied, CopyError};
use crate::context::{Content, Entry, FileContent, begin_file_digest};
use crate::identity::Owner;
use crate::op::Chmod;

/// Permission bits of a file that is not finished: nobody else reads it.
const UNFINISHED: Mode = Mode::RUSR.union(Mode::WUSR);

/// Mode of a heredoc.
const INLINE_MODE: u32 = 0o644;

/// As whose and with what mode files arrive.
#[derive(Clone, Copy)]
pub(super) struct Manner<'a> {
    /// `--chown`.
    pub(super) owner: Option<Owner>,
    /// Whether owners arrive as they are without `--chown`; else files become root's.
    pub(super) keep_owner: bool,
    pub(super) chmod: Option<&'a Chmod>,
    /// `--parents`: directories that exist keep all but their mode.
    pub(super) parents: bool,
    /// The time of heredocs; the present if `None`.
    pub(super) time: Option<Timestamp>,
}

impl Manner<'_> {
    /// Returns what a file with these attributes is given.
    pub(super) fn attributes(&self, stat: &Stat) -> Attributes {
        let own = if self.keep_owner {
            Owner {
                uid: stat.uid,
                gid: stat.gid,
            }
        } else {
            Owner::default()
        };
        Attributes {
            owner: self.owner.unwrap_or(own),
            mode: self.mode(stat.mode, stat.is_dir()),
            mtime: Some(stat.mtime),
        }
    }

    fn mode(&self, mode: u32, is_directory: bool) -> u32 {
        self.chmod.map_or(mode, |chmod| chmod.apply(mode, is_directory))
    }
}

/// From where to where one file goes: two trees, and a path in each.
pub(super) struct Route<'r> {
    pub(super) source: &'r mut Dirs,
    pub(super) from: &'r Path,
    pub(super) target: &'r mut Dirs,
    pub(super) to: &'r Path,
}

/// What all files of a copy share.
pub(super) struct Transfer {
    pub(super) dresser: Dresser,
    xattrs: xattr::Reader,
    pub(super) pipe: Pipe,
    copied: Copied,
}

impl Transfer {
    pub(super) fn new() -> Self {
        Self {
            dresser: Dresser::default(),
            xattrs: xattr::Reader::default(),
            pipe: Pipe::new(),
            copied: Copied::default(),
        }
    }

    pub(super) fn finish(self) -> Copied {
        let xattrs_skipped = self.copied.xattrs_skipped + self.dresser.xattrs_skipped;
        Copied {
            xattrs_skipped,
            ..self.copied
        }
    }

    pub(super) fn count_unpacked(&mut self, unpacked: &Unpacked) {
        self.copied.files += unpacked.entries;
        self.copied.bytes += unpacked.bytes;
        self.copied.xattrs_skipped += unpacked.xattrs_skipped;
        self.copied.devices_skipped += unpacked.devices_skipped;
    }

    /// Copies what is not a directory.
    pub(super) fn entry(&mut self, route: Route<'_>, entry: &Entry, manner: &Manner<'_>) -> Result<(), CopyError> {
        self.copied.files += 1;
        let attributes = manner.attributes(&entry.stat);
        let Route { target, to, .. } = route;
        match &entry.content {
            Content::File(content) => self.file(Route { target, to, ..route }, &entry.stat, content, &attributes),
            Content::Link(link) => {
                replace(target, to, |dir, name| symlinkat(link.as_path(), dir.fd, name)).named(
                    "make link",
                    target,
                    to,
                )?;
                self.dress_name(target, to, &attributes, None)
            }
            Content::Nothing if entry.stat.file_type == FileType::Socket => {
                let file = create(target, to)?;
                self.dress_file(target, to, &file, &attributes, &[])
            }
            // A directory cannot come here: `tree` makes them.
            Content::Nothing | Content::Directory(_) => {
                let Stat { file_type, rdev, .. } = entry.stat;
                let make =
                    |dir: Dir<'_>, name: &OsStr| dir.inodes.make_special(dir.fd, name.as_bytes(), file_type, rdev);
                replace(target, to, make).named("make special file", target, to)?;
                self.dress_name(target, to, &attributes, Some(attributes.mode))
            }
        }
    }

    fn file(
        &mut self,
        route: Route<'_>,
        stat: &Stat,
        content: &FileContent,
        attributes: &Attributes,
    ) -> Result<(), CopyError> {
        let Route {
            source,
            from,
            target,
            to,
        } = route;
        let shown = source.shown(from);
        let reading = open_source(source, from)?;
        let xattrs = self.read_xattrs(source.inodes(), &reading, content, &shown)?;
        let writing = create(target, to)?;
        let mut hasher = begin_file_digest(&xattrs);
        let whole = bytes::copy(&reading, &writing, stat, &mut hasher, &mut self.pipe)
            .map_err(|error| FsError::new("copy", &shown, error))?;
        if !whole || hasher.finish() != content.digest {
            return Err(CopyError::ChangedWhileReading { path: shown });
        }
        self.copied.bytes += stat.size;
        self.dress_file(target, to, &writing, attributes, &xattrs)
    }

    /// Writes a file whose content stands in the Dockerfile.
    pub(super) fn inline(
        &mut self,
        target: &mut Dirs,
        to: &Path,
        content: &[u8],
        manner: &Manner<'_>,
    ) -> Result<(), CopyError> {
        let mut file = create(target, to)?;
        file.write_all(content)
            .map_err(|error| FsError::new("write", target.shown(to), error))?;
        self.copied.files += 1;
        self.copied.bytes += content.len() as u64;
        let owner = manner.owner.unwrap_or_default();
        let attributes = Attributes {
            owner,
            mode: manner.mode(INLINE_MODE, false),
            mtime: manner.time,
        };
        self.dress_file(target, to, &file, &attributes, &[])
    }

    /// Makes a further name of a file that was copied to `first`.
    pub(super) fn hard_link(&mut self, target: &mut Dirs, first: &Path, to: &Path) -> Result<(), CopyError> {
        let open = target
            .open(first.parent().unwrap_or(Path::new("")))?
            .fd
            .try_clone_to_owned();
        let first_dir = open.map_err(|error| FsError::new("duplicate the handle of", target.shown(first), error))?;
        let first_name = first.file_name().unwrap_or_default();
        let make = |dir: Dir<'_>, name: &OsStr| linkat(&first_dir, first_name, dir.fd, name, AtFlags::empty());
        self.copied.files += 1;
        replace(target, to, make).named("make hard link", target, to)
    }

    /// Reads the extended attributes of an open source, if it had any when it was digested. Whether they are still
    /// the same, the digest will tell.
    pub(super) fn read_xattrs(
        &mut self,
        inodes: &Inodes,
        file: &File,
        content: &FileContent,
        shown: &Path,
    ) -> Result<Vec<Xattr>, CopyError> {
        if !content.has_xattrs {
            return Ok(Vec::new());
        }
        let found = inodes.xattrs(file.as_fd(), &mut self.xattrs);
        Ok(found
            .map_err(|errno| FsError::new("read the extended attributes of", shown, errno))?
            .xattrs)
    }

    fn dress_file(
        &mut self,
        target: &mut Dirs,
        to: &Path,
        file: &File,
        attributes: &Attributes,
        xattrs: &[Xattr],
    ) -> Result<(), CopyError> {
        let dir = target.open(to.parent().unwrap_or(Path::new("")))?;
        let dressed = self.dresser.new_file(file.as_fd(), dir, attributes, xattrs);
        dressed.map_err(|undressed| undressed.of(target.shown(to)))
    }

    /// Dresses what cannot be opened; `mode` is `None` for a link, which has none.
    fn dress_name(
        &mut self,
        target: &mut Dirs,
        to: &Path,
        attributes: &Attributes,
        mode: Option<u32>,
    ) -> Result<(), CopyError> {
        let dir = target.open(to.parent().unwrap_or(Path::new("")))?;
        let name = to.file_name().unwrap_or_default().as_bytes();
        let dressed = self.dresser.by_name(dir, name, attributes, mode);
        dressed.map_err(|undressed| undressed.of(target.shown(to)))
    }
}

/// Opens a file to read; anything else under its name means that it changed.
pub(super) fn open_source(source: &mut Dirs, from: &Path) -> Result<File, CopyError> {
    let shown = source.shown(from);
    let changed = || CopyError::ChangedWhileReading { path: shown.clone() };
    let is_gone = |errno| {
        matches!(
            errno,
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO | Errno::STALE
        )
    };
    let dir = match source.open(from.parent().unwrap_or(Path::new(""))) {
        Err(error) if error.errno().is_some_and(is_gone) => return Err(changed()),
        dir => dir?,
    };
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    match openat(dir.fd, from.file_name().unwrap_or_default(), flags, Mode::empty()) {
        Ok(fd) => Ok(File::from(fd)),
        Err(errno) if is_gone(errno) => Err(changed()),
        Err(errno) => Err(FsError::new("open", shown, errno).into()),
    }
}

/// Creates an empty file that only its owner may read yet.
fn create(target: &mut Dirs, to: &Path) -> Result<File, CopyError> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    replace(target, to, |dir, name| openat(dir.fd, name, flags, UNFINISHED))
        .named("create", target, to)
        .map(File::from)
}

/// Why something could not be made under a name.
enum Refused {
    Directory,
    Open(FsError),
    Call(Errno),
}

/// Makes something under a name, after removing what has it.
fn replace<T>(target: &mut Dirs, to: &Path, make: impl Fn(Dir<'_>, &OsStr) -> Result<T, Errno>) -> Result<T, Refused> {
    let dir = target
        .open(to.parent().unwrap_or(Path::new("")))
        .map_err(Refused::Open)?;
    let name = to.file_name().unwrap_or_default();
    match make(dir, name) {
        Err(Errno::EXIST) => {
            match unlinkat(dir.fd, name, AtFlags::empty()) {
                Err(Errno::ISDIR) => return Err(Refused::Directory),
                result => result.map_err(Refused::Call)?,
            }
            make(dir, name).map_err(Refused::Call)
        }
        made => made.map_err(Refused::Call),
    }
}

/// Adds verb and path to a refusal.
trait Named<T> {
    fn named(self, verb: &'static str, target: &Dirs, to: &Path) -> Result<T, CopyError>;
}

impl<T> Named<T> for Result<T, Refused> {
    fn named(self, verb: &'static str, target: &Dirs, to: &Path) -> Result<T, CopyError> {
        self.map_err(|refused| match refused {
            Refused::Directory => CopyError::FileOverDirectory { path: target.shown(to) },
            Refused::Open(error) => error.into(),
            Refused::Call(errno) => FsError::new(verb, target.shown(to), errno).into(),
        })
    }
}
