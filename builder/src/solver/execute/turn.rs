//! A vertex's turn to run: at once in this process, and after others that make the same in other processes.
//!
//! Before it runs, a vertex enters the flight of its narrowest key. If another process is in it, the vertex waits, with
//! the job that it has; then it is looked up once more, and most often it need not run any more.

use super::coordinator::Coordinator;
use super::prepare::Draft;
use crate::graph::VertexId;
use crate::op::key::Define;
use crate::solver::Evaluator;
use crate::state_dir::Flight;

/// How far a vertex is on its way to run.
#[derive(Debug, Default)]
pub(super) enum Turn {
    /// It has no job yet.
    #[default]
    Ahead,
    /// It has one, and another process makes its value.
    Waits,
    /// No other process makes its value for as long as the flight is held; without one, nobody is asked.
    Come(#[expect(dead_code, reason = "held for its lock")] Option<Flight>),
}

impl<E: Evaluator> Coordinator<'_, E> {
    /// Gives a vertex a job.
    pub(super) fn begin(&mut self, id: VertexId, mut draft: Draft) {
        draft.seek_narrowest();
        let flights = self.problem.flights.clone();
        // What is made without asking the cache is of use to no other build.
        let flights = flights.filter(|_| !self.vertex(id).op.ignores_cache());
        let Some(flights) = flights else {
            draft.turn = Turn::Come(None);
            return self.run(id, draft);
        };
        match flights.try_enter(&draft.sought().hex()) {
            Ok(Some(flight)) => self.come(id, draft, Some(flight)),
            Ok(None) => {
                self.observer.waits(id);
                self.tasks.enter(id, flights, draft.sought());
                draft.turn = Turn::Waits;
                self.drafts.insert(id, draft);
            }
            // Work done twice is better than none.
            Err(_) => self.come(id, draft, None),
        }
    }

    /// Goes on with a vertex that has waited for others.
    pub(super) fn entered(&mut self, id: VertexId, flight: Option<Flight>) {
        if let Some(draft) = self.drafts.remove(&id) {
            self.come(id, draft, flight);
        }
    }

    /// Looks a vertex up for the last time: whoever was in the flight before has saved its record before leaving.
    fn come(&mut self, id: VertexId, mut draft: Draft, flight: Option<Flight>) {
        draft.turn = Turn::Come(flight);
        match self.problem.cache.lookup(draft.sought()) {
            Some(record) => self.load_ours(id, draft, record),
            None => self.run(id, draft),
        }
    }
}
