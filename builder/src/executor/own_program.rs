//! The running program, opened so that nothing started from it can change it.
//!
//! A step that gets hold of `/proc/self/exe` of a croze that is about to become the step's program could otherwise
//! write to croze's own file: root in the step's user namespace is the user who owns it.

use std::fs::{self, File};
use std::io;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, MemfdFlags, SealFlags, fcntl_add_seals, fstat, memfd_create, stat};
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};

use crate::sys;

const SELF: &str = "/proc/self/exe";

/// Opens the running program for execution through a read-only mount of its own, or else a sealed copy in memory.
pub(super) fn read_only() -> io::Result<OwnedFd> {
    read_only_mount().or_else(|_| sealed_copy())
}

/// Fails if the program's file has been replaced since it was started, and where nothing can be mounted.
fn read_only_mount() -> io::Result<OwnedFd> {
    // By its path and not through the link: the link leads to a mount of the namespace that croze was started in.
    let path = fs::read_link(SELF)?;
    let mount = open_tree(
        CWD,
        &path,
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC,
    )?;
    let (found, wanted) = (fstat(&mount)?, stat(SELF)?);
    if (found.st_dev, found.st_ino) != (wanted.st_dev, wanted.st_ino) {
        return Err(Errno::STALE.into());
    }
    sys::make_read_only(mount.as_fd())?;
    Ok(mount)
}

fn sealed_copy() -> io::Result<OwnedFd> {
    let mut copy = File::from(memfd_create("croze", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
    io::copy(&mut File::open(SELF)?, &mut copy)?;
    fcntl_add_seals(
        &copy,
        SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL,
    )?;
    Ok(copy.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn a_sealed_copy_cannot_be_written_even_when_opened_anew() {
        let copy = sealed_copy().unwrap();
        let again = File::options()
            .write(true)
            .open(format!("/proc/self/fd/{}", copy.as_raw_fd()));
        let refused = again.and_then(|mut file| file.write_all(b"x")).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EPERM));
    }
}
