//! What a step may not see or change in `/proc` and `/sys`: Docker's lists.
//!
//! The paths are looked up below the very mounts, never through the image's `/proc`, which may be a link.

use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

use super::api::Api;
use super::devices::HostDevices;
use super::mounts::open_in;
use super::root::is_directory;
use crate::executor::setup_error::{OnPath, SetupError};
use crate::supervisor::shown::{MASKED_IN_PROC, MASKED_IN_SYS, READ_ONLY_IN_PROC};

/// Covers the masked paths and protects the read-only ones. Those that this kernel does not have need nothing.
pub(super) fn apply(api: &Api, proc: &OwnedFd, sys: &OwnedFd, devices: &HostDevices) -> Result<(), SetupError> {
    for path in READ_ONLY_IN_PROC {
        if let Some(found) = find(proc, path)? {
            let itself = api.copy(found.as_fd()).on("mount", path)?;
            let read_only = MountAttrFlags::MOUNT_ATTR_RDONLY;
            api.restrict(itself.as_fd(), read_only).on("make read-only", path)?;
            api.attach(itself.as_fd(), found.as_fd()).on("mount on", path)?;
        }
    }
    let masked = MASKED_IN_PROC.map(|path| (proc, path)).into_iter();
    for (mount, path) in masked.chain(MASKED_IN_SYS.map(|path| (sys, path))) {
        if let Some(found) = find(mount, path)? {
            let cover = if is_directory(&found)? {
                empty_directory(api)?
            } else {
                devices.null_mount(api)?
            };
            api.attach(cover.as_fd(), found.as_fd()).on("mask", path)?;
        }
    }
    Ok(())
}

fn find(mount: &OwnedFd, path: &str) -> Result<Option<OwnedFd>, SetupError> {
    match open_in(mount.as_fd(), path) {
        Err(Errno::NOENT | Errno::ACCESS) => Ok(None),
        found => found.map(Some).on("open", path),
    }
}

fn empty_directory(api: &Api) -> Result<OwnedFd, SetupError> {
    let flags = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    api.file_system("tmpfs", &[("mode", "0755"), ("size", "4k")], flags)
}
