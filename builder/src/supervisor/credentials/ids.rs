//! The ids of users and groups, and the system calls that change them.

use rustix::io::Errno;
use rustix::thread::CapabilitySet;

use super::{Credentials, EINVAL, EPERM};

/// The argument that leaves an id as it is.
const KEEP: u32 = u32::MAX;

/// Capabilities that go with the user for files.
const FILE_CAPABILITIES: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::LINUX_IMMUTABLE)
    .union(CapabilitySet::MAC_OVERRIDE);

/// The four ids that a thread has of one kind.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(in crate::supervisor) struct Ids {
    /// Who started it.
    pub(in crate::supervisor) real: u32,
    /// Whose rights it has.
    pub(in crate::supervisor) effective: u32,
    /// Whose rights it may take on again.
    pub(in crate::supervisor) saved: u32,
    /// Whose rights it has to files.
    pub(in crate::supervisor) files: u32,
}

impl Ids {
    pub(super) fn all(id: u32) -> Self {
        Self {
            real: id,
            effective: id,
            saved: id,
            files: id,
        }
    }

    /// Whether one of the three ids that can be seen is root's.
    fn include_root(self) -> bool {
        [self.real, self.effective, self.saved].contains(&0)
    }

    /// `setuid(2)` and `setgid(2)`.
    fn set(&mut self, id: u32, privileged: bool) -> Result<(), Errno> {
        if id == KEEP {
            return Err(EINVAL);
        }
        if privileged {
            *self = Self::all(id);
        } else if id == self.real || id == self.saved {
            (self.effective, self.files) = (id, id);
        } else {
            return Err(EPERM);
        }
        Ok(())
    }

    /// `setreuid(2)` and `setregid(2)`.
    fn set_real_effective(&mut self, real: u32, effective: u32, privileged: bool) -> Result<(), Errno> {
        let old = *self;
        let may = |id: u32, among: &[u32]| id == KEEP || privileged || among.contains(&id);
        if !may(real, &[old.real, old.effective]) || !may(effective, &[old.real, old.effective, old.saved]) {
            return Err(EPERM);
        }
        replace(&mut self.real, real);
        replace(&mut self.effective, effective);
        if real != KEEP || (effective != KEEP && effective != old.real) {
            self.saved = self.effective;
        }
        self.files = self.effective;
        Ok(())
    }

    /// `setresuid(2)` and `setresgid(2)`.
    fn set_three(&mut self, ids: [u32; 3], privileged: bool) -> Result<(), Errno> {
        let old = [self.real, self.effective, self.saved];
        if !privileged && ids.iter().any(|id| *id != KEEP && !old.contains(id)) {
            return Err(EPERM);
        }
        replace(&mut self.real, ids[0]);
        replace(&mut self.effective, ids[1]);
        replace(&mut self.saved, ids[2]);
        self.files = self.effective;
        Ok(())
    }

    /// `setfsuid(2)` and `setfsgid(2)`: what is not allowed does nothing.
    fn set_files(&mut self, id: u32, privileged: bool) {
        if id != KEEP && (privileged || [self.real, self.effective, self.saved, self.files].contains(&id)) {
            self.files = id;
        }
    }
}

fn replace(id: &mut u32, by: u32) {
    if by != KEEP {
        *id = by;
    }
}

impl Credentials {
    /// `setuid(2)`.
    pub(in crate::supervisor) fn set_user(&mut self, id: u32) -> Result<(), Errno> {
        self.change_users(|users, privileged| users.set(id, privileged))
    }

    /// `setreuid(2)`.
    pub(in crate::supervisor) fn set_real_effective_user(&mut self, real: u32, effective: u32) -> Result<(), Errno> {
        self.change_users(|users, privileged| users.set_real_effective(real, effective, privileged))
    }

    /// `setresuid(2)`.
    pub(in crate::supervisor) fn set_three_users(&mut self, ids: [u32; 3]) -> Result<(), Errno> {
        self.change_users(|users, privileged| users.set_three(ids, privileged))
    }

    /// `setfsuid(2)`; returns the id there was.
    pub(in crate::supervisor) fn set_files_user(&mut self, id: u32) -> u32 {
        let old = self.users.files;
        self.users.set_files(id, self.can(CapabilitySet::SETUID));
        if !self.securebits.keeps_capabilities_across_users() {
            match (old, self.users.files) {
                (0, 1..) => self.effective -= FILE_CAPABILITIES,
                (1.., 0) => self.effective |= self.permitted & FILE_CAPABILITIES,
                _ => {}
            }
        }
        old
    }

    /// `setgid(2)`.
    pub(in crate::supervisor) fn set_group(&mut self, id: u32) -> Result<(), Errno> {
        let privileged = self.can(CapabilitySet::SETGID);
        self.groups.set(id, privileged)
    }

    /// `setregid(2)`.
    pub(in crate::supervisor) fn set_real_effective_group(&mut self, real: u32, effective: u32) -> Result<(), Errno> {
        let privileged = self.can(CapabilitySet::SETGID);
        self.groups.set_real_effective(real, effective, privileged)
    }

    /// `setresgid(2)`.
    pub(in crate::supervisor) fn set_three_groups(&mut self, ids: [u32; 3]) -> Result<(), Errno> {
        let privileged = self.can(CapabilitySet::SETGID);
        self.groups.set_three(ids, privileged)
    }

    /// `setfsgid(2)`; returns the id there was.
    pub(in crate::supervisor) fn set_files_group(&mut self, id: u32) -> u32 {
        let old = self.groups.files;
        self.groups.set_files(id, self.can(CapabilitySet::SETGID));
        old
    }

    fn change_users(&mut self, change: impl FnOnce(&mut Ids, bool) -> Result<(), Errno>) -> Result<(), Errno> {
        let old = self.users;
        let privileged = self.can(CapabilitySet::SETUID);
        change(&mut self.users, privileged)?;
        if !self.securebits.keeps_capabilities_across_users() {
            self.follow_users(old);
        }
        Ok(())
    }

    /// Gives and takes capabilities when the users have changed.
    fn follow_users(&mut self, old: Ids) {
        if old.include_root() && !self.users.include_root() {
            if !self.securebits.keeps_capabilities() {
                self.permitted = CapabilitySet::empty();
                self.effective = CapabilitySet::empty();
            }
            self.ambient = CapabilitySet::empty();
        }
        match (old.effective, self.users.effective) {
            (0, 1..) => self.effective = CapabilitySet::empty(),
            (1.., 0) => self.effective = self.permitted,
            _ => {}
        }
    }
}
