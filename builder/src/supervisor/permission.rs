//! Who may do what with a file: the kernel's rules, over what files are taken for.

use rustix::io::Errno;
use rustix::thread::CapabilitySet;

use super::attributes::{Attributes, Meaning};
use super::credentials::Credentials;

/// Set-user-ID.
pub(super) const SETUID: u32 = 0o4000;
/// Set-group-ID.
pub(super) const SETGID: u32 = 0o2000;
/// Restricted deletion.
const STICKY: u32 = 0o1000;

/// What somebody wants to do with a file's content: the bits of `access(2)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Wanted(pub(super) u32);

impl Wanted {
    /// Look names up in a directory, or run a program.
    pub(super) const EXECUTE: Self = Self(1);
    /// Write.
    pub(super) const WRITE: Self = Self(2);
    /// Read.
    pub(super) const READ: Self = Self(4);
    /// Make or remove names in a directory.
    pub(super) const CHANGE_NAMES: Self = Self(3);

    fn includes(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Returns whether nothing but what a file is can refuse these credentials anything.
pub(super) fn passes_everywhere(credentials: &Credentials) -> bool {
    credentials.can(CapabilitySet::DAC_OVERRIDE) && credentials.can(CapabilitySet::FOWNER)
}

/// Decides whether a file may be used as wanted.
pub(super) fn may(credentials: &Credentials, file: &Attributes, wanted: Wanted) -> Result<(), Errno> {
    let granted = if credentials.users.files == file.uid {
        file.mode >> 6
    } else if credentials.is_in_group(file.gid) {
        file.mode >> 3
    } else {
        file.mode
    };
    if granted & 7 & wanted.0 == wanted.0 || overrides(credentials, file, wanted) {
        Ok(())
    } else {
        Err(Errno::ACCESS)
    }
}

fn overrides(credentials: &Credentials, file: &Attributes, wanted: Wanted) -> bool {
    let reads_only = !wanted.includes(Wanted::WRITE);
    let may_read = credentials.can(CapabilitySet::DAC_READ_SEARCH) && reads_only;
    if file.is_directory() {
        return may_read || credentials.can(CapabilitySet::DAC_OVERRIDE);
    }
    // Not even root runs what nobody may run.
    let runnable = !wanted.includes(Wanted::EXECUTE) || file.mode & 0o111 != 0;
    may_read && !wanted.includes(Wanted::EXECUTE) || credentials.can(CapabilitySet::DAC_OVERRIDE) && runnable
}

/// Decides whether a file's mode, times and attributes may be changed.
pub(super) fn owns(credentials: &Credentials, file: &Attributes) -> Result<(), Errno> {
    if credentials.users.files == file.uid || credentials.can(CapabilitySet::FOWNER) {
        Ok(())
    } else {
        Err(Errno::PERM)
    }
}

/// Returns whether who may write to a directory may not thereby change what others have in it.
pub(super) fn is_sticky(directory: &Attributes) -> bool {
    directory.mode & STICKY != 0
}

/// Decides whether a name of `file` may be removed from a directory.
pub(super) fn may_remove(credentials: &Credentials, directory: &Attributes, file: &Attributes) -> Result<(), Errno> {
    may(credentials, directory, Wanted::CHANGE_NAMES)?;
    let user = credentials.users.files;
    if is_sticky(directory) && user != file.uid && user != directory.uid && !credentials.can(CapabilitySet::FOWNER) {
        return Err(Errno::PERM);
    }
    Ok(())
}

/// Decides about a change of owner, and returns the mode that the file has afterwards.
pub(super) fn chown(
    credentials: &Credentials,
    file: &Attributes,
    uid: Option<u32>,
    gid: Option<u32>,
) -> Result<u32, Errno> {
    let is_owner = credentials.users.files == file.uid;
    let uid_allowed = uid.is_none_or(|uid| is_owner && uid == file.uid);
    let gid_allowed = gid.is_none_or(|gid| is_owner && (gid == file.gid || credentials.is_in_group(gid)));
    let is_allowed = uid_allowed && gid_allowed;
    if !is_allowed && !credentials.can(CapabilitySet::CHOWN) {
        return Err(Errno::PERM);
    }
    if file.is_directory() {
        return Ok(file.mode);
    }
    let keeps_setgid = file.mode & 0o010 == 0 && may_set_setgid(credentials, file.gid);
    let taken = if keeps_setgid { SETUID } else { SETUID | SETGID };
    let mode = file.mode & !taken;
    if mode != file.mode {
        // Even who changes nothing else.
        owns(credentials, file)?;
    }
    Ok(mode)
}

/// Returns the mode that a file has after somebody has written to it.
pub(super) fn written(credentials: &Credentials, file: &Attributes) -> u32 {
    if credentials.can(CapabilitySet::FSETID) {
        return file.mode;
    }
    let keeps_setgid = file.mode & 0o010 == 0 && may_set_setgid(credentials, file.gid);
    file.mode & !if keeps_setgid { SETUID } else { SETUID | SETGID }
}

/// Decides about a change of permissions, and returns the mode that the file has afterwards.
pub(super) fn chmod(credentials: &Credentials, file: &Attributes, permissions: u32) -> Result<u32, Errno> {
    owns(credentials, file)?;
    let allowed = if may_set_setgid(credentials, file.gid) {
        0o7777
    } else {
        0o5777
    };
    Ok(file.mode & !0o7777 | permissions & allowed)
}

fn may_set_setgid(credentials: &Credentials, group: u32) -> bool {
    credentials.is_in_group(group) || credentials.can(CapabilitySet::FSETID)
}

/// Returns what a file is that is made in a directory with this mode, type included.
pub(super) fn of_new_file(credentials: &Credentials, directory: &Attributes, mode: u32) -> Meaning {
    let mut new = Meaning {
        uid: credentials.users.files,
        gid: credentials.groups.files,
        mode,
        rdev: None,
    };
    if directory.mode & SETGID != 0 {
        new.gid = directory.gid;
        let is_directory = mode & libc::S_IFMT == libc::S_IFDIR;
        if is_directory {
            new.mode |= SETGID;
        } else if mode & 0o2010 == 0o2010 && !may_set_setgid(credentials, new.gid) {
            new.mode &= !SETGID;
        }
    }
    new
}
