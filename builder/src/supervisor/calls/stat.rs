//! What files look like: the `stat` family.

use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;

use crate::supervisor::call::{AT_FDCWD, Call, DONE, Outcome, errno};
use crate::supervisor::find::Last;
use crate::sys::{KernelStat, KernelStatx};

pub(super) fn stat(call: &Call<'_>) -> Outcome {
    let path = call.read_path(call.argument(0))?;
    tell(call, &call.find(AT_FDCWD, &path, Last::Follow)?, call.argument(1))
}

pub(super) fn lstat(call: &Call<'_>) -> Outcome {
    let path = call.read_path(call.argument(0))?;
    tell(call, &call.find(AT_FDCWD, &path, Last::Keep)?, call.argument(1))
}

pub(super) fn fstat(call: &Call<'_>) -> Outcome {
    tell(call, &descriptor(call, 0)?, call.argument(1))
}

pub(super) fn newfstatat(call: &Call<'_>) -> Outcome {
    let file = at(call, call.descriptor(3))?;
    tell(call, &file, call.argument(2))
}

pub(super) fn statx(call: &Call<'_>) -> Outcome {
    let (flags, mask) = (call.descriptor(2), call.word(3));
    let file = at(call, flags)?;
    let basic = libc::STATX_BASIC_STATS;
    let shown = KernelStatx::of(file.as_fd(), flags & !libc::AT_SYMLINK_NOFOLLOW, mask | basic);
    let mut shown = shown.map_err(|error| errno(&error))?;
    let attributes = call.attributes(&file)?;
    shown.replace(attributes.uid, attributes.gid, attributes.mode, attributes.rdev);
    call.write(call.argument(4), shown.bytes())?;
    Ok(DONE)
}

/// Finds the file of a call that has a directory, a path and flags.
fn at(call: &Call<'_>, flags: i32) -> Result<OwnedFd, Errno> {
    let allows_empty = flags & libc::AT_EMPTY_PATH != 0;
    // Since Linux 6.11 no path at all is as good as an empty one.
    if call.argument(1) == 0 && allows_empty {
        return call.open_descriptor(call.descriptor(0));
    }
    let path = call.read_path(call.argument(1))?;
    let last = Last::unless(flags & libc::AT_SYMLINK_NOFOLLOW != 0);
    call.find_or_descriptor(call.descriptor(0), &path, allows_empty, last)
}

/// Opens a descriptor, which is never the working directory.
pub(super) fn descriptor(call: &Call<'_>, index: usize) -> Result<OwnedFd, Errno> {
    if call.descriptor(index) < 0 {
        return Err(Errno::BADF);
    }
    call.open_descriptor(call.descriptor(index))
}

fn tell(call: &Call<'_>, file: &OwnedFd, address: u64) -> Outcome {
    let mut shown = KernelStat::of(file.as_fd()).map_err(|error| errno(&error))?;
    let attributes = call.attributes(file)?;
    shown.replace(attributes.uid, attributes.gid, attributes.mode, attributes.rdev);
    call.write(address, shown.bytes())?;
    Ok(DONE)
}
