//! The root file system: mounting it, attaching to it, moving into it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, fstat, mkdirat, openat};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, mount_move, unmount};
use rustix::process::{chdir, chroot, fchdir, pivot_root};
use snapshotter::{Overlay, Ownership, Tree, Upper};

use super::api::Api;
use super::locate::{Location, locate};
use super::mounts::Scratch;
use super::stubs;
use crate::executor::setup_error::{OnPath, SetupError};

/// Mounts the root file system in the scratch directory, with a mount point for everything that will be attached. Its
/// owners are held in this way.
pub(super) fn mount<'a>(
    tree: Tree,
    targets: impl Iterator<Item = (PathBuf, &'a OwnedFd)>,
    scratch: &Scratch,
    ownership: Ownership,
) -> Result<OwnedFd, SetupError> {
    let Tree::Overlay(mut overlay) = tree else {
        return Err(SetupError::FlatRoot);
    };
    let view = Overlay {
        lower: overlay.lower.clone(),
        upper: None,
    };
    let layer = match (&mut overlay.upper, ownership) {
        (Some(upper), Ownership::Emulated) => layer_on_disk(upper)?,
        _ => scratch.path("stubs"),
    };
    if stubs::make(view.mount()?.as_fd(), targets, &layer)? {
        overlay.lower.insert(0, layer);
    }
    Ok(overlay.mount_at(&scratch.path("root"))?)
}

/// Makes a directory for mount points beside what the overlay works with, which goes when the snapshot is committed.
///
/// Owners that are emulated are extended attributes, which memory does not take before Linux 6.6; a directory that the step
/// changes would be copied up without them, and belong to root in the layer.
fn layer_on_disk(upper: &mut Upper) -> Result<PathBuf, SetupError> {
    let layer = upper.work.join("stubs");
    // An overlay takes no layer from within the directory that it works with.
    let work = upper.work.join("overlay");
    for directory in [&layer, &work] {
        fs::create_dir(directory).on("create", directory)?;
    }
    upper.work = work;
    Ok(layer)
}

/// Attaches a mount at a path of the root file system.
pub(super) fn attach(api: &Api, root: &OwnedFd, mount: &OwnedFd, target: &Path) -> Result<(), SetupError> {
    let directory = is_directory(mount)?;
    let location = locate(root.as_fd(), target).on("find the mount point", target)?;
    let point = make_missing(location, directory).on("create the mount point", target)?;
    if is_directory(&point)? != directory {
        return Err(SetupError::TargetKind {
            target: target.to_owned(),
            directory,
        });
    }
    api.attach(mount.as_fd(), point.as_fd()).on("mount on", target)
}

/// Creates what is missing of a mount point within another mount: a cache, a tmpfs, `/dev`.
///
/// Steps that share a cache may come here at once, so that what was missing may be there by now.
fn make_missing(location: Location, directory: bool) -> rustix::io::Result<OwnedFd> {
    let Some((last, parents)) = location.missing.split_last() else {
        return Ok(location.fd);
    };
    let enter = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut at = location.fd;
    for name in parents {
        make_dir(&at, name)?;
        at = openat(&at, name, enter, Mode::empty())?;
    }
    if directory {
        make_dir(&at, last)?;
        return openat(&at, last, enter, Mode::empty());
    }
    let create = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    match openat(&at, last, create, Mode::from_raw_mode(0o644)) {
        Err(Errno::EXIST) => openat(
            &at,
            last,
            OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        ),
        created => created,
    }
}

fn make_dir(parent: &OwnedFd, name: &OsStr) -> rustix::io::Result<()> {
    match mkdirat(parent, name, Mode::from_raw_mode(0o755)) {
        Err(Errno::EXIST) => Ok(()),
        made => made,
    }
}

/// Whether a descriptor stands for a directory.
pub(super) fn is_directory(fd: &OwnedFd) -> Result<bool, SetupError> {
    let stat = fstat(fd).on("read the attributes of", "a mount")?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

/// Makes a directory the root of this process, and no more: who has the right to do so can leave it again.
pub(super) fn change(tree: &Path) -> Result<(), SetupError> {
    chdir(tree).on("enter", tree)?;
    chroot(".").on("change root to", tree)
}

/// Makes the root file system the root of this process and drops the old one.
pub(super) fn pivot(root: &OwnedFd) -> Result<(), SetupError> {
    fchdir(root).on("enter", "the root file system")?;
    // Both paths being `.` stacks the old root on the new one, where it can be unmounted without a directory for it.
    match pivot_root(".", ".") {
        Ok(()) => unmount(".", UnmountFlags::DETACH).on("detach", "the old root")?,
        // Container runtimes leave it out of their seccomp profiles even for those who may mount.
        Err(Errno::PERM | Errno::INVAL) => move_over_root()?,
        Err(error) => return Err(error).on("pivot to", "the root file system"),
    }
    chdir("/").on("enter", "/")
}

/// Moves the working directory, which is the root file system, to where the old root is.
fn move_over_root() -> Result<(), SetupError> {
    mount_move(".", "/").on("move the root file system to", "/")?;
    chroot(".").on("change root to", "the root file system")
}
