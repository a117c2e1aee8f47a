//! Making, copying, attaching and restricting mounts: by the new mount API, or by `mount(2)` where a kernel or who
//! filters its calls does not know that.
//!
//! A mount is a descriptor either way. The new API has *detached* mounts. `mount(2)` has none: there a mount that is
//! still to be attached lies in croze's own tmpfs, which only this process sees, and attaching it moves it from there.

mod classic;
mod new;

use std::io;
use std::path::Path;

use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::mount::{FsOpenFlags, MountAttrFlags, fsopen};

use crate::executor::setup_error::{OnPath as _, SetupError};
use classic::Classic;

/// The calls that this kernel has.
pub(super) enum Api {
    /// Linux 5.12 and later.
    New,
    /// `mount(2)`.
    Classic(Classic),
}

impl Api {
    /// Finds out which there are, and mounts a tmpfs of croze's own on `scratch`.
    pub(super) fn begin(scratch: &Path) -> Result<Self, SetupError> {
        let mode = [("mode", "0700")];
        let flags = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
        let api = match fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC) {
            Err(Errno::NOSYS) => Self::Classic(Classic::begin(scratch, &mode, flags)?),
            _ => {
                let tmpfs = Self::New.file_system("tmpfs", &mode, flags)?;
                new::attach_at(&tmpfs, scratch)?;
                Self::New
            }
        };
        Ok(api)
    }

    /// Makes a new file system and a mount of it.
    pub(super) fn file_system(
        &self,
        name: &'static str,
        options: &[(&str, &str)],
        flags: MountAttrFlags,
    ) -> Result<OwnedFd, SetupError> {
        let mount = match self {
            Self::New => new::file_system(name, options, flags),
            Self::Classic(classic) => classic.file_system(name, options, flags),
        };
        mount.on("mount a file system of type", name)
    }

    /// Makes a copy of the mount of what `of` stands for, with what is mounted below it.
    pub(super) fn copy(&self, of: BorrowedFd<'_>) -> rustix::io::Result<OwnedFd> {
        match self {
            Self::New => new::copy(of),
            Self::Classic(classic) => classic.copy(of),
        }
    }

    /// Attaches a mount to an open file or directory.
    pub(super) fn attach(&self, mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> rustix::io::Result<()> {
        match self {
            Self::New => new::attach(mount, target),
            Self::Classic(_) => classic::attach(mount, target),
        }
    }

    /// Adds attributes to a mount and every mount below it; no other changes.
    pub(super) fn restrict(&self, mount: BorrowedFd<'_>, added: MountAttrFlags) -> io::Result<()> {
        match self {
            Self::New => crate::sys::restrict(mount, added),
            Self::Classic(_) => classic::restrict(mount, added),
        }
    }
}
