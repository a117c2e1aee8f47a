//! What a `/` that the step cannot change seems to hold, and where the links in it seem to lead.

use std::fs::File;
use std::io::Read as _;
use std::mem::MaybeUninit;

use rustix::fd::{AsFd as _, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, RawDir, openat, readlinkat as link_target};
use rustix::io::Errno;

use crate::supervisor::call::{AT_FDCWD, Call, Outcome, Reply, errno};
use crate::supervisor::find::{Last, Spot};
use crate::supervisor::top_names::TopNames;
use crate::sys;

/// Room for the list of a directory.
const LIST: usize = 64 << 10;

/// Bytes of an entry of a list before its name: inode, position, length and type.
const HEAD: usize = 8 + 8 + 2 + 1;

#[cfg(target_arch = "x86_64")]
pub(super) fn readlink(call: &Call<'_>) -> Outcome {
    read_link(call, AT_FDCWD, 0)
}

pub(super) fn readlinkat(call: &Call<'_>) -> Outcome {
    read_link(call, call.descriptor(0), 1)
}

/// `first` is the argument that is the path.
fn read_link(call: &Call<'_>, directory: i32, first: usize) -> Outcome {
    let path = call.read_path(call.argument(first))?;
    let is_about = |top: &TopNames| top.may_be_about(&path);
    if path.is_empty() || !call.step.ground.top.as_ref().is_some_and(is_about) {
        return Ok(Reply::Continue);
    }
    let found = call.find_name(directory, &path, Last::Keep)?;
    let Spot::Elsewhere = found.spot else {
        return match found.file {
            Some(_) => Ok(Reply::Continue),
            None => Err(Errno::NOENT),
        };
    };
    let target = link_target(&found.directory, &found.name, Vec::new())?;
    let room = usize::try_from(call.descriptor(first + 2)).map_err(|_| Errno::INVAL)?;
    let shown = &target.to_bytes()[..room.min(target.to_bytes().len())];
    call.write(call.argument(first + 1), shown)?;
    Ok(Reply::Value(shown.len() as i64))
}

/// The whole list is given at once, and the caller's descriptor is replaced by one that is at the end of it.
pub(super) fn getdents64(call: &Call<'_>) -> Outcome {
    let descriptor = call.descriptor(0);
    let Some(top) = &call.step.ground.top else {
        return Ok(Reply::Continue);
    };
    let directory = call.open_descriptor(descriptor)?;
    if !top.is_root(&directory)? {
        return Ok(Reply::Continue);
    }
    let (position, flags) = state(call, descriptor)?;
    if position != 0 {
        return Ok(Reply::Continue);
    }
    let at_end = call.place.open(&directory, OFlags::RDONLY | OFlags::DIRECTORY)?;
    let list = list(top, &at_end)?;
    if list.len() > call.argument(2) as usize {
        // Whoever reads it piece by piece sees it as it is.
        return Ok(Reply::Continue);
    }
    let closes = flags.contains(OFlags::CLOEXEC);
    sys::replace_descriptor(
        call.step.listener(),
        call.notification.id,
        at_end.as_fd(),
        descriptor,
        closes,
    )
    .map_err(|error| errno(&error))?;
    call.write(call.argument(1), &list)?;
    Ok(Reply::Value(list.len() as i64))
}

/// Returns position and flags of a descriptor of the caller's.
fn state(call: &Call<'_>, descriptor: i32) -> Result<(u64, OFlags), Errno> {
    let path = format!("{}/fdinfo/{descriptor}", call.thread().as_raw_pid());
    let info = openat(&call.place.proc, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut text = String::new();
    File::from(info)
        .read_to_string(&mut text)
        .map_err(|error| errno(&error))?;
    let field = |name| {
        text.lines()
            .find_map(|line| line.strip_prefix(name))
            .map(str::trim)
            .ok_or(Errno::IO)
    };
    let position = field("pos:")?.parse().map_err(|_| Errno::IO)?;
    let flags = u32::from_str_radix(field("flags:")?, 8).map_err(|_| Errno::IO)?;
    Ok((position, OFlags::from_bits_retain(flags)))
}

/// Returns the entries of `/` that the step sees, as the kernel would write them.
fn list(top: &TopNames, directory: &OwnedFd) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![MaybeUninit::uninit(); LIST];
    let mut entries = RawDir::new(directory, &mut buffer);
    let mut list = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes_with_nul();
        let is_dots = matches!(name, b".\0" | b"..\0");
        if !is_dots && !top.shows(entry.file_name()) {
            continue;
        }
        let length = (HEAD + name.len()).next_multiple_of(8);
        let end = list.len() + length;
        list.extend(entry.ino().to_ne_bytes());
        list.extend(entry.next_entry_cookie().to_ne_bytes());
        list.extend((length as u16).to_ne_bytes());
        list.push(match entry.file_type() {
            FileType::Directory => libc::DT_DIR,
            // It may be something else.
            _ => libc::DT_UNKNOWN,
        });
        list.extend(name);
        list.resize(end, 0);
    }
    Ok(list)
}
