//! What has to go: pure.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::SystemTime;

use snapshotter::Usage;

use super::item::Item;
use super::{Bounds, LOW_WATER, Policy};
use crate::state_dir::{Class, StateDir, StateDirError};

/// Inodes that a small build takes.
const SMALL_BUILD: u64 = 64;

/// The space of the file system.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Space {
    /// Bytes that it has.
    pub(super) total: u64,
    /// Bytes that are free for this user.
    pub(super) free: u64,
    /// Inodes that it has; 0 if it makes them as they are needed.
    pub(super) inodes: u64,
    /// Inodes that are free for this user.
    pub(super) free_inodes: u64,
}

/// Items that have to go, by position, in the order in which they do.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Choice {
    order: Vec<usize>,
    set: BTreeSet<usize>,
}

impl Space {
    /// Asks the file system of a state directory.
    pub(super) fn of(state: &StateDir) -> Result<Self, StateDirError> {
        let found = rustix::fs::statvfs(state.layout()).map_err(|error| StateDirError::Io {
            verb: "ask for the space of",
            path: state.layout().to_owned(),
            source: error.into(),
        })?;
        Ok(Self {
            total: found.f_blocks.saturating_mul(found.f_frsize),
            free: found.f_bavail.saturating_mul(found.f_frsize),
            inodes: found.f_files,
            free_inodes: found.f_favail,
        })
    }

    /// Returns how many inodes are to be free wherever bytes are to be: one in fifty, and enough for a small build.
    fn least_inodes(&self) -> u64 {
        (self.inodes / 50).max(SMALL_BUILD).min(self.inodes / 2)
    }
}

impl FromIterator<usize> for Choice {
    fn from_iter<I: IntoIterator<Item = usize>>(items: I) -> Self {
        let mut choice = Self::default();
        items.into_iter().for_each(|index| choice.push(index));
        choice
    }
}

impl Choice {
    fn push(&mut self, index: usize) {
        if self.set.insert(index) {
            self.order.push(index);
        }
    }

    /// Returns whether nothing has to go.
    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Returns the items in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> {
        self.order.iter().copied()
    }
}

/// Returns how much has to go from a store of this size, in bytes.
pub(super) fn excess(size: u64, space: &Space, bounds: &Bounds) -> Usage {
    let over_size = bounds.max_size.map_or(0, |most| size.saturating_sub(most));
    let least = bounds.min_free.unwrap_or(0);
    let least_inodes = if least == 0 { 0 } else { space.least_inodes() };
    Usage {
        bytes: over_size.max(least.saturating_sub(space.free).min(size)),
        inodes: least_inodes.saturating_sub(space.free_inodes),
    }
}

/// Chooses what has to go now. `kept` is what images or running builds need.
pub(super) fn choose(
    items: &[Item],
    kept: &BTreeSet<PathBuf>,
    policy: &Policy,
    space: &Space,
    now: SystemTime,
) -> Choice {
    let is_older = |item: &Item, age| now.duration_since(item.used).is_ok_and(|unused| unused >= age);
    let mut candidates: Vec<usize> = (0..items.len())
        .filter(|&index| {
            let item = &items[index];
            // The age of a record says nothing: it is as old as what it names.
            let is_ageless = is_name(item.class) && item.class != Class::Tags;
            let by_age = policy.older_than.is_some() || policy.bounds.keep.is_some();
            policy.classes.contains(&item.class)
                && !(is_ageless && by_age)
                && !kept.contains(&item.path)
                && policy.older_than.is_none_or(|age| is_older(item, age))
                && policy.bounds.keep.is_none_or(|age| is_older(item, age))
        })
        .collect();
    let mut choice = Choice::default();
    if policy.bounds.is_unbounded() {
        // What names comes before what is named.
        candidates.sort_by_key(|&index| items[index].class);
        candidates.into_iter().for_each(|index| choice.push(index));
        return choice;
    }
    let size: u64 = items.iter().map(|item| item.usage.bytes).sum();
    let excess = excess(size, space, &policy.bounds);
    if excess == Usage::default() {
        return choice;
    }
    let low_water = policy.bounds.max_size.map_or(0, |most| most / 100 * (100 - LOW_WATER));
    let wanted = excess.bytes.saturating_add(low_water);
    // Names take little and go with what they name; on their own they go last.
    candidates.sort_by_key(|&index| (is_name(items[index].class), items[index].used, items[index].usage.bytes));
    let mut freed = Usage::default();
    for index in candidates {
        // The low water mark is worth no name.
        let enough = if is_name(items[index].class) {
            excess.bytes
        } else {
            wanted
        };
        if freed.bytes >= enough && freed.inodes >= excess.inodes {
            break;
        }
        freed.bytes += items[index].usage.bytes;
        freed.inodes += items[index].usage.inodes;
        choice.push(index);
    }
    choice
}

/// Returns whether things of a class only name others.
pub(super) fn is_name(class: Class) -> bool {
    matches!(
        class,
        Class::Records | Class::Layers | Class::Images | Class::Tags | Class::Epochs
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: u64 = 1_000_000;

    fn item(class: Class, name: &str, bytes: u64, unused: u64) -> Item {
        Item {
            class,
            path: PathBuf::from(class.directory()).join(name),
            usage: Usage { bytes, inodes: 1 },
            used: SystemTime::UNIX_EPOCH + Duration::from_secs(NOW - unused),
        }
    }

    const SPACE: Space = Space {
        total: 10_000,
        free: 500,
        inodes: 200,
        free_inodes: 64,
    };

    fn chosen(items: &[Item], kept: &[&str], bounds: Bounds, older_than: Option<u64>) -> Vec<String> {
        chosen_on(&SPACE, items, kept, bounds, older_than)
    }

    fn chosen_on(space: &Space, items: &[Item], kept: &[&str], bounds: Bounds, older_than: Option<u64>) -> Vec<String> {
        let policy = Policy {
            bounds,
            older_than: older_than.map(Duration::from_secs),
            ..Policy::cache()
        };
        let kept = kept.iter().map(PathBuf::from).collect();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
        let choice = choose(items, &kept, &policy, space, now);
        choice
            .iter()
            .map(|index| items[index].path.display().to_string())
            .collect()
    }

    fn store() -> Vec<Item> {
        vec![
            item(Class::Records, "r", 1, 50),
            item(Class::Snapshots, "old", 300, 30),
            item(Class::Snapshots, "new", 300, 10),
            item(Class::Blobs, "older", 300, 40),
            item(Class::Blobs, "tagged", 300, 90),
        ]
    }

    fn at_most(bytes: u64) -> Bounds {
        Bounds {
            max_size: Some(bytes),
            ..Bounds::default()
        }
    }

    #[test]
    fn what_was_used_the_longest_ago_goes_first_and_no_more_than_must() {
        let kept = ["blobs/tagged"];
        assert_eq!(chosen(&store(), &kept, at_most(1201), None), [""; 0]);
        assert_eq!(chosen(&store(), &kept, at_most(1000), None), ["blobs/older"]);
        assert_eq!(chosen(&store(), &kept, at_most(900), None), ["blobs/older", "snap/old"]);
        let most = ["blobs/older", "snap/old", "snap/new", "index/r"];
        assert_eq!(chosen(&store(), &kept, at_most(0), None), most, "what is tagged stays");
    }

    #[test]
    fn free_space_counts_as_much_as_size() {
        let bounds = |least| Bounds {
            min_free: Some(least),
            ..Bounds::default()
        };
        assert_eq!(chosen(&store(), &[], bounds(500), None), [""; 0]);
        assert_eq!(
            chosen(&store(), &[], bounds(900), None),
            ["blobs/tagged", "blobs/older"]
        );
    }

    #[test]
    fn inodes_are_to_be_free_where_bytes_are() {
        let bounds = |least| Bounds {
            min_free: Some(least),
            ..Bounds::default()
        };
        let nearly_used_up = Space {
            free_inodes: 62,
            ..SPACE
        };
        let on = |space, least| chosen_on(space, &store(), &[], bounds(least), None);
        assert_eq!(on(&nearly_used_up, 500), ["blobs/tagged", "blobs/older"]);
        assert_eq!(on(&nearly_used_up, 0), [""; 0], "no space is to be kept free");
        let without_a_number = Space {
            inodes: 0,
            free_inodes: 0,
            ..SPACE
        };
        assert_eq!(on(&without_a_number, 500), [""; 0], "it makes them as they are needed");
    }

    #[test]
    fn what_is_kept_for_its_age_stays_over_the_bound() {
        let bounds = Bounds {
            keep: Some(Duration::from_secs(35)),
            ..at_most(0)
        };
        assert_eq!(chosen(&store(), &[], bounds, None), ["blobs/tagged", "blobs/older"]);
    }

    #[test]
    fn without_a_bound_all_goes_that_is_old_enough_names_first() {
        let kept = ["blobs/tagged"];
        let gone = ["index/r", "snap/old", "snap/new", "blobs/older"];
        assert_eq!(chosen(&store(), &kept, Bounds::default(), None), gone);
        assert_eq!(chosen(&store(), &kept, Bounds::default(), Some(40)), ["blobs/older"]);
    }

    #[test]
    fn a_time_in_the_future_is_not_old() {
        let mut items = store();
        items[1].used = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW + 100);
        assert!(!chosen(&items, &[], Bounds::default(), Some(1)).contains(&"snap/old".to_owned()));
    }
}
