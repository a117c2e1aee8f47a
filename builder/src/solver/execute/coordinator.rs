//! The coordinator: who waits for whom, what may run, how it ends.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::num::NonZeroUsize;

use tokio::time::Instant;

use super::prepare::Draft;
use super::save::Unsaved;
use super::tasks::{Report, Tasks};
use super::turn::Turn;
use super::{Limits, Solution, Solved, VertexKeys};
use crate::cache::Change;
use crate::graph::{Vertex, VertexId};
use crate::op::key::{CacheKey, Define};
use crate::solver::ahead::Answers;
use crate::solver::keys::{self, run_key};
use crate::solver::known::{Identity, Known};
use crate::solver::places::Places;
use crate::solver::plan::{Filing, Link};
use crate::solver::reason::{changes, miss_reason};
use crate::solver::{Decision, Evaluator, Failure, Made, MissReason, Observer, Plan, Planned, Problem, Serves};

/// The only owner of the state of an execution.
pub(super) struct Coordinator<'a, E: Evaluator> {
    pub(super) problem: &'a Problem<E>,
    pub(super) observer: &'a mut dyn Observer<E::Value>,
    limits: Limits,
    pub(super) planned: BTreeMap<VertexId, Planned>,
    pub(super) known: Known,
    pub(super) places: Places,
    adoptions: Vec<Filing>,
    links: Vec<Link>,
    pub(super) answers: Answers,
    /// Values that the plan had, and those settled since.
    values: HashMap<VertexId, E::Value>,
    settled: HashSet<VertexId>,
    /// Unsettled inputs by vertex.
    waits_for: HashMap<VertexId, BTreeSet<VertexId>>,
    /// The same, the other way round.
    awaited_by: HashMap<VertexId, Vec<VertexId>>,
    /// Vertices whose inputs are all settled since.
    pub(super) ready: VecDeque<VertexId>,
    /// Vertices whose keys are being looked up, or whose content is being read.
    pub(super) drafts: HashMap<VertexId, Draft>,
    /// Who makes, or has made, the value of a key in this build.
    makers: HashMap<CacheKey, VertexId>,
    /// Vertices that wait for the value of another with an equal key.
    followers: HashMap<VertexId, Vec<(VertexId, Draft)>>,
    /// Vertices that must run and wait for a job, in the order of the graph.
    queue: BTreeMap<VertexId, Draft>,
    running: HashMap<VertexId, (Instant, Draft)>,
    /// What is to be saved, in order: whoever waits for a result starts before it is saved.
    pub(super) unsaved: Vec<Unsaved>,
    /// Vertices that ran in this build.
    ran: HashSet<VertexId>,
    /// The keys that lead to the records of vertices, as far as they have some.
    pub(super) leads: HashMap<VertexId, CacheKey>,
    pub(super) tasks: Tasks<E>,
    failure: Option<Failure<E::Error>>,
}

impl<'a, E: Evaluator> Coordinator<'a, E> {
    pub(super) fn new(
        problem: &'a Problem<E>,
        plan: Plan<E::Value>,
        limits: Limits,
        observer: &'a mut dyn Observer<E::Value>,
    ) -> Self {
        let Plan {
            planned,
            values,
            known,
            places,
            adoptions,
            links,
            answers,
        } = plan;
        let tasks = Tasks::new(problem, limits.cancel.child_token());
        Self {
            problem,
            observer,
            limits,
            planned,
            known,
            places,
            adoptions,
            links,
            answers,
            values,
            settled: HashSet::new(),
            waits_for: HashMap::new(),
            awaited_by: HashMap::new(),
            ready: VecDeque::new(),
            drafts: HashMap::new(),
            makers: HashMap::new(),
            followers: HashMap::new(),
            queue: BTreeMap::new(),
            running: HashMap::new(),
            unsaved: Vec::new(),
            ran: HashSet::new(),
            leads: HashMap::new(),
            tasks,
            failure: None,
        }
    }

    pub(super) async fn execute(mut self) -> Result<Solution<E::Value>, Failure<E::Error>> {
        self.settle_plan();
        self.proceed();
        self.save();
        // The tasks hear of a cancellation themselves and end.
        while let Some((id, report)) = self.tasks.next().await {
            self.ended(id, report);
            self.proceed();
            self.save();
        }
        match self.failure.take() {
            Some(failure) => Err(failure),
            None => Ok(self.solution()),
        }
    }

    /// Settles what the plan has already, and finds out who waits for whom.
    fn settle_plan(&mut self) {
        for adoption in std::mem::take(&mut self.adoptions) {
            self.file(adoption);
        }
        for Link { vertex, alias, key } in std::mem::take(&mut self.links) {
            self.link(vertex, [alias], key);
        }
        let graph = &self.problem.graph;
        let mut have = Vec::new();
        for (&id, planned) in &self.planned {
            match planned.decision {
                Decision::Source | Decision::Hit => have.push(id),
                Decision::Unneeded { cached: true } if !graph.vertex(id).op.is_source() => {
                    self.observer.hit(id, planned.key);
                }
                Decision::Unneeded { .. } => {}
                Decision::Run(_) => {
                    let inputs: BTreeSet<VertexId> = graph.vertex(id).inputs.iter().copied().collect();
                    for &input in &inputs {
                        self.awaited_by.entry(input).or_default().push(id);
                    }
                    if inputs.is_empty() {
                        self.ready.push_back(id);
                    }
                    self.waits_for.insert(id, inputs);
                }
            }
        }
        for id in have {
            let (identity, value) = (self.known.identity(id), self.values[&id].clone());
            if self.planned[&id].decision == Decision::Hit {
                self.observer.hit(id, identity.key());
            }
            self.settle(id, identity, value);
        }
    }

    /// Does all that can be done without waiting.
    fn proceed(&mut self) {
        let idle = self.ready.is_empty() && self.queue.is_empty();
        if !idle && self.failure.is_none() && self.limits.cancel.is_cancelled() {
            self.fail(Failure::Cancelled);
        }
        while self.failure.is_none()
            && let Some(id) = self.ready.pop_front()
        {
            self.prepare(id);
        }
        let jobs = self.limits.jobs.map_or(usize::MAX, NonZeroUsize::get);
        while self.failure.is_none()
            && self.jobs_taken() < jobs
            && let Some((id, draft)) = self.queue.pop_first()
        {
            self.begin(id, draft);
        }
    }

    fn jobs_taken(&self) -> usize {
        let about_to_run = self.drafts.values().filter(|draft| !matches!(draft.turn, Turn::Ahead));
        self.running.len() + about_to_run.count()
    }

    /// Runs a vertex whose turn has come.
    pub(super) fn run(&mut self, id: VertexId, mut draft: Draft) {
        let vertex = self.vertex(id);
        draft.aspects = self.problem.evaluator.aspects(vertex);
        let (reason, changes) = self.reason(vertex, &draft);
        self.observer.started(id, &reason, &changes);
        let inputs = vertex.inputs.iter().map(|input| self.values[input].clone()).collect();
        self.tasks.run(id, run_key(draft.key, &self.problem.build), inputs);
        self.running.insert(id, (Instant::now(), draft));
    }

    fn reason(&self, vertex: &Vertex<E::Op>, draft: &Draft) -> (MissReason, Vec<Change>) {
        if vertex.op.ignores_cache() {
            return (MissReason::Forced, Vec::new());
        }
        if draft.is_gone {
            return (MissReason::Evicted, Vec::new());
        }
        let last = self.places.last(&*self.problem.cache, vertex);
        let is_new = |input| self.ran.contains(&input);
        let reason = miss_reason(
            &self.problem.graph,
            vertex,
            &self.known.lineage(vertex),
            last.as_ref(),
            is_new,
        );
        let last = last.as_ref().map(|record| &record.aspects);
        let changes = changes(&reason, &draft.aspects, last);
        (reason, changes)
    }

    fn ended(&mut self, id: VertexId, report: Report<E>) {
        match report {
            Report::Ran(Ok(made)) => self.completed(id, made),
            // What outlasts the build counts more than what has ended it.
            Report::Ran(Err(error)) if self.problem.evaluator.is_lasting(&error) => self.failed(id, error),
            // What follows from the first failure is not worth a word of its own.
            _ if self.failure.is_some() => self.cancelled(id),
            Report::Ran(Err(_)) if self.limits.cancel.is_cancelled() => {
                self.fail(Failure::Cancelled);
                self.cancelled(id);
            }
            Report::Abandoned => self.fail(Failure::Cancelled),
            Report::Ran(Err(error)) | Report::Read(Err(error)) => self.failed(id, error),
            Report::Panicked(message) => {
                self.running.remove(&id);
                let failure = Failure::panicked(self.vertex(id), message);
                self.observer.failed(id, &failure);
                self.fail(failure);
            }
            Report::Loaded(value) => self.loaded(id, value),
            Report::Entered(flight) => self.entered(id, flight),
            Report::Answered(answer) => self.answered(id, answer.map(|record| *record)),
            Report::Read(Ok(contents)) => self.was_read(id, contents),
        }
    }

    fn failed(&mut self, id: VertexId, error: E::Error) {
        self.running.remove(&id);
        self.observer.failed(id, &error);
        self.fail(Failure::operation(self.vertex(id), error));
    }

    fn cancelled(&mut self, id: VertexId) {
        if self.running.remove(&id).is_some() {
            self.observer.cancelled(id);
        }
    }

    fn fail(&mut self, failure: Failure<E::Error>) {
        self.failure = Some(failure);
        self.tasks.cancel();
    }

    /// Keeps what a vertex made, and lets those go on who wait for it.
    fn completed(&mut self, id: VertexId, made: Made<E::Value>) {
        let Some((since, mut draft)) = self.running.remove(&id) else {
            return;
        };
        let key = match made.serves {
            Serves::Every => draft.key,
            Serves::This => keys::forced_key(draft.definition, &self.problem.build),
        };
        let mut relied = self.known.inherited(self.vertex(id));
        relied.append(&mut draft.relies_on);
        self.known.rely(id, relied);
        if made.serves == Serves::Every {
            self.keep(id, &mut draft, made.payload);
        }
        self.turned_out(id, &draft);
        self.ran.insert(id);
        self.observer.completed(id, since.elapsed());
        self.settle(id, Identity::Named(key), made.value);
    }

    /// Queues a vertex that is not in the cache, unless another one makes the same.
    pub(super) fn enqueue(&mut self, id: VertexId, draft: Draft) {
        let keys = draft.keys();
        let Some(&maker) = keys.iter().find_map(|key| self.makers.get(key)) else {
            self.makers.extend(keys.into_iter().map(|key| (key, id)));
            self.queue.insert(id, draft);
            return;
        };
        if self.settled.contains(&maker) {
            self.follow(id, &draft, maker);
        } else {
            self.followers.entry(maker).or_default().push((id, draft));
        }
    }

    /// Takes the value of another vertex with an equal key.
    fn follow(&mut self, id: VertexId, draft: &Draft, maker: VertexId) {
        let (key, value) = (self.known.identity(maker).key(), self.values[&maker].clone());
        let relied = self.known.relies_on(maker);
        match self.leads.get(&maker).copied() {
            Some(under) => self.found(id, draft, under, (key, relied), value),
            None => {
                self.known.rely(id, relied);
                self.hit(id, draft, key, value);
            }
        }
    }

    pub(super) fn settle(&mut self, id: VertexId, identity: Identity, value: E::Value) {
        self.observer.ready(id, &value, identity.key());
        self.known.identify(id, identity);
        self.values.insert(id, value);
        self.settled.insert(id);
        for user in self.awaited_by.remove(&id).unwrap_or_default() {
            if let Some(inputs) = self.waits_for.get_mut(&user) {
                inputs.remove(&id);
                if inputs.is_empty() {
                    self.ready.push_back(user);
                }
            }
        }
        for (follower, draft) in self.followers.remove(&id).unwrap_or_default() {
            self.follow(follower, &draft, id);
        }
    }

    pub(super) fn value(&self, id: VertexId) -> E::Value {
        self.values[&id].clone()
    }

    pub(super) fn vertex(&self, id: VertexId) -> &'a Vertex<E::Op> {
        self.problem.graph.vertex(id)
    }

    fn solution(&self) -> Solution<E::Value> {
        let targets = self.problem.targets.iter().map(|&id| {
            let solved = Solved {
                value: self.value(id),
                key: self.known.identity(id).key(),
            };
            (id, solved)
        });
        let made = self.planned.iter().filter(|(id, _)| !self.vertex(**id).op.is_source());
        let keys = made.map(|(&id, planned)| {
            let keys = VertexKeys {
                definition: planned.definition,
                content: planned.content,
            };
            (id, keys)
        });
        Solution {
            targets: targets.collect(),
            keys: keys.collect(),
        }
    }
}
