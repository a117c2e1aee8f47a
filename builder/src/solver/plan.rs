//! Planning: pins, keys and look-ups, then what of it is needed. Nothing runs and nothing is written.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use futures_util::future::try_join_all;

use super::ahead::{Answers, Forecast};
use super::known::{Identity, Known};
use super::places::Places;
use super::printed::Printed;
use super::reason::{changes, miss_reason};
use super::{Decision, Evaluator, Excerpt, Failure, MissReason, Problem, keys};
use crate::cache::{Change, Record};
use crate::graph::{Graph, Vertex, VertexId};
use crate::op::key::{CacheKey, Define};

/// What is to be done, and what was found out to decide it.
#[derive(Debug)]
pub struct Plan<V> {
    pub(super) planned: BTreeMap<VertexId, Planned>,
    /// Values of all sources, and of all records that were loaded.
    pub(super) values: HashMap<VertexId, V>,
    pub(super) known: Known,
    pub(super) places: Places,
    pub(super) adoptions: Vec<Filing>,
    pub(super) links: Vec<Link>,
    pub(super) answers: Answers,
}

/// A record, and under which key to write it: one of another machine under that which it was asked for by.
#[derive(Clone, Debug)]
pub(super) struct Filing {
    pub(super) vertex: VertexId,
    pub(super) under: CacheKey,
    pub(super) record: Record,
    /// Further keys that are to lead to it.
    pub(super) aliases: Vec<CacheKey>,
}

/// A further key of a record that a vertex was found by its content, to be written when the plan is executed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) vertex: VertexId,
    pub(super) alias: CacheKey,
    pub(super) key: CacheKey,
}

/// What is to be done about one vertex, and under which keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Planned {
    /// What is to be done.
    pub decision: Decision,
    /// The definition key; a source has only its canonical key, which stands here too.
    pub definition: CacheKey,
    /// The content key, if the operation reads by content and the content is known.
    pub content: Option<CacheKey>,
    /// The canonical key; for a vertex that has to run, the expected one.
    pub key: CacheKey,
    /// Whether that is only what another machine calls it: then nothing is saved under it.
    pub claimed: bool,
    /// What in particular has changed, if it has to run because something has.
    pub changes: Vec<Change>,
}

impl<V> Plan<V> {
    /// Returns what is planned for each vertex that the targets are made from, inputs first.
    pub fn iter(&self) -> impl Iterator<Item = (VertexId, &Planned)> {
        self.planned.iter().map(|(&id, planned)| (id, planned))
    }

    /// Returns what is planned for a vertex; `None` if the targets are not made from it.
    pub fn get(&self, vertex: VertexId) -> Option<&Planned> {
        self.planned.get(&vertex)
    }

    /// Returns whether nothing has to run.
    pub fn is_complete(&self) -> bool {
        !self
            .iter()
            .any(|(_, planned)| matches!(planned.decision, Decision::Run(_)))
    }

    /// Returns the plan as text, one line per vertex, with names from the graph that was planned.
    pub fn display<'a, O>(&'a self, graph: &'a Graph<O>) -> impl fmt::Display + 'a {
        Printed::new(self, graph)
    }
}

/// Plans how to get the values of the targets.
///
/// Dropping the future ends the planning. The look-ups read small files on the calling thread.
///
/// # Errors
/// The first source that cannot be pinned, or content that cannot be read.
pub async fn plan<E: Evaluator>(problem: &Problem<E>) -> Result<Plan<E::Value>, Failure<E::Error>> {
    let needed = problem.graph.ancestors(&problem.targets);
    let mut planner = Planner {
        problem,
        needed: &needed,
        known: Known::default(),
        values: HashMap::new(),
        found: HashMap::new(),
        refused: BTreeSet::new(),
        adoptions: Vec::new(),
        links: Vec::new(),
        places: Places::new(&problem.scope, &problem.graph),
        answers: Answers::default(),
        forecast: Forecast::default(),
    };
    planner.pin().await?;
    planner.read_nameless().await?;
    planner.ask_ahead().await;
    let mut planned = BTreeMap::new();
    for &id in &needed {
        planned.insert(id, planner.look_up(problem.graph.vertex(id)).await?);
    }
    planner.decide(&mut planned).await;
    planner.explain(&mut planned);
    Ok(Plan {
        planned,
        values: planner.values,
        known: planner.known,
        places: planner.places,
        adoptions: planner.adoptions,
        links: planner.links,
        answers: planner.answers,
    })
}

/// The state of a plan in the making.
pub(super) struct Planner<'a, E: Evaluator> {
    pub(super) problem: &'a Problem<E>,
    /// What the targets are made from, and they themselves.
    pub(super) needed: &'a BTreeSet<VertexId>,
    pub(super) known: Known,
    values: HashMap<VertexId, E::Value>,
    /// Records by vertex.
    found: HashMap<VertexId, Record>,
    /// Vertices whose record could not be loaded.
    refused: BTreeSet<VertexId>,
    adoptions: Vec<Filing>,
    links: Vec<Link>,
    places: Places,
    pub(super) answers: Answers,
    pub(super) forecast: Forecast,
}

impl<E: Evaluator> Planner<'_, E> {
    /// Pins all sources at once.
    async fn pin(&mut self) -> Result<(), Failure<E::Error>> {
        let sources = self.needed.iter().map(|&id| self.problem.graph.vertex(id));
        let pins = sources.filter(|vertex| vertex.op.is_source()).map(async |vertex| {
            let pinned = self.problem.evaluator.pin(vertex).await;
            pinned
                .map(|pinned| (vertex, pinned))
                .map_err(|error| Failure::operation(vertex, error))
        });
        for (vertex, pinned) in try_join_all(pins).await? {
            let operation = vertex.operation;
            let identity = match pinned.identity {
                Some(identity) => Identity::Named(keys::source_key(operation, identity)),
                None => Identity::Nameless(keys::nameless_key(operation, &self.problem.build, vertex.id)),
            };
            self.known.identify(vertex.id, identity);
            self.values.insert(vertex.id, pinned.value);
        }
        Ok(())
    }

    /// Digests what is read of sources that are known only by content: no key can do without.
    async fn read_nameless(&mut self) -> Result<(), Failure<E::Error>> {
        let readers = self.needed.iter().map(|&id| self.problem.graph.vertex(id));
        let nameless = readers.flat_map(|vertex| {
            let unread = self.known.unread(vertex).into_iter();
            unread
                .filter(|&(_, input)| self.is_nameless(input))
                .map(move |(position, input)| (vertex, position, input))
        });
        let nameless: Vec<_> = nameless.collect();
        self.read(nameless).await
    }

    fn is_nameless(&self, vertex: VertexId) -> bool {
        self.problem.graph.vertex(vertex).op.is_source() && matches!(self.known.identity(vertex), Identity::Nameless(_))
    }

    /// Digests content; the values must be there.
    async fn read(&mut self, what: Vec<(&Vertex<E::Op>, usize, VertexId)>) -> Result<(), Failure<E::Error>> {
        let excerpts = what.into_iter().map(|(vertex, input, from)| Excerpt {
            vertex,
            input,
            value: &self.values[&from],
        });
        let excerpts: Vec<Excerpt<'_, E>> = excerpts.collect();
        let contents = self.problem.evaluator.contents(&excerpts).await;
        for (excerpt, content) in excerpts.iter().zip(contents) {
            let content = content.map_err(|error| Failure::operation(excerpt.vertex, error))?;
            self.known.read(excerpt.vertex.id, excerpt.input, content);
        }
        Ok(())
    }

    /// Computes the keys of a vertex whose inputs have theirs, and looks for its record.
    async fn look_up(&mut self, vertex: &Vertex<E::Op>) -> Result<Planned, Failure<E::Error>> {
        let undecided = Decision::Unneeded { cached: false };
        if vertex.op.is_source() {
            let key = self.known.identity(vertex.id).key();
            return Ok(Planned {
                decision: undecided,
                definition: key,
                content: None,
                key,
                claimed: false,
                changes: Vec::new(),
            });
        }
        let definition = keys::definition_key(&self.known.lineage(vertex));
        let mut found = None;
        let key = if vertex.op.ignores_cache() {
            keys::forced_key(definition, &self.problem.build)
        } else {
            if !self.forecast.is_right(vertex.id, definition) {
                self.ask_ahead().await;
            }
            found = self.find_by_definition(vertex, definition);
            if found.is_none() {
                self.read_local(vertex).await?;
                if let Some(content) = keys::content_key(&self.known.lineage(vertex)) {
                    found = self.find_by_content(vertex, definition, content).await;
                }
            }
            found.as_ref().map_or(definition, |record| record.key)
        };
        let content = keys::content_key(&self.known.lineage(vertex));
        self.known.identify(vertex.id, Identity::Named(key));
        let relied = match &found {
            Some(record) => record.relies_on.clone(),
            None => self.known.inherited(vertex),
        };
        self.known.rely(vertex.id, relied);
        if let Some(record) = found {
            self.found.insert(vertex.id, record);
        }
        Ok(Planned {
            decision: undecided,
            definition,
            content,
            key,
            claimed: false,
            changes: Vec::new(),
        })
    }

    fn find_by_definition(&mut self, vertex: &Vertex<E::Op>, definition: CacheKey) -> Option<Record> {
        let mut record = self.record(definition)?;
        if self.answers.get(definition) == Some(&record) {
            record.relies_on.append(&mut self.known.inherited(vertex));
            self.adopt(vertex, definition, &record, self.places.keys(vertex).to_vec());
        }
        Some(record)
    }

    async fn find_by_content(
        &mut self,
        vertex: &Vertex<E::Op>,
        definition: CacheKey,
        content: CacheKey,
    ) -> Option<Record> {
        let aliases = self.places.keys(vertex).into_iter().chain([definition]);
        let mut relied = self.known.inherited(vertex);
        if let Some(record) = self.problem.cache.lookup(content) {
            let aliases = aliases.filter(|alias| *alias != definition || relied.is_subset(&record.relies_on));
            self.links.extend(aliases.map(|alias| Link {
                vertex: vertex.id,
                alias,
                key: content,
            }));
            return Some(record);
        }
        let source = self.problem.elsewhere.as_ref()?;
        if self.forecast.lacks(vertex.id) && !self.answers.has(content) {
            self.answers.ask(&**source, &[content]).await;
        }
        let mut record = self.answers.get(content).cloned()?;
        record.relies_on.append(&mut relied);
        self.adopt(vertex, content, &record, aliases.collect());
        Some(record)
    }

    fn adopt(&mut self, vertex: &Vertex<E::Op>, key: CacheKey, record: &Record, aliases: Vec<CacheKey>) {
        self.adoptions.push(Filing {
            vertex: vertex.id,
            under: key,
            record: record.clone(),
            aliases,
        });
    }

    /// Digests what a vertex reads of values that are at hand without a transfer.
    async fn read_local(&mut self, vertex: &Vertex<E::Op>) -> Result<(), Failure<E::Error>> {
        let evaluator = &self.problem.evaluator;
        let mut local = Vec::new();
        for (position, input) in self.known.unread(vertex) {
            if self.value(input).await.is_some_and(|value| evaluator.is_local(value)) {
                local.push((vertex, position, input));
            }
        }
        self.read(local).await
    }

    /// Returns the value of a source, or of a vertex whose record can be loaded.
    pub(super) async fn value(&mut self, id: VertexId) -> Option<&E::Value> {
        if !self.values.contains_key(&id) && !self.refused.contains(&id) {
            let record = self.found.get(&id)?;
            match self.problem.evaluator.load(self.problem.graph.vertex(id), record).await {
                Some(value) => {
                    self.values.insert(id, value);
                }
                None => {
                    self.refused.insert(id);
                }
            }
        }
        self.values.get(&id)
    }

    /// Decides from the targets down: a value that is there hides what it was made from.
    async fn decide(&mut self, planned: &mut BTreeMap<VertexId, Planned>) {
        let mut needed: BTreeSet<VertexId> = self.problem.targets.iter().copied().collect();
        for (&id, planned) in planned.iter_mut().rev() {
            let vertex = self.problem.graph.vertex(id);
            planned.decision = if !needed.contains(&id) {
                Decision::Unneeded {
                    cached: vertex.op.is_source() || self.found.contains_key(&id),
                }
            } else if vertex.op.is_source() {
                Decision::Source
            } else if self.value(id).await.is_some() {
                Decision::Hit
            } else {
                needed.extend(&vertex.inputs);
                let record = self.found.get(&id);
                planned.claimed = record.is_some_and(|record| {
                    keys::is_claimed(&*self.problem.cache, record, planned.definition, planned.content)
                });
                Decision::Run(if self.refused.contains(&id) && !record.is_some_and(Record::is_bare) {
                    MissReason::Evicted
                } else if vertex.op.ignores_cache() {
                    MissReason::Forced
                } else {
                    MissReason::NeverBuilt
                })
            };
        }
    }

    /// Replaces `NeverBuilt` by what has changed since the last build, where there was one.
    fn explain(&self, planned: &mut BTreeMap<VertexId, Planned>) {
        let graph = &self.problem.graph;
        let runs: BTreeSet<VertexId> = planned
            .iter()
            .filter(|(_, planned)| matches!(planned.decision, Decision::Run(_)))
            .map(|(&id, _)| id)
            .collect();
        for (&id, planned) in planned.iter_mut() {
            let Planned {
                decision,
                changes: particulars,
                ..
            } = planned;
            if let Decision::Run(reason @ MissReason::NeverBuilt) = decision {
                let vertex = graph.vertex(id);
                let last = self.places.last(&*self.problem.cache, vertex);
                *reason = miss_reason(graph, vertex, &self.known.lineage(vertex), last.as_ref(), |input| {
                    runs.contains(&input)
                });
                let aspects = last.is_some().then(|| self.problem.evaluator.aspects(vertex));
                let last = last.as_ref().map(|record| &record.aspects);
                *particulars = changes(reason, &aspects.unwrap_or_default(), last);
            }
        }
    }
}
