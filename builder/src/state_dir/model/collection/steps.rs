//! What a build does, and what a collection: one step each time.

use super::{BUILDS, Build, Collections, Collector, Saved, State, Step, THINGS, Time, Who, Without};

/// What a collection removes in one step.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Victim {
    Thing(usize),
    Record(usize),
}

impl Collections {
    fn lacks(&self, rule: Without) -> bool {
        self.without == rule
    }

    /// How a build begins with a thing.
    pub(super) fn begin(&self, thing: usize) -> Build {
        match self.without {
            Without::TheLeaseBeforeTheLook => Build::Looks(thing),
            _ => Build::Wants(thing),
        }
    }

    /// What a build does next, and what that leads to.
    pub(super) fn build(&self, state: &State, build: usize) -> Option<(Step, State)> {
        let mut after = state.clone();
        let time = 1 + build as Time;
        let looks_first = self.lacks(Without::TheLeaseBeforeTheLook);
        let (done, next): (&'static str, Build) = match state.builds[build] {
            Build::Gone => return None,
            // Blocks while things are removed.
            Build::Wants(_) if state.alone && !self.lacks(Without::TheLockOfTheLease) => return None,
            Build::Wants(thing) => ("takes the lock, shared", Build::Writes(thing)),
            Build::Writes(thing) => {
                after.leases[build][thing] = true;
                ("writes its lease", Build::Touches(thing))
            }
            Build::Touches(thing) => {
                after.things[thing] = after.things[thing].map(|_| time);
                let next = if looks_first {
                    Build::Saves(thing)
                } else {
                    Build::Looks(thing)
                };
                ("gives it its time", next)
            }
            Build::Looks(thing) => match state.things[thing] {
                Some(_) if looks_first => ("finds it", Build::Wants(thing)),
                Some(_) => ("finds it", Build::Saves(thing)),
                None => ("finds nothing", Build::Makes(thing)),
            },
            Build::Makes(thing) => {
                after.leases[build][thing] = true;
                after.things[thing] = Some(time);
                ("makes it", Build::Saves(thing))
            }
            Build::Saves(thing) => {
                after.records[thing] = Some(Saved::Since);
                ("saves its record", Build::Uses(thing))
            }
            // What comes next does not depend on this one: a build relies on all that it has found.
            Build::Uses(thing) if thing + 1 < THINGS => ("goes on", self.begin(thing + 1)),
            Build::Uses(_) => {
                after.leases[build] = [false; THINGS];
                ("ends", Build::Gone)
            }
        };
        after.builds[build] = next;
        Some(((Who::Process(build), done, 0), after))
    }

    fn read_leases(&self, state: &State) -> [bool; THINGS] {
        std::array::from_fn(|thing| state.leases.iter().any(|lease| lease[thing]))
    }

    /// What a collection may do next.
    pub(super) fn collect(&self, state: &State) -> Vec<(Step, State)> {
        let mut after = state.clone();
        let one = |done, which, after: State| vec![((Who::Collection, done, which), after)];
        match state.collector {
            Collector::Scans(thing) => {
                if thing == 0 {
                    // It begins now: what is there is older.
                    after.records = after.records.map(|record| record.map(|_| Saved::Before));
                }
                after.seen[thing] = state.things[thing];
                let is_last = thing + 1 == THINGS;
                after.collector = if is_last {
                    Collector::ReadsLeases(0)
                } else {
                    Collector::Scans(thing + 1)
                };
                one("sees thing", thing, after)
            }
            Collector::ReadsLeases(build) => {
                if !self.lacks(Without::TheLeasesInTheScan) {
                    for thing in 0..THINGS {
                        after.kept[thing] |= state.leases[build][thing];
                    }
                }
                let is_last = build + 1 == BUILDS;
                after.collector = if is_last {
                    Collector::ListsNames(0)
                } else {
                    Collector::ReadsLeases(build + 1)
                };
                one("reads the lease of build", build, after)
            }
            Collector::ListsNames(thing) => {
                let passes_over = self.lacks(Without::TheYoungNames);
                let listed = after.records[thing].filter(|saved| !(*saved == Saved::Since && passes_over));
                after.named[thing] = listed.is_some();
                after.records[thing] = listed.map(|_| Saved::Listed).or(after.records[thing]);
                let is_last = thing + 1 == THINGS;
                after.collector = if is_last {
                    Collector::Chooses
                } else {
                    Collector::ListsNames(thing + 1)
                };
                one("looks for record", thing, after)
            }
            Collector::Chooses => self.choices(state),
            Collector::WantsLock(_) if self.is_written(state) => Vec::new(),
            Collector::WantsLock(victim) => {
                after.alone = true;
                after.collector = Collector::Reads(victim);
                one("takes the lock alone, for victim", victim, after)
            }
            Collector::Reads(victim) => {
                if !self.lacks(Without::TheLeasesUnderTheLock) {
                    after.leased = self.read_leases(state);
                }
                after.collector = Collector::Checks(victim);
                one("reads all leases, for victim", victim, after)
            }
            Collector::Checks(victim) => {
                after.collector = Collector::Removes(victim, self.may_go(state, victim));
                one("looks whether it may go, victim", victim, after)
            }
            Collector::Removes(victim, goes) => {
                match self.victims(state)[victim] {
                    Victim::Record(record) if goes => after.records[record] = None,
                    Victim::Thing(thing) if goes => after.things[thing] = None,
                    _ => {}
                }
                after.alone = false;
                after.leased = [false; THINGS];
                self.go_on(&mut after, victim + 1);
                one("is done with victim", victim, after)
            }
        }
    }

    /// A build writes its lease under the lock.
    fn is_written(&self, state: &State) -> bool {
        let writes = |build: &Build| matches!(build, Build::Writes(_));
        !self.lacks(Without::TheLockOfTheLease) && state.builds.iter().any(writes)
    }

    /// Anything may be chosen that it has seen and nobody relies on, in any order.
    fn choices(&self, state: &State) -> Vec<(Step, State)> {
        let may_go = |thing: usize| state.seen[thing].is_some() && !state.kept[thing];
        let subsets = (0..1 << THINGS).map(|set| std::array::from_fn(|thing| set & (1 << thing) != 0 && may_go(thing)));
        let orders = subsets.flat_map(|chosen| [(chosen, false), (chosen, true)]);
        let choice = |(chosen, backwards): ([bool; THINGS], bool)| {
            let goes = |record: usize| chosen[..=record].contains(&true);
            let mut after = State {
                chosen,
                backwards,
                // What is not needed any more is forgotten, so that fewer states differ.
                seen: std::array::from_fn(|thing| state.seen[thing].filter(|_| chosen[thing])),
                named: std::array::from_fn(|record| state.named[record] && goes(record)),
                kept: [false; THINGS],
                leased: [false; THINGS],
                ..state.clone()
            };
            self.go_on(&mut after, 0);
            (
                (
                    Who::Collection,
                    "chooses so many",
                    chosen.iter().filter(|is| **is).count(),
                ),
                after,
            )
        };
        orders.map(choice).collect()
    }

    /// Nobody relies on it, and it was not used, or saved again, since it was seen.
    fn may_go(&self, state: &State, victim: usize) -> bool {
        let goes_at_any_time = self.lacks(Without::TheTimeOfAThing);
        match self.victims(state)[victim] {
            Victim::Record(record) => goes_at_any_time || state.records[record] == Some(Saved::Listed),
            Victim::Thing(thing) => {
                !state.leased[thing] && (goes_at_any_time || state.things[thing] == state.seen[thing])
            }
        }
    }

    /// All victims, in the order in which they go.
    fn victims(&self, state: &State) -> Vec<Victim> {
        let mut things: Vec<usize> = (0..THINGS).filter(|thing| state.chosen[*thing]).collect();
        if state.backwards {
            things.reverse();
        }
        let mut victims = Vec::new();
        for thing in things {
            let at = victims.len();
            let last = if self.lacks(Without::TheFirstOfSeveral) {
                thing + 1
            } else {
                THINGS
            };
            let records = (thing..last).filter(|record| state.named[*record]).map(Victim::Record);
            let fresh: Vec<Victim> = records.filter(|record| !victims.contains(record)).collect();
            victims.extend(fresh);
            let place = if self.lacks(Without::TheNamesFirst) {
                at
            } else {
                victims.len()
            };
            victims.insert(place, Victim::Thing(thing));
        }
        victims
    }

    /// Goes to the next victim if there is one.
    fn go_on(&self, state: &mut State, next: usize) {
        match self.victims(state).len() {
            count if next < count => state.collector = Collector::WantsLock(next),
            _ => self.begin_again(state),
        }
    }

    /// A collection has ended, or died; another begins.
    pub(super) fn begin_again(&self, state: &mut State) {
        state.alone = false;
        state.collector = Collector::Scans(0);
        state.seen = [None; THINGS];
        state.backwards = false;
        for flags in [&mut state.named, &mut state.leased, &mut state.kept, &mut state.chosen] {
            *flags = [false; THINGS];
        }
    }
}
