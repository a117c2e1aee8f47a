//! Calls whose paths lead through a window: what the kernel would do if the machine's directories were mounted over the
//! step's tree is done here. Whether the caller may has been decided before. Where the kernel has another root than the
//! step, that is so of every call with a path.

mod attributes;
mod elsewhere;
mod messages;
mod mirror;
mod open;
mod proc_text;
mod tell;

use std::ffi::{CStr, CString};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{
    Access, AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, Timespec, Timestamps, accessat, ftruncate, linkat,
    mkdirat, mknodat, renameat_with, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;

use crate::supervisor::call::{AT_FDCWD, Call, DONE, Outcome, Reply};
use crate::supervisor::find::{Found, Last, handle};
use crate::supervisor::view::inode;
use crate::supervisor::walk::Walk;

pub(super) use elsewhere::{connect, no_handle, no_tracing, set_filter, watch};
pub(super) use messages::{send_message, send_messages, send_to};
#[cfg(target_arch = "x86_64")]
pub(super) use tell::readlink;
pub(super) use tell::{getcwd, readlinkat, statfs};

/// A path of a call: the directory that it begins at, and the argument that it is.
type At = (i32, usize);

/// Performs a call that is to be let pass, if the kernel could not.
pub(in crate::supervisor) fn perform(call: &Call<'_>) -> Outcome {
    if call.place.view.is_none() && call.step.ground.top.is_none() {
        return Ok(Reply::Continue);
    }
    let here = |path: usize| (AT_FDCWD, path);
    let at = |directory: usize| (call.descriptor(directory), directory + 1);
    let flags = |index: usize| OFlags::from_bits_retain(call.word(index));
    let removal = |index: usize| AtFlags::from_bits_retain(call.word(index));
    match i64::from(call.notification.number) {
        libc::SYS_openat => open::open(call, at(0), flags(2), call.word(3)),
        libc::SYS_openat2 => open::open_how(call),
        libc::SYS_faccessat => access(call, at(0), call.word(2), 0),
        libc::SYS_faccessat2 => access(call, at(0), call.word(2), call.descriptor(3)),
        libc::SYS_mkdirat => make_directory(call, at(0), call.word(2)),
        libc::SYS_mknodat => make_node(call, at(0), call.word(2)),
        libc::SYS_symlinkat => make_link(call, at(1)),
        libc::SYS_linkat => link(call, at(0), at(2), call.word(4)),
        libc::SYS_unlinkat => remove(call, at(0), removal(2)),
        libc::SYS_renameat => rename(call, at(0), at(2), 0),
        libc::SYS_renameat2 => rename(call, at(0), at(2), call.word(4)),
        libc::SYS_utimensat => set_times(call, at(0), call.word(3)),
        libc::SYS_chdir => mirror::chdir(call),
        libc::SYS_execve => mirror::execve(call),
        libc::SYS_execveat => mirror::execveat(call),
        libc::SYS_truncate => truncate(call, here(0)),
        libc::SYS_getxattr | libc::SYS_setxattr | libc::SYS_removexattr => attributes::perform(call, Last::Follow),
        libc::SYS_lgetxattr | libc::SYS_lsetxattr | libc::SYS_lremovexattr => attributes::perform(call, Last::Keep),
        libc::SYS_bind => elsewhere::bind(call),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_open => open::open(call, here(0), flags(1), call.word(2)),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_creat => open::open(
            call,
            here(0),
            OFlags::CREATE | OFlags::WRONLY | OFlags::TRUNC,
            call.word(1),
        ),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_access => access(call, here(0), call.word(1), 0),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_utime => elsewhere::set_seconds(call, here(0)),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_utimes => elsewhere::set_microseconds(call, here(0), 1),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_futimesat => elsewhere::set_microseconds(call, at(0), 2),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_mkdir => make_directory(call, here(0), call.word(1)),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_mknod => make_node(call, here(0), call.word(1)),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_symlink => make_link(call, here(1)),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_link => link(call, here(0), here(1), 0),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_unlink => remove(call, here(0), AtFlags::empty()),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_rmdir => remove(call, here(0), AtFlags::REMOVEDIR),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_rename => rename(call, here(0), here(1), 0),
        _ => Ok(Reply::Continue),
    }
}

/// Finds what a path stands for, if the kernel cannot.
fn find(call: &Call<'_>, (directory, path): At, last: Last) -> Result<Option<Found>, Errno> {
    let Some(view) = &call.place.view else {
        return Ok(None);
    };
    if call.argument(path) == 0 {
        return Ok(None);
    }
    let path = call.read_path(call.argument(path))?;
    if follows_all(call) {
        return if path.is_empty() {
            Ok(None)
        } else {
            call.find_name(directory, &path, last).map(Some)
        };
    }
    let is_plain = || !call.tag.chrooted && view.look(call, directory, &path, handle(last)).is_some();
    if path.is_empty() || is_plain() {
        return Ok(None);
    }
    let mut walk = Walk::new(call)?;
    let found = walk.to(directory, &path, last);
    if walk.has_left { found.map(Some) } else { Ok(None) }
}

/// Returns whether the kernel has another root than the step.
fn follows_all(call: &Call<'_>) -> bool {
    call.place.view.as_ref().is_some_and(|view| view.programs().is_some())
}

/// Finds the place of a name that is to be made, moved or taken away. A slash behind it asks for a directory, and not for
/// what a link leads to.
fn find_place(call: &Call<'_>, (directory, path): At) -> Result<Option<Found>, Errno> {
    if !follows_all(call) {
        return find(call, (directory, path), Last::Keep);
    }
    let path = call.read_path(call.argument(path))?;
    let bytes = path.to_bytes();
    let end = bytes
        .iter()
        .rposition(|byte| *byte != b'/')
        .map_or(bytes.len(), |last| last + 1);
    if bytes.is_empty() {
        return Ok(None);
    }
    let found = call.find_name(
        directory,
        &CString::new(&bytes[..end]).map_err(|_| Errno::INVAL)?,
        Last::Keep,
    )?;
    let asks_for_directory = end < bytes.len();
    if let (true, Some(file)) = (asks_for_directory, &found.file)
        && !call.attributes(file)?.is_directory()
    {
        return Err(Errno::NOTDIR);
    }
    Ok(Some(Found {
        wants_directory: asks_for_directory,
        ..found
    }))
}

/// Finds a file that must exist.
fn find_file(call: &Call<'_>, at: At, last: Last) -> Result<Option<OwnedFd>, Errno> {
    let found = find(call, at, last)?;
    found.map(|found| found.file.ok_or(Errno::NOENT)).transpose()
}

/// Finds a file that must exist, for a change to it that Landlock does not know of. The kernel would read the path anew,
/// and another one by then could lead out of the tree, or to croze's own files.
fn find_to_change(call: &Call<'_>, (directory, path): At, last: Last, flags: u32) -> Result<Option<OwnedFd>, Errno> {
    let reaches_out = call.place.view.is_some() || call.step.ground.top.is_some();
    if !reaches_out || call.argument(path) == 0 {
        return Ok(None);
    }
    let path = call.read_path(call.argument(path))?;
    let allows_empty = flags & libc::AT_EMPTY_PATH.cast_unsigned() != 0;
    let file = call.find_or_descriptor(directory, &path, allows_empty, last)?;
    call.may_change(&file)?;
    Ok(Some(file))
}

/// Finds both places of a call; if only one is behind a window, the other one is where the kernel has it.
fn find_both(call: &Call<'_>, one: At, other: At) -> Result<Option<(Found, Found)>, Errno> {
    let (first, second) = (find_place(call, one)?, find_place(call, other)?);
    if first.is_none() && second.is_none() {
        return Ok(None);
    }
    let whole = |found: Option<Found>, (directory, path): At| match found {
        Some(found) => Ok(found),
        None => call.find_name(directory, &call.read_path(call.argument(path))?, Last::Keep),
    };
    let (first, second) = (whole(first, one)?, whole(second, other)?);
    may_change_name(call, &first)?;
    may_change_name(call, &second)?;
    Ok(Some((first, second)))
}

/// Fails if a step may not make or take away a name: in what it cannot write to, or that of a window.
fn may_change_name(call: &Call<'_>, found: &Found) -> Result<(), Errno> {
    if let Some(view) = &call.place.view
        && view.window(inode(&found.directory)?, &found.name).is_some()
    {
        // As of a mount point.
        return Err(Errno::BUSY);
    }
    call.may_change(&found.directory)
}

fn access(call: &Call<'_>, at: At, wanted: u32, flags: i32) -> Outcome {
    let last = Last::unless(flags & libc::AT_SYMLINK_NOFOLLOW != 0);
    let Some(file) = find_file(call, at, last)? else {
        return Ok(Reply::Continue);
    };
    let wanted = Access::from_bits(wanted).ok_or(Errno::INVAL)?;
    accessat(CWD, call.place.name_of(file.as_fd()), wanted, AtFlags::EACCESS)?;
    Ok(DONE)
}

fn make_directory(call: &Call<'_>, at: At, mode: u32) -> Outcome {
    let mode = Mode::from_raw_mode(mode & 0o1777 & !call.tag.umask);
    at_name(call, at, |directory, name| mkdirat(directory, name, mode))
}

fn make_node(call: &Call<'_>, at: At, mode: u32) -> Outcome {
    let permissions = Mode::from_raw_mode(mode & 0o7777 & !call.tag.umask);
    let file_type = match FileType::from_raw_mode(mode) {
        FileType::Unknown => FileType::RegularFile,
        known => known,
    };
    at_name(call, at, |directory, name| {
        mknodat(directory, name, file_type, permissions, 0)
    })
}

fn make_link(call: &Call<'_>, at: At) -> Outcome {
    let target = call.read_path(call.argument(0))?;
    at_name(call, at, |directory, name| symlinkat(&target, directory, name))
}

fn remove(call: &Call<'_>, at: At, flags: AtFlags) -> Outcome {
    at_name(call, at, |directory, name| unlinkat(directory, name, flags))
}

/// Does something with a name.
fn at_name(call: &Call<'_>, at: At, work: impl FnOnce(&OwnedFd, &CStr) -> Result<(), Errno>) -> Outcome {
    match find_place(call, at)? {
        Some(found) => {
            may_change_name(call, &found)?;
            work(&found.directory, &found.name).map(|()| DONE)
        }
        None => Ok(Reply::Continue),
    }
}

fn link(call: &Call<'_>, old: At, new: At, flags: u32) -> Outcome {
    let flags = AtFlags::from_bits_retain(flags);
    if follows_all(call) {
        return elsewhere::link_file(call, old, new, flags);
    }
    if flags.contains(AtFlags::EMPTY_PATH) {
        return Ok(Reply::Continue);
    }
    let Some((old, new)) = find_both(call, old, new)? else {
        return Ok(Reply::Continue);
    };
    linkat(&old.directory, &old.name, &new.directory, &new.name, flags)?;
    Ok(DONE)
}

fn rename(call: &Call<'_>, old: At, new: At, flags: u32) -> Outcome {
    let Some((old, new)) = find_both(call, old, new)? else {
        return Ok(Reply::Continue);
    };
    let flags = RenameFlags::from_bits_retain(flags);
    renameat_with(&old.directory, &old.name, &new.directory, &new.name, flags)?;
    Ok(DONE)
}

/// What no time at all means.
const NOW: Timestamps = {
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: libc::UTIME_NOW,
    };
    Timestamps {
        last_access: now,
        last_modification: now,
    }
};

fn set_times(call: &Call<'_>, at: At, flags: u32) -> Outcome {
    let last = Last::unless(flags & libc::AT_SYMLINK_NOFOLLOW.cast_unsigned() != 0);
    let Some(file) = find_to_change(call, at, last, flags)? else {
        return Ok(Reply::Continue);
    };
    let mut times = NOW;
    if call.argument(2) != 0 {
        let mut bytes = [0; 32];
        call.read(call.argument(2), &mut bytes)?;
        let field = |at: usize| i64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap_or_default());
        let time = |at| Timespec {
            tv_sec: field(at),
            tv_nsec: field(at + 8),
        };
        (times.last_access, times.last_modification) = (time(0), time(16));
    }
    utimensat(CWD, call.place.name_of(file.as_fd()), &times, AtFlags::empty())?;
    Ok(DONE)
}

fn truncate(call: &Call<'_>, at: At) -> Outcome {
    let Some(file) = find_file(call, at, Last::Follow)? else {
        return Ok(Reply::Continue);
    };
    call.may_change(&file)?;
    ftruncate(call.place.open(&file, OFlags::WRONLY)?, call.argument(1))?;
    Ok(DONE)
}
