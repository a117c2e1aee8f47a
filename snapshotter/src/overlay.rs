//! Stacks of snapshots as mounts: described as data, performed by the kernel's overlay.
//!
//! [`Overlay`] says what lies on what; [`Overlay::mount`] makes of it a *detached* mount: a file descriptor in which
//! files can be opened at once, that is attached to a path by [`attach`] or never, and that is gone when the
//! descriptor is closed. It uses the new mount API where the kernel has it ([`context`]), else `mount(2)`
//! ([`classic`]).
//!
//! Whiteouts and opaque directories are in `userxattr` form, the only one that works inside a user namespace;
//! without the option mounts succeed and later `rmdir` fails with `EIO`.

mod classic;
mod context;

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, StatVfsMountFlags, fstatvfs, mkdirat, openat};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, MoveMountFlags, move_mount};
use serde::{Deserialize, Serialize};

use crate::error::{FsError, OnPath as _};
use context::Context;

/// Number of lower directories that the kernel stacks (`OVL_MAX_STACK`).
pub const MAX_LOWER_DIRS: usize = 500;

/// Images may have device nodes, and root may make them. Nobody opens them: who is root without a user namespace could
/// reach the disks of the machine through them.
const NO_DEVICES: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NODEV;

/// A root file system as a stack of directories.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlay {
    /// The directories that are read, the topmost first.
    pub lower: Vec<PathBuf>,
    /// Where changes go; without it the mount is read-only.
    pub upper: Option<Upper>,
}

/// The writable part of an overlay. Both directories lie on one file system and serve one mount, once: the mount is
/// `volatile`, and the kernel refuses a work directory that such a mount has used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upper {
    /// Receives the changes.
    pub dir: PathBuf,
    /// An empty directory for the mount's own use.
    pub work: PathBuf,
}

/// Why a stack could not be mounted.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// More lower directories than the kernel stacks.
    #[error("{count} layers are more than the {MAX_LOWER_DIRS} that the kernel's overlay stacks")]
    TooManyLayers {
        /// Number of lower directories asked for.
        count: usize,
    },
    /// A directory of the stack could not be opened.
    #[error(transparent)]
    Directory(#[from] FsError),
    /// The kernel refused a part of the mount.
    #[error("cannot mount a file system of type `{fs_type}`: {step} failed{}", Log(.log))]
    Refused {
        /// `overlay` or `tmpfs`.
        fs_type: &'static str,
        /// What was being done.
        step: &'static str,
        /// What the kernel said beside the error number.
        log: Vec<String>,
        /// The error number.
        #[source]
        source: io::Error,
    },
}

/// Shows the kernel's messages after a colon, where there are any.
struct Log<'a>(&'a [String]);

impl std::fmt::Display for Log<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            Ok(())
        } else {
            write!(f, ": {}", self.0.join("; "))
        }
    }
}

impl Overlay {
    /// Mounts the stack and returns the detached mount.
    ///
    /// With an upper directory the mount is writable and never synced (`volatile`): a snapshot is either committed
    /// and intact in the page cache, or thrown away. Without one it is read-only. Nothing at all is an empty
    /// read-only directory.
    ///
    /// The kernel wants at least one directory below an upper one and two without. An empty one makes up the number,
    /// so that every stack is an overlay and behaves alike.
    ///
    /// On a kernel without the new mount API the mount cannot be attached: see [`mount_at`](Self::mount_at).
    pub fn mount(&self) -> Result<OwnedFd, MountError> {
        self.or_classic(|| self.mount_detached(), classic::mount)
    }

    /// Mounts the stack on a directory and returns the mount.
    pub fn mount_at(&self, at: &Path) -> Result<OwnedFd, MountError> {
        let attached = || {
            let mount = self.mount_detached()?;
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let target = openat(CWD, at, flags, Mode::empty()).on("open directory", at)?;
            attach(mount.as_fd(), target.as_fd())?;
            Ok(mount)
        };
        self.or_classic(attached, |overlay| classic::mount_at(overlay, at))
    }

    /// Mounts the stack by `mount(2)` where the kernel lacks what the new mount API takes.
    fn or_classic(
        &self,
        new: impl FnOnce() -> Result<OwnedFd, MountError>,
        classic: impl FnOnce(&Self) -> Result<OwnedFd, MountError>,
    ) -> Result<OwnedFd, MountError> {
        if self.lower.len() > MAX_LOWER_DIRS {
            return Err(MountError::TooManyLayers {
                count: self.lower.len(),
            });
        }
        match new() {
            Err(error) if error.is_without_api() => classic(self),
            // An old kernel does not say that it is one. If it is not, the first answer is the better one.
            Err(error) if error.is_without_reason() => classic(self).map_err(|_| error),
            result => result,
        }
    }

    fn mount_detached(&self) -> Result<OwnedFd, MountError> {
        match (&self.upper, self.lower.as_slice()) {
            (None, []) => empty(),
            (None, [only]) => {
                let overlay = lower(std::slice::from_ref(only))?;
                // Held until the overlay is mounted: a detached mount is gone with its descriptor.
                let bottom = empty()?;
                overlay.directory_fd("lowerdir+", &bottom)?;
                overlay.mount(NO_DEVICES | MountAttrFlags::MOUNT_ATTR_RDONLY)
            }
            (None, lower) => self::lower(lower)?.mount(NO_DEVICES | MountAttrFlags::MOUNT_ATTR_RDONLY),
            (Some(Upper { dir, work }), []) => {
                let [bottom, work] = [make_dir(work, "bottom")?, make_dir(work, "work")?];
                mount_upper(&lower(&[bottom])?, dir, &work)
            }
            (Some(Upper { dir, work }), lower) => mount_upper(&self::lower(lower)?, dir, work),
        }
    }
}

impl MountError {
    /// Whether the kernel, or who filters its calls, knows nothing of the new mount API.
    fn is_without_api(&self) -> bool {
        matches!(self, Self::Refused { source, .. } if source.raw_os_error() == Some(Errno::NOSYS.raw_os_error()))
    }

    /// Whether the kernel refused the stack without a word, as those do whose overlay knows only `mount(2)`, and up to
    /// Linux 6.14 for a detached directory in a stack.
    fn is_without_reason(&self) -> bool {
        matches!(self, Self::Refused { source, log, .. }
            if source.raw_os_error() == Some(Errno::INVAL.raw_os_error()) && log.is_empty())
    }
}

/// Begins an overlay with its lower directories.
fn lower(dirs: &[PathBuf]) -> Result<Context, MountError> {
    let overlay = Context::new("overlay")?;
    for dir in dirs {
        overlay.directory("lowerdir+", dir)?;
    }
    overlay.flag("userxattr")?;
    // Where this is on by default, new directories are marked opaque that hide nothing: other bytes in the layer.
    overlay.string("index", "off")?;
    Ok(overlay)
}

/// Mounts an overlay with its upper directory.
fn mount_upper(overlay: &Context, dir: &Path, work: &Path) -> Result<OwnedFd, MountError> {
    overlay.directory("upperdir", dir)?;
    overlay.directory("workdir", work)?;
    overlay.flag("volatile")?;
    let mount = overlay.mount(NO_DEVICES)?;
    // Without an inode for its own directory in the work directory the kernel makes do with a mount that nobody can write.
    let is_read_only = fstatvfs(&mount).is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::RDONLY));
    if is_read_only {
        return Err(MountError::Refused {
            fs_type: "overlay",
            step: "making its work directory",
            log: Vec::new(),
            source: Errno::NOSPC.into(),
        });
    }
    Ok(mount)
}

/// Mounts an empty directory that stays empty.
fn empty() -> Result<OwnedFd, MountError> {
    let tmpfs = Context::new("tmpfs")?;
    tmpfs.string("mode", "0755")?;
    tmpfs.string("size", "4k")?;
    tmpfs.mount(MountAttrFlags::MOUNT_ATTR_RDONLY)
}

/// Makes a directory in a work directory.
fn make_dir(work: &Path, name: &str) -> Result<PathBuf, FsError> {
    let path = work.join(name);
    mkdirat(CWD, &path, Mode::RWXU).on("make directory", &path)?;
    Ok(path)
}

/// Attaches a detached mount to an open directory.
pub fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<(), FsError> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, "", target, "", flags).on("attach a mount to", "the target directory")
}

#[cfg(test)]
mod tests;
