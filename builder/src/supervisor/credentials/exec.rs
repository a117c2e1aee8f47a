//! What becomes of a process's credentials when it starts a program.

use rustix::io::Errno;
use rustix::thread::CapabilitySet;

use super::{Credentials, EPERM};

/// Set-user-ID.
const SETUID: u32 = 0o4000;
/// Set-group-ID; without permission to execute for the group it means something else.
const SETGID: u32 = 0o2010;

/// The longest value that file capabilities have.
pub(in crate::supervisor) const MAX_CAPABILITY: usize = 24;

/// What a program's file says of whom it runs as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::supervisor) struct Program {
    /// Its owner.
    pub(in crate::supervisor) uid: u32,
    /// Its group.
    pub(in crate::supervisor) gid: u32,
    /// Its mode.
    pub(in crate::supervisor) mode: u32,
    /// Its capabilities.
    pub(in crate::supervisor) capabilities: Option<FileCapabilities>,
}

impl Program {
    /// Returns whether it gives its user anything.
    pub(in crate::supervisor) fn is_privileged(&self) -> bool {
        self.mode & SETUID != 0 || self.mode & SETGID == SETGID || self.capabilities.is_some()
    }

    /// Returns the same program as it is on a file system where none gives anything.
    pub(in crate::supervisor) fn without_privileges(self) -> Self {
        Self {
            mode: self.mode & 0o777,
            capabilities: None,
            ..self
        }
    }
}

/// The capabilities of a file: what `security.capability` holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::supervisor) struct FileCapabilities {
    permitted: CapabilitySet,
    inheritable: CapabilitySet,
    effective: bool,
}

impl FileCapabilities {
    /// Reads the attribute's value: versions 1 to 3, of which the last names a root user that is not looked at here.
    pub(in crate::supervisor) fn parse(value: &[u8]) -> Option<Self> {
        let mut words = value.chunks_exact(4).map(|word| {
            let word: [u8; 4] = word.try_into().unwrap_or_default();
            u64::from(u32::from_le_bytes(word))
        });
        let magic = words.next()?;
        let (mut permitted, mut inheritable) = (words.next()?, words.next()?);
        if magic >> 24 >= 2 {
            permitted |= words.next()? << 32;
            inheritable |= words.next()? << 32;
        }
        Some(Self {
            permitted: CapabilitySet::from_bits_retain(permitted),
            inheritable: CapabilitySet::from_bits_retain(inheritable),
            effective: magic & 1 != 0,
        })
    }
}

impl Credentials {
    /// `execve(2)`: returns those of the program, or fails when it could not do its work with what it would get.
    pub(in crate::supervisor) fn starting(&self, program: &Program) -> Result<Self, Errno> {
        let mut new = self.clone();
        if !self.no_new_privileges {
            if program.mode & SETUID != 0 {
                new.users.effective = program.uid;
            }
            if program.mode & SETGID == SETGID {
                new.groups.effective = program.gid;
            }
        }
        let mut effective = false;
        new.permitted = CapabilitySet::empty();
        if let Some(file) = program.capabilities {
            new.permitted = self.bounding & file.permitted | self.inheritable & file.inheritable;
            effective = file.effective;
            if effective && !new.permitted.contains(file.permitted) {
                return Err(EPERM);
            }
        }
        // Root's programs have all capabilities, unless somebody else starts one that names its own.
        let names_its_own = program.capabilities.is_some() && self.users.real != 0 && new.users.effective == 0;
        if !self.securebits.root_is_nobody() && !names_its_own {
            if new.users.effective == 0 || self.users.real == 0 {
                new.permitted = self.bounding | self.inheritable;
            }
            effective |= new.users.effective == 0;
        }
        let other_ids = new.users.effective != self.users.real || new.groups.effective != self.groups.real;
        if self.no_new_privileges && (other_ids || !self.permitted.contains(new.permitted)) {
            (new.users.effective, new.groups.effective) = (self.users.real, self.groups.real);
            new.permitted &= self.permitted;
        }
        if program.capabilities.is_some() || other_ids {
            new.ambient = CapabilitySet::empty();
        }
        new.permitted |= new.ambient;
        new.effective = if effective { new.permitted } else { new.ambient };
        for ids in [&mut new.users, &mut new.groups] {
            (ids.saved, ids.files) = (ids.effective, ids.effective);
        }
        new.securebits.forget_keeping();
        Ok(new)
    }
}
