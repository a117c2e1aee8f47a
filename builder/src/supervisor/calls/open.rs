//! Opening files, and making them on that occasion.

use std::ffi::{CStr, CString};

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat as open_at, openat2 as open_at_how};
use rustix::io::Errno;

use super::create::New;
use crate::supervisor::call::{AT_FDCWD, Call, Outcome, Reply, errno};
use crate::supervisor::find::Last;
use crate::supervisor::permission::{self, Wanted};
use crate::supervisor::place::HANDLE;
use crate::supervisor::privileges;
use crate::supervisor::status;
use crate::supervisor::view::inode;
use crate::sys;

/// How often a name is looked up again that others make and remove at the same time.
const ATTEMPTS: usize = 8;

/// What a call wants to open.
struct Opening {
    directory: i32,
    /// Where the path is in the caller's memory.
    path: u64,
    flags: OFlags,
    mode: u32,
    /// Conditions on the way that the path takes.
    resolve: ResolveFlags,
}

#[cfg(target_arch = "x86_64")]
pub(super) fn open(call: &Call<'_>) -> Outcome {
    decide(
        call,
        Opening {
            directory: AT_FDCWD,
            path: call.argument(0),
            flags: OFlags::from_bits_retain(call.word(1)),
            mode: call.word(2),
            resolve: ResolveFlags::empty(),
        },
    )
}

#[cfg(target_arch = "x86_64")]
pub(super) fn creat(call: &Call<'_>) -> Outcome {
    decide(
        call,
        Opening {
            directory: AT_FDCWD,
            path: call.argument(0),
            flags: OFlags::CREATE | OFlags::WRONLY | OFlags::TRUNC,
            mode: call.word(1),
            resolve: ResolveFlags::empty(),
        },
    )
}

pub(super) fn openat(call: &Call<'_>) -> Outcome {
    decide(
        call,
        Opening {
            directory: call.descriptor(0),
            path: call.argument(1),
            flags: OFlags::from_bits_retain(call.word(2)),
            mode: call.word(3),
            resolve: ResolveFlags::empty(),
        },
    )
}

/// Its conditions on the way the path takes are the kernel's to check: where they forbid what was found here, the call
/// fails when it is let pass, and a new file is made only in a directory that the kernel finds under the same conditions.
pub(super) fn openat2(call: &Call<'_>) -> Outcome {
    let mut how = [0; 24];
    if call.argument(3) < how.len() as u64 {
        return Err(Errno::INVAL);
    }
    call.read(call.argument(2), &mut how)?;
    let field = |at: usize| u64::from_ne_bytes(how[at..at + 8].try_into().unwrap_or_default());
    let opening = Opening {
        directory: call.descriptor(0),
        path: call.argument(1),
        flags: OFlags::from_bits_retain(field(0) as u32),
        mode: field(8) as u32,
        resolve: ResolveFlags::from_bits_retain(field(16)),
    };
    decide(call, opening)
}

fn decide(call: &Call<'_>, opening: Opening) -> Outcome {
    let path = call.read_path(opening.path)?;
    if opening.flags.contains(OFlags::TMPFILE) {
        return unnamed(call, &opening, &path);
    }
    if opening.flags.contains(OFlags::CREATE) {
        return create(call, &opening, &path);
    }
    if status::is_meant(&path, opening.flags)
        && let Some(reply) = status::open(call, opening.directory, &path, opening.flags)?
    {
        return Ok(reply);
    }
    let passes = call.passes_to(opening.path)?;
    let writes = privileges::are_to_write(opening.flags);
    if passes && !writes {
        return Ok(Reply::Continue);
    }
    let last = Last::unless(opening.flags.contains(OFlags::NOFOLLOW));
    let file = call.find(opening.directory, &path, last)?;
    if !passes {
        may_open(call, &file, opening.flags)?;
    }
    if writes {
        call.take_privileges(&file)?;
    }
    Ok(Reply::Continue)
}

/// Fails unless the caller may use an existing file as the flags say.
fn may_open(call: &Call<'_>, file: &OwnedFd, flags: OFlags) -> Result<(), Errno> {
    if flags.contains(OFlags::PATH) {
        return Ok(());
    }
    let mut wanted = match flags.bits() & OFlags::RWMODE.bits() {
        0 => Wanted::READ,
        1 => Wanted::WRITE,
        _ => Wanted(Wanted::READ.0 | Wanted::WRITE.0),
    };
    if flags.contains(OFlags::TRUNC) {
        wanted.0 |= Wanted::WRITE.0;
    }
    let attributes = call.attributes(file)?;
    let is_directory = attributes.is_directory();
    if flags.contains(OFlags::DIRECTORY) && !is_directory {
        return Err(Errno::NOTDIR);
    }
    if attributes.is_link() {
        return Err(Errno::LOOP);
    }
    if is_directory && (wanted.0 & Wanted::WRITE.0 != 0 || flags.contains(OFlags::CREATE)) {
        return Err(Errno::ISDIR);
    }
    permission::may(&call.credentials, &attributes, wanted)?;
    if flags.contains(OFlags::NOATIME) {
        permission::owns(&call.credentials, &attributes)?;
    }
    Ok(())
}

fn create(call: &Call<'_>, opening: &Opening, path: &CStr) -> Outcome {
    let exclusive = opening.flags.contains(OFlags::EXCL);
    let last = Last::unless(opening.flags.intersects(OFlags::EXCL | OFlags::NOFOLLOW));
    let mode = libc::S_IFREG | opening.mode & 0o7777 & !call.tag.umask;
    for _ in 0..ATTEMPTS {
        let found = call.find_name(opening.directory, path, last)?;
        if let Some(file) = &found.file {
            if exclusive {
                return Err(Errno::EXIST);
            }
            if !call.passes_everywhere() {
                may_open(call, file, opening.flags)?;
            }
            if privileges::are_to_write(opening.flags) {
                call.take_privileges(file)?;
            }
            return Ok(Reply::Continue);
        }
        if path.to_bytes().ends_with(b"/") {
            return Err(Errno::ISDIR);
        }
        let new = New::of(call, found, mode)?;
        if new.is_ordinary() {
            return Ok(Reply::Continue);
        }
        if !opening.resolve.is_empty() && !leads_to(call, opening, path, &new.found.directory)? {
            return Err(Errno::XDEV);
        }
        let flags = opening.flags | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let usable = Mode::from_raw_mode(new.meaning.mode_on_disk());
        match open_at(&new.found.directory, new.name(), flags, usable) {
            // Somebody else was faster.
            Err(Errno::EXIST) if !exclusive => {}
            Err(error) => return Err(error),
            Ok(file) => {
                new.dress(call)?;
                return hand_over(call, file, opening.flags);
            }
        }
    }
    Ok(Reply::Continue)
}

/// Returns whether a path leads to a directory for its last name under its conditions too, as far as the last name.
fn leads_to(call: &Call<'_>, opening: &Opening, path: &CStr, directory: &OwnedFd) -> Result<bool, Errno> {
    let bytes = path.to_bytes();
    let length = bytes
        .iter()
        .rposition(|byte| *byte == b'/')
        .map_or(0, |slash| slash + 1);
    let parent = match &bytes[..length] {
        b"" => CString::from(c"."),
        parent => CString::new(parent).map_err(|_| Errno::INVAL)?,
    };
    let base = call.open_descriptor(opening.directory)?;
    let found = match &call.place.view {
        // An absolute path would be this process's own; the caller's root is the tree, where it leads out of no descriptor.
        Some(view) if parent.to_bytes().starts_with(b"/") && !opening.resolve.contains(ResolveFlags::IN_ROOT) => {
            if opening.resolve.contains(ResolveFlags::BENEATH) {
                return Err(Errno::XDEV);
            }
            let within = opening.resolve | ResolveFlags::IN_ROOT;
            open_at_how(view.root(), &parent, HANDLE, Mode::empty(), within)?
        }
        _ => open_at_how(&base, &parent, HANDLE, Mode::empty(), opening.resolve)?,
    };
    Ok(inode(&found)? == inode(directory)?)
}

/// Makes a file without a name.
fn unnamed(call: &Call<'_>, opening: &Opening, path: &CStr) -> Outcome {
    let directory = call.find(opening.directory, path, Last::Follow)?;
    let attributes = call.attributes(&directory)?;
    permission::may(&call.credentials, &attributes, Wanted::CHANGE_NAMES)?;
    let mode = libc::S_IFREG | opening.mode & 0o7777 & !call.tag.umask;
    let meaning = permission::of_new_file(&call.credentials, &attributes, mode);
    if meaning.is_root() && meaning.is_usable() {
        return Ok(Reply::Continue);
    }
    let usable = Mode::from_raw_mode(meaning.mode_on_disk());
    let file = open_at(&directory, c".", opening.flags | OFlags::CLOEXEC, usable)?;
    call.step.inodes.dress(call.place, &file, meaning)?;
    hand_over(call, file, opening.flags)
}

/// Gives the caller a file that was opened for it.
pub(in crate::supervisor) fn hand_over(call: &Call<'_>, file: OwnedFd, flags: OFlags) -> Outcome {
    let close_on_exec = flags.contains(OFlags::CLOEXEC);
    call.step.in_flight.hand_over(file, |file| {
        let added = sys::add_descriptor(call.step.listener(), call.notification.id, file, close_on_exec);
        added.map(|()| Reply::Told).map_err(|error| errno(&error))
    })
}

pub(super) fn truncate(call: &Call<'_>) -> Outcome {
    let path = call.read_path(call.argument(0))?;
    let file = call.find(AT_FDCWD, &path, Last::Follow)?;
    permission::may(&call.credentials, &call.attributes(&file)?, Wanted::WRITE)?;
    call.take_privileges(&file)?;
    Ok(Reply::Continue)
}
