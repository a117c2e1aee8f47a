//! The system calls about capabilities.

use rustix::io::Errno;
use rustix::thread::CapabilitySet;

use super::{Credentials, EINVAL, EPERM};

/// Every capability that a kernel of today knows: 41 of them.
const KNOWN: CapabilitySet = CapabilitySet::from_bits_retain((1 << 41) - 1);

/// What `capget` gives and `capset` takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::supervisor) struct CapabilityData {
    pub(in crate::supervisor) effective: CapabilitySet,
    pub(in crate::supervisor) permitted: CapabilitySet,
    pub(in crate::supervisor) inheritable: CapabilitySet,
}

/// What `prctl(PR_CAP_AMBIENT)` is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::supervisor) enum Ambient {
    IsSet,
    Raise,
    Lower,
}

/// Returns the capability with a number.
fn numbered(number: u64) -> Result<CapabilitySet, Errno> {
    let bit = u32::try_from(number).ok().and_then(|number| 1u64.checked_shl(number));
    let capability = CapabilitySet::from_bits_retain(bit.ok_or(EINVAL)?);
    if KNOWN.contains(capability) {
        Ok(capability)
    } else {
        Err(EINVAL)
    }
}

impl Credentials {
    /// `capget(2)`.
    pub(in crate::supervisor) fn capabilities(&self) -> CapabilityData {
        CapabilityData {
            effective: self.effective,
            permitted: self.permitted,
            inheritable: self.inheritable,
        }
    }

    /// `capset(2)`.
    pub(in crate::supervisor) fn set_capabilities(&mut self, data: CapabilityData) -> Result<(), Errno> {
        let CapabilityData {
            effective,
            permitted,
            inheritable,
        } = data;
        let free = self.can(CapabilitySet::SETPCAP);
        let allowed = (free || (self.inheritable | self.permitted).contains(inheritable))
            && (self.inheritable | self.bounding).contains(inheritable)
            && self.permitted.contains(permitted)
            && permitted.contains(effective);
        if !allowed {
            return Err(EPERM);
        }
        (self.effective, self.permitted, self.inheritable) = (effective, permitted, inheritable);
        self.ambient &= permitted & inheritable;
        Ok(())
    }

    /// `prctl(PR_CAPBSET_READ)`.
    pub(in crate::supervisor) fn can_gain(&self, number: u64) -> Result<bool, Errno> {
        Ok(self.bounding.contains(numbered(number)?))
    }

    /// `prctl(PR_CAPBSET_DROP)`.
    pub(in crate::supervisor) fn give_up_gaining(&mut self, number: u64) -> Result<(), Errno> {
        if !self.can(CapabilitySet::SETPCAP) {
            return Err(EPERM);
        }
        self.bounding -= numbered(number)?;
        Ok(())
    }

    /// `prctl(PR_CAP_AMBIENT)`; returns what the call does.
    pub(in crate::supervisor) fn change_ambient(&mut self, change: Ambient, number: u64) -> Result<bool, Errno> {
        let capability = numbered(number)?;
        match change {
            Ambient::IsSet => return Ok(self.ambient.contains(capability)),
            Ambient::Lower => self.ambient -= capability,
            Ambient::Raise => {
                let held = self.permitted & self.inheritable;
                if !held.contains(capability) || !self.securebits.allows_ambient() {
                    return Err(EPERM);
                }
                self.ambient |= capability;
            }
        }
        Ok(false)
    }

    /// `prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)`.
    pub(in crate::supervisor) fn clear_ambient(&mut self) {
        self.ambient = CapabilitySet::empty();
    }
}
