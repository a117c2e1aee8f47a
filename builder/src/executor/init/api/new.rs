//! The new mount API.

use std::path::Path;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::OFlags;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create, fsconfig_set_string,
    fsmount, fsopen, move_mount, open_tree,
};

use crate::executor::setup_error::{OnPath as _, SetupError};

pub(super) fn file_system(name: &str, options: &[(&str, &str)], flags: MountAttrFlags) -> rustix::io::Result<OwnedFd> {
    let context = fsopen(name, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in options {
        fsconfig_set_string(context.as_fd(), *key, *value)?;
    }
    fsconfig_create(context.as_fd())?;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, flags)
}

pub(super) fn copy(of: BorrowedFd<'_>) -> rustix::io::Result<OwnedFd> {
    let tree = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    open_tree(of, "", tree | OpenTreeFlags::AT_EMPTY_PATH)
}

pub(super) fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, "", target, "", flags)
}

/// Attaches a mount to a directory of the host.
pub(super) fn attach_at(mount: &OwnedFd, at: &Path) -> Result<(), SetupError> {
    let target = rustix::fs::open(at, OFlags::PATH | OFlags::CLOEXEC, rustix::fs::Mode::empty()).on("open", at)?;
    attach(mount.as_fd(), target.as_fd()).on("mount on", at)
}
