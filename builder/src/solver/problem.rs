//! What is to be solved.

use std::sync::Arc;

use super::Evaluator;
use crate::cache::{CacheStore, RecordSource};
use crate::graph::{Graph, VertexId};
use crate::state_dir::Flights;

/// A graph, what is wanted of it, and what it takes.
pub struct Problem<E: Evaluator> {
    /// The build.
    pub graph: Arc<Graph<E::Op>>,
    /// The vertices whose values are wanted.
    pub targets: Vec<VertexId>,
    /// Who makes values.
    pub evaluator: Arc<E>,
    /// Where records of earlier builds are.
    pub cache: Arc<dyn CacheStore>,
    /// Where records of other machines are, if anywhere.
    pub elsewhere: Option<Arc<dyn RecordSource>>,
    /// What keeps other processes with the same cache from doing the same work, if there are any.
    pub flights: Option<Flights>,
    /// What tells the builds of one Dockerfile and platform from others in the same cache, so that a miss is
    /// compared with the right earlier build; has no effect on keys.
    pub scope: String,
    /// The name of this build, which no other build anywhere has.
    pub build: String,
}
