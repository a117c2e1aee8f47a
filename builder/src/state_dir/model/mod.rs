//! Models of what processes do to a state directory at the same time, all interleavings of which are tried.
//!
//! A model is the algorithm of a file beside it, one step for each thing that other processes can see happen in between, and
//! a process may die before any of them: `collection` follows `lease.rs`, `sweep.rs` and the scan of `crate::collect`,
//! `flight` follows `flight.rs`, `scratch.rs` and `lock.rs`. Whoever changes those changes the model with them. Each rule of
//! an algorithm that looks as if it could be left out is left out in a mutation, for which the model must find a way to
//! break a promise: so what passes has been looked for by something that finds such things.
//!
//! The explorer is our own: it takes forty lines, and what a crate for this brings along (servers, random walks) is not
//! needed.

mod collection;
mod flight;

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;

/// What was done: by whom, what, and to which.
type Step = (Who, &'static str, usize);

/// Who has done something.
#[derive(Clone, Copy)]
enum Who {
    Process(usize),
    Collection,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(number) => write!(f, "process {number}"),
            Self::Collection => f.write_str("the collection"),
        }
    }
}

/// Processes and what they share.
trait Model {
    /// All that the next steps depend on.
    type State: Clone + Eq + Hash;

    /// Returns the states in which it may begin.
    fn initial(&self) -> Vec<Self::State>;

    /// Returns what each step that is possible leads to; none where all have ended.
    fn steps(&self, state: &Self::State) -> Vec<(Step, Self::State)>;

    /// Returns the promise that is broken in a state.
    fn broken(&self, state: &Self::State) -> Option<String>;

    /// Returns whether it may stay like this for good.
    fn may_end(&self, state: &Self::State) -> bool;
}

/// Visits every state that can be reached, in the order of their distance. Returns how many there are, or the shortest way
/// to one in which a promise is broken or nobody can go on.
fn explore<M: Model>(model: &M) -> Result<usize, String> {
    let mut origins: HashMap<M::State, Option<(Step, usize)>> = HashMap::new();
    let mut states: Vec<M::State> = Vec::new();
    for state in model.initial() {
        if origins.insert(state.clone(), None).is_none() {
            states.push(state);
        }
    }
    let mut next = 0;
    while next < states.len() {
        let state = states[next].clone();
        let steps = model.steps(&state);
        let stuck = (steps.is_empty() && !model.may_end(&state)).then(|| "nobody can go on".to_owned());
        if let Some(problem) = model.broken(&state).or(stuck) {
            return Err(way(&origins, &states, state) + &problem);
        }
        for (done, reached) in steps {
            if !origins.contains_key(&reached) {
                origins.insert(reached.clone(), Some((done, next)));
                states.push(reached);
            }
        }
        next += 1;
    }
    Ok(states.len())
}

/// Tells how a state was reached, a line for each step.
fn way<S: Eq + Hash>(origins: &HashMap<S, Option<(Step, usize)>>, states: &[S], last: S) -> String {
    let mut lines = Vec::new();
    let mut state = &last;
    while let Some(Some((done, from))) = origins.get(state) {
        let (who, done, which) = done;
        lines.push(format!("{who} {done} {which}\n"));
        state = &states[*from];
    }
    lines.into_iter().rev().collect()
}
