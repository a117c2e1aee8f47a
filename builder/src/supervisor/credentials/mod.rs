//! Whom a process takes itself for: the kernel's rules about ids, groups and capabilities, over again and pure.
//!
//! Every change is a method that follows the system call of its name and fails with the error that the kernel would
//! give. They were written after `kernel/sys.c` and `security/commoncap.c` of Linux 6.12.

mod capabilities;
mod exec;
mod ids;
mod securebits;
#[cfg(test)]
mod tests;

use rustix::thread::CapabilitySet;

pub(super) use capabilities::{Ambient, CapabilityData};
pub(super) use exec::{FileCapabilities, MAX_CAPABILITY, Program};
pub(super) use ids::Ids;
use securebits::Securebits;

/// What the kernel keeps for each thread.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Credentials {
    /// Its users.
    pub(super) users: Ids,
    /// Its groups.
    pub(super) groups: Ids,
    /// Its supplementary groups, sorted as the kernel has them.
    pub(super) supplementary: Vec<u32>,
    /// The capabilities it may make effective.
    pub(super) permitted: CapabilitySet,
    /// The capabilities that count.
    pub(super) effective: CapabilitySet,
    /// The capabilities that a program with file capabilities may inherit.
    pub(super) inheritable: CapabilitySet,
    /// The capabilities that a program can gain.
    pub(super) bounding: CapabilitySet,
    /// The capabilities that any program inherits.
    pub(super) ambient: CapabilitySet,
    securebits: Securebits,
    /// Whether programs can gain nothing.
    pub(super) no_new_privileges: bool,
}

/// No permission.
pub(super) const EPERM: rustix::io::Errno = rustix::io::Errno::PERM;
/// No such thing.
const EINVAL: rustix::io::Errno = rustix::io::Errno::INVAL;

impl Credentials {
    /// Returns those of a process that starts as this user: root holds the capabilities, anybody else none, and all can
    /// regain them through a set-user-ID program.
    pub fn new(uid: u32, gid: u32, mut supplementary: Vec<u32>, capabilities: CapabilitySet) -> Self {
        let held = if uid == 0 { capabilities } else { CapabilitySet::empty() };
        supplementary.sort_unstable();
        Self {
            users: Ids::all(uid),
            groups: Ids::all(gid),
            supplementary,
            permitted: held,
            effective: held,
            inheritable: CapabilitySet::empty(),
            bounding: capabilities,
            ambient: CapabilitySet::empty(),
            securebits: Securebits::default(),
            no_new_privileges: false,
        }
    }

    /// Returns whether a capability counts.
    pub(super) fn can(&self, capability: CapabilitySet) -> bool {
        self.effective.contains(capability)
    }

    /// Returns whether a group is the one for files, or a supplementary one.
    pub(super) fn is_in_group(&self, group: u32) -> bool {
        self.groups.files == group || self.supplementary.binary_search(&group).is_ok()
    }

    /// `setgroups(2)`.
    pub(super) fn set_groups(&mut self, mut groups: Vec<u32>) -> Result<(), rustix::io::Errno> {
        if !self.can(CapabilitySet::SETGID) {
            return Err(EPERM);
        }
        if groups.contains(&u32::MAX) {
            return Err(EINVAL);
        }
        groups.sort_unstable();
        self.supplementary = groups;
        Ok(())
    }

    /// Returns those that `access(2)` judges by: the real ids in place of those for files.
    pub(super) fn for_access(&self) -> Self {
        let mut real = self.clone();
        real.users.files = self.users.real;
        real.groups.files = self.groups.real;
        if !self.securebits.keeps_capabilities_across_users() {
            real.effective = if self.users.real == 0 {
                self.permitted
            } else {
                CapabilitySet::empty()
            };
        }
        real
    }
}
