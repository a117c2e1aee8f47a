//! Whether steps can be kept away from the abstract sockets of others.

use landlock::{CompatLevel, Compatible, LandlockStatus, Ruleset, RulesetAttr, RulesetCreated, Scope};

use super::Status;
use crate::diagnostic::chain;
use crate::rung::in_copy;

/// Scopes came with this version of Landlock, in Linux 6.12.
const WITH_SCOPES: i32 = 6;

/// Tries it in a copy of this process: a restriction stays.
pub(super) fn examine() -> Status {
    in_copy(restrict).unwrap_or_else(|error| Status::Misses {
        cause: format!("cannot try it: {error}"),
        fixes: Vec::new(),
    })
}

fn restrict() -> Status {
    let restricted = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .scope(Scope::AbstractUnixSocket)
        .and_then(Ruleset::create)
        .and_then(RulesetCreated::restrict_self);
    let found = match restricted.map(|status| status.landlock) {
        Ok(LandlockStatus::Available {
            effective_abi,
            kernel_abi,
        }) => {
            let version = kernel_abi.unwrap_or(effective_abi as i32);
            if version >= WITH_SCOPES {
                return Status::has(format!("version {version}"));
            }
            format!("Landlock has version {version} here")
        }
        Ok(LandlockStatus::NotEnabled | LandlockStatus::NotImplemented) => "this kernel runs without Landlock".into(),
        Err(error) => chain(&error),
    };
    Status::misses(
        format!("{found}: steps can reach abstract Unix sockets in croze's network"),
        "Linux 6.12 or later with `landlock` among the `lsm=` modules",
    )
}
