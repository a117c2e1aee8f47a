//! From settled inputs to a hit or a place in the queue: the look-ups that the plan could not make.
//!
//! A vertex passes through at most four steps, each skipped if it has nothing to find: its definition key, when
//! that is not what the plan expected; the digests of what it reads; its content key; the queue. A key is looked up
//! on this machine first and then on others.

use std::collections::BTreeSet;
use std::sync::Arc;

use registry::oci::Digest;

use super::coordinator::Coordinator;
use super::turn::Turn;
use crate::cache::{Aspects, Record};
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
    /// The canonical key of a new value.
    pub(super) key: CacheKey,
    /// Whether that is only what another machine calls it.
    claimed: bool,
    /// Whether there was a record whose value is not to be had.
    refused: bool,
    /// Whether that has been there and is gone.
    pub(super) is_gone: bool,
    /// By which key it is being looked for.
    by: FindBy,
    /// How far it is on its way to run.
    pub(super) turn: Turn,
    /// On the word of which caches its key relies, besides those of its inputs.
    pub(super) relies_on: BTreeSet<String>,
    /// What people know it by, once it runs.
    pub(super) aspects: Aspects,
    /// The record that is being loaded.
    loading: Option<Loading>,
}

/// A record that is being loaded.
#[derive(Debug)]
struct Loading {
    record: Record,
    from: Whose,
}

/// Who has made what a record names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Whose {
    Ours,
    Theirs,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum FindBy {
    Definition,
    Content,
}

impl Draft {
    /// Looks by the key that depends on the least from now on: what two processes make under different definitions may
    /// be the same by its content.
    pub(super) fn seek_narrowest(&mut self) {
        if self.content.is_some() {
            self.by = FindBy::Content;
        }
    }

    /// Returns the key that it is being looked for by.
    pub(super) fn sought(&self) -> CacheKey {
        match (self.by, self.content) {
            (FindBy::Content, Some(content)) => content,
            (FindBy::Definition | FindBy::Content, _) => self.definition,
        }
    }

    /// Returns the key to save a new value under. What another machine claims may be the key of something else.
    pub(super) fn saved_under(&self) -> CacheKey {
        if self.claimed { self.sought() } else { self.key }
    }

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
            claimed: false,
            refused: false,
            is_gone: false,
            by: FindBy::Definition,
            turn: Turn::default(),
            relies_on: BTreeSet::new(),
            aspects: Aspects::default(),
            loading: None,
        };
        if vertex.op.ignores_cache() {
            draft.key = keys::forced_key(definition, &self.problem.build);
        } else if expected {
            draft.key = planned.key;
            draft.relies_on = self.known.relies_on(id);
            draft.claimed = planned.claimed;
            draft.is_gone = planned.decision == Decision::Run(MissReason::Evicted);
            draft.refused = draft.is_gone;
        } else {
            return self.find(id, draft);
        }
        self.read(id, draft);
    }

    /// Looks for a record under a key.
    fn find(&mut self, id: VertexId, draft: Draft) {
        match self.problem.cache.lookup(draft.sought()) {
            Some(record) if !(draft.refused && record.key == draft.key) => self.load(id, draft, Whose::Ours, record),
            _ => self.find_elsewhere(id, draft),
        }
    }

    /// Looks for a record of another machine under a key.
    fn find_elsewhere(&mut self, id: VertexId, draft: Draft) {
        let key = draft.sought();
        match (self.answers.get(key).cloned(), &self.problem.elsewhere) {
            (Some(record), _) => self.load(id, draft, Whose::Theirs, record),
            (None, Some(source)) if !self.answers.has(key) => {
                self.drafts.insert(id, draft);
                self.tasks.ask(id, Arc::clone(source), key);
            }
            (None, _) => self.not_found(id, draft),
        }
    }

    /// Goes on with a vertex after other machines were asked for it.
    pub(super) fn answered(&mut self, id: VertexId, answer: Option<Record>) {
        if let Some(draft) = self.drafts.remove(&id) {
            self.answers.note(draft.sought(), answer);
            self.find_elsewhere(id, draft);
        }
    }

    fn not_found(&mut self, id: VertexId, draft: Draft) {
        match draft.by {
            FindBy::Definition => self.read(id, draft),
            FindBy::Content => self.enqueue(id, draft),
        }
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
        if draft.content.is_none() || asked || vertex.op.ignores_cache() {
            return self.enqueue(id, draft);
        }
        draft.by = FindBy::Content;
        self.find(id, draft);
    }

    /// Loads a record of this machine.
    pub(super) fn load_ours(&mut self, id: VertexId, draft: Draft, record: Record) {
        self.load(id, draft, Whose::Ours, record);
    }

    fn load(&mut self, id: VertexId, mut draft: Draft, from: Whose, record: Record) {
        let loading = Loading { record, from };
        self.tasks.load(id, loading.record.clone());
        draft.loading = Some(loading);
        self.drafts.insert(id, draft);
    }

    /// Settles a vertex with the value of its record, or goes on without it.
    pub(super) fn loaded(&mut self, id: VertexId, value: Option<E::Value>) {
        let Some(mut draft) = self.drafts.remove(&id) else {
            return;
        };
        let Some(Loading { record, from }) = draft.loading.take() else {
            return;
        };
        match (value, from) {
            (Some(value), Whose::Ours) => {
                let under = draft.sought();
                self.found(id, &draft, under, (record.key, record.relies_on), value);
            }
            (Some(value), Whose::Theirs) => {
                let asked = draft.sought();
                self.adopted(id, &draft, asked, record, value);
            }
            (None, from) => {
                // Made anew it keeps its canonical key, so that everything above it hits as before.
                draft.refused = true;
                draft.is_gone |= !record.is_bare();
                draft.claimed = keys::is_claimed(&*self.problem.cache, &record, draft.definition, draft.content);
                draft.key = record.key;
                draft.relies_on.extend(record.relies_on);
                match from {
                    _ if matches!(draft.turn, Turn::Come(_)) => self.run(id, draft),
                    Whose::Ours => self.find_elsewhere(id, draft),
                    Whose::Theirs => self.not_found(id, draft),
                }
            }
        }
    }
}
