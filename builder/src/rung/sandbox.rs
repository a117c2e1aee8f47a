//! What a build has to run steps in. Where that is nothing, everything but `RUN` works all the same.

use std::path::Path;

use rustix::fs::{Gid, Uid, fchown};
use snapshotter::{Ownership, Stacking};

use super::{Confinement, nearest_existing};

/// What steps run in, and with it how files are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sandbox {
    /// A rung that this process has entered.
    Entered(Confinement),
    /// Nothing: no step can run. Trees are laid out by croze alone, and somebody holds their owners.
    None(Ownership),
}

impl Sandbox {
    /// Does without a rung. Whether the kernel holds the owners of files is tried where state will be kept: that a
    /// process is user 0 does not say that it may give files away.
    pub fn none(state_root: &Path) -> Self {
        let given_away = tempfile::tempfile_in(nearest_existing(state_root))
            .is_ok_and(|file| fchown(&file, Some(Uid::from_raw(1)), Some(Gid::from_raw(1))).is_ok());
        let is_root = rustix::process::geteuid().is_root();
        Self::None(if given_away && is_root {
            Ownership::Real
        } else {
            Ownership::Emulated
        })
    }

    /// Returns who holds the owners of files.
    pub fn ownership(self) -> Ownership {
        match self {
            Self::Entered(confinement) => confinement.rung.ownership(),
            Self::None(ownership) => ownership,
        }
    }

    /// Returns who stacks snapshots.
    pub fn stacking(self) -> Stacking {
        match self {
            Self::Entered(confinement) => confinement.stacking,
            Self::None(_) => Stacking::Flat,
        }
    }

    /// Returns what confines steps, if they can run.
    pub fn confinement(self) -> Option<Confinement> {
        match self {
            Self::Entered(confinement) => Some(confinement),
            Self::None(_) => None,
        }
    }
}
