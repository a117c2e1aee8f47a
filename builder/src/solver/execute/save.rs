//! What an execution writes to the cache: always after those who wait for a result have started.

use super::coordinator::Coordinator;
use super::turn::Turn;
use crate::cache::Record;
use crate::graph::VertexId;
use crate::op::key::CacheKey;
use crate::solver::Evaluator;
use crate::solver::plan::Adoption;

/// Something for the cache, on behalf of a vertex.
#[derive(Debug)]
pub(super) enum Unsaved {
    /// A record that was made, further keys of it, and the turn that others may have once it is saved.
    Record(VertexId, Box<Record>, Vec<CacheKey>, Turn),
    /// A record of another machine.
    Adopted(Box<Adoption>),
    /// Further keys of a record that is there.
    Links(VertexId, Vec<CacheKey>, CacheKey),
}

impl<E: Evaluator> Coordinator<'_, E> {
    /// Saves what has been left to be saved.
    pub(super) fn save(&mut self) {
        for unsaved in std::mem::take(&mut self.unsaved) {
            match unsaved {
                Unsaved::Record(id, record, aliases, turn) => {
                    match self.problem.cache.save(&record) {
                        Ok(()) => self.link(id, aliases, record.key),
                        Err(error) => self.observer.not_saved(id, &error),
                    }
                    drop(turn);
                }
                Unsaved::Adopted(adoption) => self.adopt(*adoption),
                Unsaved::Links(id, aliases, key) => self.link(id, aliases, key),
            }
        }
    }

    /// Saves a record of another machine under the key that it was asked for by, and makes further keys lead to it.
    pub(super) fn adopt(&mut self, adoption: Adoption) {
        let Adoption {
            vertex,
            key,
            record,
            aliases,
        } = adoption;
        match self.problem.cache.adopt(key, &record) {
            Ok(()) => self.link(vertex, aliases, key),
            Err(error) => self.observer.not_saved(vertex, &error),
        }
    }

    /// Makes further keys lead to the record of a vertex.
    pub(super) fn link(&mut self, id: VertexId, aliases: impl IntoIterator<Item = CacheKey>, key: CacheKey) {
        for alias in aliases {
            if let Err(error) = self.problem.cache.link(alias, key) {
                self.observer.not_saved(id, &error);
            }
        }
    }
}
