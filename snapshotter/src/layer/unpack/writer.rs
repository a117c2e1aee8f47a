//! Making one entry after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, futimens, mkdirat, openat, symlinkat, utimensat};
use rustix::io::Errno;

use super::dirs::{Dirs, Missing, Parent};
use super::error::UnpackCause;
use super::path::TreePath;
use super::whiteout::hidden_by;
use super::{UnpackMode, Unpacked, content, display_path};
use crate::attributes::{Attributes, Stat, Timestamp};
use crate::error::{FsError, OnPath as _};
use crate::inodes::{Inodes, stat_at};
use crate::layer::archive::{Archive, Entry, Kind};
use crate::layer::xattr::{self, Xattr};
use crate::remove::remove_at;
use crate::root::{DIR_FLAGS, Root};

/// Permission bits of a file that is not finished: nobody else reads it.
const UNFINISHED: Mode = Mode::RUSR.union(Mode::WUSR);

/// The set-group-ID bit.
const SET_GROUP_ID: u32 = 0o2000;

/// A tree being filled.
pub(super) struct Writer {
    pub(super) mode: UnpackMode,
    pub(super) dirs: Dirs,
    /// Directories on the way to targets of hard links, which lie elsewhere than the links.
    pub(super) link_dirs: Dirs,
    /// Times of directories, set at the end.
    times: BTreeMap<Vec<u8>, Timestamp>,
    /// Directories that were made without an entry of their own.
    implied: BTreeSet<Vec<u8>>,
    /// In `Merged` mode, the entries so far: what whiteouts of the same layer leave alone.
    pub(super) own: BTreeSet<Vec<u8>>,
    pub(super) result: Unpacked,
    inodes: Inodes,
}

impl Writer {
    pub(super) fn new(into: &Root, mode: UnpackMode) -> Result<Self, FsError> {
        Ok(Self {
            mode,
            dirs: Dirs::new(into)?,
            link_dirs: Dirs::new(into)?,
            times: BTreeMap::new(),
            implied: BTreeSet::new(),
            own: BTreeSet::new(),
            result: Unpacked::default(),
            inodes: into.inodes().clone(),
        })
    }

    /// Makes one entry.
    pub(super) fn write(&mut self, entry: &Entry, archive: &mut Archive<'_>) -> Result<(), UnpackCause> {
        let path = TreePath::new(&entry.path).ok_or(UnpackCause::Climbs)?;
        let Some((directory, name)) = path.split() else {
            return self.top(entry);
        };
        if !self.mode.is_plain()
            && let Some(hidden) = hidden_by(directory, name)?
        {
            return self.whiteout(directory, hidden, entry);
        }
        self.open_parent(directory, entry.mtime)?;
        match entry.kind {
            Kind::Directory => self.directory(entry, &path)?,
            Kind::HardLink => self.hard_link(entry, &path)?,
            Kind::File => self.file(entry, archive, directory, name)?,
            Kind::Symlink => self.symlink(entry, directory, name)?,
            Kind::Fifo => self.fifo(entry, directory, name)?,
            Kind::CharacterDevice | Kind::BlockDevice => self.device(entry, directory, name)?,
        }
        if self.mode == UnpackMode::Merged {
            self.own.insert(path.as_bytes().to_vec());
        }
        Ok(())
    }

    /// Sets the times of directories, after which the tree is complete.
    pub(super) fn finish(mut self) -> Result<Unpacked, FsError> {
        for (path, time) in std::mem::take(&mut self.times) {
            let path = TreePath::new(&path).unwrap_or_default();
            let done = match path.split() {
                None => futimens(self.dirs.top(), &time.as_mtime()),
                Some((directory, name)) => match self.dirs.open(directory, Missing::Fail) {
                    Ok(parent) => utimensat(parent.fd, name, &time.as_mtime(), AtFlags::SYMLINK_NOFOLLOW),
                    Err(error) if is_missing(&error) => continue,
                    Err(error) => return Err(error),
                },
            };
            match done {
                // Removed by a later entry through another path.
                Err(Errno::NOENT) => {}
                done => done.on("set the time of", display_path(path.as_bytes()))?,
            }
        }
        self.result.needs_merged |= self.mode == UnpackMode::Upper && !self.implied.is_empty();
        Ok(self.result)
    }

    /// Opens the directory of an entry, and makes it when it is missing.
    pub(super) fn open_parent(&mut self, directory: &[u8], mtime: Timestamp) -> Result<Parent<'_>, FsError> {
        let mut made = Vec::new();
        self.dirs.open(directory, Missing::Make(&mut made))?;
        for path in made {
            // Of all times this is the one that unpacking again gives again.
            self.times.insert(path.clone(), mtime);
            self.implied.insert(path);
        }
        self.dirs.open(directory, Missing::Fail)
    }

    /// Applies an entry for the top directory.
    fn top(&mut self, entry: &Entry) -> Result<(), UnpackCause> {
        if entry.kind != Kind::Directory {
            return Err(UnpackCause::TopIsNotADirectory);
        }
        if !self.mode.is_plain() {
            let top = self
                .dirs
                .top()
                .try_clone_to_owned()
                .on("duplicate the handle of", "/")?;
            self.dress(top.as_fd(), entry, Made::Before)?;
            self.times.insert(Vec::new(), entry.mtime);
        }
        Ok(())
    }

    fn directory(&mut self, entry: &Entry, path: &TreePath) -> Result<(), UnpackCause> {
        let Some((directory, name)) = path.split() else {
            return Ok(());
        };
        let mut replaced = false;
        let (fd, made) = loop {
            let parent = self.dirs.open(directory, Missing::Fail)?;
            let gives_group = parent.may_give_group;
            let made = match mkdirat(parent.fd, name, Mode::RWXU) {
                Err(Errno::EXIST) if self.clear_unless_directory(directory, name)? => {
                    replaced = true;
                    continue;
                }
                Err(Errno::EXIST) => Made::Before,
                result => result
                    .map(|()| Made::Now { gives_group })
                    .on("make directory", display_path(&entry.path))?,
            };
            let parent = self.dirs.open(directory, Missing::Fail)?;
            let fd = openat(parent.fd, name, DIR_FLAGS, Mode::empty());
            break (fd.on("open directory", display_path(&entry.path))?, made);
        };
        if replaced && self.mode == UnpackMode::Upper {
            // Something else had the name: what a lower layer's directory of this name holds stays hidden.
            xattr::set_opaque(fd.as_fd()).on("mark as opaque", display_path(&entry.path))?;
        }
        if made == Made::Before && self.mode == UnpackMode::Merged {
            xattr::clear(fd.as_fd()).on("remove the extended attributes of", display_path(&entry.path))?;
        }
        self.dress(fd.as_fd(), entry, made)?;
        self.times.insert(path.as_bytes().to_vec(), entry.mtime);
        self.implied.remove(path.as_bytes());
        self.dirs.push(path.as_bytes(), fd, entry.mode & SET_GROUP_ID != 0);
        Ok(())
    }

    fn file(
        &mut self,
        entry: &Entry,
        archive: &mut Archive<'_>,
        directory: &[u8],
        name: &[u8],
    ) -> Result<(), UnpackCause> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let make = |parent: Parent<'_>| Ok((openat(parent.fd, name, flags, UNFINISHED)?, parent.made_now()));
        let (fd, made) = self
            .replace(directory, name, make)?
            .on("create", display_path(&entry.path))?;
        content::write(archive, entry, fd.as_fd())?;
        self.dress(fd.as_fd(), entry, made)?;
        Ok(futimens(&fd, &entry.mtime.as_mtime()).on("set the time of", display_path(&entry.path))?)
    }

    fn fifo(&mut self, entry: &Entry, directory: &[u8], name: &[u8]) -> Result<(), UnpackCause> {
        let inodes = self.inodes.clone();
        let make = |parent: Parent<'_>| {
            inodes.make_special(parent.fd, name, FileType::Fifo, (0, 0))?;
            // Not waited for: with `O_NONBLOCK` the reading end opens without a writer.
            let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            Ok((openat(parent.fd, name, flags, Mode::empty())?, parent.made_now()))
        };
        let (fd, made) = self
            .replace(directory, name, make)?
            .on("make FIFO", display_path(&entry.path))?;
        self.dress(fd.as_fd(), entry, made)?;
        Ok(futimens(&fd, &entry.mtime.as_mtime()).on("set the time of", display_path(&entry.path))?)
    }

    fn symlink(&mut self, entry: &Entry, directory: &[u8], name: &[u8]) -> Result<(), UnpackCause> {
        let make = |parent: Parent<'_>| symlinkat(entry.link.as_slice(), parent.fd, name);
        self.replace(directory, name, make)?
            .on("make link", display_path(&entry.path))?;
        let inodes = self.inodes.clone();
        let parent = self.dirs.open(directory, Missing::Fail)?;
        let owner = (entry.uid, entry.gid);
        owned(
            entry,
            inodes.dress_new_link(parent.fd, name, parent.may_give_group, owner),
        )?;
        self.finish_name(entry, directory, name)
    }

    fn device(&mut self, entry: &Entry, directory: &[u8], name: &[u8]) -> Result<(), UnpackCause> {
        let file_type = match entry.kind {
            Kind::BlockDevice => FileType::BlockDevice,
            _ if entry.device == (0, 0) => return Err(UnpackCause::OverlayWhiteout),
            _ => FileType::CharacterDevice,
        };
        let inodes = self.inodes.clone();
        let make = |parent: Parent<'_>| inodes.make_special(parent.fd, name, file_type, entry.device);
        match self.replace(directory, name, make)? {
            Err(Errno::PERM) => {
                self.result.devices_skipped += 1;
                return Ok(());
            }
            made => made.on("make device", display_path(&entry.path))?,
        }
        let parent = self.dirs.open(directory, Missing::Fail)?;
        let dressed = inodes.dress_new_special(parent.fd, name, parent.may_give_group, attributes(entry));
        owned(entry, dressed)?;
        self.finish_name(entry, directory, name)
    }

    /// Gives an open file or directory its owner, mode and extended attributes.
    fn dress(&mut self, fd: BorrowedFd<'_>, entry: &Entry, made: Made) -> Result<(), UnpackCause> {
        let file_type = match entry.kind {
            Kind::Directory => FileType::Directory,
            Kind::Fifo => FileType::Fifo,
            _ => FileType::RegularFile,
        };
        let dressed = match made {
            Made::Before => self.inodes.dress(fd, file_type, attributes(entry)),
            Made::Now { gives_group } => self.inodes.dress_new(fd, file_type, gives_group, attributes(entry)),
        };
        owned(entry, dressed)?;
        for (name, value) in &entry.xattrs {
            let xattr = Xattr::for_layer(name, value);
            let result = match xattr.filter(|xattr| entry.kind == Kind::File || !xattr.is_for_files_only()) {
                Some(xattr) if entry.kind != Kind::Fifo => self.inodes.set_xattr(fd, &xattr),
                _ => Err(Errno::OPNOTSUPP),
            };
            match result {
                Err(Errno::OPNOTSUPP | Errno::PERM | Errno::INVAL) => self.result.xattrs_skipped += 1,
                result => result.on("set an extended attribute of", display_path(&entry.path))?,
            }
        }
        Ok(())
    }

    /// Gives what cannot be opened its time.
    fn finish_name(&mut self, entry: &Entry, directory: &[u8], name: &[u8]) -> Result<(), UnpackCause> {
        // None can have extended attributes that travel.
        self.result.xattrs_skipped += entry.xattrs.len() as u64;
        let parent = self.dirs.open(directory, Missing::Fail)?;
        let done = utimensat(parent.fd, name, &entry.mtime.as_mtime(), AtFlags::SYMLINK_NOFOLLOW);
        Ok(done.on("set the time of", display_path(&entry.path))?)
    }

    /// Makes something under a name, after removing what had it.
    pub(super) fn replace<T>(
        &mut self,
        directory: &[u8],
        name: &[u8],
        make: impl Fn(Parent<'_>) -> Result<T, Errno>,
    ) -> Result<Result<T, Errno>, FsError> {
        match make(self.dirs.open(directory, Missing::Fail)?) {
            Err(Errno::EXIST) => {
                self.clear(directory, name)?;
                Ok(make(self.dirs.open(directory, Missing::Fail)?))
            }
            made => Ok(made),
        }
    }

    /// Removes what has a name, unless it is a directory; returns whether it did.
    fn clear_unless_directory(&mut self, directory: &[u8], name: &[u8]) -> Result<bool, FsError> {
        let parent = self.dirs.open(directory, Missing::Fail)?;
        if stat_at(parent.fd, name).on("stat", display_path(name))?.is_dir() {
            return Ok(false);
        }
        self.clear(directory, name).map(|_| true)
    }

    /// Removes what has a name, and forgets what was known of it.
    fn clear(&mut self, directory: &[u8], name: &[u8]) -> Result<(), FsError> {
        let path = super::path::join(directory, name);
        let parent = self.dirs.open(directory, Missing::Fail)?;
        let stat: Stat = stat_at(parent.fd, name).on("stat", display_path(&path))?;
        remove_at(parent.fd, OsStr::from_bytes(name), display_path(&path))?;
        if stat.file_type != FileType::RegularFile {
            self.forget_below(&path);
        }
        Ok(())
    }

    /// Forgets a directory, or a link to one, that is no more.
    fn forget_below(&mut self, path: &[u8]) {
        self.times.remove(path);
        self.implied.remove(path);
        self.own.remove(path);
        // Not all that is known is looked at, or an archive could take quadratic time.
        let below = [path, b"/".as_slice()].concat()..[path, &[b'/' + 1]].concat();
        self.times.extract_if(below.clone(), |_, _| true).for_each(drop);
        self.implied.extract_if(below.clone(), |_| true).for_each(drop);
        self.own.extract_if(below, |_| true).for_each(drop);
        self.forget_dirs();
    }

    /// Closes the directories that are kept open, one of which may have been removed.
    pub(super) fn forget_dirs(&mut self) {
        self.dirs.forget();
        self.link_dirs.forget();
    }
}

/// Whether a file that is to be dressed is older than its entry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Made {
    /// It was there: its owner may be anybody.
    Before,
    /// It was made for the entry.
    Now {
        /// Whether its directory may have given it a group.
        gives_group: bool,
    },
}

impl Parent<'_> {
    fn made_now(&self) -> Made {
        Made::Now {
            gives_group: self.may_give_group,
        }
    }
}

fn attributes(entry: &Entry) -> Attributes {
    Attributes {
        uid: entry.uid,
        gid: entry.gid,
        mode: entry.mode,
    }
}

/// Says of a refused owner whether there is such an owner at all.
fn owned(entry: &Entry, dressed: Result<(), Errno>) -> Result<(), UnpackCause> {
    match dressed {
        Err(Errno::INVAL | Errno::OVERFLOW) => Err(UnpackCause::UnmappedOwner {
            uid: entry.uid,
            gid: entry.gid,
        }),
        result => Ok(result.on("set the owner and mode of", display_path(&entry.path))?),
    }
}

/// Returns whether a directory is not there.
pub(super) fn is_missing(error: &FsError) -> bool {
    matches!(error.errno(), Some(Errno::NOENT | Errno::NOTDIR))
}
