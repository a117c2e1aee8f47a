//! Whether a file of a tree is still what a snapshot has.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, openat, readlinkat};
use rustix::io::{Errno, read};

use crate::error::{FsError, OnPath as _};
use crate::inodes::stat_at;
use crate::root::Root;
use crate::xattr;

/// Bytes that are compared at once.
const BUFFER: usize = 64 * 1024;

/// Compares what is no directory with what another tree has under the same path: kind, owner, mode and time as they
/// are on disk, extended attributes, and content or target.
pub(super) fn is_equal(tree: &Root, other: &Root, path: &Path) -> Result<bool, FsError> {
    let [(here, name), (there, _)] = [tree.parent(path)?, other.parent(path)?];
    let stat = |directory: &OwnedFd| stat_at(directory.as_fd(), name.as_os_str()).on("stat", path);
    let (one, two) = (stat(&here)?, stat(&there)?);
    if (one.file_type, one.mode, one.uid, one.gid, one.mtime, one.size)
        != (two.file_type, two.mode, two.uid, two.gid, two.mtime, two.size)
    {
        return Ok(false);
    }
    match one.file_type {
        FileType::RegularFile => {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let open = |directory: &OwnedFd| openat(directory, name.as_os_str(), flags, Mode::empty()).on("open", path);
            have_equal_content(&open(&here)?, &open(&there)?).on("read", path)
        }
        FileType::Symlink => {
            let target =
                |directory: &OwnedFd| readlinkat(directory, name.as_os_str(), Vec::new()).on("read the link", path);
            Ok(target(&here)? == target(&there)?)
        }
        _ => Ok(one.rdev == two.rdev),
    }
}

fn have_equal_content(one: &OwnedFd, two: &OwnedFd) -> Result<bool, Errno> {
    let mut reader = xattr::Reader::default();
    if reader.all(one.as_fd())? != reader.all(two.as_fd())? {
        return Ok(false);
    }
    let (mut here, mut there) = (vec![0; BUFFER], vec![0; BUFFER]);
    loop {
        let length = fill(one, &mut here)?;
        if fill(two, &mut there)? != length || here[..length] != there[..length] {
            return Ok(false);
        }
        if length == 0 {
            return Ok(true);
        }
    }
}

/// Reads until the buffer is full or the file has ended.
fn fill(file: &OwnedFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    let mut filled = 0;
    while filled < buffer.len() {
        match read(file, &mut buffer[filled..]) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
