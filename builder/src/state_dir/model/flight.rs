//! Flights, scratch space, and snapshots that are being made (`snapshotter`): files that are locked while somebody works, and removed by whoever finds them abandoned.

use super::{Model, Step, Who, explore};

/// Processes that enter the flight; one more reclaims what the dead leave.
const MAKERS: usize = 3;
/// Inodes that can be open or have the name at once: one for each process, and one with the name that nobody has open.
const INODES: usize = MAKERS + 2;

/// A rule of the algorithm that is not followed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Without {
    Nothing,
    /// Whoever has locked a file sees whether it still has its name.
    TheLookAtItsName,
    /// The name goes before the lock.
    TheOrderOfLeaving,
    /// Whoever reclaims a file has it locked until its name is gone.
    TheLockOfWhoReclaims,
}

/// Where a process is. The number is the inode that it has open.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum At {
    Outside,
    Opened(usize),
    Locked(usize),
    Inside(usize),
    /// Between the two steps of leaving.
    Leaving(usize),
    Gone,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct State {
    /// The inode that has the name.
    named: Option<usize>,
    /// Who has locked each inode.
    locked: [Option<usize>; INODES],
    makers: [At; MAKERS],
    reclaimer: At,
}

struct Flights {
    without: Without,
}

impl State {
    fn at(&mut self, process: usize) -> &mut At {
        match process {
            MAKERS => &mut self.reclaimer,
            maker => &mut self.makers[maker],
        }
    }

    fn is_open(&self, inode: usize) -> bool {
        let all = self.makers.iter().chain([&self.reclaimer]);
        let mut open = all.filter_map(|at| match at {
            At::Opened(inode) | At::Locked(inode) | At::Inside(inode) | At::Leaving(inode) => Some(*inode),
            At::Outside | At::Gone => None,
        });
        open.any(|open| open == inode)
    }

    /// Ends what a process has open, and the lock with it.
    fn close(&mut self, process: usize, then: At) {
        for lock in &mut self.locked {
            lock.take_if(|owner| *owner == process);
        }
        *self.at(process) = then;
    }

    fn remove_name(&mut self) {
        self.named = None;
    }
}

impl Flights {
    /// What a process does next.
    fn step(&self, state: &State, process: usize) -> Option<(&'static str, State)> {
        let mut after = state.clone();
        let is_reclaimer = process == MAKERS;
        let done = match *after.at(process) {
            At::Gone => return None,
            At::Outside => {
                let inode = match state.named {
                    Some(inode) => inode,
                    // There is nothing to reclaim.
                    None if is_reclaimer => return None,
                    None => (0..INODES).find(|inode| !state.is_open(*inode))?,
                };
                after.named = Some(inode);
                *after.at(process) = At::Opened(inode);
                "opens the file"
            }
            At::Opened(inode) if state.locked[inode].is_some() => {
                after.close(process, At::Outside);
                "finds it locked"
            }
            At::Opened(inode) => {
                after.locked[inode] = Some(process);
                *after.at(process) = At::Locked(inode);
                "locks it"
            }
            At::Locked(inode) if state.named != Some(inode) && self.without != Without::TheLookAtItsName => {
                after.close(process, At::Outside);
                "sees that it has no name any more"
            }
            At::Locked(inode) if is_reclaimer && self.without == Without::TheLockOfWhoReclaims => {
                after.locked[inode] = None;
                *after.at(process) = At::Leaving(inode);
                "unlocks what it reclaims"
            }
            At::Leaving(_) if is_reclaimer => {
                after.remove_name();
                after.close(process, At::Outside);
                "reclaims it"
            }
            At::Locked(_) if is_reclaimer => {
                after.remove_name();
                after.close(process, At::Outside);
                "reclaims it"
            }
            At::Locked(inode) => {
                *after.at(process) = At::Inside(inode);
                "is inside"
            }
            At::Inside(inode) if self.without == Without::TheOrderOfLeaving => {
                after.locked[inode] = None;
                *after.at(process) = At::Leaving(inode);
                "unlocks it"
            }
            At::Inside(inode) => {
                after.remove_name();
                *after.at(process) = At::Leaving(inode);
                "removes the name"
            }
            At::Leaving(_) => {
                if self.without == Without::TheOrderOfLeaving {
                    after.remove_name();
                }
                after.close(process, At::Gone);
                "is gone"
            }
        };
        Some((done, after))
    }
}

impl Model for Flights {
    type State = State;

    fn initial(&self) -> Vec<State> {
        let nobody = State {
            named: None,
            locked: [None; INODES],
            makers: [At::Outside; MAKERS],
            reclaimer: At::Outside,
        };
        // What a dead process has left is there, or not.
        let left = State {
            named: Some(0),
            ..nobody.clone()
        };
        vec![nobody, left]
    }

    fn steps(&self, state: &State) -> Vec<(Step, State)> {
        let mut steps = Vec::new();
        for process in 0..=MAKERS {
            let step = self.step(state, process);
            steps.extend(step.map(|(done, after)| ((Who::Process(process), done, 0), after)));
            let mut dead = state.clone();
            if !matches!(dead.at(process), At::Outside | At::Gone) {
                // Reclaiming is done again and again.
                let then = if process == MAKERS { At::Outside } else { At::Gone };
                dead.close(process, then);
                steps.push(((Who::Process(process), "dies", 0), dead));
            }
        }
        steps
    }

    fn broken(&self, state: &State) -> Option<String> {
        let inside: Vec<usize> = state
            .makers
            .iter()
            .filter_map(|at| match at {
                At::Inside(inode) => Some(*inode),
                _ => None,
            })
            .collect();
        if inside.len() > 1 {
            return Some("two are inside".to_owned());
        }
        let unnamed = inside.iter().any(|inode| state.named != Some(*inode));
        unnamed.then(|| "what somebody works in was taken away".to_owned())
    }

    fn may_end(&self, state: &State) -> bool {
        state.makers.iter().all(|at| *at == At::Gone) && state.named.is_none()
    }
}

#[test]
fn one_is_inside_at_a_time_whoever_dies_and_nothing_is_left() {
    let states = explore(&Flights {
        without: Without::Nothing,
    });
    assert!(states.unwrap() > 1000);
}

#[test]
fn no_rule_of_a_flight_can_be_left_out() {
    for (without, problem) in [
        (Without::TheLookAtItsName, "what somebody works in was taken away"),
        (Without::TheOrderOfLeaving, "what somebody works in was taken away"),
        (Without::TheLockOfWhoReclaims, "what somebody works in was taken away"),
    ] {
        let found = explore(&Flights { without }).unwrap_err();
        assert!(found.ends_with(problem), "{found}");
    }
}
