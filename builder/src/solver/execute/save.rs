//! What an execution writes to the cache: always after those who wait for a result have started.

use jiff::Timestamp;

use super::coordinator::Coordinator;
use super::prepare::Draft;
use super::turn::Turn;
use crate::cache::{Aspects, CacheError, Record};
use crate::graph::VertexId;
use crate::op::key::CacheKey;
use crate::solver::Evaluator;
use crate::solver::plan::Filing;

/// Something for the cache, on behalf of a vertex.
#[derive(Debug)]
pub(super) enum Unsaved {
    /// A record, and the turn that others may have once it is saved.
    Record(Box<Filing>, Turn),
    /// Further keys of a record that is there.
    Links(VertexId, Vec<CacheKey>, CacheKey),
}

impl<E: Evaluator> Coordinator<'_, E> {
    /// Saves what has been left to be saved.
    pub(super) fn save(&mut self) {
        for unsaved in std::mem::take(&mut self.unsaved) {
            match unsaved {
                Unsaved::Record(filing, turn) => {
                    self.file(*filing);
                    drop(turn);
                }
                Unsaved::Links(id, aliases, key) => self.link(id, aliases, key),
            }
        }
    }

    /// Leaves what a vertex has made to be saved.
    pub(super) fn keep(&mut self, id: VertexId, draft: &mut Draft, payload: serde_json::Value) {
        let vertex = self.vertex(id);
        let under = draft.saved_under();
        let mut aliases = draft.aliases(&self.places, vertex);
        aliases.retain(|alias| *alias != under);
        self.leads.insert(id, under);
        let record = Record {
            key: draft.key,
            payload,
            created: Timestamp::now().to_string(),
            lineage: self.known.lineage(vertex),
            aspects: std::mem::take(&mut draft.aspects),
            relies_on: self.known.relies_on(id),
        };
        let filing = Filing {
            vertex: id,
            under,
            record,
            aliases,
        };
        let turn = std::mem::take(&mut draft.turn);
        self.unsaved.push(Unsaved::Record(Box::new(filing), turn));
    }

    /// Saves a record, and makes further keys lead to it. One too large for its frame does without what it tells people.
    pub(super) fn file(&mut self, filing: Filing) {
        let Filing {
            vertex,
            under,
            mut record,
            aliases,
        } = filing;
        let mut saved = self.write(under, &record);
        if matches!(saved, Err(CacheError::TooLarge { .. })) && record.aspects != Aspects::default() {
            record.aspects = Aspects::default();
            saved = self.write(under, &record);
        }
        match saved {
            Ok(()) => self.link(vertex, aliases, under),
            Err(error) => self.observer.not_saved(vertex, &error),
        }
    }

    fn write(&self, under: CacheKey, record: &Record) -> Result<(), CacheError> {
        match under == record.key {
            true => self.problem.cache.save(record),
            false => self.problem.cache.adopt(under, record),
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
