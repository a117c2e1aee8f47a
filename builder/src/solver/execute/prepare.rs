//! From settled inputs to a hit or a place in the queue: the look-ups that the plan could not make.
//!
//! A vertex passes through at most four steps, each skipped if it has nothing to find: its definition key, when
//! that is not what the plan expected; the digests of what it reads; its content key; the queue.

use registry::oci::Digest;

use super::coordinator::Coordinator;
use crate::cache::Record;
use crate::graph::{Vertex, VertexId};
use crate::op::key::{CacheKey, Define};
use crate::solver::places::Places;
use crate::solver::{Decision, Evaluator, MissReason, keys};

/// A vertex on its way to a value.
#[derive(Debug)]
pub(super) struct Draft {
    /// The definition key.
    pub(super) definition: CacheKey,
    /// The content key, once known.
    pub(super) content: Option<CacheKey>,
    /// The canonical key to save a new value under.
    pub(super) key: CacheKey,
    /// Whether there was a record whose content is gone.
    pub(super) refused: bool,
    /// The record that is being loaded, and by which key it was found.
    loading: Option<(FoundBy, CacheKey)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum FoundBy {
    Definition,
    Content,
}

impl Draft {
    /// Returns every key that means the value of this vertex.
    pub(super) fn keys(&self) -> Vec<CacheKey> {
        [self.key, self.definition].into_iter().chain(self.content).collect()
    }

    /// Returns the keys to link to the value's record: also the place, for later misses to be compared.
    pub(super) fn aliases<O>(&self, places: &Places, vertex: &Vertex<O>) -> Vec<CacheKey> {
        let keys = [self.definition].into_iter().chain(self.content);
        keys.chain(places.keys(vertex)).collect()
    }
}

impl<E: Evaluator> Coordinator<'_, E> {
    /// Looks a vertex up again if its definition is not the one that was planned, as when an input was expected
    /// to be new and turned out to be in the cache.
    pub(super) fn prepare(&mut self, id: VertexId) {
        let vertex = self.vertex(id);
        let planned = &self.planned[&id];
        let definition = keys::definition_key(&self.known.lineage(vertex));
        let expected = definition == planned.definition;
        let mut draft = Draft {
            definition,
            content: None,
            key: definition,
            refused: false,
            loading: None,
        };
        if vertex.op.ignores_cache() {
            draft.key = keys::forced_key(definition, &self.problem.build);
        } else if !expected && let Some(record) = self.problem.cache.lookup(definition) {
            return self.load(id, draft, FoundBy::Definition, record);
        } else if expected {
            draft.key = planned.key;
            draft.refused = planned.decision == Decision::Run(MissReason::Evicted);
        }
        self.read(id, draft);
    }

    /// Digests what the vertex reads and nobody has digested yet.
    fn read(&mut self, id: VertexId, draft: Draft) {
        let unread = self.known.unread(self.vertex(id));
        if unread.is_empty() {
            return self.probe(id, draft);
        }
        let inputs = unread
            .into_iter()
            .map(|(position, input)| (position, self.value(input)));
        let inputs = inputs.collect();
        self.drafts.insert(id, draft);
        self.tasks.read(id, inputs);
    }

    /// Goes on with a vertex whose reading is done.
    pub(super) fn was_read(&mut self, id: VertexId, contents: Vec<(usize, Digest)>) {
        for (position, content) in contents {
            self.known.read(id, position, content);
        }
        if let Some(draft) = self.drafts.remove(&id) {
            self.probe(id, draft);
        }
    }

    /// Looks the vertex up by its content, if the plan could not.
    fn probe(&mut self, id: VertexId, mut draft: Draft) {
        let vertex = self.vertex(id);
        draft.content = keys::content_key(&self.known.lineage(vertex));
        let asked = draft.content == self.planned[&id].content && !draft.refused;
        if let Some(content) = draft.content
            && !asked
            && !vertex.op.ignores_cache()
            && let Some(record) = self.problem.cache.lookup(content)
            && !(draft.refused && record.key == draft.key)
        {
            return self.load(id, draft, FoundBy::Content, record);
        }
        self.enqueue(id, draft);
    }

    fn load(&mut self, id: VertexId, mut draft: Draft, found_by: FoundBy, record: Record) {
        draft.loading = Some((found_by, record.key));
        self.drafts.insert(id, draft);
        self.tasks.load(id, record);
    }

    /// Settles a vertex with the value of its record, or goes on without it.
    pub(super) fn loaded(&mut self, id: VertexId, value: Option<E::Value>) {
        let Some(mut draft) = self.drafts.remove(&id) else {
            return;
        };
        let Some((found_by, key)) = draft.loading.take() else {
            return;
        };
        match (value, found_by) {
            (Some(value), _) => self.found(id, &draft, key, value),
            (None, found_by) => {
                // Made anew it keeps its canonical key, so that everything above it hits as before.
                draft.refused = true;
                draft.key = key;
                match found_by {
                    FoundBy::Definition => self.read(id, draft),
                    FoundBy::Content => self.enqueue(id, draft),
                }
            }
        }
    }
}
