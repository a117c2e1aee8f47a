//! What has to go: pure.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::SystemTime;

use super::item::Item;
use super::{Bounds, LOW_WATER, Policy};
use crate::state_dir::{Class, StateDir, StateDirError};

/// The space of the file system.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Space {
    /// Bytes that it has.
    pub(super) total: u64,
    /// Bytes that are free for this user.
    pub(super) free: u64,
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
        })
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

/// Returns how many bytes have to go from a store of this size.
pub(super) fn excess(size: u64, free: u64, bounds: &Bounds) -> u64 {
    let over_size = bounds.max_size.map_or(0, |most| size.saturating_sub(most));
    let lacking = bounds.min_free.map_or(0, |least| least.saturating_sub(free)).min(size);
    over_size.max(lacking)
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
    let excess = excess(size, space.free, &policy.bounds);
    if excess == 0 {
        return choice;
    }
    let low_water = policy.bounds.max_size.map_or(0, |most| most / 100 * (100 - LOW_WATER));
    let wanted = excess.saturating_add(low_water);
    // Names take little and go with what they name; on their own they go last.
    candidates.sort_by_key(|&index| (is_name(items[index].class), items[index].used, items[index].usage.bytes));
    let mut freed = 0;
    for index in candidates {
        // The low water mark is worth no name.
        if freed >= wanted || freed >= excess && is_name(items[index].class) {
            break;
        }
        freed += items[index].usage.bytes;
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

    use snapshotter::Usage;

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

    fn chosen(items: &[Item], kept: &[&str], bounds: Bounds, older_than: Option<u64>) -> Vec<String> {
        let policy = Policy {
            bounds,
            older_than: older_than.map(Duration::from_secs),
            ..Policy::cache()
        };
        let kept = kept.iter().map(PathBuf::from).collect();
        let space = Space {
            total: 10_000,
            free: 500,
        };
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
        let choice = choose(items, &kept, &policy, &space, now);
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
