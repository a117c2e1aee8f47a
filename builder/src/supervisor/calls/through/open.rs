//! Opening what is seen through a window, and making files on that occasion.

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, openat, statat};
use rustix::io::Errno;
use rustix::pty::ptsname;

use super::{At, find, follows_all, proc_text};
use crate::supervisor::call::{Call, Outcome, Reply, errno};
use crate::supervisor::calls::hand_over;
use crate::supervisor::detour;
use crate::supervisor::find::{Found, Last};
use crate::supervisor::shown;
use crate::supervisor::view::inode;
use crate::sys::{self, Response};

/// The conditions of `openat2` are the kernel's to check: who has any opens what the kernel finds.
pub(super) fn open_how(call: &Call<'_>) -> Outcome {
    let mut how = [0; 24];
    call.read(call.argument(2), &mut how)?;
    let field = |at: usize| u64::from_ne_bytes(how[at..at + 8].try_into().unwrap_or_default());
    let conditions = ResolveFlags::from_bits_retain(field(16));
    // Within a directory the kernel finds what the step means, whatever root it has.
    let is_within = conditions.intersects(ResolveFlags::BENEATH | ResolveFlags::IN_ROOT);
    if !conditions.is_empty() && (is_within || !follows_all(call)) {
        return Ok(Reply::Continue);
    }
    let flags = OFlags::from_bits_retain(field(0) as u32);
    open(call, (call.descriptor(0), 1), flags, field(8) as u32)
}

pub(super) fn open(call: &Call<'_>, at: At, flags: OFlags, mode: u32) -> Outcome {
    let exclusive = flags.contains(OFlags::CREATE | OFlags::EXCL);
    let last = Last::unless(exclusive || flags.contains(OFlags::NOFOLLOW));
    let Some(found) = find(call, at, last)? else {
        return Ok(Reply::Continue);
    };
    let mode = Mode::from_raw_mode(mode & 0o7777 & !call.tag.umask);
    match &found.file {
        Some(_) if exclusive => Err(Errno::EXIST),
        Some(file) => open_existing(call, &found, file, flags, mode),
        None if flags.contains(OFlags::CREATE) && !found.wants_directory => {
            call.may_change(&found.directory)?;
            let flags_here = flags | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC;
            hand_over(call, openat(&found.directory, &found.name, flags_here, mode)?, flags)
        }
        None => Err(Errno::NOENT),
    }
}

fn open_existing(call: &Call<'_>, found: &Found, file: &OwnedFd, flags: OFlags, mode: Mode) -> Outcome {
    let file_type = call.attributes(file)?.file_type();
    if flags.contains(OFlags::DIRECTORY) && file_type != FileType::Directory {
        return Err(Errno::NOTDIR);
    }
    if flags.contains(OFlags::PATH) {
        return open_handle(call, found, file, file_type, flags);
    }
    if flags.contains(OFlags::CREATE) && file_type == FileType::Directory && !flags.contains(OFlags::TMPFILE) {
        return Err(Errno::ISDIR);
    }
    if file_type == FileType::Symlink {
        return Err(Errno::LOOP);
    }
    let writes = flags.bits() & OFlags::RWMODE.bits() != 0 || flags.contains(OFlags::TRUNC);
    if writes {
        call.may_change(file)?;
    }
    if let Some(view) = &call.place.view {
        view.bar(call.place, call.place.path(file.as_fd())?.to_bytes(), writes)?;
    }
    if is_masked(call, file)? {
        return if file_type == FileType::Directory {
            Err(Errno::NOENT)
        } else {
            hand_over(
                call,
                openat(CWD, "/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?,
                flags,
            )
        };
    }
    if let Some(text) = proc_text::of(call, found)? {
        return hand_over(call, text, flags);
    }
    // A terminal must not become this process's own.
    let flags_here = flags.difference(OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW) | OFlags::NOCTTY;
    if file_type == FileType::CharacterDevice {
        return open_device(call, file, flags_here, flags);
    }
    if file_type == FileType::Fifo && !flags.contains(OFlags::NONBLOCK) {
        return if follows_all(call) && has_name(found, file)? {
            detour::open_patiently(call, found, flags_here | OFlags::NOFOLLOW)
        } else {
            open_patiently(call, file, flags_here)
        };
    }
    let opened = match call.place.open_with(file, flags_here, mode) {
        Err(Errno::ACCESS) if file_type == FileType::Fifo => open_fifo(call, file, flags_here)?,
        opened => opened?,
    };
    hand_over(call, opened, flags)
}

/// Opens a FIFO that the caller may use and its owner on disk may not: there is no other place for its mode.
fn open_fifo(call: &Call<'_>, file: &OwnedFd, flags: OFlags) -> Result<OwnedFd, Errno> {
    let permissions = call.attributes(file)?.mode & 0o7777;
    call.place.set_mode(file.as_fd(), permissions | 0o600)?;
    let opened = call.place.open(file, flags);
    call.place.set_mode(file.as_fd(), permissions)?;
    opened
}

/// Opens a device. The master of a new terminal makes that one the step's own; all others are somebody else's.
fn open_device(call: &Call<'_>, file: &OwnedFd, flags_here: OFlags, flags: OFlags) -> Outcome {
    let path = call.place.path(file.as_fd())?;
    if let Some(number) = shown::terminal(path.to_bytes())
        && !call.step.terminals.contains(number)
    {
        return Err(Errno::ACCESS);
    }
    let opened = call.place.open(file, flags_here)?;
    if let Ok(name) = ptsname(&opened, Vec::new())
        && let Some(number) = shown::terminal(name.to_bytes())
    {
        call.step.terminals.note(number);
    }
    hand_over(call, opened, flags)
}

/// Gives the caller a handle, or something as good: no mere handle can be handed over.
fn open_handle(call: &Call<'_>, found: &Found, file: &OwnedFd, file_type: FileType, flags: OFlags) -> Outcome {
    match file_type {
        FileType::Directory | FileType::RegularFile => {
            hand_over(call, call.place.open(file, OFlags::RDONLY | OFlags::NONBLOCK)?, flags)
        }
        _ if follows_all(call) => detour::open(call, found, flags),
        _ => Err(Errno::ACCESS),
    }
}

/// Whether a file has the name that it was found by, and not a link of procfs.
fn has_name(found: &Found, file: &OwnedFd) -> Result<bool, Errno> {
    match statat(&found.directory, &found.name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(named) => Ok((named.st_dev, named.st_ino) == inode(file)?),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_masked(call: &Call<'_>, file: &OwnedFd) -> Result<bool, Errno> {
    Ok(shown::is_masked(call.place.path(file.as_fd())?.to_bytes()))
}

/// Opens a FIFO for a caller who cannot be stopped to do it, or who has no name for it.
fn open_patiently(call: &Call<'_>, file: &OwnedFd, flags: OFlags) -> Outcome {
    let copy = |fd: BorrowedFd<'_>| fd.try_clone_to_owned().map_err(|error| errno(&error));
    let (listener, file) = (copy(call.step.listener())?, copy(file.as_fd())?);
    let id = call.notification.id;
    let wait = move || {
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let opened = openat(CWD, path, flags | OFlags::CLOEXEC, Mode::empty());
        let told = opened.and_then(|opened| {
            let close_on_exec = flags.contains(OFlags::CLOEXEC);
            let added = sys::add_descriptor(listener.as_fd(), id, opened.as_fd(), close_on_exec);
            added.map_err(|error| errno(&error))
        });
        if let Err(error) = told {
            // Whoever called may have been killed meanwhile.
            let _gone = sys::respond(listener.as_fd(), id, Response::Fail(error.raw_os_error()));
        }
    };
    let waiting = std::thread::Builder::new().name("supervisor".into()).spawn(wait);
    waiting.map(|_| Reply::Told).map_err(|error| errno(&error))
}
