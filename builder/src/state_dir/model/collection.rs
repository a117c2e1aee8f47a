//! Leases and collections: builds that look for things, make what is gone and give it names, while things are removed.

mod steps;

use super::{Model, Step, Who, explore};

/// Builds; one more process collects, again and again.
const BUILDS: usize = 2;
/// Things, each with a record that names it and those before it, as that of a step names the layers below.
const THINGS: usize = 2;

/// A rule of the algorithm that is not followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Without {
    Nothing,
    /// A build writes a name into its lease before it looks for the thing.
    TheLeaseBeforeTheLook,
    /// It does so under the lock.
    TheLockOfTheLease,
    /// A collection reads the leases under the lock, alone.
    TheLeasesUnderTheLock,
    /// A thing whose time has changed stays.
    TheTimeOfAThing,
    /// Names go before what they name.
    TheNamesFirst,
    /// Those that name several things go before the first of them.
    TheFirstOfSeveral,
    /// Leases are read between the scan of things and that of names.
    TheLeasesInTheScan,
    /// A name of what goes, goes too, however young.
    TheYoungNames,
}

/// Where a build is; the number is the thing that it is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Build {
    /// About to take the shared lock.
    Wants(usize),
    /// Holds it, and writes its lease.
    Writes(usize),
    /// The name is in the lease: gives the thing its time.
    Touches(usize),
    Looks(usize),
    /// Has found nothing: makes it.
    Makes(usize),
    /// Has made or found it: saves a record.
    Saves(usize),
    /// Relies on it.
    Uses(usize),
    /// Ended, or dead.
    Gone,
}

/// Where a collection is; the number is that of the next thing, record, build or victim. That it ends before all victims are
/// gone, because its time is up, is its death before the next.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Collector {
    Scans(usize),
    ReadsLeases(usize),
    ListsNames(usize),
    Chooses,
    /// About to remove a victim: one thing after the other, each after its records.
    WantsLock(usize),
    /// Holds the lock, and reads the leases.
    Reads(usize),
    /// Looks whether it may go.
    Checks(usize),
    /// It may, or not.
    Removes(usize, bool),
}

/// When a record was saved, to a collection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Saved {
    Before,
    /// Since it began.
    Since,
    /// Before it listed this one: a record that is saved again has another time.
    Listed,
}

/// When something was used last: 0 for long ago, 1 + n by build n.
type Time = u8;

#[derive(Clone, PartialEq, Eq, Hash)]
struct State {
    things: [Option<Time>; THINGS],
    records: [Option<Saved>; THINGS],
    /// What stands in each build's lease, and counts while it lives.
    leases: [[bool; THINGS]; BUILDS],
    builds: [Build; BUILDS],
    /// Whether a collection holds the lock alone; builds hold it while they write.
    alone: bool,
    collector: Collector,
    /// What it has seen: things with their times, names.
    seen: [Option<Time>; THINGS],
    named: [bool; THINGS],
    /// What the leases say that it has read last, and those that it read while it scanned.
    leased: [bool; THINGS],
    kept: [bool; THINGS],
    chosen: [bool; THINGS],
    /// Whether the last thing goes first.
    backwards: bool,
}

struct Collections {
    without: Without,
}

impl Model for Collections {
    type State = State;

    fn initial(&self) -> Vec<State> {
        let empty = State {
            things: [None; THINGS],
            records: [None; THINGS],
            leases: [[false; THINGS]; BUILDS],
            builds: [self.begin(0); BUILDS],
            alone: false,
            collector: Collector::Scans(0),
            seen: [None; THINGS],
            named: [false; THINGS],
            leased: [false; THINGS],
            kept: [false; THINGS],
            chosen: [false; THINGS],
            backwards: false,
        };
        let full = State {
            things: [Some(0); THINGS],
            records: [Some(Saved::Before); THINGS],
            ..empty.clone()
        };
        vec![empty, full]
    }

    fn steps(&self, state: &State) -> Vec<(Step, State)> {
        let mut steps = self.collect(state);
        for build in 0..BUILDS {
            steps.extend(self.build(state, build));
            if state.builds[build] != Build::Gone {
                let mut dead = state.clone();
                dead.builds[build] = Build::Gone;
                dead.leases[build] = [false; THINGS];
                steps.push(((Who::Process(build), "dies", 0), dead));
            }
        }
        let mut dead = state.clone();
        self.begin_again(&mut dead);
        if dead != *state {
            steps.push(((Who::Collection, "dies", 0), dead));
        }
        steps
    }

    fn broken(&self, state: &State) -> Option<String> {
        for (number, build) in state.builds.iter().enumerate() {
            let found = match *build {
                Build::Saves(thing) | Build::Uses(thing) => thing + 1,
                Build::Wants(thing) | Build::Writes(thing) | Build::Touches(thing) => thing,
                Build::Looks(thing) | Build::Makes(thing) => thing,
                Build::Gone => 0,
            };
            if state.things[..found].iter().any(Option::is_none) {
                return Some(format!("what build {number} relies on is gone"));
            }
        }
        let is_gone = |record: usize| state.things[..=record].iter().any(Option::is_none);
        let dangling = (0..THINGS).any(|record| state.records[record].is_some() && is_gone(record));
        dangling.then(|| "a record names what is gone".to_owned())
    }

    fn may_end(&self, _: &State) -> bool {
        // Collections go on for ever.
        true
    }
}

#[test]
fn what_a_build_has_seen_stays_and_every_record_names_something() {
    let states = explore(&Collections {
        without: Without::Nothing,
    });
    println!("{states:?} states");
    assert!(states.unwrap() > 100_000);
}

#[test]
fn no_rule_of_a_collection_can_be_left_out() {
    const GONE: &str = "relies on is gone";
    const DANGLING: &str = "a record names what is gone";
    for (without, problem) in [
        (Without::TheLeaseBeforeTheLook, GONE),
        (Without::TheLockOfTheLease, GONE),
        (Without::TheLeasesUnderTheLock, GONE),
        (Without::TheTimeOfAThing, DANGLING),
        (Without::TheNamesFirst, DANGLING),
        (Without::TheFirstOfSeveral, DANGLING),
        (Without::TheLeasesInTheScan, DANGLING),
        (Without::TheYoungNames, DANGLING),
    ] {
        let found = explore(&Collections { without }).expect_err(&format!("{without:?}"));
        assert!(found.ends_with(problem), "{without:?}:\n{found}");
    }
}
