//! What the Landlock of this kernel can keep from a step.

use landlock::{AccessFs, BitFlags, CompatLevel, Compatible, Ruleset, RulesetAttr, Scope};
use serde::{Deserialize, Serialize};

/// What can be kept from a step, beside the memory of other processes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Landlock {
    /// Nothing.
    Missing,
    /// Files, and renames between directories are not kept from it as well: since Linux 5.19.
    Files,
    /// Also signals to other processes, and abstract sockets: since Linux 6.12.
    Scopes,
}

impl Landlock {
    /// Asks the kernel for a set of rules of each kind, which restrict nobody.
    pub(super) fn find() -> Self {
        let strict = || Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
        let scopes: BitFlags<Scope> = Scope::AbstractUnixSocket | Scope::Signal;
        if strict().scope(scopes).and_then(Ruleset::create).is_ok() {
            Self::Scopes
        } else if strict()
            .handle_access(AccessFs::Refer)
            .and_then(Ruleset::create)
            .is_ok()
        {
            Self::Files
        } else {
            Self::Missing
        }
    }
}
