//! Keeping the store within its bounds, beside running builds.
//!
//! A collection is a mark and a sweep. It *scans* what there is (things, then leases, then names: whoever comes to name a
//! thing after its names were listed is a build that still runs when leases are read), *chooses* what has to go (`choose.rs`:
//! what was used the longest ago goes first), and removes one thing after the other, each after its *names* (`names.rs`:
//! records and notes), except those that a running build has named meanwhile ([`Sweeper`]). Snapshots are no tree here: that
//! something stands on a snapshot does not keep it, since a step whose result is gone is made again.
//!
//! | | stays |
//! |---|---|
//! | what running builds rely on | always |
//! | blobs of images that have a tag | until a prune asks for all |
//! | what was used within `--keep` | unless a prune asks for what is older than that |
//! | records and notes | as long as what they name |
//!
//! Every build ends with a collection ([`after_build`]), which may take some time and not more ([`SLICE`]). To be within the
//! bounds and to be done in time can be too much at once; then time wins: things go one after the other, each with its names
//! and for good, and when the time is up the rest stays as it is, of use to builds, until the next collection goes on with it.
//! Some go each time, so that enough builds always suffice, and removing may take as long as finding out what names what, which
//! each collection has to do anew. `croze prune` is the same without a limit.

mod choose;
mod item;
mod names;
mod sizes;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use snapshotter::Usage;

use crate::state_dir::{Class, StateDir, StateDirError, Sweeper, UsageByClass, Victim};
use choose::{Choice, Space, is_name};
use item::Item;
use names::Names;
use sizes::Sizes;

/// How long a collection at the end of a build measures and removes. What cannot wait comes on top: to list the store and, if
/// anything has to go, to read the names in it. Where that is what takes long, removing has as much time, so that it was worth
/// it, but never more than this four times; and what was begun is ended, which is one thing or some tens of files.
pub const SLICE: Duration = Duration::from_secs(2);

/// The largest size that the store has by default, in bytes, unless half of the file system is less.
const MAX_SIZE: u64 = 64 << 30;
/// What stays free of the file system by default, in bytes, unless a fiftieth of it is less.
const MIN_FREE: u64 = 2 << 30;
/// After something had to go, the store is this many percent of its bound: so that the next build need not collect too.
const LOW_WATER: u64 = 95;

/// What bounds the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Bounds {
    /// Bytes that it takes at most.
    pub max_size: Option<u64>,
    /// Bytes of the file system that stay free, and with them one in fifty of its inodes, if it has a number of them.
    pub min_free: Option<u64>,
    /// What was used so recently stays all the same.
    pub keep: Option<Duration>,
}

/// What is to go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    /// The classes to remove from; names go with what they name.
    pub classes: BTreeSet<Class>,
    /// Only what was not used for so long.
    pub older_than: Option<Duration>,
    /// Only as much as it takes to be within these bounds; all if they bound nothing.
    pub bounds: Bounds,
}

/// What a collection has done, or would do.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Collected {
    /// What went, by class.
    pub freed: UsageByClass,
    /// Bytes that the store takes now.
    pub left: u64,
    /// How many of these are too many and had to stay because the time was up.
    pub postponed: u64,
}

impl Bounds {
    /// Returns the bounds with the default for each that is not given.
    pub fn or_default(self, state: &StateDir) -> Result<Self, StateDirError> {
        let space = Space::of(state)?;
        Ok(Self {
            max_size: Some(self.max_size.unwrap_or(MAX_SIZE.min(space.total / 2))),
            min_free: Some(self.min_free.unwrap_or(MIN_FREE.min(space.total / 50))),
            keep: self.keep,
        })
    }

    fn is_unbounded(&self) -> bool {
        self.max_size.is_none() && self.min_free.is_none()
    }
}

impl Policy {
    /// Removes what builds can make again, and keeps images that have a tag.
    pub fn cache() -> Self {
        let lasting = [Class::Tags, Class::Epochs];
        Self {
            classes: Class::ALL
                .into_iter()
                .filter(|class| !lasting.contains(class))
                .collect(),
            older_than: None,
            bounds: Bounds::default(),
        }
    }

    /// Removes everything.
    pub fn all() -> Self {
        Self {
            classes: Class::ALL.into_iter().collect(),
            ..Self::cache()
        }
    }
}

/// Brings the store within its bounds at the end of a build, which relies on nothing any more, or nearer to them if that
/// takes longer than `slice`, which is [`SLICE`] except in tests; `changed` says whether that build has added anything. Returns
/// `None` if nothing had to be done, or another process is about to.
///
/// # Errors
/// If the store cannot be read, or something cannot be removed.
pub fn after_build(
    state: &StateDir,
    bounds: &Bounds,
    changed: bool,
    slice: Duration,
) -> Result<Option<Collected>, StateDirError> {
    let began = Instant::now();
    let until = began + slice;
    let space = Space::of(state)?;
    let is_within = |size: u64| choose::excess(size, &space, bounds) == Usage::default();
    if !changed && sizes::last_total(state).is_some_and(is_within) {
        return Ok(None);
    }
    let Some(mut sweeper) = state.sweeper()? else {
        return Ok(None);
    };
    let policy = Policy {
        bounds: *bounds,
        ..Policy::cache()
    };
    let collection = Collection::new(state, &policy, Some(until))?;
    let share = began.elapsed().clamp(slice / 2, slice * 4);
    let until = until.max(Instant::now() + share);
    let mut collected = collection.remove(&mut sweeper, Some(until))?;
    // What was chosen for the low water mark is not missed.
    let excess = choose::excess(collected.left, &Space::of(state)?, bounds);
    collected.postponed = collected.postponed.min(excess.bytes);
    Ok(Some(collected))
}

/// Removes what a policy says, and deletes it.
///
/// # Errors
/// If another process is about to do the same, or the store cannot be read, or something cannot be removed.
pub fn prune(state: &StateDir, policy: &Policy) -> Result<Collected, StateDirError> {
    let reclaimed = policy
        .classes
        .contains(&Class::Scratch)
        .then(|| reclaim(state))
        .transpose()?;
    let mut sweeper = wait_for_sweeper(state)?;
    let mut collected = Collection::new(state, policy, None)?.remove(&mut sweeper, None)?;
    if let Some(reclaimed) = reclaimed.filter(|reclaimed| reclaimed.inodes > 0) {
        collected.freed.insert(Class::Scratch, reclaimed);
    }
    Ok(collected)
}

/// Returns the right to remove things as soon as nobody else has it.
fn wait_for_sweeper(state: &StateDir) -> Result<Sweeper, StateDirError> {
    let patience = Instant::now() + 2 * SLICE;
    loop {
        match state.sweeper()? {
            Some(sweeper) => return Ok(sweeper),
            None if Instant::now() < patience => std::thread::sleep(Duration::from_millis(20)),
            None => {
                return Err(StateDirError::InUse {
                    path: state.layout().to_owned(),
                });
            }
        }
    }
}

/// Removes some things, given by their paths in the layout, and whatever names them; returns how many of them are gone. What
/// a running build relies on stays.
///
/// # Errors
/// If another process removes things for too long, or something cannot be removed.
pub fn evict(state: &StateDir, paths: &BTreeSet<PathBuf>) -> Result<usize, StateDirError> {
    let mut sweeper = wait_for_sweeper(state)?;
    let mut collection = Collection::scan(state, None)?;
    let goes = |item: &Item| paths.contains(&item.path) && !collection.leased.contains(&item.path);
    let choice: Choice = (0..collection.items.len())
        .filter(|index| goes(&collection.items[*index]))
        .collect();
    collection.choose(choice)?;
    let before = paths.iter().filter(|path| state.layout().join(path).exists()).count();
    collection.remove(&mut sweeper, None)?;
    let after = paths.iter().filter(|path| state.layout().join(path).exists()).count();
    Ok(before - after)
}

/// Deletes what dead processes have left, and returns what that took.
fn reclaim(state: &StateDir) -> Result<Usage, StateDirError> {
    let before = state.usage_of(Class::Scratch)?;
    state.reclaim()?;
    let after = state.usage_of(Class::Scratch)?;
    Ok(Usage {
        bytes: before.bytes.saturating_sub(after.bytes),
        inodes: before.inodes.saturating_sub(after.inodes),
    })
}

/// Returns what [`prune`] would do, and does nothing.
///
/// # Errors
/// If the store cannot be read.
pub fn dry_run(state: &StateDir, policy: &Policy) -> Result<Collected, StateDirError> {
    let collection = Collection::new(state, policy, None)?;
    let all = collection.order.iter().map(|index| &collection.items[*index]);
    Ok(collection.report(all))
}

/// A collection that is decided and not yet carried out.
struct Collection<'a> {
    state: &'a StateDir,
    began: SystemTime,
    items: Vec<Item>,
    /// What builds relied on that ran between the scan of things and that of names.
    leased: BTreeSet<PathBuf>,
    sizes: Sizes,
    /// What goes, by position: names before what they name.
    order: Vec<usize>,
}

impl<'a> Collection<'a> {
    /// Scans, and chooses nothing yet.
    fn scan(state: &'a StateDir, until: Option<Instant>) -> Result<Self, StateDirError> {
        let began = SystemTime::now();
        let mut sizes = Sizes::load(state);
        let (names, things): (Vec<Class>, Vec<Class>) = Class::ALL.into_iter().partition(|class| is_name(*class));
        let mut items = item::scan(state, things.into_iter(), &mut sizes, until)?;
        let leased = state.leased()?;
        items.extend(item::scan(state, names.into_iter(), &mut sizes, until)?);
        let paths: BTreeSet<&Path> = items.iter().map(|item| item.path.as_path()).collect();
        sizes.retain(|path| paths.contains(path));
        Ok(Self {
            state,
            began,
            items,
            leased,
            sizes,
            order: Vec::new(),
        })
    }

    /// Scans, and chooses what a policy says.
    fn new(state: &'a StateDir, policy: &Policy, until: Option<Instant>) -> Result<Self, StateDirError> {
        let mut collection = Self::scan(state, until)?;
        let mut kept = match policy.classes.contains(&Class::Tags) && policy.bounds.is_unbounded() {
            true => BTreeSet::new(),
            false => names::tagged(state)?,
        };
        kept.extend(collection.leased.iter().cloned());
        let space = Space::of(state)?;
        let choice = choose::choose(&collection.items, &kept, policy, &space, collection.began);
        collection.choose(choice)?;
        Ok(collection)
    }

    /// Chooses some items, and all names of them.
    fn choose(&mut self, choice: Choice) -> Result<(), StateDirError> {
        if !choice.is_empty() {
            self.order = Names::read(self.state, &self.items)?.order(&self.items, &choice, self.began);
        }
        Ok(())
    }

    /// Removes what goes, as far as the time reaches.
    fn remove(mut self, sweeper: &mut Sweeper, until: Option<Instant>) -> Result<Collected, StateDirError> {
        let victims = self.order.iter().map(|index| self.items[*index].as_victim());
        let removed = sweeper.remove(&victims.collect::<Vec<Victim>>(), until)?;
        let (tried, postponed) = self.order.split_at(removed.len());
        let gone: Vec<usize> = tried
            .iter()
            .zip(removed)
            .filter_map(|(index, gone)| gone.then_some(*index))
            .collect();
        let mut collected = self.report(gone.iter().map(|index| &self.items[*index]));
        collected.postponed = postponed.iter().map(|index| self.items[*index].usage.bytes).sum();
        item::remove_empty_directories(self.state);
        for index in gone {
            self.sizes.forget(&self.items[index].path);
        }
        self.sizes.save(self.state, sweeper.scratch(), collected.left);
        Ok(collected)
    }

    fn report<'b>(&self, gone: impl Iterator<Item = &'b Item>) -> Collected {
        let mut freed = UsageByClass::new();
        let mut left: u64 = self.items.iter().map(|item| item.usage.bytes).sum();
        for item in gone {
            let usage = freed.entry(item.class).or_default();
            usage.bytes += item.usage.bytes;
            usage.inodes += item.usage.inodes;
            left = left.saturating_sub(item.usage.bytes);
        }
        Collected {
            freed,
            left,
            postponed: 0,
        }
    }
}
