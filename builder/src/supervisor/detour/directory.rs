//! Entering directories.

use rustix::fd::{AsFd as _, OwnedFd};
use rustix::fs::OFlags;

use super::Detour;
use crate::supervisor::call::{Call, Outcome};

/// Makes a directory the caller's working directory.
pub(in crate::supervisor) fn enter(call: &Call<'_>, directory: &OwnedFd) -> Outcome {
    // No mere handle can be lent.
    let directory = call.place.open(directory, OFlags::RDONLY | OFlags::DIRECTORY)?;
    Detour::of(call)?.take(&[directory.as_fd()], |caller, lent| {
        caller.call(libc::SYS_fchdir, [lent[0], 0, 0, 0, 0, 0])
    })
}
