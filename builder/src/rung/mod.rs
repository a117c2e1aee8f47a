//! Rungs: the ways to confine a step, from the strongest down, and what each means for owners and stacking.
//!
//! | rung | namespaces | ids of the image |
//! |---|---|---|
//! | `direct` | all but a user namespace | those of croze's own user namespace |
//! | `userns` | all, below a user namespace for the whole build | a full map |
//! | `userns-single` | the same | one; the others are shown by a supervisor and kept in the store |
//! | `in-place` | none | those of croze's own user namespace |
//! | `in-place-single` | none | one; the others are shown by a supervisor and kept in the store |
//! | `chroot` | none | the same |
//! | `ptrace` | none | the same |
//!
//! Nothing is concluded from versions or settings: a [`Trial`] does the thing itself in a copy of the process, and
//! [`enter`] follows the copy that succeeds. What was chosen is a [`Confinement`], plain data: the executor compiles its
//! plans from it.

mod choose;
mod chroot;
mod copy;
mod in_place;
mod landlock;
mod namespaces;
mod overlay;
mod ptrace;
mod sandbox;
mod trial;
mod weakness;
mod yama;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use snapshotter::{Ownership, Stacking};

pub(crate) use choose::nearest_existing;
pub use choose::{Entered, NoRung, Survey, enter, survey};
pub(crate) use copy::in_copy;
pub use landlock::Landlock;
pub use sandbox::Sandbox;
pub use trial::{Check, Outcome, Refusal, Trial};
pub use weakness::Weakness;

/// One way to confine a step.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rung {
    /// Namespaces without a new user namespace, for who has `CAP_SYS_ADMIN`.
    Direct,
    /// Namespaces below a new user namespace with a full id map.
    Userns,
    /// Namespaces below a new user namespace with one id, and a supervisor that shows all others.
    UsernsSingle,
    /// No namespaces and no mounts: root of a container moves a stage's files to `/`.
    InPlace,
    /// The same for another user, whose files an image laid out for it has in `/`, and a supervisor.
    InPlaceSingle,
    /// No namespaces and no mounts: steps change their root to a tree, and a supervisor shows the rest of what they need
    /// to see.
    Chroot,
    /// The same for whoever may not even change the root: what only a process itself can do it is made to do by tracing it.
    Ptrace,
}

impl Rung {
    /// Every rung.
    pub const ALL: [Self; 7] = [
        Self::Direct,
        Self::Userns,
        Self::UsernsSingle,
        Self::InPlace,
        Self::InPlaceSingle,
        Self::Chroot,
        Self::Ptrace,
    ];

    /// Returns its name, as `--sandbox` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Userns => "userns",
            Self::UsernsSingle => "userns-single",
            Self::InPlace => "in-place",
            Self::InPlaceSingle => "in-place-single",
            Self::Chroot => "chroot",
            Self::Ptrace => "ptrace",
        }
    }

    /// Returns a few words for what it is.
    pub fn summary(self) -> &'static str {
        match self {
            Self::Direct => "namespaces without a user namespace of croze's own",
            Self::Userns => "a user namespace with a full id map",
            Self::UsernsSingle => "a user namespace with one id, and a supervisor that shows the others",
            Self::InPlace => "no namespace: the image's files are moved to `/` for each step",
            Self::InPlaceSingle => "the same for a user who is not root, and a supervisor that shows the others",
            Self::Chroot => "no namespace: a changed root, and a supervisor that shows `/proc`, `/dev` and all users",
            Self::Ptrace => "no namespace: a supervisor that follows every path to another root, and shows all users",
        }
    }

    /// Returns who holds the owners of files.
    pub fn ownership(self) -> Ownership {
        match self {
            Self::Direct | Self::Userns | Self::InPlace => Ownership::Real,
            Self::UsernsSingle | Self::InPlaceSingle | Self::Chroot | Self::Ptrace => Ownership::Emulated,
        }
    }

    /// Returns whether a step's root file system takes the place of what lies in the container's own `/`.
    pub fn is_in_place(self) -> bool {
        matches!(self, Self::InPlace | Self::InPlaceSingle)
    }

    /// Returns who stacks snapshots, as far as the state directory's file system allows it.
    pub fn stacking(self) -> Stacking {
        match self {
            Self::Direct | Self::Userns | Self::UsernsSingle => Stacking::Overlay,
            Self::InPlace | Self::InPlaceSingle | Self::Chroot | Self::Ptrace => Stacking::Flat,
        }
    }
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No rung has this name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{name}` is not a sandbox")]
pub struct UnknownRung {
    /// What was given.
    pub name: String,
}

impl FromStr for Rung {
    type Err = UnknownRung;

    fn from_str(name: &str) -> Result<Self, UnknownRung> {
        let found = Self::ALL.into_iter().find(|rung| rung.name() == name);
        found.ok_or_else(|| UnknownRung { name: name.to_owned() })
    }
}

/// The rung that was chosen and how it starts processes here: what the attempt has found out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Confinement {
    /// Which rung.
    pub rung: Rung,
    /// Who stacks snapshots.
    pub stacking: Stacking,
    /// Where state is kept.
    pub state: StatePlace,
    /// What a step sees as `/proc`.
    pub proc: ProcView,
    /// What can be kept from a step that it shares with croze.
    pub landlock: Landlock,
}

impl fmt::Display for Confinement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.rung)?;
        if self.proc == ProcView::Bound {
            f.write_str(", without a pid namespace")?;
        }
        if self.state == StatePlace::Memory {
            f.write_str(", with state in memory")?;
        }
        Ok(())
    }
}

/// Where the state directory really is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StatePlace {
    /// Where it seems to be.
    Disk,
    /// In a tmpfs of this process's own that covers it, and is gone with the process: the file system below allows
    /// neither overlays nor the whiteouts of snapshots, as that of a container's own root.
    Memory,
}

/// What a step sees as `/proc`, and with it what ends its processes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProcView {
    /// A new procfs of an own pid namespace, whose end ends every process in it.
    New,
    /// croze's own procfs, masked as it is. There is no pid namespace: in one, the numbers in that `/proc` would be
    /// wrong. The monitor adopts and kills what a step leaves behind.
    Bound,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rung_is_found_by_its_name_and_by_no_other() {
        for rung in Rung::ALL {
            assert_eq!(rung.to_string().parse(), Ok(rung));
            assert_eq!(serde_json::to_string(&rung).unwrap(), format!("\"{rung}\""));
        }
        let unknown = "Userns".parse::<Rung>().unwrap_err();
        assert_eq!(unknown.to_string(), "`Userns` is not a sandbox");
    }
}
