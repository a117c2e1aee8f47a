//! Making one entry after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid, chmodat, chownat, fchmod, fchown, futimens, makedev, mkdirat,
    mknodat, openat, symlinkat, utimensat,
};
use rustix::io::Errno;

use super::dirs::{Dirs, Missing, Parent};
use super::error::UnpackCause;
use super::path::TreePath;
use super::whiteout::hidden_by;
use super::{UnpackMode, Unpacked, content, display_path};
use crate::attributes::{Stat, Timestamp};
use crate::error::{FsError, OnPath as _};
use crate::layer::archive::{Archive, Entry, Kind};
use crate::layer::xattr::{self, Xattr};
use crate::remove::remove_at;
use crate::root::{DIR_FLAGS, Root, stat_at};

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
    /// Whom new files belong to by themselves.
    process: (u32, u32),
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
            process: (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()),
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
            self.dress(top.as_fd(), entry, true)?;
            self.times.insert(Vec::new(), entry.mtime);
        }
        Ok(())
    }

    fn directory(&mut self, entry: &Entry, path: &TreePath) -> Result<(), UnpackCause> {
        let Some((directory, name)) = path.split() else {
            return Ok(());
        };
        let mut replaced = false;
        let (fd, made, inherits) = loop {
            let parent = self.dirs.open(directory, Missing::Fail)?;
            let made = match mkdirat(parent.fd, name, Mode::RWXU) {
                Err(Errno::EXIST) if self.clear_unless_directory(directory, name)? => {
                    replaced = true;
                    continue;
                }
                Err(Errno::EXIST) => false,
                result => result.map(|()| true).on("make directory", display_path(&entry.path))?,
            };
            let parent = self.dirs.open(directory, Missing::Fail)?;
            let fd = openat(parent.fd, name, DIR_FLAGS, Mode::empty());
            break (
                fd.on("open directory", display_path(&entry.path))?,
                made,
                parent.may_give_group,
            );
        };
        if replaced && self.mode == UnpackMode::Upper {
            // Something else had the name: what a lower layer's directory of this name holds stays hidden.
            xattr::set_opaque(fd.as_fd()).on("mark as opaque", display_path(&entry.path))?;
        }
        if !made && self.mode == UnpackMode::Merged {
            xattr::clear(fd.as_fd()).on("remove the extended attributes of", display_path(&entry.path))?;
        }
        self.dress(fd.as_fd(), entry, inherits || !made)?;
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
        let make = |parent: Parent<'_>| Ok((openat(parent.fd, name, flags, UNFINISHED)?, parent.may_give_group));
        let (fd, may_differ) = self
            .replace(directory, name, make)?
            .on("create", display_path(&entry.path))?;
        content::write(archive, entry, fd.as_fd())?;
        self.dress(fd.as_fd(), entry, may_differ)?;
        Ok(futimens(&fd, &entry.mtime.as_mtime()).on("set the time of", display_path(&entry.path))?)
    }

    fn fifo(&mut self, entry: &Entry, directory: &[u8], name: &[u8]) -> Result<(), UnpackCause> {
        let make = |parent: Parent<'_>| {
            mknodat(parent.fd, name, FileType::Fifo, UNFINISHED, 0)?;
            // Not waited for: with `O_NONBLOCK` the reading end opens without a writer.
            let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            Ok((openat(parent.fd, name, flags, Mode::empty())?, parent.may_give_group))
        };
        let (fd, may_differ) = self
            .replace(directory, name, make)?
            .on("make FIFO", display_path(&entry.path))?;
        self.dress(fd.as_fd(), entry, may_differ)?;
        Ok(futimens(&fd, &entry.mtime.as_mtime()).on("set the time of", display_path(&entry.path))?)
    }

    fn symlink(&mut self, entry: &Entry, directory: &[u8], name: &[u8]) -> Result<(), UnpackCause> {
        let make = |parent: Parent<'_>| symlinkat(entry.link.as_slice(), parent.fd, name);
        self.replace(directory, name, make)?
            .on("make link", display_path(&entry.path))?;
        self.dress_name(entry, directory, name)
    }

    fn device(&mut self, entry: &Entry, directory: &[u8], name: &[u8]) -> Result<(), UnpackCause> {
        let file_type = match entry.kind {
            Kind::BlockDevice => FileType::BlockDevice,
            _ if entry.device == (0, 0) => return Err(UnpackCause::OverlayWhiteout),
            _ => FileType::CharacterDevice,
        };
        let device = makedev(entry.device.0, entry.device.1);
        let make = |parent: Parent<'_>| {
            mknodat(parent.fd, name, file_type, UNFINISHED, device)?;
            openat(
                parent.fd,
                name,
                OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                Mode::empty(),
            )
        };
        let fd = match self.replace(directory, name, make)? {
            Err(Errno::PERM) => {
                self.result.devices_skipped += 1;
                return Ok(());
            }
            made => made.on("make device", display_path(&entry.path))?,
        };
        self.dress_name(entry, directory, name)?;
        // By way of `/proc`, because changing a mode by name would follow a link.
        let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
        let mode = Mode::from_raw_mode(entry.mode);
        Ok(chmodat(CWD, path, mode, AtFlags::empty()).on("set the mode of", display_path(&entry.path))?)
    }

    /// Gives an open file or directory its owner, mode and extended attributes. `may_differ` says that the present
    /// owner is not known to be the process's.
    fn dress(&mut self, fd: BorrowedFd<'_>, entry: &Entry, may_differ: bool) -> Result<(), UnpackCause> {
        if may_differ || (entry.uid, entry.gid) != self.process {
            owner(
                entry,
                fchown(fd, Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid))),
            )?;
        }
        fchmod(fd, Mode::from_raw_mode(entry.mode)).on("set the mode of", display_path(&entry.path))?;
        for (name, value) in &entry.xattrs {
            let xattr = Xattr::for_layer(name, value);
            let result = match xattr.filter(|xattr| entry.kind == Kind::File || !xattr.is_for_files_only()) {
                Some(xattr) if entry.kind != Kind::Fifo => xattr.set(fd),
                _ => Err(Errno::OPNOTSUPP),
            };
            match result {
                Err(Errno::OPNOTSUPP | Errno::PERM | Errno::INVAL) => self.result.xattrs_skipped += 1,
                result => result.on("set an extended attribute of", display_path(&entry.path))?,
            }
        }
        Ok(())
    }

    /// Gives what cannot be opened its owner and time.
    fn dress_name(&mut self, entry: &Entry, directory: &[u8], name: &[u8]) -> Result<(), UnpackCause> {
        // None can have extended attributes that travel.
        self.result.xattrs_skipped += entry.xattrs.len() as u64;
        let process = self.process;
        let parent = self.dirs.open(directory, Missing::Fail)?;
        if parent.may_give_group || (entry.uid, entry.gid) != process {
            let (uid, gid) = (Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)));
            owner(entry, chownat(parent.fd, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW))?;
        }
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
        let gone = |known: &[u8]| {
            known
                .strip_prefix(path)
                .is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
        };
        self.times.retain(|known, _| !gone(known));
        self.implied.retain(|known| !gone(known));
        self.own.retain(|known| !gone(known));
        self.forget_dirs();
    }

    /// Closes the directories that are kept open, one of which may have been removed.
    pub(super) fn forget_dirs(&mut self) {
        self.dirs.forget();
        self.link_dirs.forget();
    }
}

/// Says of a refused change of owner whether there is such an owner at all.
fn owner(entry: &Entry, result: Result<(), Errno>) -> Result<(), UnpackCause> {
    match result {
        Err(Errno::INVAL | Errno::OVERFLOW) => Err(UnpackCause::UnmappedOwner {
            uid: entry.uid,
            gid: entry.gid,
        }),
        result => Ok(result.on("set the owner of", display_path(&entry.path))?),
    }
}

/// Returns whether a directory is not there.
pub(super) fn is_missing(error: &FsError) -> bool {
    matches!(error.errno(), Some(Errno::NOENT | Errno::NOTDIR))
}
