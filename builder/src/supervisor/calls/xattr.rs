//! Extended attributes: those of croze are hidden, and file capabilities are kept in one of them.

use std::ffi::CString;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, XattrFlags};
use rustix::io::Errno;
use rustix::thread::CapabilitySet;
use snapshotter::CAPABILITY_XATTR;

use super::stat::descriptor;
use crate::supervisor::call::{AT_FDCWD, Call, DONE, Outcome, Reply};
use crate::supervisor::credentials::{FileCapabilities, MAX_CAPABILITY};
use crate::supervisor::find::Last;
use crate::supervisor::permission::{self, Wanted};

/// Attributes with this prefix are croze's.
const OURS: &[u8] = b"user.croze.";
/// What a step asks for when it means file capabilities.
const CAPABILITY: &[u8] = b"security.capability";
/// Access control lists name users by number, and only one of them exists: there are none, as on many file systems.
const ACCESS_CONTROL: &[u8] = b"system.posix_acl_";

/// Which file a call means.
#[derive(Clone, Copy)]
enum Meant {
    Path,
    Link,
    Descriptor,
}

impl Meant {
    fn find(self, call: &Call<'_>) -> Result<OwnedFd, Errno> {
        let last = match self {
            Self::Path => Last::Follow,
            Self::Link => Last::Keep,
            Self::Descriptor => return descriptor(call, 0),
        };
        let path = call.read_path(call.argument(0))?;
        call.find(AT_FDCWD, &path, last)
    }
}

/// What an attribute is.
enum Name {
    Ours,
    Capability,
    AccessControl,
    User,
    Other,
}

fn name(call: &Call<'_>) -> Result<Name, Errno> {
    let name: CString = call.read_path(call.argument(1))?;
    Ok(match name.to_bytes() {
        name if name.starts_with(OURS) => Name::Ours,
        CAPABILITY => Name::Capability,
        name if name.starts_with(ACCESS_CONTROL) => Name::AccessControl,
        name if name.starts_with(b"user.") => Name::User,
        _ => Name::Other,
    })
}

/// Returns whether an attribute is one that a step may set by this name, whatever rights it has.
pub(super) fn is_steps(name: &[u8]) -> bool {
    name.starts_with(b"user.") && !name.starts_with(OURS)
}

pub(super) fn get_by_path(call: &Call<'_>) -> Outcome {
    get(call, Meant::Path)
}

pub(super) fn get_of_link(call: &Call<'_>) -> Outcome {
    get(call, Meant::Link)
}

pub(super) fn get_by_descriptor(call: &Call<'_>) -> Outcome {
    get(call, Meant::Descriptor)
}

fn get(call: &Call<'_>, meant: Meant) -> Outcome {
    match name(call)? {
        Name::Ours => Err(Errno::NODATA),
        Name::AccessControl => Err(Errno::OPNOTSUPP),
        Name::User => permitted(call, meant, Wanted::READ),
        Name::Other => Ok(Reply::Continue),
        Name::Capability => {
            let file = meant.find(call)?;
            let mut value = [0; MAX_CAPABILITY];
            let value = call.place.xattr(file.as_fd(), CAPABILITY_XATTR, &mut value)?;
            give(call, value.ok_or(Errno::NODATA)?, (2, 3))
        }
    }
}

/// Lets a call about an attribute in `user.` pass whose caller may use the file as wanted.
fn permitted(call: &Call<'_>, meant: Meant, wanted: Wanted) -> Outcome {
    if call.passes_everywhere() {
        return Ok(Reply::Continue);
    }
    let file = call.attributes(meant.find(call)?)?;
    let writes = wanted == Wanted::WRITE;
    match file.file_type() {
        FileType::RegularFile => {}
        FileType::Directory if !writes || !permission::is_sticky(&file) => {}
        FileType::Directory => permission::owns(&call.credentials, &file)?,
        _ if writes => return Err(Errno::PERM),
        _ => return Err(Errno::NODATA),
    }
    permission::may(&call.credentials, &file, wanted)?;
    Ok(Reply::Continue)
}

/// Writes a value to where the caller has room for it, or tells how much room it takes.
fn give(call: &Call<'_>, value: &[u8], (address, size): (usize, usize)) -> Outcome {
    let size = call.argument(size);
    if size > 0 {
        if size < value.len() as u64 {
            return Err(Errno::RANGE);
        }
        call.write(call.argument(address), value)?;
    }
    Ok(Reply::Value(value.len() as i64))
}

pub(super) fn set_by_path(call: &Call<'_>) -> Outcome {
    set(call, Meant::Path)
}

pub(super) fn set_of_link(call: &Call<'_>) -> Outcome {
    set(call, Meant::Link)
}

pub(super) fn set_by_descriptor(call: &Call<'_>) -> Outcome {
    set(call, Meant::Descriptor)
}

fn set(call: &Call<'_>, meant: Meant) -> Outcome {
    match name(call)? {
        Name::Ours => Err(Errno::PERM),
        Name::AccessControl => Err(Errno::OPNOTSUPP),
        Name::User => permitted(call, meant, Wanted::WRITE),
        Name::Other => Ok(Reply::Continue),
        Name::Capability => {
            let file = meant.find(call)?;
            let length = usize::try_from(call.argument(3)).unwrap_or(usize::MAX);
            let mut value = [0; MAX_CAPABILITY];
            let value = value.get_mut(..length).ok_or(Errno::INVAL)?;
            call.read(call.argument(2), value)?;
            may_set_capabilities(call, &file)?;
            FileCapabilities::parse(value).ok_or(Errno::INVAL)?;
            let flags = XattrFlags::from_bits_retain(call.word(4));
            call.may_have_attributes(&file)?;
            call.place.set_xattr(file.as_fd(), CAPABILITY_XATTR, value, flags)?;
            Ok(DONE)
        }
    }
}

fn may_set_capabilities(call: &Call<'_>, file: &OwnedFd) -> Result<(), Errno> {
    let allowed = call.credentials.can(CapabilitySet::SETFCAP);
    if !allowed || call.attributes(file)?.file_type() != FileType::RegularFile {
        return Err(Errno::PERM);
    }
    Ok(())
}

pub(super) fn list_by_path(call: &Call<'_>) -> Outcome {
    list(call, Meant::Path)
}

pub(super) fn list_of_link(call: &Call<'_>) -> Outcome {
    list(call, Meant::Link)
}

pub(super) fn list_by_descriptor(call: &Call<'_>) -> Outcome {
    list(call, Meant::Descriptor)
}

fn list(call: &Call<'_>, meant: Meant) -> Outcome {
    let file = meant.find(call)?;
    let names = shown(&call.place.xattr_names(file.as_fd())?);
    give(call, &names, (1, 2))
}

/// Returns the names that a step sees, each with its terminator.
fn shown(names: &[u8]) -> Vec<u8> {
    let mut shown = Vec::new();
    for name in names.split_inclusive(|byte| *byte == 0) {
        if name == CAPABILITY_XATTR.to_bytes_with_nul() {
            shown.extend(CAPABILITY);
            shown.push(0);
        } else if !name.starts_with(OURS) && !name.starts_with(ACCESS_CONTROL) {
            shown.extend(name);
        }
    }
    shown
}

pub(super) fn remove_by_path(call: &Call<'_>) -> Outcome {
    remove(call, Meant::Path)
}

pub(super) fn remove_of_link(call: &Call<'_>) -> Outcome {
    remove(call, Meant::Link)
}

pub(super) fn remove_by_descriptor(call: &Call<'_>) -> Outcome {
    remove(call, Meant::Descriptor)
}

fn remove(call: &Call<'_>, meant: Meant) -> Outcome {
    match name(call)? {
        Name::Ours => Err(Errno::NODATA),
        Name::AccessControl => Err(Errno::OPNOTSUPP),
        Name::User => permitted(call, meant, Wanted::WRITE),
        Name::Other => Ok(Reply::Continue),
        Name::Capability => {
            let file = meant.find(call)?;
            may_set_capabilities(call, &file)?;
            call.may_have_attributes(&file)?;
            call.place.remove_xattr(file.as_fd(), CAPABILITY_XATTR)?;
            Ok(DONE)
        }
    }
}

/// The calls of Linux 6.13, which programs must do without on older kernels anyway.
pub(super) fn unknown(_call: &Call<'_>) -> Outcome {
    Err(Errno::NOSYS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_attributes_are_not_listed_and_capabilities_are() {
        let names = b"user.croze.stat\0user.a\0user.croze.capability\0system.posix_acl_access\0";
        assert_eq!(shown(names), b"user.a\0security.capability\0");
        assert_eq!(shown(b""), b"");
    }
}
