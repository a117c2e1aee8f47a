//! Which ids the user namespace has, and who writes its map. Pure.
//!
//! | caller | map | written by |
//! |---|---|---|
//! | root with `CAP_SETUID`, `CAP_SETGID`, `CAP_SETFCAP` | every id it has, as itself | croze |
//! | another user with these capabilities | 0 is the user, 1… the subordinate ids | croze |
//! | anybody else | the same | `newuidmap`, `newgidmap` |

use rustix::thread::CapabilitySet;
use serde::Serialize;

use super::caller::Caller;
use super::error::{EnterError, IdKind};
use super::subid::IdRange;

/// The most lines that the kernel takes in one map.
const MAX_LINES: usize = 340;

/// One line of `/proc/PID/uid_map` or `gid_map`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Mapping {
    /// First id inside.
    pub inside: u32,
    /// First id outside.
    pub outside: u32,
    /// How many ids.
    pub count: u32,
}

impl Mapping {
    /// Reads a map as the kernel prints it.
    pub(super) fn parse(text: &str) -> Vec<Self> {
        let line = |line: &str| {
            let mut numbers = line.split_whitespace().map(|number| number.parse().ok());
            Some(Self {
                inside: numbers.next()??,
                outside: numbers.next()??,
                count: numbers.next()??,
            })
        };
        text.lines().filter_map(line).collect()
    }
}

/// The ids of a user namespace to be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct IdMap {
    /// Users.
    pub uids: Vec<Mapping>,
    /// Groups.
    pub gids: Vec<Mapping>,
    /// Who writes the maps.
    pub writer: Writer,
}

/// Returns how many ids a map has.
pub fn count(map: &[Mapping]) -> u64 {
    map.iter().map(|mapping| u64::from(mapping.count)).sum()
}

/// Who writes a map.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Writer {
    /// A process of croze outside of the namespace.
    Direct,
    /// newuidmap(1) and newgidmap(1).
    Helpers,
}

/// Decides on the map for a caller.
pub fn plan(caller: &Caller) -> Result<IdMap, EnterError> {
    let privileged = caller
        .capabilities
        .contains(CapabilitySet::SETUID | CapabilitySet::SETGID);
    if privileged && caller.uid == 0 {
        // Since Linux 5.12 only who may set file capabilities may give away the id 0.
        if !caller.capabilities.contains(CapabilitySet::SETFCAP) {
            return Err(EnterError::NoSetfcap);
        }
        return Ok(IdMap {
            uids: identity(&caller.own_uids, IdKind::User)?,
            gids: identity(&caller.own_gids, IdKind::Group)?,
            writer: Writer::Direct,
        });
    }
    if !privileged && caller.no_new_privileges {
        return Err(EnterError::NoNewPrivileges);
    }
    let user = || caller.display_name();
    Ok(IdMap {
        uids: subordinate(caller.uid, &caller.subuids, &caller.own_uids, IdKind::User, user)?,
        gids: subordinate(caller.gid, &caller.subgids, &caller.own_gids, IdKind::Group, user)?,
        writer: if privileged { Writer::Direct } else { Writer::Helpers },
    })
}

/// Maps every id that exists here to itself.
fn identity(own: &[Mapping], kind: IdKind) -> Result<Vec<Mapping>, EnterError> {
    // An image has more than one owner; a namespace like that of `unshare -r` cannot hold it.
    if count(own) < 2 {
        return Err(EnterError::SingleId { kind });
    }
    let itself = |mapping: &Mapping| Mapping {
        outside: mapping.inside,
        ..*mapping
    };
    Ok(own.iter().map(itself).collect())
}

/// Maps 0 to the caller and 1… to those of its subordinate ids that exist here.
fn subordinate(
    id: u32,
    ranges: &[IdRange],
    own: &[Mapping],
    kind: IdKind,
    user: impl Fn() -> String,
) -> Result<Vec<Mapping>, EnterError> {
    let Some(&first) = ranges.first() else {
        return Err(EnterError::NoSubordinateIds { kind, user: user() });
    };
    let mut map = vec![Mapping {
        inside: 0,
        outside: id,
        count: 1,
    }];
    let mut next = 1u32;
    for range in ranges.iter().filter(|range| exists(range, own)).take(MAX_LINES - 1) {
        let count = range.count.min(u32::MAX - next);
        map.push(Mapping {
            inside: next,
            outside: range.start,
            count,
        });
        next += count;
    }
    if next == 1 {
        return Err(EnterError::SubordinateIdsUnmapped {
            kind,
            start: first.start,
        });
    }
    Ok(map)
}

/// Whether all ids of a range exist in the caller's own namespace; those of a pod often do not.
fn exists(range: &IdRange, own: &[Mapping]) -> bool {
    let end = |start: u32, count: u32| u64::from(start) + u64::from(count);
    own.iter().any(|mapping| {
        mapping.inside <= range.start && end(range.start, range.count) <= end(mapping.inside, mapping.count)
    })
}

#[cfg(test)]
mod tests;
