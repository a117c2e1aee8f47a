//! New directories, links and special files.

use std::ffi::CStr;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, mkdirat as make_directory, mknodat as make_node, openat, symlinkat as make_link,
    unlinkat,
};
use rustix::io::Errno;
use rustix::thread::CapabilitySet;
use snapshotter::is_device;

use crate::supervisor::attributes::Meaning;
use crate::supervisor::call::{AT_FDCWD, Call, DONE, Outcome, Reply};
use crate::supervisor::find::{Found, Last, Spot};
use crate::supervisor::permission::{self, Wanted};

/// A file that is about to be made.
pub(super) struct New {
    pub(super) found: Found,
    /// What it will be taken for.
    pub(super) meaning: Meaning,
}

impl New {
    /// Decides whether the caller may give a new file a name, and what the file will be. `mode` includes the type.
    pub(super) fn of(call: &Call<'_>, found: Found, mode: u32) -> Result<Self, Errno> {
        if found.file.is_some() {
            return Err(Errno::EXIST);
        }
        if found.wants_directory && FileType::from_raw_mode(mode) != FileType::Directory {
            return Err(Errno::NOENT);
        }
        let directory = call.attributes(&found.directory)?;
        permission::may(&call.credentials, &directory, Wanted::CHANGE_NAMES)?;
        call.may_change(&found.directory)?;
        let is_directory = FileType::from_raw_mode(mode) == FileType::Directory;
        if let Some(top) = &call.step.ground.top {
            top.note_new(&found, is_directory)?;
        }
        if matches!(found.spot, Spot::StandIn(_)) && !is_directory {
            // Nothing else can be there.
            return Err(Errno::ACCESS);
        }
        let meaning = permission::of_new_file(&call.credentials, &directory, mode);
        Ok(Self { found, meaning })
    }

    /// Whether the file will mean just this when the kernel makes it by itself.
    pub(super) fn is_ordinary(&self) -> bool {
        // On disk no directory has what this one would inherit.
        let inherits = self.is_directory() && self.meaning.mode & permission::SETGID != 0;
        self.meaning.is_root() && self.meaning.is_usable() && self.found.spot.is_plain() && !inherits
    }

    fn is_directory(&self) -> bool {
        FileType::from_raw_mode(self.meaning.mode) == FileType::Directory
    }

    /// Gives the file, which has just been made, its meaning; a file that cannot have it is removed again.
    pub(super) fn dress(&self, call: &Call<'_>) -> Result<(), Errno> {
        let dressed = openat(&self.found.directory, self.name(), HANDLE, Mode::empty())
            .and_then(|file| call.step.inodes.dress(call.place, &file, self.meaning));
        dressed.inspect_err(|_| {
            let flags = if self.is_directory() {
                AtFlags::REMOVEDIR
            } else {
                AtFlags::empty()
            };
            // The first error is the one to tell.
            let _left_behind = unlinkat(&self.found.directory, self.name(), flags);
        })
    }

    pub(super) fn name(&self) -> &CStr {
        &self.found.name
    }
}

const HANDLE: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

#[cfg(target_arch = "x86_64")]
pub(super) fn mkdir(call: &Call<'_>) -> Outcome {
    directory(call, AT_FDCWD, 0)
}

pub(super) fn mkdirat(call: &Call<'_>) -> Outcome {
    directory(call, call.descriptor(0), 1)
}

/// `first` is the argument that is the path.
fn directory(call: &Call<'_>, at: i32, first: usize) -> Outcome {
    let path = call.read_path(call.argument(first))?;
    let permissions = call.word(first + 1) & 0o1777 & !call.tag.umask;
    let new = New::of(
        call,
        call.find_name(at, &path, Last::Keep)?,
        libc::S_IFDIR | permissions,
    )?;
    if new.is_ordinary() {
        return Ok(Reply::Continue);
    }
    if let (Spot::StandIn(directory), Some(top)) = (&new.found.spot, &call.step.ground.top) {
        if !top.show(directory)? {
            return Err(Errno::EXIST);
        }
        call.step.inodes.dress(call.place, directory, new.meaning)?;
        return Ok(DONE);
    }
    make_directory(&new.found.directory, new.name(), Mode::RWXU)?;
    new.dress(call)?;
    Ok(DONE)
}

#[cfg(target_arch = "x86_64")]
pub(super) fn symlink(call: &Call<'_>) -> Outcome {
    link(call, AT_FDCWD, 1)
}

pub(super) fn symlinkat(call: &Call<'_>) -> Outcome {
    link(call, call.descriptor(1), 2)
}

fn link(call: &Call<'_>, at: i32, path: usize) -> Outcome {
    let path = call.read_path(call.argument(path))?;
    let new = New::of(call, call.find_name(at, &path, Last::Keep)?, libc::S_IFLNK | 0o777)?;
    if new.meaning.is_root() && new.found.spot.is_plain() && call.step.inodes.specials.is_empty() {
        return Ok(Reply::Continue);
    }
    let target = call.read_path(call.argument(0))?;
    make_link(target.as_c_str(), &new.found.directory, new.name())?;
    new.dress(call)?;
    Ok(DONE)
}

#[cfg(target_arch = "x86_64")]
pub(super) fn mknod(call: &Call<'_>) -> Outcome {
    node(call, AT_FDCWD, 0)
}

pub(super) fn mknodat(call: &Call<'_>) -> Outcome {
    node(call, call.descriptor(0), 1)
}

fn node(call: &Call<'_>, at: i32, first: usize) -> Outcome {
    let path = call.read_path(call.argument(first))?;
    let mut mode = call.word(first + 1) & (libc::S_IFMT | 0o7777) & !call.tag.umask;
    if mode & libc::S_IFMT == 0 {
        mode |= libc::S_IFREG;
    }
    let rdev = u64::from(call.word(first + 2));
    let file_type = FileType::from_raw_mode(mode);
    let mut new = New::of(call, call.find_name(at, &path, Last::Keep)?, mode)?;
    if is_device(file_type) {
        if !call.credentials.can(CapabilitySet::MKNOD) || is_whiteout(file_type, rdev) {
            return Err(Errno::PERM);
        }
        new.meaning.rdev = Some(rdev);
        place_holder(&new)?;
    } else if new.is_ordinary() && call.step.inodes.specials.is_empty() {
        return Ok(Reply::Continue);
    } else {
        let usable = Mode::from_raw_mode(new.meaning.mode_on_disk());
        make_node(&new.found.directory, new.name(), file_type, usable, 0)?;
    }
    new.dress(call)?;
    Ok(DONE)
}

/// Makes the regular file that stands for a device.
fn place_holder(new: &New) -> Result<(), Errno> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(&new.found.directory, new.name(), flags, Mode::RUSR | Mode::WUSR).map(drop)
}

/// Whether an overlay would take a device for the mark of a removed file; no overlay allows those to be made.
fn is_whiteout(file_type: FileType, rdev: u64) -> bool {
    file_type == FileType::CharacterDevice && rdev == 0
}
