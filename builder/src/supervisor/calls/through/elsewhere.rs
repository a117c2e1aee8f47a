//! Calls that lead nowhere but through windows where the kernel has the same root as the step, and are performed for it
//! where it has not.

use std::ffi::CStr;

use rustix::fd::AsFd as _;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use rustix::io::Errno;

use super::{At, NOW, find_place, find_to_change, follows_all};
use crate::supervisor::call::{AT_FDCWD, Call, DONE, Outcome, Reply};
use crate::supervisor::calls::sockets;
use crate::supervisor::detour;
use crate::supervisor::find::{Found, Last};
use crate::supervisor::permission::{self, Wanted};

/// Gives a file a further name that a path leads to, or a descriptor stands for.
pub(super) fn link_file(call: &Call<'_>, (directory, path): At, new: At, flags: AtFlags) -> Outcome {
    let old = call.read_path(call.argument(path))?;
    let last = Last::unless(!flags.contains(AtFlags::SYMLINK_FOLLOW));
    let file = call.find_or_descriptor(directory, &old, flags.contains(AtFlags::EMPTY_PATH), last)?;
    let new = find_place(call, new)?.ok_or(Errno::NOENT)?;
    if new.wants_directory && new.file.is_none() {
        return Err(Errno::NOENT);
    }
    call.may_change(&new.directory)?;
    call.place.link(&file, &new.directory, &new.name)?;
    Ok(DONE)
}

/// Gives a socket its name.
pub(super) fn bind(call: &Call<'_>) -> Outcome {
    let path = if follows_all(call) {
        sockets::path_in_address(call)?
    } else {
        None
    };
    let Some(path) = path else {
        return Ok(Reply::Continue);
    };
    let found = call.find_name(AT_FDCWD, &path, Last::Keep)?;
    if found.file.is_some() {
        return Err(Errno::ADDRINUSE);
    }
    call.may_change(&found.directory)?;
    detour::bind(call, &found)
}

/// Connects with a socket that has a name.
pub(in crate::supervisor::calls) fn connect(call: &Call<'_>) -> Outcome {
    let Some(path) = sockets::path_in_address(call)? else {
        return Ok(Reply::Continue);
    };
    detour::connect(call, &find_socket(call, &path)?)
}

/// Finds a socket that the caller may write to.
pub(super) fn find_socket(call: &Call<'_>, path: &CStr) -> Result<Found, Errno> {
    let found = call.find_name(AT_FDCWD, path, Last::Follow)?;
    let other = found.file.as_ref().ok_or(Errno::NOENT)?;
    permission::may(&call.credentials, &call.attributes(other)?, Wanted::WRITE)?;
    Ok(found)
}

/// Watches a file.
pub(in crate::supervisor::calls) fn watch(call: &Call<'_>) -> Outcome {
    let path = call.read_path(call.argument(1))?;
    let last = Last::unless(call.word(2) & libc::IN_DONT_FOLLOW != 0);
    let found = call.find_name(AT_FDCWD, &path, last)?;
    let file = found.file.as_ref().ok_or(Errno::NOENT)?;
    permission::may(&call.credentials, &call.attributes(file)?, Wanted::READ)?;
    detour::watch(call, &found)
}

/// A handle of a file is of no use to whoever may not open it by that.
pub(in crate::supervisor::calls) fn no_handle(_call: &Call<'_>) -> Outcome {
    Err(Errno::OPNOTSUPP)
}

/// A process has one that traces it, and now and then that is the supervisor.
pub(in crate::supervisor::calls) fn no_tracing(_call: &Call<'_>) -> Outcome {
    Err(Errno::PERM)
}

/// A filter of the step's own sees what the supervisor has a process do, with all arguments, and can answer in the place
/// of the kernel. As far as programs are told this kernel has none (`seccomp(2)`).
pub(in crate::supervisor::calls) fn set_filter(call: &Call<'_>) -> Outcome {
    if call.place.view.as_ref().is_some_and(|view| view.programs().is_some()) {
        return Err(Errno::INVAL);
    }
    Ok(Reply::Continue)
}

/// `utime(2)`.
#[cfg(target_arch = "x86_64")]
pub(super) fn set_seconds(call: &Call<'_>, at: At) -> Outcome {
    set(call, at, 1, |words| [(words[0], 0), (words[1], 0)])
}

/// `utimes(2)` and `futimesat(2)`; `times` is the argument that is where they are.
#[cfg(target_arch = "x86_64")]
pub(super) fn set_microseconds(call: &Call<'_>, at: At, times: usize) -> Outcome {
    set(call, at, times, |words| {
        [(words[0], words[1] * 1000), (words[2], words[3] * 1000)]
    })
}

#[cfg(target_arch = "x86_64")]
fn set(call: &Call<'_>, at: At, address: usize, read: impl FnOnce([i64; 4]) -> [(i64, i64); 2]) -> Outcome {
    let Some(file) = find_to_change(call, at, Last::Follow, 0)? else {
        return Ok(Reply::Continue);
    };
    let mut times = NOW;
    if call.argument(address) != 0 {
        let mut bytes = [0; 32];
        // The shorter of the two forms is half as long.
        let length = if i64::from(call.notification.number) == libc::SYS_utime {
            16
        } else {
            32
        };
        call.read(call.argument(address), &mut bytes[..length])?;
        let word = |at: usize| i64::from_ne_bytes(bytes[8 * at..8 * at + 8].try_into().unwrap_or_default());
        let [access, modification] = read([0, 1, 2, 3].map(word));
        let time = |(tv_sec, tv_nsec)| Timespec { tv_sec, tv_nsec };
        times = Timestamps {
            last_access: time(access),
            last_modification: time(modification),
        };
    }
    utimensat(CWD, call.place.name_of(file.as_fd()), &times, AtFlags::empty())?;
    Ok(DONE)
}
