//! What execution tells while it goes on.

use std::error::Error;
use std::time::Duration;

use super::MissReason;
use crate::cache::{CacheError, Change};
use crate::graph::VertexId;
use crate::op::key::CacheKey;

/// Hears of every vertex, from the one task that coordinates; must not block.
///
/// A vertex that is found in the cache is `hit`; one that runs is `started` and then `completed`, `failed` or
/// `cancelled`. Whenever a value is at hand, by either way or because it is a pinned source, it is `ready`.
pub trait Observer<V>: Send {
    /// The vertex was found in the cache, or hides behind one that was.
    fn hit(&mut self, _vertex: VertexId, _key: CacheKey) {}

    /// Another process makes the vertex's value; the vertex will be `hit` or `started` when that has ended.
    fn waits(&mut self, _vertex: VertexId) {}

    /// The vertex begins to run, for this reason; these particulars have changed.
    fn started(&mut self, _vertex: VertexId, _reason: &MissReason, _changes: &[Change]) {}

    /// The vertex has run and took this long.
    fn completed(&mut self, _vertex: VertexId, _took: Duration) {}

    /// The vertex failed; the build will end with this error.
    fn failed(&mut self, _vertex: VertexId, _error: &(dyn Error + 'static)) {}

    /// The vertex was running when the build was cancelled or another vertex failed.
    fn cancelled(&mut self, _vertex: VertexId) {}

    /// The value is known; work that only users of the result wait for may begin in the background.
    fn ready(&mut self, _vertex: VertexId, _value: &V, _key: CacheKey) {}

    /// A result could not be written to the cache: the build goes on, the next one will do the work again.
    fn not_saved(&mut self, _vertex: VertexId, _error: &CacheError) {}
}

/// Hears nothing.
impl<V> Observer<V> for () {}
