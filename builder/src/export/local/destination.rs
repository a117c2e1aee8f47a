//! One directory of the destination, in which every name is handled without following links.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    Access, AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid, accessat, chmod, chownat, fchmod,
    fchown, futimens, linkat, makedev, mkdirat, mknodat, openat, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;
use snapshotter::Stat;

use super::{ExportError, Ownership};

/// An open directory; the paths given to its methods are for messages.
pub(super) struct Directory(OwnedFd);

impl From<OwnedFd> for Directory {
    fn from(directory: OwnedFd) -> Self {
        Self(directory)
    }
}

impl Directory {
    /// Opens the directory `name`, made if it is missing.
    pub(super) fn enter(&self, name: &CStr, path: &Path) -> Result<Self, ExportError> {
        match mkdirat(&self.0, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(failed("create", path, error)),
        }
        match self.open_usable(name) {
            Ok(directory) => Ok(Self(directory)),
            Err(Errno::LOOP | Errno::NOTDIR) => match rustix::fs::readlinkat(&self.0, name, Vec::new()) {
                Ok(_) => Err(ExportError::LinkInTheWay { path: path.to_owned() }),
                Err(_) => Err(ExportError::FileInTheWay { path: path.to_owned() }),
            },
            Err(error) => Err(failed("open", path, error)),
        }
    }

    /// Opens a directory, which whoever is not root may first have to allow itself to write into: an earlier export
    /// may have left it read-only. It is given its mode when everything is in it.
    fn open_usable(&self, name: &CStr) -> Result<OwnedFd, Errno> {
        const FLAGS: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
        let open = || openat(&self.0, name, FLAGS | OFlags::RDONLY, Mode::empty());
        match open() {
            Ok(directory) if accessat(&directory, c".", Access::WRITE_OK, AtFlags::EACCESS).is_ok() => Ok(directory),
            Ok(_) | Err(Errno::ACCESS) => {
                let handle = openat(&self.0, name, FLAGS | OFlags::PATH, Mode::empty())?;
                chmod(format!("/proc/self/fd/{}", handle.as_raw_fd()), Mode::RWXU)?;
                open()
            }
            refused => refused,
        }
    }

    /// Removes a file or a link that has the name.
    pub(super) fn make_room(&self, name: &CStr, path: &Path) -> Result<(), ExportError> {
        match unlinkat(&self.0, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::ISDIR) => Err(ExportError::DirectoryInTheWay { path: path.to_owned() }),
            Err(error) => Err(failed("replace", path, error)),
        }
    }

    /// Creates a file that did not exist.
    pub(super) fn create(&self, name: &CStr, path: &Path) -> Result<OwnedFd, ExportError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(&self.0, name, flags, Mode::RUSR | Mode::WUSR).map_err(|error| failed("create", path, error))
    }

    /// Makes a second name of what this export has put at `first` below `top`.
    pub(super) fn link(&self, name: &CStr, top: &Self, first: &Path, path: &Path) -> Result<(), ExportError> {
        linkat(&top.0, first, &self.0, name, AtFlags::empty()).map_err(|error| failed("link", path, error))
    }

    /// Makes a symbolic link.
    pub(super) fn symlink(&self, target: &CStr, name: &CStr, path: &Path) -> Result<(), ExportError> {
        symlinkat(target, &self.0, name).map_err(|error| failed("create", path, error))
    }

    /// Makes a FIFO or a device; the kernel lets only a real root make devices.
    pub(super) fn special(&self, name: &CStr, stat: &Stat, path: &Path) -> Result<(), ExportError> {
        let device = makedev(stat.rdev.0, stat.rdev.1);
        mknodat(&self.0, name, stat.file_type, Mode::RUSR | Mode::WUSR, device)
            .map_err(|error| failed("create", path, error))
    }

    /// Gives the directory itself its attributes.
    pub(super) fn finish(&self, stat: &Stat, ownership: Ownership, path: &Path) -> Result<(), ExportError> {
        Self::finish_open(self.0.as_fd(), stat, ownership, path)
    }

    /// Gives an open file its attributes: the owner first, because a change of it takes set-id bits away.
    pub(super) fn finish_open(
        file: BorrowedFd<'_>,
        stat: &Stat,
        ownership: Ownership,
        path: &Path,
    ) -> Result<(), ExportError> {
        if ownership == Ownership::Keep {
            let (uid, gid) = owner(stat);
            fchown(file, Some(uid), Some(gid)).map_err(|error| failed("set the owner of", path, error))?;
        }
        fchmod(file, Mode::from_raw_mode(stat.mode)).map_err(|error| failed("set the mode of", path, error))?;
        futimens(file, &times(stat)).map_err(|error| failed("set the time of", path, error))
    }

    /// Gives a symbolic link, which has no mode, its attributes.
    pub(super) fn finish_link(
        &self,
        name: &CStr,
        stat: &Stat,
        ownership: Ownership,
        path: &Path,
    ) -> Result<(), ExportError> {
        if ownership == Ownership::Keep {
            let (uid, gid) = owner(stat);
            chownat(&self.0, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|error| failed("set the owner of", path, error))?;
        }
        utimensat(&self.0, name, &times(stat), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| failed("set the time of", path, error))
    }

    /// Gives a FIFO or a device, which cannot be opened without effect, its attributes.
    pub(super) fn finish_special(
        &self,
        name: &CStr,
        stat: &Stat,
        ownership: Ownership,
        path: &Path,
    ) -> Result<(), ExportError> {
        // By a handle that opens nothing, so that no link put in its place meanwhile is followed.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = openat(&self.0, name, flags, Mode::empty()).map_err(|error| failed("open", path, error))?;
        chmod(
            format!("/proc/self/fd/{}", handle.as_raw_fd()),
            Mode::from_raw_mode(stat.mode),
        )
        .map_err(|error| failed("set the mode of", path, error))?;
        self.finish_link(name, stat, ownership, path)
    }
}

fn owner(stat: &Stat) -> (Uid, Gid) {
    (Uid::from_raw(stat.uid), Gid::from_raw(stat.gid))
}

fn times(stat: &Stat) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: stat.mtime.seconds,
            tv_nsec: stat.mtime.nanos.into(),
        },
    }
}

fn failed(verb: &'static str, path: &Path, error: Errno) -> ExportError {
    ExportError::io(verb, path)(error.into())
}
