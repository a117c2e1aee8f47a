//! What is told of paths and links that lead through a window.

use std::ffi::CString;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::readlinkat as read_link;
use rustix::io::Errno;

use super::{At, find, find_file};
use crate::supervisor::call::{AT_FDCWD, Call, DONE, Outcome, Reply, errno};
use crate::supervisor::find::{Found, Last, is_in_proc};
use crate::supervisor::view::DELETED;
use crate::supervisor::walk::{Link, read_link_in_proc};
use crate::sys::KernelStatFs;

#[cfg(target_arch = "x86_64")]
pub(in crate::supervisor::calls) fn readlink(call: &Call<'_>) -> Outcome {
    tell_target(call, (AT_FDCWD, 0), (1, 2))
}

pub(in crate::supervisor::calls) fn readlinkat(call: &Call<'_>) -> Outcome {
    tell_target(call, (call.descriptor(0), 1), (2, 3))
}

fn tell_target(call: &Call<'_>, at: At, (address, size): (usize, usize)) -> Outcome {
    let Some(found) = find(call, at, Last::Keep)? else {
        return Ok(Reply::Continue);
    };
    let link = found.file.as_ref().ok_or(Errno::NOENT)?;
    let size = usize::try_from(call.descriptor(size)).map_err(|_| Errno::INVAL)?;
    if size == 0 || !call.attributes(link)?.is_link() {
        return Err(Errno::INVAL);
    }
    let mut target = target(call, &found, link)?.into_bytes();
    target.truncate(size);
    call.write(call.argument(address), &target)?;
    Ok(Reply::Value(target.len() as i64))
}

/// Returns where a link leads, as the step sees it.
fn target(call: &Call<'_>, found: &Found, link: &OwnedFd) -> Result<CString, Errno> {
    let told = read_link(link, c"", Vec::new())?;
    if !is_in_proc(link) {
        return Ok(told);
    }
    let view = call.place.view.as_ref();
    let told = match read_link_in_proc(call, &found.directory, &found.name, link) {
        Ok(Link::To(target)) => return Ok(target),
        Err(error @ Errno::ACCESS) => return Err(error),
        Ok(Link::Is(file)) if view.is_some_and(|view| view.programs().is_some()) && found.name.as_c_str() == c"exe" => {
            call.place.path(file.as_fd())?
        }
        // It stands for something, whose path the kernel has told as this process sees it; or for nothing any more.
        Ok(Link::Is(_)) | Err(_) => told,
    };
    let shown = view.and_then(|view| view.in_tree(told.to_bytes()));
    shown.map_or(Ok(told.clone()), |shown| CString::new(shown).map_err(|_| Errno::INVAL))
}

pub(in crate::supervisor::calls) fn statfs(call: &Call<'_>) -> Outcome {
    let Some(file) = find_file(call, (AT_FDCWD, 0), Last::Follow)? else {
        return Ok(Reply::Continue);
    };
    let told = KernelStatFs::of(file.as_fd()).map_err(|error| errno(&error))?;
    call.write(call.argument(1), told.bytes())?;
    Ok(DONE)
}

/// A working directory behind a window is where the kernel knows of no path from the step's root.
pub(in crate::supervisor::calls) fn getcwd(call: &Call<'_>) -> Outcome {
    let Some(view) = &call.place.view else {
        return Ok(Reply::Continue);
    };
    let link = format!("{}/cwd", call.thread().as_raw_pid());
    let told = read_link(&call.place.proc, link, Vec::new())?;
    if view.programs().is_none() && view.in_tree(told.to_bytes()).is_some() {
        return Ok(Reply::Continue);
    }
    if told.to_bytes().ends_with(DELETED) {
        return Err(Errno::NOENT);
    }
    let Some(mut path) = view.path_of(told.to_bytes()) else {
        return Ok(Reply::Continue);
    };
    path.push(0);
    if call.argument(1) < path.len() as u64 {
        return Err(Errno::RANGE);
    }
    call.write(call.argument(0), &path)?;
    Ok(Reply::Value(path.len() as i64))
}
