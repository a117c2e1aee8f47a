//! Execution: follows a plan with everything that is ready in parallel.
//!
//! One task, the coordinator, owns all state and hears from the others when they end; there is no lock. A
//! vertex whose inputs are settled is prepared (keys, look-ups, digests of content), then queued, then run when
//! a job is free. Work with equal keys is done once: the second vertex waits for the first and takes its value, also when
//! another process makes it (`turn.rs`).
//! At the first failure, panic or cancellation the rest is cancelled and awaited; what it completes meanwhile
//! is still saved.

mod coordinator;
mod hits;
mod prepare;
mod save;
mod tasks;
mod turn;

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;

use tokio_util::sync::CancellationToken;

use self::coordinator::Coordinator;
use super::{Evaluator, Failure, Observer, Plan, Problem};
use crate::graph::VertexId;
use crate::op::key::CacheKey;

/// What execution has to stay within.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// How many vertices may run at a time; `None` is as many as are ready.
    pub jobs: Option<NonZeroUsize>,
    /// Ends the build when cancelled.
    pub cancel: CancellationToken,
}

/// The value of a target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Solved<V> {
    /// The value.
    pub value: V,
    /// Its canonical key.
    pub key: CacheKey,
}

/// What an execution has come to.
#[derive(Clone, Debug)]
pub struct Solution<V> {
    /// The targets.
    pub targets: HashMap<VertexId, Solved<V>>,
    /// Under which keys the cache has the value of each vertex that is no source, inputs first; of those that were
    /// not needed it may have none.
    pub keys: BTreeMap<VertexId, VertexKeys>,
}

/// The keys that a vertex turned out to have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VertexKeys {
    /// The definition key.
    pub definition: CacheKey,
    /// The content key, if it was computed.
    pub content: Option<CacheKey>,
}

/// Executes a plan and returns the values of the targets.
///
/// Must be called on a tokio runtime. Records are read and written on the calling thread: they are small.
///
/// # Errors
/// The first failure of an operation, with its vertex; a panic in one; or the cancellation by the caller. A later failure
/// that is lasting ([`Evaluator::is_lasting`]) takes its place. All that was started has ended by then.
pub async fn execute<E: Evaluator>(
    problem: &Problem<E>,
    plan: Plan<E::Value>,
    limits: Limits,
    observer: &mut dyn Observer<E::Value>,
) -> Result<Solution<E::Value>, Failure<E::Error>> {
    Coordinator::new(problem, plan, limits, observer).execute().await
}
