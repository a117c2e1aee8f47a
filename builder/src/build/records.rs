//! What the steps of a build have come to, as caches elsewhere can keep it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use snapshotter::SnapshotName;

use crate::cache::Record;
use crate::graph::VertexId;
use crate::op::key::CacheKey;
use crate::ops::{Ops, Rootfs, Value};
use crate::remote_cache::{Entry, EntryLayer};
use crate::solver::{self, Evaluator as _, Problem, Solution};

/// A record of the cache, and what it tells of.
pub(super) struct BuiltRecord {
    /// The vertex.
    pub(super) vertex: VertexId,
    /// The vertex's name.
    name: String,
    /// The definition key, then others that surely mean the same.
    keys: Vec<CacheKey>,
    record: Record,
    /// The root file system; `None` if it is gone.
    pub(super) files: Option<Rootfs>,
    /// Whether the step ran in this build.
    pub(super) is_new: bool,
    /// Whether the result has all of its layers.
    pub(super) is_in_result: bool,
}

/// Finds the records of all steps, inputs first, after a build that `began` at that time.
pub(super) async fn gather(problem: &Problem<Ops>, solution: &Solution<Value>, began: Timestamp) -> Vec<BuiltRecord> {
    let targets = solution.targets.values().filter_map(|target| files(&target.value));
    let result: BTreeSet<&SnapshotName> = targets.flat_map(snapshots).collect();
    let mut seen = BTreeSet::new();
    let mut records = Vec::new();
    for (&vertex, keys) in &solution.keys {
        if !seen.insert(keys.definition) {
            continue;
        }
        let lookup = |key| problem.cache.lookup(key);
        // What relies on a cache more than its record does is not linked to it.
        let Some(record) = lookup(keys.definition).or_else(|| lookup(keys.content?)) else {
            continue;
        };
        let vertex = problem.graph.vertex(vertex);
        let value = problem.evaluator.load(vertex, &record).await;
        let files = value.as_ref().and_then(files).cloned();
        let mut known = vec![keys.definition];
        known.extend(keys.content);
        // What another machine says of how a value was made is good enough to use it, not to spread it.
        let top = files.as_ref().and_then(|files| files.layers.last());
        if top.is_some_and(|layer| layer.imported.is_none()) {
            known.extend(solver::keys_of(&record.lineage));
        }
        let mut distinct = BTreeSet::new();
        known.retain(|key| distinct.insert(*key));
        records.push(BuiltRecord {
            vertex: vertex.id,
            name: vertex.meta.name.clone(),
            is_in_result: files
                .as_ref()
                .is_some_and(|files| snapshots(files).all(|snapshot| result.contains(snapshot))),
            keys: known,
            files,
            is_new: record
                .created
                .parse::<Timestamp>()
                .is_ok_and(|created| created >= began),
            record,
        });
    }
    records
}

impl BuiltRecord {
    /// Returns whether the record says more than its content: that the keys of what lies above are other than they seem.
    pub(super) fn is_renamed(&self) -> bool {
        self.keys.first() != Some(&self.record.key)
    }

    /// Returns the keys that the record is found by.
    pub(super) fn keys(&self) -> &[CacheKey] {
        &self.keys
    }

    /// Returns the entry for a cache; `layers` are `None` if only the canonical key is told.
    pub(super) fn entry(&self, keys: &[CacheKey], layers: Option<Vec<EntryLayer>>) -> Entry {
        let base = self.files.as_ref().and_then(|files| files.base.as_ref());
        Entry {
            name: self.name.clone(),
            keys: keys.to_vec(),
            key: self.record.key,
            created: self.record.created.clone(),
            lineage: self.record.lineage.clone(),
            base: base.filter(|_| layers.is_some()).and_then(|base| base.chain_id()),
            layers,
        }
    }
}

fn files(value: &Value) -> Option<&Rootfs> {
    match value {
        Value::Files(files) => Some(files),
        Value::Context(_) => None,
    }
}

fn snapshots(files: &Rootfs) -> impl Iterator<Item = &SnapshotName> {
    files.layers.iter().map(|layer| &layer.snapshot)
}
