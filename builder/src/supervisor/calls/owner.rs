//! Owners, modes and times: the `chown`, `chmod` and `utime` families.

use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;

use super::stat::descriptor;
use crate::supervisor::attributes::Meaning;
use crate::supervisor::call::{AT_FDCWD, Call, DONE, Outcome, Reply};
use crate::supervisor::find::Last;
use crate::supervisor::permission::{self, Wanted};

pub(super) fn chown(call: &Call<'_>) -> Outcome {
    let path = call.read_path(call.argument(0))?;
    change_owner(call, &call.find(AT_FDCWD, &path, Last::Follow)?, 1)
}

pub(super) fn lchown(call: &Call<'_>) -> Outcome {
    let path = call.read_path(call.argument(0))?;
    change_owner(call, &call.find(AT_FDCWD, &path, Last::Keep)?, 1)
}

pub(super) fn fchown(call: &Call<'_>) -> Outcome {
    change_owner(call, &descriptor(call, 0)?, 1)
}

pub(super) fn fchownat(call: &Call<'_>) -> Outcome {
    let file = at(call, call.descriptor(4))?;
    change_owner(call, &file, 2)
}

/// Changes the owner to what the arguments from `first` on say.
fn change_owner(call: &Call<'_>, file: &OwnedFd, first: usize) -> Outcome {
    let id = |index| Some(call.word(index)).filter(|id| *id != u32::MAX);
    let (uid, gid) = (id(first), id(first + 1));
    let old = call.attributes(file)?;
    let mode = permission::chown(&call.credentials, &old, uid, gid)?;
    let to = (uid.unwrap_or(old.uid), gid.unwrap_or(old.gid), mode);
    if call.is_machines(file)? {
        call.may_change(file)?;
        let (uid, gid, mode) = to;
        let meaning = Meaning {
            uid,
            gid,
            mode,
            ..old.meaning
        };
        call.step.machine.set(old.inode, meaning)?;
        return Ok(DONE);
    }
    call.step.inodes.change_owner(call.place, file.as_fd(), &old, to)?;
    Ok(DONE)
}

pub(super) fn chmod(call: &Call<'_>) -> Outcome {
    let path = call.read_path(call.argument(0))?;
    change_mode(call, &call.find(AT_FDCWD, &path, Last::Follow)?, call.word(1))
}

pub(super) fn fchmod(call: &Call<'_>) -> Outcome {
    change_mode(call, &descriptor(call, 0)?, call.word(1))
}

pub(super) fn fchmodat(call: &Call<'_>) -> Outcome {
    let file = at(call, 0)?;
    change_mode(call, &file, call.word(2))
}

pub(super) fn fchmodat2(call: &Call<'_>) -> Outcome {
    let file = at(call, call.descriptor(3))?;
    change_mode(call, &file, call.word(2))
}

fn change_mode(call: &Call<'_>, file: &OwnedFd, permissions: u32) -> Outcome {
    let old = call.attributes(file)?;
    if old.is_link() {
        return Err(Errno::OPNOTSUPP);
    }
    let mode = permission::chmod(&call.credentials, &old, permissions)?;
    if call.is_machines(file)? {
        call.may_change(file)?;
        call.step.machine.set(old.inode, Meaning { mode, ..old.meaning })?;
        return Ok(DONE);
    }
    call.step.inodes.change_mode(call.place, file.as_fd(), &old, mode)?;
    Ok(DONE)
}

/// Finds the file of a call that begins with a directory and a path.
fn at(call: &Call<'_>, flags: i32) -> Result<OwnedFd, Errno> {
    let path = call.read_path(call.argument(1))?;
    let last = Last::unless(flags & libc::AT_SYMLINK_NOFOLLOW != 0);
    call.find_or_descriptor(call.descriptor(0), &path, flags & libc::AT_EMPTY_PATH != 0, last)
}

pub(super) fn utimensat(call: &Call<'_>) -> Outcome {
    if call.passes_everywhere() {
        return Ok(Reply::Continue);
    }
    let file = if call.argument(1) == 0 {
        descriptor(call, 0)?
    } else {
        at(call, call.descriptor(3))?
    };
    let times = times(call, call.argument(2))?;
    change_times(call, &file, times)
}

/// What a call does with the two times of a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Times {
    /// Neither changes.
    Stay,
    /// Both become the present.
    Now,
    /// At least one becomes something else.
    Set,
}

fn times(call: &Call<'_>, address: u64) -> Result<Times, Errno> {
    if address == 0 {
        return Ok(Times::Now);
    }
    // Two pairs of seconds and nanoseconds, of which the second can be one of two special values.
    let mut bytes = [0; 32];
    call.read(address, &mut bytes)?;
    let nanoseconds = |at: usize| i64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap_or_default());
    Ok(match (nanoseconds(8), nanoseconds(24)) {
        (libc::UTIME_OMIT, libc::UTIME_OMIT) => Times::Stay,
        (libc::UTIME_NOW, libc::UTIME_NOW) => Times::Now,
        _ => Times::Set,
    })
}

#[cfg(target_arch = "x86_64")]
pub(super) fn utimes(call: &Call<'_>) -> Outcome {
    if call.passes_everywhere() {
        return Ok(Reply::Continue);
    }
    let path = call.read_path(call.argument(0))?;
    let file = call.find(AT_FDCWD, &path, Last::Follow)?;
    change_times(call, &file, if call.argument(1) == 0 { Times::Now } else { Times::Set })
}

#[cfg(target_arch = "x86_64")]
pub(super) fn futimesat(call: &Call<'_>) -> Outcome {
    if call.passes_everywhere() {
        return Ok(Reply::Continue);
    }
    let file = if call.argument(1) == 0 {
        descriptor(call, 0)?
    } else {
        at(call, 0)?
    };
    change_times(call, &file, if call.argument(2) == 0 { Times::Now } else { Times::Set })
}

fn change_times(call: &Call<'_>, file: &OwnedFd, times: Times) -> Outcome {
    let attributes = call.attributes(file)?;
    let owns = permission::owns(&call.credentials, &attributes);
    match times {
        Times::Stay => {}
        Times::Now => owns.or_else(|_| permission::may(&call.credentials, &attributes, Wanted::WRITE))?,
        Times::Set => owns?,
    }
    Ok(Reply::Continue)
}
