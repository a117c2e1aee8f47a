//! Attributes of mounts.

use std::io;

use rustix::fd::{AsRawFd, BorrowedFd};

use super::check;

/// Makes a mount and every mount below it read-only.
///
/// Only that one attribute changes: a `nosuid`, `nodev` or `noexec` that an outer user namespace has locked stays, and
/// the call does not fail because of it as a classic remount would. Needs Linux 5.12.
pub fn make_read_only(mount: BorrowedFd<'_>) -> io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY,
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
