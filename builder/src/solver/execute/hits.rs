//! Vertices whose values need not be made: this machine has them, another has, or another vertex has just made them.

use std::collections::BTreeSet;

use super::coordinator::Coordinator;
use super::prepare::Draft;
use super::save::Unsaved;
use super::turn::Turn;
use crate::cache::Record;
use crate::graph::VertexId;
use crate::op::key::CacheKey;
use crate::solver::Evaluator;
use crate::solver::known::Identity;
use crate::solver::plan::Filing;

impl<E: Evaluator> Coordinator<'_, E> {
    /// Settles a vertex whose value need not be made; the key `under` leads to its record, which has a canonical key and
    /// relies on some caches.
    pub(super) fn found(
        &mut self,
        id: VertexId,
        draft: &Draft,
        under: CacheKey,
        (key, relied): (CacheKey, BTreeSet<String>),
        value: E::Value,
    ) {
        let vertex = self.vertex(id);
        // What the keys of the vertex rely on, a link to a record that relies on less would not tell.
        let mut aliases = match self.known.inherited(vertex).is_subset(&relied) {
            true => draft.aliases(&self.places, vertex),
            false => self.places.keys(vertex).to_vec(),
        };
        aliases.retain(|alias| *alias != under);
        self.leads.insert(id, under);
        self.unsaved.push(Unsaved::Links(id, aliases, under));
        self.known.rely(id, relied);
        self.hit(id, draft, key, value);
    }

    /// Settles a vertex whose value another machine has made; its record was asked for by `asked`.
    pub(super) fn adopted(
        &mut self,
        id: VertexId,
        draft: &Draft,
        asked: CacheKey,
        mut record: Record,
        value: E::Value,
    ) {
        let vertex = self.vertex(id);
        let (mut aliases, key) = (draft.aliases(&self.places, vertex), record.key);
        aliases.retain(|alias| *alias != asked);
        self.leads.insert(id, asked);
        record.relies_on.append(&mut self.known.inherited(vertex));
        self.known.rely(id, record.relies_on.clone());
        let filing = Filing {
            vertex: id,
            under: asked,
            record,
            aliases,
        };
        self.unsaved.push(Unsaved::Record(Box::new(filing), Turn::default()));
        self.hit(id, draft, key, value);
    }

    pub(super) fn hit(&mut self, id: VertexId, draft: &Draft, key: CacheKey, value: E::Value) {
        self.turned_out(id, draft);
        self.observer.hit(id, key);
        self.settle(id, Identity::Named(key), value);
    }

    /// Notes the keys that a vertex has in the end, where the plan did not know them.
    pub(super) fn turned_out(&mut self, id: VertexId, draft: &Draft) {
        if let Some(planned) = self.planned.get_mut(&id) {
            planned.definition = draft.definition;
            planned.content = draft.content;
        }
    }
}
