//! The places of vertices: where the record of an earlier build is found again, to compare a miss with.
//!
//! A vertex has two, in its stage and for its platform. One is by its operation, which finds it again though other instructions were put before
//! it; one by its position among the operations of its kind in its stage, which finds it though it was edited.
//! Both are links in the cache to the last record that was made there.

use std::collections::HashMap;
use std::hash::Hash;

use registry::oci::Digest;

use crate::cache::{CacheStore, Record};
use crate::graph::{Graph, Vertex};
use crate::op::key::{CacheKey, Define, KeyHasher};

/// The keys of all places of a graph.
#[derive(Debug)]
pub(super) struct Places {
    keys: Vec<[CacheKey; 2]>,
}

impl Places {
    /// Finds the places of all vertices; `scope` keeps those of other Dockerfiles apart.
    pub(super) fn new<O: Define>(scope: &str, graph: &Graph<O>) -> Self {
        let mut operations: HashMap<(&str, &str, Digest), u64> = HashMap::new();
        let mut kinds: HashMap<(&str, &str, &str), u64> = HashMap::new();
        let keys = graph.iter().map(|vertex| {
            let (stage, platform) = (vertex.meta.stage.as_str(), vertex.meta.platform.as_str());
            let (kind, operation) = (vertex.op.kind(), vertex.operation);
            let mut by_operation = KeyHasher::new("place-of-operation/2");
            by_operation.text(scope).text(stage).text(platform).digest(operation);
            by_operation.number(next(&mut operations, (stage, platform, operation)));
            let mut by_position = KeyHasher::new("place-of-kind/2");
            by_position.text(scope).text(stage).text(platform).text(kind);
            by_position.number(next(&mut kinds, (stage, platform, kind)));
            [by_operation.finish(), by_position.finish()]
        });
        Self { keys: keys.collect() }
    }

    /// Returns the last record that was made in the place of a vertex.
    pub(super) fn last<O>(&self, cache: &dyn CacheStore, vertex: &Vertex<O>) -> Option<Record> {
        self.keys(vertex).into_iter().find_map(|key| cache.lookup(key))
    }

    /// Returns the keys to link to the record of a vertex, so that [`Places::last`] finds it.
    pub(super) fn keys<O>(&self, vertex: &Vertex<O>) -> [CacheKey; 2] {
        self.keys[vertex.id.index()]
    }
}

/// Returns how many were counted before this one.
fn next<K: Hash + Eq>(counts: &mut HashMap<K, u64>, key: K) -> u64 {
    let count = counts.entry(key).or_default();
    *count += 1;
    *count - 1
}
