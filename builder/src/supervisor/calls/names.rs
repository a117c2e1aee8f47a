//! Giving files further names and taking names away: whether the caller may. The kernel does it.

use rustix::fs::{AtFlags, FileType, RenameFlags, renameat_with, unlinkat as remove_name};
use rustix::io::Errno;

use crate::supervisor::attributes::Attributes;
use crate::supervisor::call::{AT_FDCWD, Call, DONE, Outcome, Reply};
use crate::supervisor::find::{Last, Spot};
use crate::supervisor::permission::{self, Wanted};

#[cfg(target_arch = "x86_64")]
pub(super) fn unlink(call: &Call<'_>) -> Outcome {
    remove(call, AT_FDCWD, 0, AtFlags::empty())
}

#[cfg(target_arch = "x86_64")]
pub(super) fn rmdir(call: &Call<'_>) -> Outcome {
    remove(call, AT_FDCWD, 0, AtFlags::REMOVEDIR)
}

pub(super) fn unlinkat(call: &Call<'_>) -> Outcome {
    let flags = AtFlags::from_bits_retain(call.word(2)) & AtFlags::REMOVEDIR;
    remove(call, call.descriptor(0), 1, flags)
}

fn remove(call: &Call<'_>, directory: i32, path: usize, flags: AtFlags) -> Outcome {
    if call.passes_to(call.argument(path))? {
        return Ok(Reply::Continue);
    }
    let path = call.read_path(call.argument(path))?;
    let found = call.find_name(directory, &path, Last::Keep)?;
    let file = call.attributes(found.file.as_ref().ok_or(Errno::NOENT)?)?;
    permission::may_remove(&call.credentials, &call.attributes(&found.directory)?, &file)?;
    match (&found.spot, &call.step.ground.top) {
        (Spot::Elsewhere, _) => remove_name(&found.directory, &found.name, flags)?,
        (Spot::StandIn(_), Some(_)) if !flags.contains(AtFlags::REMOVEDIR) => return Err(Errno::ISDIR),
        (Spot::StandIn(directory), Some(top)) => top.hide(directory)?,
        (Spot::Plain | Spot::StandIn(_), _) => return Ok(Reply::Continue),
    }
    Ok(DONE)
}

#[cfg(target_arch = "x86_64")]
pub(super) fn rename(call: &Call<'_>) -> Outcome {
    exchange(call, (AT_FDCWD, 0), (AT_FDCWD, 1), 0)
}

/// Also `renameat2`, whose flags are the fifth argument; `renameat` has none, and whatever is in that place is not
/// looked at.
pub(super) fn renameat(call: &Call<'_>) -> Outcome {
    let has_flags = call.notification.number == libc::SYS_renameat2 as i32;
    let flags = if has_flags { call.word(4) } else { 0 };
    exchange(call, (call.descriptor(0), 1), (call.descriptor(2), 3), flags)
}

fn exchange(call: &Call<'_>, old: (i32, usize), new: (i32, usize), flags: u32) -> Outcome {
    if call.passes_to(call.argument(old.1))? && call.passes_to(call.argument(new.1))? {
        return Ok(Reply::Continue);
    }
    let old_path = call.read_path(call.argument(old.1))?;
    let new_path = call.read_path(call.argument(new.1))?;
    // Both ways are gone before either end is looked at.
    let source = call.find_name(old.0, &old_path, Last::Keep)?;
    let target = call.find_name(new.0, &new_path, Last::Keep)?;
    let moved = call.attributes(source.file.as_ref().ok_or(Errno::NOENT)?)?;
    if target.file.is_some() && flags & libc::RENAME_NOREPLACE != 0 {
        return Err(Errno::EXIST);
    }
    let (from, to) = (call.attributes(&source.directory)?, call.attributes(&target.directory)?);
    permission::may_remove(&call.credentials, &from, &moved)?;
    match &target.file {
        Some(file) => {
            let replaced = call.attributes(file)?;
            permission::may_remove(&call.credentials, &to, &replaced)?;
            // The kernel says which of the two is no directory; what comes below must not be said instead.
            if flags & libc::RENAME_EXCHANGE == 0 && replaced.is_directory() != moved.is_directory() {
                return Ok(Reply::Continue);
            }
        }
        None => {
            permission::may(&call.credentials, &to, Wanted::CHANGE_NAMES)?;
            if let Some(top) = &call.step.ground.top {
                top.note_new(&target, moved.is_directory())?;
            }
        }
    }
    // A directory that moves gets another `..`.
    if moved.is_directory() && from.inode != to.inode {
        permission::may(&call.credentials, &moved, Wanted::WRITE)?;
    }
    match (&source.spot, &target.spot) {
        (Spot::Plain, Spot::Plain) => Ok(Reply::Continue),
        // Then programs copy it.
        (Spot::StandIn(_), _) | (_, Spot::StandIn(_)) => Err(Errno::XDEV),
        (Spot::Elsewhere, _) | (_, Spot::Elsewhere) => {
            let flags = RenameFlags::from_bits_retain(flags);
            renameat_with(&source.directory, &source.name, &target.directory, &target.name, flags)?;
            Ok(DONE)
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) fn link(call: &Call<'_>) -> Outcome {
    add(call, (AT_FDCWD, 0), (AT_FDCWD, 1), 0)
}

pub(super) fn linkat(call: &Call<'_>) -> Outcome {
    let flags = call.descriptor(4);
    add(call, (call.descriptor(0), 1), (call.descriptor(2), 3), flags)
}

fn add(call: &Call<'_>, old: (i32, usize), new: (i32, usize), flags: i32) -> Outcome {
    if call.passes_to(call.argument(old.1))? && call.passes_to(call.argument(new.1))? {
        return Ok(Reply::Continue);
    }
    let old_path = call.read_path(call.argument(old.1))?;
    let new_path = call.read_path(call.argument(new.1))?;
    let last = Last::unless(flags & libc::AT_SYMLINK_FOLLOW == 0);
    let file = call.find_or_descriptor(old.0, &old_path, flags & libc::AT_EMPTY_PATH != 0, last)?;
    let target = call.find_name(new.0, &new_path, Last::Keep)?;
    if target.file.is_some() {
        return Err(Errno::EXIST);
    }
    let attributes = call.attributes(&file)?;
    permission::owns(&call.credentials, &attributes)
        .or_else(|error| if is_safe(call, &attributes) { Ok(()) } else { Err(error) })?;
    let directory = call.attributes(&target.directory)?;
    permission::may(&call.credentials, &directory, Wanted::CHANGE_NAMES)?;
    if let Spot::Elsewhere = target.spot {
        call.place.link(&file, &target.directory, &target.name)?;
        return Ok(DONE);
    }
    Ok(Reply::Continue)
}

/// Whether a file may get a name from somebody else than its owner: `fs.protected_hardlinks`, which every distribution
/// sets.
fn is_safe(call: &Call<'_>, file: &Attributes) -> bool {
    let harmless = file.file_type() == FileType::RegularFile && file.mode & 0o4000 == 0 && file.mode & 0o2010 != 0o2010;
    let read_and_write = Wanted(Wanted::READ.0 | Wanted::WRITE.0);
    harmless && permission::may(&call.credentials, file, read_and_write).is_ok()
}
