//! From a tree to a layer archive.
//!
//! Equal trees give equal bytes: names are sorted, owners are numbers, access and change times are left out, times
//! that are not in the tree (those of whiteouts) are 1970, and nothing depends on the umask, the locale or the file
//! system. The choices, where the specification leaves one:
//!
//! - Modification times are whole seconds, rounded down, as Docker, containerd and Buildah write them.
//! - The top directory itself is no member: a layer cannot change the mode of `/`, neither with those three.
//! - Paths have no `./`; directories end with `/`, and come before what is in them.
//! - Whatever lies in an overlay upper directory is written, so the unchanged parents of a changed file are too.
//! - PAX records are written only for what the plain header cannot say: long or non-ASCII names, ids above
//!   2,097,151, sizes from 8 GiB, times before 1970, extended attributes.
//! - Sockets are left out: they mean nothing without the process that made them.
//! - Holes are written as zeros, without being read.

mod header;
mod output;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, openat, readlinkat};

use super::{OPAQUE_WHITEOUT, WHITEOUT_PREFIX};
use crate::attributes::Stat;
use crate::error::{FsError, OnPath as _};
use crate::escape::Escaped;
use crate::form::Ownership;
use crate::inodes::{Inodes, stat_at};
use crate::root::Root;
use crate::walk::{self, Next, Place, Visitor};
use crate::whiteout::is_whiteout;
use crate::xattr::{self, Xattr};
use header::Member;
use output::{Output, ReadError};
use tar::EntryType;

/// What the deletions in a tree look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TreeForm {
    /// An overlay upper directory: device `0:0` is a deletion, `user.overlay.opaque` an opaque directory.
    OverlayUpper,
    /// A whole tree, in which nothing is deleted and any name is ordinary.
    Plain,
}

/// What may be chosen about an archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PackOptions {
    /// The latest modification time that is kept, in seconds since 1970; later ones are lowered to it.
    pub clamp_mtime: Option<i64>,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PackSummary {
    /// Number of archive members, whiteouts included.
    pub entries: u64,
    /// Length of the archive in bytes.
    pub bytes: u64,
    /// Number of sockets left out.
    pub sockets_skipped: u64,
    /// Number of extended attributes left out.
    pub xattrs_skipped: u64,
}

/// Why a tree could not be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// A file could not be read.
    #[error(transparent)]
    Tree(#[from] FsError),
    /// The archive could not be written.
    #[error("cannot write the layer")]
    Output(#[source] io::Error),
    /// A file's own name says that it deletes another.
    #[error("`{}` cannot be stored in a layer: names that start with `.wh.` stand for deletions there", Escaped(.path.as_os_str().as_bytes()))]
    ReservedName {
        /// The file's path in the tree.
        path: PathBuf,
    },
    /// A tree that was said to have no deletions has one.
    #[error("`{}` is an overlay whiteout in a tree that is not an overlay upper directory", Escaped(.path.as_os_str().as_bytes()))]
    StrayWhiteout {
        /// The whiteout's path in the tree.
        path: PathBuf,
    },
    /// A file became shorter or another kind of file while it was read.
    #[error("`{}` changed while it was being packed", Escaped(.path.as_os_str().as_bytes()))]
    Changed {
        /// The file's path in the tree.
        path: PathBuf,
    },
}

/// Writes everything below the top of a tree as a layer archive.
///
/// Owners that the kernel holds are written as the current user namespace sees them, so this must then run inside the
/// one in which the tree was made.
pub fn pack(tree: &Root, form: TreeForm, options: &PackOptions, out: &mut dyn Write) -> Result<PackSummary, PackError> {
    let mut packer = Packer::new(tree, form, options, Output::new(out));
    walk::walk(tree.open_dir(Path::new(""))?, &mut packer)?;
    packer.finish()
}

/// Writes whole trees beside each other, each with its top as the directory of its name; the names come sorted.
pub fn pack_beside(
    trees: &[(&str, &Root)],
    options: &PackOptions,
    out: &mut dyn Write,
) -> Result<PackSummary, PackError> {
    let mut written = (Output::new(out), PackSummary::default());
    for (name, tree) in trees {
        let mut packer = Packer {
            summary: written.1,
            ..Packer::new(tree, TreeForm::Plain, options, written.0)
        };
        packer.top(tree, name)?;
        walk::walk(tree.open_dir(Path::new(""))?, &mut packer)?;
        written = (packer.out, packer.summary);
    }
    let (out, summary) = written;
    Ok(PackSummary {
        bytes: out.finish().map_err(PackError::Output)?,
        ..summary
    })
}

/// The archive being written.
struct Packer<'a> {
    form: TreeForm,
    clamp_mtime: i64,
    out: Output<'a>,
    /// Reused for every member's header.
    header: Vec<u8>,
    inodes: &'a Inodes,
    /// What stands before every path in the archive: nothing, or a directory with its slash.
    prefix: Vec<u8>,
    xattrs: xattr::Reader,
    /// The first path of every inode that has several.
    linked: HashMap<((u32, u32), u64), Vec<u8>>,
    summary: PackSummary,
}

impl Visitor for Packer<'_> {
    type Error = PackError;

    fn visit(&mut self, place: &Place<'_>) -> Result<Next, PackError> {
        if self.form == TreeForm::OverlayUpper && place.name.to_bytes().starts_with(WHITEOUT_PREFIX) {
            return Err(PackError::ReservedName {
                path: place.path.to_owned(),
            });
        }
        let file_type = match place.file_type {
            FileType::Unknown => stat_at(place.dir, place.name).on("stat", place.path)?.file_type,
            known => known,
        };
        match file_type {
            FileType::Directory => return self.directory(place),
            FileType::RegularFile => self.file(place)?,
            _ => self.special(place)?,
        }
        Ok(Next::Pass)
    }
}

impl<'a> Packer<'a> {
    fn new(tree: &'a Root, form: TreeForm, options: &PackOptions, out: Output<'a>) -> Self {
        Self {
            form,
            clamp_mtime: options.clamp_mtime.unwrap_or(i64::MAX),
            out,
            header: Vec::new(),
            inodes: tree.inodes(),
            prefix: Vec::new(),
            xattrs: xattr::Reader::default(),
            linked: HashMap::new(),
            summary: PackSummary::default(),
        }
    }

    fn finish(mut self) -> Result<PackSummary, PackError> {
        self.summary.bytes = self.out.finish().map_err(PackError::Output)?;
        Ok(self.summary)
    }

    /// Writes the top of the tree as a directory, which all others are in from now on.
    fn top(&mut self, tree: &Root, name: &str) -> Result<(), PackError> {
        self.prefix = [name.as_bytes(), b"/"].concat();
        let path = self.prefix.clone();
        let top = tree.open_dir(Path::new(""))?;
        self.directory_member(top.as_fd(), &path, Path::new("")).map(drop)
    }

    /// Returns a path of the tree as one of the archive.
    fn archived(&self, path: &Path) -> Vec<u8> {
        [self.prefix.as_slice(), path.as_os_str().as_bytes()].concat()
    }

    fn directory(&mut self, place: &Place<'_>) -> Result<Next, PackError> {
        let fd = walk::open_dir(place)?;
        let mut path = self.archived(place.path);
        path.push(b'/');
        let found = self.directory_member(fd.as_fd(), &path, place.path)?;
        if found.opaque && self.form == TreeForm::OverlayUpper {
            path.extend_from_slice(OPAQUE_WHITEOUT);
            self.member(&Member::whiteout(&path))?;
        }
        Ok(Next::Enter(fd))
    }

    fn directory_member(&mut self, fd: BorrowedFd<'_>, path: &[u8], shown: &Path) -> Result<xattr::Found, PackError> {
        let (stat, found) = self.look(fd, shown)?;
        self.summary.xattrs_skipped += found.skipped;
        self.member(&self.describe(&stat, path, EntryType::Directory, &found.xattrs))?;
        Ok(found)
    }

    fn file(&mut self, place: &Place<'_>) -> Result<(), PackError> {
        // A FIFO that takes the file's place must not be waited for.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let fd = openat(place.dir, place.name, flags, Mode::empty()).on("open", place.path)?;
        let (stat, found) = self.look(fd.as_fd(), place.path)?;
        match (stat.file_type, self.inodes.ownership()) {
            (FileType::RegularFile, _) => {}
            // A placeholder.
            (FileType::CharacterDevice | FileType::BlockDevice, Ownership::Emulated) => return self.special(place),
            _ => {
                return Err(PackError::Changed {
                    path: place.path.to_owned(),
                });
            }
        }
        if self.link(place, &stat)? {
            return Ok(());
        }
        self.summary.xattrs_skipped += found.skipped;
        let path = self.archived(place.path);
        let mut member = self.describe(&stat, &path, EntryType::Regular, &found.xattrs);
        member.size = stat.size;
        self.member(&member)?;
        self.content(&fd, &stat, place.path)
    }

    fn content(&mut self, fd: &OwnedFd, stat: &Stat, path: &Path) -> Result<(), PackError> {
        let has_holes = stat.blocks.saturating_mul(512) < stat.size;
        self.out
            .content(fd.as_fd(), stat.size, has_holes)
            .map_err(|error| match error {
                ReadError::Write(source) => PackError::Output(source),
                ReadError::Read(errno) => FsError::new("read", path, errno).into(),
                ReadError::Short => PackError::Changed { path: path.to_owned() },
            })
    }

    /// Writes what has no content: links, devices, FIFOs, whiteouts.
    fn special(&mut self, place: &Place<'_>) -> Result<(), PackError> {
        let stat = self.inodes.stat_at(place.dir, place.name.to_bytes());
        let stat = stat.on("stat", place.path)?;
        if is_whiteout(&stat) {
            return self.whiteout(place);
        }
        if stat.file_type == FileType::Socket {
            self.summary.sockets_skipped += 1;
            return Ok(());
        }
        if self.link(place, &stat)? {
            return Ok(());
        }
        let entry_type = match stat.file_type {
            FileType::Symlink => EntryType::Symlink,
            FileType::Fifo => EntryType::Fifo,
            FileType::CharacterDevice => EntryType::Char,
            FileType::BlockDevice => EntryType::Block,
            _ => {
                return Err(PackError::Changed {
                    path: place.path.to_owned(),
                });
            }
        };
        let path = self.archived(place.path);
        let mut member = self.describe(&stat, &path, entry_type, &[]);
        let target;
        match entry_type {
            EntryType::Symlink => {
                target = readlinkat(place.dir, place.name, Vec::new()).on("read the link", place.path)?;
                member.link = target.as_bytes();
            }
            EntryType::Char | EntryType::Block => member.device = stat.rdev,
            _ => {}
        }
        self.member(&member)
    }

    fn whiteout(&mut self, place: &Place<'_>) -> Result<(), PackError> {
        if self.form == TreeForm::Plain {
            return Err(PackError::StrayWhiteout {
                path: place.path.to_owned(),
            });
        }
        let mut name = WHITEOUT_PREFIX.to_vec();
        name.extend_from_slice(place.name.to_bytes());
        let path = place.path.with_file_name(OsStr::from_bytes(&name));
        self.member(&Member::whiteout(path.as_os_str().as_bytes()))
    }

    /// Writes a hard link when the inode was written before under another name.
    fn link(&mut self, place: &Place<'_>, stat: &Stat) -> Result<bool, PackError> {
        if stat.nlink < 2 {
            return Ok(false);
        }
        let path = self.archived(place.path);
        let Some(first) = self.linked.get(&stat.inode()).cloned() else {
            self.linked.insert(stat.inode(), path);
            return Ok(false);
        };
        let mut member = self.describe(stat, &path, EntryType::Link, &[]);
        member.link = &first;
        self.member(&member)?;
        Ok(true)
    }

    fn look(&mut self, fd: BorrowedFd<'_>, path: &Path) -> Result<(Stat, xattr::Found), FsError> {
        let looked = self.inodes.stat_with_xattrs(fd, &mut self.xattrs);
        looked.on("read the attributes of", path)
    }

    fn describe<'m>(&self, stat: &Stat, path: &'m [u8], entry_type: EntryType, xattrs: &'m [Xattr]) -> Member<'m> {
        Member {
            path,
            entry_type,
            mode: stat.mode,
            uid: stat.uid,
            gid: stat.gid,
            size: 0,
            mtime: stat.mtime.seconds.min(self.clamp_mtime),
            link: b"",
            device: (0, 0),
            xattrs,
        }
    }

    fn member(&mut self, member: &Member<'_>) -> Result<(), PackError> {
        self.header.clear();
        member.encode(&mut self.header);
        self.summary.entries += 1;
        self.out.put(&self.header).map_err(PackError::Output)
    }
}
