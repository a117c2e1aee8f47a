//! Attributes of mounts.

use std::io;

use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::mount::MountAttrFlags;

use super::check;

/// Makes a mount and every mount below it read-only.
pub fn make_read_only(mount: BorrowedFd<'_>) -> io::Result<()> {
    restrict(mount, MountAttrFlags::MOUNT_ATTR_RDONLY)
}

/// Adds attributes to a mount and every mount below it.
///
/// No other attribute changes: a `nosuid`, `nodev` or `noexec` that an outer user namespace has locked stays, and
/// the call does not fail because of it as a classic remount would. Needs Linux 5.12.
pub fn restrict(mount: BorrowedFd<'_>, added: MountAttrFlags) -> io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: added.bits().into(),
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    // SAFETY: the path is a terminated string, and `attributes` outlives the call, which is told its size.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | libc::AT_RECURSIVE,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    check(result)
}
