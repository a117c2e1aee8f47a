//! Entering directories and starting programs that are seen through a window. Nobody can do either for another process,
//! so the tree gets a place that the kernel finds: a directory of the same name, empty and covered by the window, or a
//! link to the program. Whoever looks at the tree when the step has ended removes them.

use std::ffi::CString;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, mkdirat, openat, symlinkat};
use rustix::io::Errno;

use super::find;
use crate::supervisor::call::{AT_FDCWD, Call, Outcome, Reply};
use crate::supervisor::detour;
use crate::supervisor::find::Last;
use crate::supervisor::place::HANDLE;
use crate::supervisor::view::{View, names};

const DIRECTORY: Mode = Mode::RWXU
    .union(Mode::RGRP)
    .union(Mode::XGRP)
    .union(Mode::ROTH)
    .union(Mode::XOTH);

pub(super) fn chdir(call: &Call<'_>) -> Outcome {
    let (Some(found), Some(view)) = (find(call, (AT_FDCWD, 0), Last::Follow)?, &call.place.view) else {
        return Ok(Reply::Continue);
    };
    let file = found.file.ok_or(Errno::NOENT)?;
    if call.attributes(&file)?.file_type() != FileType::Directory {
        return Err(Errno::NOTDIR);
    }
    if view.programs().is_some() {
        return detour::enter(call, &file);
    }
    let path = call.read_path(call.argument(0))?;
    let meant = view.absolute(call, AT_FDCWD, path.to_bytes()).map(CString::into_bytes);
    let real = call.place.path(file.as_fd())?;
    if is_outside(call, view, path.to_bytes())? && view.in_tree(real.to_bytes()).is_some() {
        // The kernel would climb past the window to the machine's own root.
        return Err(Errno::ACCESS);
    }
    // The names that the kernel will come by: those of the path, or, if a link leads there, those of where it leads.
    let passed = meant.filter(|path| view.begins_with_window(path));
    let passed = passed.or_else(|| view.path_of(real.to_bytes()));
    if let Some(passed) = passed.filter(|path| view.begins_with_window(path)) {
        make_directories(view, &passed)?;
    }
    Ok(Reply::Continue)
}

/// Returns whether a path begins where the kernel does not come back into the tree: behind a window, which a process enters
/// by a descriptor.
fn is_outside(call: &Call<'_>, view: &View, path: &[u8]) -> Result<bool, Errno> {
    if path.starts_with(b"/") {
        return Ok(false);
    }
    let base = call.place.path(call.open_descriptor(AT_FDCWD)?.as_fd())?;
    Ok(view.in_tree(base.to_bytes()).is_none())
}

/// Makes the directories of a path in the tree, and returns the last.
fn make_directories(view: &View, path: &[u8]) -> Result<OwnedFd, Errno> {
    let mut at = view.root().try_clone_to_owned().map_err(|_| Errno::MFILE)?;
    for name in names(path).filter(|name| *name != b".") {
        let name = CString::new(name).map_err(|_| Errno::INVAL)?;
        if name.as_c_str() == c".." {
            return Err(Errno::NOENT);
        }
        match mkdirat(&at, &name, DIRECTORY) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
        let flags = HANDLE | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        at = openat(&at, &name, flags, Mode::empty())?;
    }
    Ok(at)
}

pub(super) fn execve(call: &Call<'_>) -> Outcome {
    start(call, (AT_FDCWD, 0))
}

pub(super) fn execveat(call: &Call<'_>) -> Outcome {
    start(call, (call.descriptor(0), 1))
}

/// Has the kernel find a program of the tree by another path, which it reads where the caller has put the one that it
/// cannot follow. After `vfork` that is memory of the parent too, which then has the other path as well; it stands for the
/// same program as long as the step runs.
fn start(call: &Call<'_>, (directory, path): (i32, usize)) -> Outcome {
    let (Some(found), Some(view)) = (find(call, (directory, path), Last::Follow)?, &call.place.view) else {
        return Ok(Reply::Continue);
    };
    let file = found.file.ok_or(Errno::NOENT)?;
    let real = call.place.path(file.as_fd())?;
    let program = view.in_tree(real.to_bytes()).ok_or(Errno::ACCESS)?;
    let given = call.read_path(call.argument(path))?;
    let alias = alias(view, program, given.to_bytes())?;
    if alias.to_bytes().len() > given.to_bytes().len() {
        return Err(Errno::NOENT);
    }
    call.overwrite(call.argument(path), alias.to_bytes_with_nul())?;
    Ok(Reply::Continue)
}

/// Makes a link to a program, and returns its path: no longer than `/dev/fd/3`, and with the last name of the path that it
/// stands for, by which the process will be known.
fn alias(view: &View, program: &[u8], given: &[u8]) -> Result<CString, Errno> {
    const FIRST: &[u8] = b"+-=_~^";
    const SECOND: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let number = view
        .number_of(program, FIRST.len() * SECOND.len())
        .ok_or(Errno::NOENT)?;
    let directory = [
        b"/dev/",
        &[FIRST[number / SECOND.len()], SECOND[number % SECOND.len()]][..],
    ]
    .concat();
    let name = names(given).last().ok_or(Errno::NOENT)?;
    let name = CString::new(name).map_err(|_| Errno::INVAL)?;
    match symlinkat(program, make_directories(view, &directory)?, &name) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error),
    }
    CString::new([&directory, &b"/"[..], name.to_bytes()].concat()).map_err(|_| Errno::INVAL)
}
