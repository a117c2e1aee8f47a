//! What `stat`, `statx` and `statfs` write, as the very bytes that a program expects.

use std::io;
use std::mem::MaybeUninit;

use rustix::fd::{AsRawFd, BorrowedFd};

use super::check;

/// A `struct stat`.
#[derive(Clone, Copy)]
pub struct KernelStat(libc::stat);

impl KernelStat {
    /// Returns what the kernel says of an open file, which may be a mere handle.
    pub fn of(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let mut raw = MaybeUninit::<libc::stat>::zeroed();
        // SAFETY: the C library writes one `stat`.
        check(unsafe { libc::fstat(fd.as_raw_fd(), raw.as_mut_ptr()) }.into())?;
        // SAFETY: zeros are a valid value of every field, and the call has succeeded.
        Ok(Self(unsafe { raw.assume_init() }))
    }

    /// Replaces owner, mode and device number.
    pub fn replace(&mut self, uid: u32, gid: u32, mode: u32, rdev: u64) {
        (self.0.st_uid, self.0.st_gid, self.0.st_mode, self.0.st_rdev) = (uid, gid, mode, rdev);
    }

    /// Returns the bytes.
    pub fn bytes(&self) -> &[u8] {
        bytes(&self.0)
    }
}

/// A `struct statx`.
#[derive(Clone, Copy)]
pub struct KernelStatx(libc::statx);

impl KernelStatx {
    /// Returns what the kernel says of an open file, which may be a mere handle.
    pub fn of(fd: BorrowedFd<'_>, flags: i32, mask: u32) -> io::Result<Self> {
        let mut raw = MaybeUninit::<libc::statx>::zeroed();
        // SAFETY: the path is a terminated string, and the kernel writes one `statx`.
        let result = unsafe {
            libc::syscall(
                libc::SYS_statx,
                fd.as_raw_fd(),
                c"".as_ptr(),
                flags | libc::AT_EMPTY_PATH,
                mask,
                raw.as_mut_ptr(),
            )
        };
        check(result)?;
        // SAFETY: zeros are a valid value of every field, and the call has succeeded.
        Ok(Self(unsafe { raw.assume_init() }))
    }

    /// Replaces owner, mode and device number.
    pub fn replace(&mut self, uid: u32, gid: u32, mode: u32, rdev: u64) {
        (self.0.stx_uid, self.0.stx_gid) = (uid, gid);
        // The kernel's field has 16 bits, and all bits of a mode are among them.
        self.0.stx_mode = mode as u16;
        (self.0.stx_rdev_major, self.0.stx_rdev_minor) = (libc::major(rdev), libc::minor(rdev));
    }

    /// Returns the bytes.
    pub fn bytes(&self) -> &[u8] {
        bytes(&self.0)
    }
}

/// A `struct statfs`.
#[derive(Clone, Copy)]
pub struct KernelStatFs(libc::statfs);

impl KernelStatFs {
    /// Returns what the kernel says of the file system of an open file, which may be a mere handle.
    pub fn of(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let mut raw = MaybeUninit::<libc::statfs>::zeroed();
        // SAFETY: the C library writes one `statfs`.
        check(unsafe { libc::fstatfs(fd.as_raw_fd(), raw.as_mut_ptr()) }.into())?;
        // SAFETY: zeros are a valid value of every field, and the call has succeeded.
        Ok(Self(unsafe { raw.assume_init() }))
    }

    /// Returns the bytes.
    pub fn bytes(&self) -> &[u8] {
        bytes(&self.0)
    }
}

/// Returns the bytes of a C structure that began as zeros, so that none of them is uninitialised.
fn bytes<T>(structure: &T) -> &[u8] {
    // SAFETY: the structures are plain numbers; padding was zeroed when they were made, and copies of them are bitwise.
    unsafe { std::slice::from_raw_parts((structure as *const T).cast(), size_of::<T>()) }
}
