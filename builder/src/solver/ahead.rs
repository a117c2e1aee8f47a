//! Asking other machines: all keys that a plan will need at once, because each question is a journey.
//!
//! Keys follow from keys, so the planner first forecasts: it computes the keys that all vertices will have if nothing
//! unforeseen is found, and asks for those that this machine cannot answer. An answer may change the keys of what
//! lies above it (its canonical key is another than was thought); then the forecast is made again, until it raises no
//! new question. A build whose canonical keys are the usual ones takes one round.

use std::collections::{BTreeSet, HashMap};

use super::known::{Identity, Known};
use super::plan::Planner;
use super::{Evaluator, keys};
use crate::cache::{Record, RecordSource};
use crate::graph::{Vertex, VertexId};
use crate::op::key::{CacheKey, Define};

/// What other machines have answered in this build.
#[derive(Default, Debug)]
pub(super) struct Answers(HashMap<CacheKey, Option<Record>>);

impl Answers {
    /// Returns whether a key was asked for.
    pub(super) fn has(&self, key: CacheKey) -> bool {
        self.0.contains_key(&key)
    }

    /// Returns the record that was the answer.
    pub(super) fn get(&self, key: CacheKey) -> Option<&Record> {
        self.0.get(&key)?.as_ref()
    }

    /// Notes the answer to one question.
    pub(super) fn note(&mut self, key: CacheKey, answer: Option<Record>) {
        self.0.insert(key, answer);
    }

    /// Asks for keys, all at once.
    pub(super) async fn ask(&mut self, source: &dyn RecordSource, keys: &[CacheKey]) {
        let mut answers = source.ask(keys).await;
        for &key in keys {
            self.note(key, answers.remove(&key));
        }
    }
}

/// What is thought of the vertices that have not been looked up yet.
#[derive(Default, Debug)]
pub(super) struct Forecast {
    definitions: HashMap<VertexId, CacheKey>,
    /// Vertices, looked up or not, that will be needed and that no value is at hand for.
    lacking: BTreeSet<VertexId>,
    /// Definition keys whose record on this machine names content that is gone.
    gone: BTreeSet<CacheKey>,
}

impl Forecast {
    /// Returns whether a vertex has the definition key that it was thought to have.
    pub(super) fn is_right(&self, vertex: VertexId, definition: CacheKey) -> bool {
        self.definitions.get(&vertex) == Some(&definition)
    }

    /// Returns whether a value is needed of a vertex and none is at hand, as far as that was foreseen.
    pub(super) fn lacks(&self, vertex: VertexId) -> bool {
        self.lacking.contains(&vertex)
    }

    /// Returns whether what the record under a definition key names is known to be gone.
    pub(super) fn is_gone(&self, definition: CacheKey) -> bool {
        self.gone.contains(&definition)
    }
}

impl<E: Evaluator> Planner<'_, E> {
    /// Asks for all records that the rest of the plan will need and this machine does not have.
    pub(super) async fn ask_ahead(&mut self) {
        let Some(source) = &self.problem.elsewhere else {
            return;
        };
        loop {
            self.forecast.definitions = self.forecast_definitions();
            let unanswered = self.unanswered().await;
            if unanswered.is_empty() {
                return;
            }
            self.answers.ask(&**source, &unanswered).await;
        }
    }

    /// Computes the definition keys of the vertices that were not looked up yet.
    fn forecast_definitions(&self) -> HashMap<VertexId, CacheKey> {
        let mut known: Known = self.known.clone();
        let mut definitions = HashMap::new();
        for &id in self.needed {
            if known.is_identified(id) {
                continue;
            }
            let vertex = self.problem.graph.vertex(id);
            let definition = keys::definition_key(&known.lineage(vertex));
            let key = if vertex.op.ignores_cache() {
                keys::forced_key(definition, &self.problem.build)
            } else {
                self.record(definition).map_or(definition, |record| record.key)
            };
            known.identify(id, Identity::Named(key));
            definitions.insert(id, definition);
        }
        definitions
    }

    /// Returns the keys to ask for: from the targets down, as far as no value is at hand.
    async fn unanswered(&mut self) -> Vec<CacheKey> {
        let mut unanswered = Vec::new();
        let mut wanted: BTreeSet<VertexId> = self.problem.targets.iter().copied().collect();
        self.forecast.lacking.clear();
        for &id in self.needed.iter().rev() {
            let vertex = self.problem.graph.vertex(id);
            if !wanted.contains(&id) || vertex.op.is_source() || self.is_at_hand(vertex).await {
                continue;
            }
            self.forecast.lacking.insert(id);
            wanted.extend(&vertex.inputs);
            if let Some(&definition) = self.forecast.definitions.get(&id)
                && !vertex.op.ignores_cache()
                && !self.answers.has(definition)
            {
                unanswered.push(definition);
            }
        }
        unanswered
    }

    /// Returns whether the value of a vertex can be loaded, from the record that it has or will have.
    async fn is_at_hand(&mut self, vertex: &Vertex<E::Op>) -> bool {
        let Some(&definition) = self.forecast.definitions.get(&vertex.id) else {
            return self.value(vertex.id).await.is_some();
        };
        if vertex.op.ignores_cache() {
            return false;
        }
        if !self.forecast.is_gone(definition)
            && let Some(record) = self.problem.cache.lookup(definition)
        {
            if self.problem.evaluator.load(vertex, &record).await.is_some() {
                return true;
            }
            self.forecast.gone.insert(definition);
        }
        match self.answers.get(definition) {
            Some(record) => self.problem.evaluator.load(vertex, record).await.is_some(),
            None => false,
        }
    }

    /// Returns the record under a definition key: this machine's, unless what it names is gone.
    pub(super) fn record(&self, definition: CacheKey) -> Option<Record> {
        let ours = || self.problem.cache.lookup(definition);
        if self.forecast.is_gone(definition) {
            self.answers.get(definition).cloned().or_else(ours)
        } else {
            ours().or_else(|| self.answers.get(definition).cloned())
        }
    }
}
