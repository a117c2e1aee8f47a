//! The flags that switch off what is special about root.

use rustix::io::Errno;
use rustix::thread::CapabilitySet;

use super::{Credentials, EINVAL, EPERM};

const NO_ROOT: u32 = 1 << 0;
const NO_SETUID_FIXUP: u32 = 1 << 2;
const KEEP_CAPABILITIES: u32 = 1 << 4;
const NO_AMBIENT_RAISE: u32 = 1 << 6;

/// The flags; each has a second one above it that locks it.
const FLAGS: u32 = 0x55;
const LOCKS: u32 = FLAGS << 1;

/// The flags of a thread.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Securebits(u32);

impl Securebits {
    /// Whether user 0 gains nothing when it starts a program.
    pub(super) fn root_is_nobody(self) -> bool {
        self.0 & NO_ROOT != 0
    }

    /// Whether a change of user changes no capability.
    pub(super) fn keeps_capabilities_across_users(self) -> bool {
        self.0 & NO_SETUID_FIXUP != 0
    }

    /// Whether permitted capabilities stay when root becomes another user.
    pub(super) fn keeps_capabilities(self) -> bool {
        self.0 & KEEP_CAPABILITIES != 0
    }

    /// Whether the ambient set can grow.
    pub(super) fn allows_ambient(self) -> bool {
        self.0 & NO_AMBIENT_RAISE == 0
    }

    /// A new program asks anew for what is to be kept.
    pub(super) fn forget_keeping(&mut self) {
        self.0 &= !KEEP_CAPABILITIES;
    }
}

impl Credentials {
    /// `prctl(PR_GET_SECUREBITS)`.
    pub(in crate::supervisor) fn securebits(&self) -> u32 {
        self.securebits.0
    }

    /// `prctl(PR_SET_SECUREBITS)`.
    pub(in crate::supervisor) fn set_securebits(&mut self, bits: u32) -> Result<(), Errno> {
        let old = self.securebits.0;
        let locked = (old & LOCKS) >> 1;
        let allowed = locked & (old ^ bits) == 0
            && old & LOCKS & !bits == 0
            && bits & !(FLAGS | LOCKS) == 0
            && self.can(CapabilitySet::SETPCAP);
        if !allowed {
            return Err(EPERM);
        }
        self.securebits = Securebits(bits);
        Ok(())
    }

    /// `prctl(PR_GET_KEEPCAPS)`.
    pub(in crate::supervisor) fn keeps_capabilities(&self) -> bool {
        self.securebits.keeps_capabilities()
    }

    /// `prctl(PR_SET_KEEPCAPS)`.
    pub(in crate::supervisor) fn set_keeps_capabilities(&mut self, keep: u64) -> Result<(), Errno> {
        if keep > 1 {
            return Err(EINVAL);
        }
        if self.securebits.0 & (KEEP_CAPABILITIES << 1) != 0 {
            return Err(EPERM);
        }
        self.securebits.0 = (self.securebits.0 & !KEEP_CAPABILITIES) | (KEEP_CAPABILITIES * u32::from(keep == 1));
        Ok(())
    }
}
