//! The same mounts made by `mount(2)`, for kernels whose overlay has no part in the new mount API (before Linux 6.5) or
//! that have none of it.
//!
//! Two things stand against that call. It has no detached mounts: so it is made in a mount namespace of a thread of its
//! own, in which it covers whatever directory is at hand; the thread ends, and what it has opened stays. And all its
//! options together have 4,096 bytes: so directories are named by the numbers of their descriptors, in a thread whose
//! working directory is where these numbers are names.

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf, absolute};
use std::thread;

use nix::sched::CloneFlags;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, OpenTreeFlags, mount_change, open_tree};
use rustix::process::chdir;

use super::{MountError, Overlay, Upper, make_dir};
use crate::error::{FsError, OnPath as _};

/// Where the descriptors of a thread have names.
const DESCRIPTORS: &str = "/proc/thread-self/fd";

/// A directory that is everywhere, to mount on where a stack has none of its own.
const ANY_DIRECTORY: &str = "/proc";

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Mounts a stack and returns the mount, which is attached nowhere.
pub(super) fn mount(overlay: &Overlay) -> Result<OwnedFd, MountError> {
    let own = overlay.upper.as_ref().map(|upper| &upper.dir);
    let at = overlay
        .lower
        .first()
        .or(own)
        .map_or(Path::new(ANY_DIRECTORY), PathBuf::as_path);
    in_thread(CloneFlags::CLONE_NEWNS, at, |at| {
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        mount_change("/", private).on("make mounts private below", "/")?;
        mount_on(overlay, at)?;
        // Without the new mount API it cannot be attached anywhere else; it serves to look into all the same.
        match open_tree(
            CWD,
            at,
            OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC,
        ) {
            Err(Errno::NOSYS) => open(at),
            clone => Ok(clone.on("detach", at)?),
        }
    })
}

/// Mounts a stack on a directory and returns the mount.
pub(super) fn mount_at(overlay: &Overlay, at: &Path) -> Result<OwnedFd, MountError> {
    in_thread(CloneFlags::CLONE_FS, at, |at| {
        mount_on(overlay, at)?;
        open(at)
    })
}

/// Does something in a thread that shares nothing of this with others.
fn in_thread(
    unshared: CloneFlags,
    at: &Path,
    work: impl FnOnce(&Path) -> Result<OwnedFd, MountError> + Send,
) -> Result<OwnedFd, MountError> {
    let at = &absolute(at).map_err(|source| FsError::new("find", at, source))?;
    let work = move || {
        nix::sched::unshare(unshared).map_err(|errno| refused("unshare", Errno::from_raw_os_error(errno as i32)))?;
        work(at)
    };
    thread::scope(|scope| match scope.spawn(work).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// Mounts a stack, in a thread with a working directory of its own.
fn mount_on(overlay: &Overlay, at: &Path) -> Result<(), MountError> {
    // All before anything is mounted: that may cover some of them.
    let mut lower: Vec<OwnedFd> = overlay.lower.iter().map(|dir| open(dir)).collect::<Result<_, _>>()?;
    let upper = match &overlay.upper {
        Some(Upper { dir, work }) if lower.is_empty() => {
            lower.push(open(&make_dir(work, "bottom")?)?);
            Some((open(dir)?, open(&make_dir(work, "work")?)?))
        }
        Some(Upper { dir, work }) => Some((open(dir)?, open(work)?)),
        None => None,
    };
    let mut flags = MountFlags::NODEV;
    if upper.is_none() {
        flags |= MountFlags::RDONLY;
        if lower.len() < 2 {
            mount_kind("tmpfs", at, flags, "mode=0755,size=4k")?;
            if lower.is_empty() {
                return Ok(());
            }
            // One directory alone is no stack: an empty one is put below it.
            lower.push(open(at)?);
        }
    }
    chdir(DESCRIPTORS).on("enter", DESCRIPTORS)?;
    let names: Vec<String> = lower.iter().map(|dir| dir.as_raw_fd().to_string()).collect();
    let mut options = format!("lowerdir={},userxattr,index=off", names.join(":"));
    if let Some((dir, work)) = &upper {
        options += &format!(",upperdir={},workdir={},volatile", dir.as_raw_fd(), work.as_raw_fd());
    }
    mount_kind("overlay", at, flags, &options)
}

fn mount_kind(fs_type: &'static str, at: &Path, flags: MountFlags, options: &str) -> Result<(), MountError> {
    let options = std::ffi::CString::new(options).map_err(|_| refused("options", Errno::INVAL))?;
    rustix::mount::mount(fs_type, at, fs_type, flags, options.as_c_str()).map_err(|error| MountError::Refused {
        fs_type,
        step: "mount",
        log: Vec::new(),
        source: error.into(),
    })
}

fn open(dir: &Path) -> Result<OwnedFd, MountError> {
    Ok(openat(CWD, dir, DIRECTORY, Mode::empty()).on("open directory", dir)?)
}

fn refused(step: &'static str, error: Errno) -> MountError {
    MountError::Refused {
        fs_type: "overlay",
        step,
        log: Vec::new(),
        source: error.into(),
    }
}
